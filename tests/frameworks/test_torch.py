"""Modules of PyTorch as ONNX models, with the real torch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import rpucc

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")

from torch import nn  # noqa: E402

from .networks import batch_normed_cnn  # noqa: E402


def outputs(model: onnx.ModelProto, *inputs: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {x.name: np.asarray(each) for x, each in zip(session.get_inputs(), inputs, strict=True)}
    return session.run(None, feeds)


def names(model: onnx.ModelProto) -> set[str]:
    """The weights: what has a name that torch did not make up."""
    return {w.name for w in model.graph.initializer if not w.name.startswith("val_")}


def floats(module: nn.Module) -> set[str]:
    return {name for name, each in module.state_dict().items() if each.dtype == torch.float32}


def test_a_cnn_keeps_its_names_and_its_batch_norms_and_computes_the_same():
    module = batch_normed_cnn()
    model = rpucc.from_torch(module, torch.zeros(2, 1, 28, 28))
    assert names(model) == floats(module)
    assert [node.op_type for node in model.graph.node].count("BatchNormalization") == 2
    x = torch.rand(5, 1, 28, 28)
    module.eval()
    want = module(x).detach().numpy()
    np.testing.assert_allclose(outputs(model, x)[0], want, rtol=1e-4, atol=1e-5)
    program = rpucc.compile(model, "ideal")
    assert program.verified
    assert program.fixed_batch is None
    assert program.name == "Sequential"
    assert program.plan.notes == (
        "dropouts: '8' draws its mask in training, ratio 0.3; dropout.policy off leaves it out",
        "batch norms: 2 folded into the layer before",
    )
    assert [layer.name for layer in program.plan.analog_layers] == ["0", "3", "9"]


@pytest.mark.parametrize("number", [-0.5, float("nan")])
@pytest.mark.parametrize("policy", ["fold", "frozen", "train", "batch"])
def test_a_running_variance_that_is_none(policy: str, number: float):
    module = batch_normed_cnn()
    module[1].running_var[2] = number
    model = rpucc.from_torch(module, torch.zeros(2, 1, 28, 28))
    with pytest.raises(rpucc.ModelError) as caught:
        rpucc.compile(model, "ideal", overrides=[f"batch_norm.policy={policy}"])
    said = str(caught.value)
    negative = "has 1 of 4 that are -0.5" in said and "A batch norm's variance must be 0" in said
    assert negative or "'1.running_var' has 1 of 4 that are not, the first is nan" in said
    assert "'1.running_var'" in said
    assert "\n" not in said


def test_the_module_stays_as_it_is():
    module = batch_normed_cnn()
    module[1].eval()  # a batch norm that its user froze
    before = {name: each.clone() for name, each in module.state_dict().items()}
    disabled = logging.root.manager.disable
    rpucc.from_torch(module, np.zeros((1, 1, 28, 28), np.uint8))
    assert [each.training for each in module] == [i != 1 for i in range(10)]
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())
    assert all(each.requires_grad for each in module.parameters())
    assert logging.root.manager.disable == disabled


def test_a_convolution_without_bias_gets_none():
    """torch writes zeros for it, which arrays would train and the module could not take back."""
    model = rpucc.from_torch(batch_normed_cnn(), torch.zeros(1, 1, 28, 28))
    assert [len(n.input) for n in model.graph.node if n.op_type == "Conv"] == [3, 2]


class Two(nn.Module):
    """Two inputs, a tied weight, a buffer, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.again.weight = self.fc.weight
        self.register_buffer("mean", torch.full((4,), 0.5))

    def forward(self, left: Any, right: Any) -> dict[str, Any]:
        first = torch.tanh(self.fc(left - self.mean))
        return {"sum": first + right, "again": self.again(first)}


@pytest.mark.parametrize(
    "example", [tuple, lambda pair: dict(zip(("left", "right"), pair, strict=True))]
)
def test_several_inputs(example: Callable[..., Any]):
    pair = (torch.zeros(3, 4), torch.zeros(3, 4))
    model = rpucc.from_torch(Two(), example(pair))
    assert [value.name for value in model.graph.input] == ["left", "right"]
    assert len(model.graph.output) == 2
    assert names(model) <= floats(Two())
    assert len(names(model)) == 4  # one name of the tied two


def test_an_exported_program_has_an_example_of_its_own():
    exported = torch.export.export(batch_normed_cnn().eval(), (torch.zeros(2, 1, 28, 28),))
    model = rpucc.from_torch(exported)
    assert names(model) == floats(batch_normed_cnn())
    with pytest.raises(rpucc.ArgumentError, match=r"example_input: found a torch.Tensor"):
        rpucc.from_torch(exported, torch.zeros(2, 1, 28, 28))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own, of torch.jit
def test_a_module_that_is_compiled_or_wrapped():
    """torch.compile puts a prefix before names, which its module does not have."""
    plain = nn.Sequential(nn.Linear(4, 3))
    assert names(rpucc.from_torch(torch.compile(plain), torch.zeros(1, 4))) == floats(plain)
    wrapped = nn.DataParallel(plain)
    assert names(rpucc.from_torch(wrapped, torch.zeros(1, 4))) == floats(wrapped)


class Branch(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("module", "example", "kind", "message"),
    [
        (Branch(), torch.zeros(2, 3), "UnsupportedError", "Branch: torch cannot export it: Guard"),
        (nn.Linear(4, 3), torch.zeros(2, 5), "UnsupportedError", "Linear: .* same reduction dim"),
        (nn.Linear(4, 3), None, "ArgumentError", "example_input: found None; allowed: what the"),
        (nn.Linear(4, 3), [1, 2], "ArgumentError", r"example_input: found \[1, 2\]"),
        (nn.Linear(4, 3), {"y": 1}, "ArgumentError", "does not fit Linear.forward: missing"),
        (3, torch.zeros(2, 5), "ArgumentError", r"from_torch\(module\): found 3"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    module: Any, example: Any, kind: str, message: str, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(getattr(rpucc, kind), match=message) as caught:
        rpucc.from_torch(module, example)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_without_onnxscript_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rpucc.frameworks.torch_export.NEEDED", ("torch", "onnxscript_of_none"))
    with pytest.raises(
        rpucc.ModelError, match=r"needs onnxscript_of_none: pip install 'rpucc\[torc"
    ):
        rpucc.from_torch(nn.Linear(2, 2), torch.zeros(1, 2))


def test_compile_names_the_way_from_a_module():
    with pytest.raises(rpucc.ArgumentError, match=r"rpucc.from_torch\(network, example\)"):
        rpucc.compile(nn.Linear(2, 2))
    assert "torch" in sys.modules
