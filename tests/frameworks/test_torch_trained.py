"""From a PyTorch module to weights that were trained in situ, and back into the module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rpucc

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")

from torch import nn  # noqa: E402

from .networks import batch_normed_cnn  # noqa: E402


@pytest.fixture(scope="module")
def digits() -> rpucc.Dataset:
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:700] for key in "xy")
    return rpucc.load_dataset((x[:500], y[:500], x[500:], y[500:]))


def test_twelve_lines(tmp_path: Path):
    """What docs/python.md shows: from the module to its trained state in PyTorch's own file."""
    module = batch_normed_cnn()
    data = rpucc.load_dataset("mnist-mini")
    data = rpucc.load_dataset((data.x_train[:2000], data.y_train[:2000], data.x_test, data.y_test))

    model = rpucc.from_torch(module, data.x_train[:1])
    program = rpucc.compile(model, "rpu-managed")
    machine = rpucc.Machine(program, seed=0)
    trainer = rpucc.Trainer(machine)
    trainer.fit(data, epochs=1, lr=0.02)
    machine.export().to_torch(module)
    torch.save(module.state_dict(), tmp_path / "trained.pth")

    module.eval()
    pixels = torch.from_numpy(data.x_test).float() / 255
    logits = module(pixels).detach().numpy()
    wrong = (logits.argmax(1) != data.y_test).mean()
    assert wrong == trainer.evaluate(data, ideal=True).error < 0.3
    np.testing.assert_allclose(logits, trainer.predict(data, ideal=True), rtol=0, atol=1e-4)
    again = batch_normed_cnn()
    again.load_state_dict(torch.load(tmp_path / "trained.pth"))
    assert torch.equal(again.eval()(pixels), module(pixels))


@pytest.mark.parametrize("policy", ["fold", "frozen", "train"])
def test_batch_norms_of_every_policy(policy: str, digits: rpucc.Dataset):
    module = batch_normed_cnn()
    model = rpucc.from_torch(module, digits.x_train[:1])
    overrides = [f"batch_norm.policy={policy}", "mapping.weight_scaling=0.5"]
    program = rpucc.compile(model, "rpu-managed", overrides=overrides, verify=False)
    machine = rpucc.Machine(program, seed=0)
    trainer = rpucc.Trainer(machine)
    trainer.fit(digits, epochs=1, lr=0.02)
    before = {name: each.clone() for name, each in module.state_dict().items()}
    machine.export().to_torch(module)
    after = module.state_dict()
    same = {name for name, each in after.items() if torch.equal(each, before[name])}
    assert {name for name in after if "running" in name or "num_batches" in name} <= same
    assert not {"0.weight", "3.weight", "9.weight", "9.bias"} & same
    logits = module.eval()(torch.from_numpy(digits.x_test).float() / 255).detach().numpy()
    np.testing.assert_allclose(logits, trainer.predict(digits, ideal=True), rtol=0, atol=1e-4)


def test_a_run_of_a_pt2_file_measured_into_another_module(
    tmp_path: Path, digits: rpucc.Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    module = batch_normed_cnn().eval()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 1, 28, 28),)), "cnn.pt2")
    machine = rpucc.Machine(rpucc.compile("cnn.pt2", "rpu-managed", verify=False), seed=3)
    rpucc.Trainer(machine).fit(digits, epochs=1, lr=0.02)
    machine.save("run")
    exported = rpucc.Machine.load("run").export(measured=50)
    other = batch_normed_cnn().double()
    exported.to_torch(other)
    state = other.state_dict()
    assert state["9.weight"].dtype == torch.float64
    np.testing.assert_array_equal(state["9.weight"], exported.weights["9.weight"])


def test_tied_weights_come_home_together():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.two.weight = self.one.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(torch.tanh(self.one(x)))

    module = Tied()
    program = rpucc.compile(rpucc.from_torch(module, torch.zeros(1, 6)), "ideal")
    machine = rpucc.Machine(program)
    x, y = np.random.default_rng(0).random((60, 6), np.float32), np.arange(60) % 6
    trainer = rpucc.Trainer(machine)
    trainer.fit((x, y), epochs=1, lr=0.1)
    machine.export().to_torch(module)
    assert module.one.weight is module.two.weight
    want = trainer.predict(list(x))
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), want, rtol=0, atol=1e-5)


def test_another_module_is_refused_and_stays_as_it_is(digits: rpucc.Dataset):
    model = rpucc.from_torch(batch_normed_cnn(), digits.x_train[:1])
    machine = rpucc.Machine(rpucc.compile(model, "ideal", verify=False))
    rpucc.Trainer(machine).fit(digits, epochs=1)
    exported = machine.export()
    narrow = batch_normed_cnn()
    narrow[9] = nn.Linear(100, 10)
    before = narrow[0].weight.detach().clone()
    message = (
        r"module Sequential: weight '9.weight' has shape \[10, 100\], the program's \[10, 200\]"
    )
    with pytest.raises(rpucc.ModelError, match=message):
        exported.to_torch(narrow)
    assert torch.equal(narrow[0].weight, before)
    with pytest.raises(
        rpucc.ModelError, match=r"module Linear: has no place for weight '.*weight'"
    ):
        exported.to_torch(nn.Linear(2, 2))
    with pytest.raises(rpucc.ArgumentError, match=r"to_torch\(module\): found 3"):
        exported.to_torch(3)
