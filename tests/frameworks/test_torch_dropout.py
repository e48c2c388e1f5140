"""Dropouts beside PyTorch: the gradient given the same mask, and modules with dropouts."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.opset.drop import scale_of
from rpucc.passes.execute import random_feeds

from ..passes.test_draw_dropouts import drops
from ..runtime.stock import run_executor, stock_values, training_mode, training_outputs
from .networks import batch_normed_cnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="torch's exporter needs onnxscript")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


def dense() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 9), nn.Tanh(), nn.Dropout(0.4), nn.Linear(9, 8), nn.ReLU(), nn.Dropout(0.25),
        nn.Linear(8, 4),
    )  # fmt: skip


def test_a_step_is_pytorchs_given_the_same_masks() -> None:
    """Loss and new weights of one ideal step, with masks that were read from the machine."""
    module = dense()
    program = rpucc.compile(rpucc.from_torch(module, torch.rand(5, 6)), "ideal", verify=True)
    assert program.verified
    assert drops(program) == {"2": (np.float32(0.4), 0), "5": (0.25, 1)}
    feeds = random_feeds(program.model, batch=5) | training_mode(program)
    feeds[program.step.rates[0]] = np.array(0.1, "f4")
    machine = rpucc.Machine(program)
    wanted = [*training_outputs(program), "2.mask", "5.mask"]
    executor = run_executor(machine, feeds, wanted, 5)
    masks = [torch.tensor(executor[f"{name}.mask"]) for name in "25"]

    x = torch.tensor(feeds[program.inputs[0]])
    hidden = torch.tanh(module[0](x)) * masks[0]
    hidden = torch.relu(module[3](hidden)) * masks[1]
    loss = functional.cross_entropy(module[6](hidden), torch.tensor(feeds["labels"]))
    loss.backward()
    assert float(executor["loss"]) == pytest.approx(loss.item(), rel=1e-6)
    with torch.no_grad():
        for each in module.parameters():
            each -= 0.1 * each.grad
    trained = machine.export().weights
    for name, value in module.state_dict().items():
        np.testing.assert_allclose(trained[name], value.numpy(), rtol=0, atol=1e-6, err_msg=name)


def test_the_share_that_stays_is_scaled_as_pytorch_does() -> None:
    kept = nn.Dropout(0.4)(torch.ones(4000)).unique().numpy()
    np.testing.assert_allclose(kept, [0, scale_of(0.4)], rtol=1e-6)


def test_a_module_keeps_its_mode_and_its_model_is_that_of_inference() -> None:
    module = batch_normed_cnn().train()
    model = rpucc.from_torch(module, torch.rand(2, 1, 28, 28))
    assert all(each.training for each in module.modules())
    module.eval()
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    (output,) = model.graph.output
    found = stock_values(model, {model.graph.input[0].name: x})[output.name]
    np.testing.assert_allclose(found, module(torch.tensor(x)).detach().numpy(), atol=1e-5)
    assert drops(rpucc.compile(model, "ideal", verify=False)) == {"8": (np.float32(0.3), 0)}


class Block(nn.Module):
    """One dropout, used twice, beside some that ONNX does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.channels, self.alpha = nn.Dropout2d(0.2), nn.AlphaDropout(0.1)
        self.drop, self.idle = nn.Dropout(0.5), nn.Dropout(0.0)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        y = self.alpha(self.channels(self.conv(x)))
        return self.fc(self.idle(self.drop(self.drop(y.flatten(1)))))


def test_what_onnx_has_no_operator_for_is_left_out_with_a_note() -> None:
    model = rpucc.from_torch(Block(), torch.rand(2, 1, 4, 4))
    program = rpucc.compile(model, "ideal", verify=False)
    assert drops(program) == {"drop": (0.5, 0), "drop_2": (0.5, 1)}
    assert program.plan.notes[0] == (
        "channels (Dropout2d), alpha (AlphaDropout) draw at random in training, in a way that ONNX "
        "has no operator for: left out"
    )
    notes = rpucc.compile(model, "ideal", verify=False, training=False).plan.notes
    assert notes == ()


@pytest.mark.filterwarnings("ignore")  # torch's exporters warn of themselves
@pytest.mark.parametrize("dynamo", [True, False], ids=["torch.export", "TorchScript"])
def test_a_file_that_was_exported_in_training_mode(dynamo: bool, tmp_path) -> None:
    """What docs/training.md says for torch.onnx.export."""
    place, x = tmp_path / "net.onnx", torch.rand(2, 6)
    if dynamo:
        torch.onnx.export(torch.export.export(dense().train(), (x,)), (), place, dynamo=True)
    else:
        torch.onnx.export(
            dense().train(), (x,), str(place), dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        )  # fmt: skip
    assert sum(node.op_type == "Dropout" for node in onnx.load(place).graph.node) == 2
    program = rpucc.compile(place, "ideal", verify=False)
    assert [ratio for ratio, _ in drops(program).values()] == [np.float32(0.4), 0.25]
