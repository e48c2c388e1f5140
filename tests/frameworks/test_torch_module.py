"""`rpucc.torch.Module` inside loops of real torch: what they train, and what is refused."""

from __future__ import annotations

import copy
import gc
import io
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

import rpucc  # noqa: E402
from rpucc.errors import ArgumentError, CheckpointError, DataError, UsageError  # noqa: E402

from ..runtime.test_own_loop import program, same, samples, standing, two_by_two  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Torch's threads spin while they wait, which takes the time of tests beside this one."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def batch(count: int = 8, seed: int = 5) -> tuple[Any, Any]:
    x, y = samples(count, seed)
    return torch.from_numpy(x), torch.from_numpy(y)


def module(lr: Any = 0.5, seed: int = 3, target: str = "rpu-managed-um", **options: Any) -> Any:
    return rpucc.torch.Module(rpucc.Machine(program(target, **options), seed), lr)


def free(made: Any) -> int:
    """Buffers that wait for a batch."""
    gc.collect()
    return sum(map(len, made.machine.loop._free.values()))


def test_a_torch_loop_trains_lenet_with_a_digital_head() -> None:
    """Torch's loss and torch's optimizer of the head; the loop has no line about arrays."""
    digits = rpucc.load_dataset("mnist-mini")
    data = torch.utils.data.TensorDataset(
        torch.from_numpy(digits.x_train[:1600]) / 255, torch.from_numpy(digits.y_train[:1600])
    )
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    machine = rpucc.Machine(program("rpu-managed", "lenet"), seed=0)
    model = nn.Sequential(rpucc.torch.Module(machine), nn.Tanh(), nn.Linear(10, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model[0].lr = lambda: optimizer.param_groups[0]["lr"]
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        answers = model(torch.from_numpy(digits.x_test) / 255).argmax(1)
    assert (answers != torch.from_numpy(digits.y_test)).float().mean() < 0.25
    assert machine.counters.done == 3200
    assert machine.counters.pulses > 0
    assert free(model[0]) == 1


def test_a_step_is_that_of_the_machines_own_loop() -> None:
    x, y = batch(24)
    made, machine = module(), rpucc.Machine(program(), 3)
    for i in (0, 8, 16):
        F.cross_entropy(made(x[i : i + 8]), y[i : i + 8]).backward()
        out = torch.from_numpy(machine.forward(x[i : i + 8].numpy())).requires_grad_()
        F.cross_entropy(out, y[i : i + 8]).backward()
        machine.backward(out.grad)
        machine.update(0.5)
    assert same(standing(made.machine), standing(machine))


def test_gradients_are_those_of_torch() -> None:
    """On ideal arrays: weights, digital bias, and what goes on to layers before the arrays."""
    options = {"input_gradients": True, "overrides": ("mapping.bias=digital",)}
    made = module(target="ideal", **options)
    weights = made.machine.export().weights
    twin = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    names = zip(twin.parameters(), ("c.w", "c.b", "fc.w", "fc.b"), strict=True)
    named = {name: parameter for parameter, name in names}
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.tensor(weights[name]))
    x, y = batch()
    before, own = (torch.full((1,), 0.9, requires_grad=True) for _ in range(2))
    loss, wanted = F.cross_entropy(made(x * before), y), F.cross_entropy(twin(x * own), y)
    loss.backward()
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert before.grad.item() == pytest.approx(own.grad.item(), abs=1e-6)
    for name, array in made.machine.export().weights.items():
        moved = weights[name] - 0.5 * named[name].grad.numpy()
        np.testing.assert_allclose(array, moved, atol=1e-6)


def test_all_calls_of_a_backward_read_before_any_of_them_updates() -> None:
    (x, y), (x2, y2) = batch(), batch(8, 6)
    made, machine = module(), rpucc.Machine(program(), 3)
    (F.cross_entropy(made(x), y) + F.cross_entropy(made(x2), y2)).backward()
    passes = []
    for samples_, labels in ((x, y), (x2, y2)):
        taken, out = machine.loop.begin(samples_.numpy(), "")
        leaf = torch.from_numpy(out["logits"]).requires_grad_()
        F.cross_entropy(leaf, labels).backward()
        passes.append((taken, {"logits": leaf.grad.numpy()}))
    for taken, dy in reversed(passes):
        machine.loop.backward(taken, dy, "", to_inputs=False, to_weights=True)
    for taken, _ in reversed(passes):
        machine.loop.update(taken, 0.5, "")
    assert same(standing(made.machine), standing(machine))


def test_frozen_arrays_let_gradients_through() -> None:
    x, y = batch()
    made = module(input_gradients=True).requires_grad_(False)
    before = made.machine.arrays["c.W"].weights.copy()
    for _ in range(3):
        x.requires_grad_()
        F.cross_entropy(made(x), y).backward()
        assert x.grad.abs().sum() > 0
    assert np.array_equal(made.machine.arrays["c.W"].weights, before)
    assert made.machine.counters.done == 0
    assert not made(x.detach()).requires_grad
    made.requires_grad_(True)
    (found,) = torch.autograd.grad(F.cross_entropy(made(x), y), x)  # gradients, and no step
    assert found.shape == x.shape
    assert np.array_equal(made.machine.arrays["c.W"].weights, before)
    F.cross_entropy(made(x), y).backward()
    assert made.machine.counters.done == 8  # of this call alone
    assert not np.array_equal(made.machine.arrays["c.W"].weights, before)


def test_modes() -> None:
    x, y = batch()
    made = module()
    wanted = rpucc.Trainer(made.machine).predict(x.numpy())
    with torch.no_grad():
        assert not torch.equal(made(x), made(x))  # reads of training, with noise of their own
        assert made.machine.counters.sample == 16
        made.eval()
        found = made(x)
        assert torch.equal(found, made(x))
    assert made.machine.counters.sample == 16
    assert np.array_equal(found.numpy(), rpucc.Trainer(made.machine).predict(x.numpy()))
    assert not np.array_equal(found.numpy(), wanted)  # other draws, as 16 samples were counted
    with pytest.raises(UsageError, match=r"an evaluation have no backward cycle; call train\(\)"):
        F.cross_entropy(made(x), y).backward()
    plain = module(training=False)  # compiled for inference: always evaluates
    assert plain(x).shape == (8, 3)


def test_buffers_come_back_whatever_becomes_of_a_call() -> None:
    x, y = batch()
    made = module()
    made(x).detach()
    assert free(made) == 1
    F.cross_entropy(made(x), y)
    assert free(made) == 1
    with torch.no_grad():
        made(x)
    for _ in range(3):
        F.cross_entropy(made(x), y).backward()
    assert free(made) == 1
    kept = made(x), made(x)
    assert free(made) == 0
    del kept
    assert free(made) == 2


def test_other_types_and_several_inputs_and_outputs() -> None:
    x, y = batch()
    made = module(input_gradients=True)
    wide = x.double().requires_grad_()
    found = made(wide)
    assert found.dtype == torch.float64
    F.cross_entropy(found, y).backward()
    assert wide.grad.dtype == torch.float64
    assert made((x * 255).to(torch.uint8)).dtype == torch.float32
    double = rpucc.torch.Module(rpucc.Machine(two_by_two(input_gradients=True)), lr=0.1)
    a, b = (torch.rand(4, size, requires_grad=True) for size in (4, 3))
    p, q, best = double(a, b)
    assert (p.shape, q.shape, best.shape) == ((4, 2), (4, 5), (4, 1))
    assert not best.requires_grad
    (p.sum() + q.square().sum()).backward()
    assert a.grad.shape == a.shape
    assert b.grad.abs().sum() > 0
    assert double.machine.counters.done == 4


def test_a_state_dict_goes_through_a_file() -> None:
    x, y = batch()
    made = nn.Sequential(module(), nn.Linear(3, 3))
    F.cross_entropy(made(x), y).backward()
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    again = nn.Sequential(module(), nn.Linear(3, 3))
    again.load_state_dict(torch.load(file))
    assert same(standing(again[0].machine), standing(made[0].machine))
    for other, said in ((module(seed=4), "of seed 3"), (module(loss="mse"), "another program")):
        before = standing(other.machine)
        with pytest.raises(CheckpointError, match=said):
            other.load_state_dict(made[0].state_dict())
        assert same(standing(other.machine), before)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        module().load_state_dict({"arrays": torch.zeros(0), "_extra_state": 3})
    damaged = made[0].state_dict()
    damaged["_extra_state"] = damaged["_extra_state"][:100]
    with pytest.raises(CheckpointError, match=r"^rpucc.torch.Module: not a checkpoint"):
        module().load_state_dict(damaged)
    with pytest.raises(UsageError, match="load_state_dict"):
        copy.deepcopy(made)


def test_what_is_refused_is_one_line() -> None:
    x, y = batch()
    made = module()
    for act, kind, said in (
        (lambda: rpucc.torch.Module(program()), ArgumentError, "machine"),
        (lambda: setattr(made, "lr", 0), ArgumentError, "lr: found 0; allowed: a positive"),
        (lambda: setattr(made, "lr", "fast"), ArgumentError, "or a function"),
        (lambda: made(x, x), ArgumentError, "a tensor for each input of the program, x"),
        (lambda: made(x.numpy()), ArgumentError, "a tensor for each input"),
        (lambda: made(y), DataError, "torch.int64; allowed: floats"),
        (lambda: made(x[:, 0]), DataError, "has the shape [8, 8, 8]"),
        (lambda: made(x.clone().requires_grad_()), UsageError, "input_gradients=True"),
        (lambda: (made(x) * float("nan")).sum().backward(), DataError, "NaN or infinity"),
    ):
        with pytest.raises(kind) as caught:
            act()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    made.lr = lambda: -1
    with pytest.raises(ArgumentError, match="lr: found -1"):
        F.cross_entropy(made(x), y).backward()
    made.lr = 0.5
    loss = F.cross_entropy(made(x), y)
    loss.backward(retain_graph=True)
    with pytest.raises(UsageError, match="updated by this call already"):
        loss.backward()
    one, two = made(x), made(x)
    F.cross_entropy(one, y).backward()
    with pytest.raises(UsageError, match="the weights were updated since this forward"):
        F.cross_entropy(two, y).backward()
    F.cross_entropy(made(x), y).backward()  # and goes on


def test_it_shows_itself() -> None:
    assert repr(module(0.25)) == "Module('tiny' for rpu-managed-um, 151 weights, lr 0.25)"
    assert "lr of a function" in repr(module(lambda: 0.1))
