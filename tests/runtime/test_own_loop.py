"""A loop of one's own: fit's bits where the loss is the same, gradients of the inputs, and errors.

The reference is `Trainer.fit` itself, watched after every step.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    ModelError,
    RpuccError,
    UnsupportedError,
    UsageError,
)
from rpucc.layers import FOR_INPUT
from rpucc.runtime.kernels.softmax import cross_entropy_head
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from ..hostile.networks import network
from ..passes.importer_models import net
from .small import tiny_cnn

Array = np.ndarray[Any, np.dtype[Any]]
N = 24


@cache
def program(target: str = "rpu-managed-um", model: str = "tiny", **options: Any) -> rpucc.Program:
    source: Any = tiny_cnn() if model == "tiny" else model
    return rpucc.compile(source, target, verify=False, **options)


def samples(count: int = N, seed: int = 5) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.random((count, 1, 8, 8), np.float32), rng.integers(0, 3, count)


def entropy(y: Array, labels: Array) -> Array:
    """The gradient of fit's cross-entropy, to its bits."""
    loss, dy = np.zeros((), np.float32), np.zeros_like(y)
    assert cross_entropy_head(y, labels, np.float32(len(y)), loss, dy) < 0
    return dy


def squares(y: Array, targets: Array) -> Array:
    """The gradient of fit's mse, to its bits."""
    return (y - targets) * np.float32(2) / np.float32(y.size)


def standing(machine: Machine) -> dict[str, Any]:
    """All that a step changes: weights, digital parameters, counters."""
    counters = machine.counters
    state = {name: array.copy() for name, array in machine.state().items()}
    counted = counters.sample, counters.done, counters.pulses, *counters.reads.tolist()
    return {**state, "counters": np.array(counted)}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def fitted(machine: Machine, x: Any, y: Array, batch: int, lr: float) -> list[dict[str, Any]]:
    """What every step of a fit over batches in their order left."""
    found = []

    class Watch:
        def on_step(self, _: Any) -> None:
            found.append(standing(machine))

    def batches() -> Any:
        for i in range(0, len(y), batch):
            yield take(x, i, batch), y[i : i + batch]

    Trainer(machine).fit((batches, (take(x, 0, 4), y[:4])), epochs=1, lr=lr, callbacks=[Watch()])
    return found


def take(x: Any, first: int, count: int) -> Any:
    if isinstance(x, dict):
        return {name: each[first : first + count] for name, each in x.items()}
    return x[first : first + count]


def looped(
    machine: Machine, x: Any, y: Array, batch: int, lr: float, gradient: Callable[..., Array]
) -> list[dict[str, Any]]:
    found = []
    for i in range(0, len(y), batch):
        out = machine.forward(take(x, i, batch))
        machine.backward(gradient(out, y[i : i + batch]), dx=False)
        machine.update(lr)
        found.append(standing(machine))
    return found


# --- the bits of fit ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"input_gradients": True}, {"loss": "none"}], ids=str)
@pytest.mark.parametrize(
    ("target", "overrides"),
    [
        ("ideal", ()),
        ("rpu-baseline", ()),
        ("rpu-managed-um", ()),
        ("rpu-managed", ("layer.c.analog=false",)),
        ("rpu-managed", ("layer.c.update.lr_scale=0.5",)),
        ("rpu-managed", ("layer.fc.update.lr_scale=0",)),
        ("rpu-managed", ("cell.model=tiki-taka", "cell.shift_fast=false")),
        ("soft-bounds", ("mapping.replicas=2", "mapping.replica_updates=independent")),
    ],
)
def test_every_step_is_fits(target: str, overrides: tuple[str, ...], options: Any) -> None:
    x, y = samples()
    wanted = fitted(Machine(program(target, overrides=overrides), 3), x, y, 7, 0.5)
    machine = Machine(program(target, overrides=overrides, **options), 3)
    found = looped(machine, x, y, 7, 0.5, entropy)
    assert [same(a, b) for a, b in zip(found, wanted, strict=True)] == [True] * 4
    assert not same(found[0], found[-1])


def test_every_step_of_lenet_is_fits() -> None:
    digits = rpucc.load_dataset("mnist-mini")
    x, y = digits.x_train[:24], digits.y_train[:24]
    made = program("rpu-managed-um", "lenet")
    wanted = fitted(Machine(made, 3), x, y, 8, 0.08)
    assert [*map(same, looped(Machine(made, 3), x, y, 8, 0.08, entropy), wanted)] == [True] * 3


@pytest.mark.parametrize("options", [{}, {"input_gradients": True}, {"loss": "none"}], ids=str)
@pytest.mark.parametrize(
    ("kind", "override"),
    [
        ("norm", "batch_norm.policy=batch"),
        ("dropout", "update.bl=5"),
        ("conv", "update.feedback=random"),
    ],
)
def test_what_differs_in_training_is_fits(kind: str, override: str, options: Any) -> None:
    rng = np.random.default_rng(5)
    shape = (6,) if kind == "dropout" else (2, 5, 5)
    x, y = rng.random((24, *shape), np.float32), rng.integers(0, 3, 24)
    how: Any = {"overrides": (override,), "verify": False}
    model: Any = network(kind)
    wanted = fitted(Machine(rpucc.compile(model, "rpu-managed", **how), 3), x, y, 8, 0.5)
    machine = Machine(rpucc.compile(model, "rpu-managed", **how, **options), 3)
    assert (machine.program.step.mode is not None) == (kind != "conv")
    found = looped(machine, x, y, 8, 0.5, entropy)
    for step, fits in zip(found, wanted, strict=True):
        assert same({name: step[name] for name in fits}, fits)  # another matrix for the input aside
    before = standing(machine)
    assert np.array_equal(machine.forward(x, training=False), Trainer(machine).predict(x))
    assert same(standing(machine), before)  # running statistics among it


def test_two_threads_and_a_target_of_numbers_give_the_same_bits(many_parts: list[int]) -> None:
    x, y = samples()
    targets = np.eye(3, dtype=np.float32)[y]
    made = program(loss="mse")
    wanted = fitted(Machine(made, 3), x, targets, 8, 0.5)
    machine = Machine(made, 3)
    machine.threads = 2
    assert machine.threads == 2
    assert [*map(same, looped(machine, x, targets, 8, 0.5, squares), wanted)] == [True] * 3
    assert max(many_parts) == 2


def test_checkpoints_are_fits_to_the_byte(tmp_path: Path) -> None:
    x, y = samples()
    order = np.arange(N)
    one, two = (Machine(program(), 3) for _ in range(2))
    history = Trainer(one).fit((_once(x, y), (x[:4], y[:4])), epochs=1, lr=0.5)
    looped(two, x[order], y[order], 8, 0.5, entropy)
    test = Trainer(two).evaluate(x[:4], y[:4])
    closed = two.end_epoch(
        test, train_loss=history[0].train_loss, train_error=history[0].train_error, lr=0.5
    )
    assert closed.reproducible() == history[0].reproducible()
    one.save(tmp_path / "one.safetensors")
    two.save(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "two.safetensors"
    ).read_bytes()
    more = [Trainer(each).fit((x, y, x, y), epochs=2, lr=0.1)[-1].test_loss for each in (one, two)]
    assert more[0] == more[1]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array])
def test_what_a_loop_measured_may_be_numpys(kind: Callable[[float], Any], tmp_path: Path) -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    looped(machine, x, y, 8, 0.5, entropy)
    test = Trainer(machine).evaluate(x, y)
    closed = machine.end_epoch(test, train_loss=kind(0.75), train_error=kind(0.25), lr=kind(0.5))
    assert (closed.train_loss, closed.train_error, closed.lr) == (0.75, 0.25, 0.5)
    machine.save(tmp_path / "loop.safetensors")
    again = Machine.load(tmp_path / "loop.safetensors", machine.program)
    assert again.history == [closed.reproducible()]
    assert Trainer(machine).fit((x, y, x, y), epochs=2)[0].train_error == 0.25


def _once(x: Array, y: Array) -> Any:
    return lambda: ((x[i : i + 8], y[i : i + 8]) for i in range(0, len(y), 8))


def test_a_loop_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    x, y = samples()
    whole, half = (Machine(program(), 3) for _ in range(2))
    wanted = looped(whole, x, y, 8, 0.5, entropy)[-1]
    looped(half, x[:8], y[:8], 8, 0.5, entropy)
    half.forward(x[8:16])  # its reads are lost, its draws are not made again
    half.save(tmp_path / "half")
    assert Machine.load(tmp_path / "half").counters.sample == 16
    looped(again := Machine(program(), 3), x[:8], y[:8], 8, 0.5, entropy)
    again.save(tmp_path / "again")
    loaded = Machine.load(tmp_path / "again")
    assert same(looped(loaded, x[8:], y[8:], 8, 0.5, entropy)[-1], wanted)


@pytest.mark.slow
def test_a_step_of_lenet_takes_hardly_longer_than_in_fit() -> None:
    """Time of the processor, in turn, the least of several."""
    digits = rpucc.load_dataset("mnist-mini")
    x, y = digits.x_train[:1280], digits.y_train[:1280]
    one, two = (Machine(program("rpu-managed", "lenet"), 3) for _ in range(2))
    trainer, times = Trainer(one), {"fit": list[float](), "own": list[float]()}

    class Clock:
        def on_start(self, _: Any) -> None:
            self.at: list[float] = []

        def on_step(self, _: Any) -> None:
            self.at.append(process_time())

    for epoch in range(1, 8):
        trainer.fit(
            (x, y, x[:1], y[:1]), epochs=epoch, batch_size=64, lr=0.3, callbacks=[c := Clock()]
        )
        times["fit"].append((c.at[-1] - c.at[0]) / (len(c.at) - 1))
        started = process_time()
        for i in range(0, len(y), 64):
            two.backward(entropy(two.forward(x[i : i + 64]), y[i : i + 64]))
            two.update(0.3)
        times["own"].append((process_time() - started) * 64 / len(y))
    ratio = min(times["own"][1:]) / min(times["fit"][1:])
    print(f"own loop / fit: {ratio:.3f}")
    assert ratio < 1.1


# --- forward and backward ----------------------------------------------------------------------


def test_every_training_read_has_noise_of_its_own_and_an_evaluation_is_predict() -> None:
    x, y = samples()
    machine = Machine(program(), 3)
    first, second = machine.forward(x), machine.forward(x)
    assert not np.array_equal(first, second)
    assert machine.counters.sample == 2 * N
    before = standing(machine)
    found = machine.forward(x, training=False)
    assert np.array_equal(found, Trainer(machine).predict(x))
    assert np.array_equal(found, machine.forward(x, training=False))
    assert same(standing(machine), before)
    machine.backward(entropy(second, y))  # the second forward still waits
    machine.update(0.5)
    assert not np.array_equal(machine.forward(x, training=False), found)


@pytest.mark.parametrize("options", [{"training": False}, {"loss": "none"}])
def test_an_output_without_axes_is_joined_batch_by_batch(options: dict[str, Any]) -> None:
    text = """(float[4,6] x) => (float[4,3] y, float q) {
        [fc] y = Gemm <transB = 1> (x, w, b) q = ReduceMean <keepdims = 0> (y) }"""
    model = net(text, w=(3, 6), b=(3,))
    machine = Machine(rpucc.compile(model, "ideal", verify=False, **options))
    x = np.random.default_rng(0).random((8, 6), np.float32)
    found = machine.forward(x, training=False)
    assert found["q"].shape == (2,)
    assert same(found, Trainer(machine).outputs(x))


def test_the_gradient_of_the_input_is_that_of_differences() -> None:
    x, _ = samples(3)
    machine = Machine(program("ideal", input_gradients=True), 3)
    dy = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    machine.forward(x)
    dx = machine.backward(dy)
    assert dx.shape == x.shape
    assert dx.dtype == np.float32
    for place in [(0, 0, 3, 3), (1, 0, 5, 2), (2, 0, 0, 7)]:
        ends = []
        for h in (1e-2, -1e-2):
            moved = x.copy()
            moved[place] = np.clip(moved[place] + h, 0, 1)
            ends.append((float((machine.forward(moved, training=False) * dy).sum()), moved[place]))
        slope = (ends[0][0] - ends[1][0]) / (ends[0][1] - ends[1][1])
        assert dx[place] == pytest.approx(slope, abs=2e-3)


def test_gradients_of_inputs_are_reads_that_are_counted_and_may_be_left_out() -> None:
    x, y = samples(8)
    reads = {}
    for wanted in (None, True, False):
        machine = Machine(program("rpu-baseline", input_gradients=True), 3)
        found = machine.backward(entropy(machine.forward(x), y), dx=wanted)
        assert (found is None) == (wanted is False)
        machine.update(0.5)
        reads[wanted] = int(machine.counters.reads[0])
    assert reads[None] == reads[True] == reads[False] + 8 * 36  # a read a position of the first
    plain = Machine(program("rpu-baseline"), 3)
    assert plain.backward(entropy(plain.forward(x), y)) is None


TIED = """
    <ir_version: 10, opset_import: ["" : 21]> tied (float[N,4] x) => (float[N,4] y)
    <float[4,4] W = {0.2,-0.1,0.3,0.1, 0.4,0.1,-0.2,0.1, 0.1,0.3,0.2,-0.3, 0,0.1,0.2,0.1},
     float[4,4] V = {0.1,0.2,-0.3,0.1, 0.1,0.3,0.2,0.1, -0.2,0.1,0.2,0.3, 0.1,0.1,0,0.2}> {
      [first] h = MatMul (x, V)  t = Tanh (h)
      [deep] p = MatMul (t, W)  [shallow] q = MatMul (x, W)  y = Add (p, q)
    }
"""


def test_reads_for_the_input_alone_leave_all_other_draws_as_they_are() -> None:
    """The matrix of two layers is read for the input first, and for the weights after that."""
    model = onnx.parser.parse_model(TIED)
    x = np.random.default_rng(0).random((4, 4), np.float32)
    dy = np.random.default_rng(1).normal(size=(4, 4)).astype("f4")
    found = []
    for wanted in (False, True):
        made = rpucc.compile(model, "rpu-managed", loss="mse", input_gradients=wanted)
        transposed = (n for n in made.model.graph if n.attributes.get_int("transpose", 0))
        aside = [FOR_INPUT in node.metadata_props for node in transposed]
        assert aside == ([True, False, True] if wanted else [False])
        machine = Machine(made, 3)
        machine.forward(x)
        machine.backward(dy)
        machine.update(0.5)
        found.append(machine.state())
    assert same(*found)


TWO = """
    <ir_version: 10, opset_import: ["" : 21]>
    two (float[N,4] a, float[N,3] b) => (float[N,2] p, float[N,5] q, int64[N,1] best)
    <float[4,6] W = {%s}, float[3,6] V = {%s}, float[6,2] P = {%s}, float[6,5] Q = {%s}> {
      [fa] ha = MatMul (a, W)  [fb] hb = MatMul (b, V)  s = Add (ha, hb)  h = Tanh (s)
      [fp] z = MatMul (h, P)  p = Sigmoid (z)  [fq] q = MatMul (h, Q)
      best = ArgMax <axis = 1> (q)
    }
"""


@cache
def two_by_two(**options: Any) -> rpucc.Program:
    rng = np.random.default_rng(1)
    numbers = (
        ", ".join(f"{value:.3f}" for value in rng.uniform(-0.4, 0.4, size))
        for size in (24, 18, 12, 30)
    )
    model = onnx.parser.parse_model(TWO % tuple(numbers))
    return rpucc.compile(model, "ideal", loss="none", input_range=(-1, 1), **options)


def test_several_inputs_and_outputs_are_dictionaries() -> None:
    rng = np.random.default_rng(2)
    x = {name: rng.uniform(-1, 1, (4, size)).astype("f4") for name, size in (("a", 4), ("b", 3))}
    made = two_by_two(input_gradients=True)
    assert made.verified
    machine = Machine(made)
    W = {name: array.copy() for name, array in machine.state().items()}
    y = machine.forward(x)
    assert {name: each.shape for name, each in y.items()} == {
        "p": (4, 2),
        "q": (4, 5),
        "best": (4, 1),
    }
    dq = rng.normal(size=(4, 5)).astype("f4")
    dp = rng.normal(size=(4, 2)).astype("f4")
    dx = machine.backward({"p": dp, "q": dq})
    machine.update(0.1)
    names = {name[:2]: name for name in W}
    h = np.tanh(x["a"] @ W[names["fa"]].T + x["b"] @ W[names["fb"]].T)
    dz = dp * y["p"] * (1 - y["p"])
    ds = (dz @ W[names["fp"]] + dq @ W[names["fq"]]) * (1 - h * h)
    for name, key in (("a", "fa"), ("b", "fb")):
        np.testing.assert_allclose(dx[name], ds @ W[names[key]], rtol=1e-5, atol=1e-6)
        moved = machine.state()[names[key]] - W[names[key]]
        np.testing.assert_allclose(moved, -0.1 * ds.T @ x[name], rtol=1e-4, atol=1e-6)
    machine.forward(x)
    machine.backward({"q": dq})  # the loss depends on one of them alone
    before = machine.state()[names["fp"]].copy()
    machine.update(0.1)
    assert np.array_equal(machine.state()[names["fp"]], before)


def test_behind_a_softmax_the_gradient_is_that_of_the_logits() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]> net (float[N,2] x) => (float[N,2] y)
        <float[2,2] W = {0.1, -0.2, 0.3, 0.4}> { z = MatMul (x, W)  y = Softmax (z) }
    """)
    x = np.ones((1, 2), np.float32)
    logits = Machine(rpucc.compile(model, "ideal")).forward(x)
    answers = Machine(rpucc.compile(model, "ideal", loss="none")).forward(x)
    np.testing.assert_allclose(logits, [[0.4, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(answers.sum(), 1, rtol=1e-6)


def test_a_sigmoid_and_a_loss_of_ones_own_say_where_the_gradient_goes_in() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]> net (float[N,2] x) => (float[N,1] y)
        <float[2,1] W = {0.1, -0.2}> { z = MatMul (x, W)  y = Sigmoid (z) }
    """)
    own = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        mine (float[N,K] answer, float[N,K] target) => (float loss) {
            far = Sub (answer, target)  each = Mul (far, far)
            loss = ReduceMean <keepdims = 0> (each)
        }
    """)
    x, t = np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
    for loss, gradient in (
        ("binary-cross-entropy", lambda y: (1 / (1 + np.exp(-y)) - t) / 3),
        (own, lambda y: 2 * (y - t) / 3),
    ):
        made = rpucc.compile(model, "ideal", loss=loss)
        wanted, machine = Machine(made), Machine(made)
        Trainer(wanted).fit((x, t, x, t), epochs=1, batch_size=3, lr=0.5)
        machine.backward(gradient(machine.forward(x)))
        machine.update(0.5)
        (name,) = machine.state()
        np.testing.assert_allclose(machine.state()[name], wanted.state()[name], rtol=1e-6)


# --- what is refused ---------------------------------------------------------------------------


def line_of(act: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_order_of_calls_is_held() -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    dy = np.zeros((8, 3), np.float32)
    assert "call y = machine.forward(x) first" in line_of(lambda: machine.backward(dy), UsageError)
    assert "no backward came before" in line_of(lambda: machine.update(0.1), UsageError)
    machine.forward(x)
    assert "call backward(dy) first" in line_of(lambda: machine.update(0.1), UsageError)
    machine.backward(dy)
    assert "was called already" in line_of(lambda: machine.backward(dy), UsageError)
    machine.update(0.1)
    assert "no backward came before" in line_of(lambda: machine.update(0.1), UsageError)
    machine.end_epoch()
    machine.forward(x)
    Trainer(machine).fit((x, y, x, y), epochs=2)
    assert "was trained since" in line_of(lambda: machine.backward(dy), UsageError)
    machine.forward(x)
    assert "before a forward" in line_of(lambda: setattr(machine, "threads", 2), UsageError)


def test_a_state_that_is_refused_changes_nothing() -> None:
    x, y = samples(8)
    one, two = (Machine(program(), 3) for _ in range(2))
    looped(one, x, y, 8, 0.5, entropy)
    one.end_epoch(train_loss=0.5)
    damaged = copy.deepcopy(one.checkpoint())
    damaged.weights["c.W"][1, 2] = 1e30
    before = standing(two)
    out = two.forward(x)
    said = line_of(lambda: two.restore(damaged, Path("c")), CheckpointError)
    assert said == "c: weight 'c.W' holds 1e+30, which lies beyond the bounds of its device"
    assert (two.history, two.counters.epoch) == ([], 0)
    two.backward(entropy(out, y))  # the forward still waits
    assert not same(standing(two), before)
    two.update(0.5)
    assert same(two.state(), one.state())


def test_a_forward_does_not_outlive_another_state() -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    out = machine.forward(x)
    found = copy.deepcopy(machine.checkpoint())
    taken, _ = machine.loop.begin(x, "here")
    found.counters.sample = machine.counters.sample
    machine.restore(found, Path("c"))
    assert "call y = machine.forward(x) first" in line_of(
        lambda: machine.backward(entropy(out, y)), UsageError
    )
    dy = {name: np.zeros_like(out) for name in machine.program.step.entries}
    both = {"to_inputs": False, "to_weights": True}
    assert "the weights were updated since this forward" in line_of(
        lambda: machine.loop.backward(taken, dy, "here", **both), UsageError
    )


def test_a_copy_has_a_loop_of_its_own() -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    machine.forward(x)
    copied = copy.deepcopy(machine)
    before = standing(machine)
    assert "forward(x) first" in line_of(lambda: copied.backward(y), UsageError)
    looped(copied, x, y, 8, 0.5, entropy)
    assert same(standing(machine), before)
    assert not np.array_equal(copied.arrays["c.W"].weights, machine.arrays["c.W"].weights)


@pytest.mark.parametrize(
    ("dy", "said"),
    [
        (np.zeros((7, 3)), "dy has the shape [7, 3]; the output of the last forward has [8, 3]"),
        (np.zeros(8), "dy has the shape [8]"),
        (np.full((8, 3), np.nan), "dy holds NaN or infinity, and nothing was updated"),
        (np.full((8, 3), 1e39), "dy holds NaN or infinity"),
        (np.full((8, 3), "a"), "a gradient is numbers"),
        ([[1.0], [1.0, 2.0]], "cannot be made a NumPy array"),
        ({"y": np.zeros((8, 3))}, "dy has gradients of y; outputs that have one are logits"),
        ({}, "dy has gradients of none"),
    ],
)
def test_gradients_that_do_not_fit(dy: Any, said: str) -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    out = machine.forward(x)
    assert said in line_of(lambda: machine.backward(dy), DataError)
    machine.backward(entropy(out, y))  # nothing is lost by it
    machine.update(0.1)


def test_samples_and_rates_that_do_not_fit() -> None:
    x, y = samples(8)
    machine = Machine(program(), 3)
    wrong = (x[:, 0], "x has the shape [8, 8, 8]; the program takes [N, 1, 8, 8]"), (x[:0], "[0,")
    for each, said in wrong:
        for training in (True, False):
            forward = partial(machine.forward, each, training=training)
            assert said in line_of(forward, DataError)
    assert "NaN" in line_of(lambda: machine.forward(x * np.nan), DataError)
    assert "input range" in line_of(lambda: machine.forward(x + 3), DataError)
    line_of(lambda: machine.forward(x, training=1), ArgumentError)
    assert machine.counters.sample == 0
    machine.backward(entropy(machine.forward(x), y))
    line_of(lambda: machine.update(-1), ArgumentError)
    assert "float32" in line_of(lambda: machine.update(1e-300), RpuccError)
    machine.update(0.1)
    line_of(lambda: machine.end_epoch(0.5), ArgumentError)
    for name in ("train_loss", "train_error", "lr"):
        for value in ("0.5", True, np.zeros(2)):
            said = line_of(partial(machine.end_epoch, **{name: value}), ArgumentError)
            assert said.endswith("allowed: a number")
    assert (machine.counters.done, machine.history) == (8, [])


def test_what_was_not_compiled_is_said() -> None:
    x, y = samples(8)
    plain = Machine(program(), 3)
    out = plain.forward(x)
    said = line_of(lambda: plain.backward(entropy(out, y), dx=True), UsageError)
    assert said.endswith("compile it with input_gradients=True")
    inference = Machine(program(training=False))
    assert "compiled for inference" in line_of(lambda: inference.forward(x), RpuccError)
    assert inference.forward(x, training=False).shape == (8, 3)
    outside = Machine(program(loss="none"))
    said = line_of(lambda: Trainer(outside).fit((x, y, x, y), epochs=1), RpuccError)
    assert "loop of your own" in said
    assert Trainer(outside).evaluate(x, y).error is not None


def test_without_torch_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "rpucc.torch", raising=False)
    said = line_of(lambda: rpucc.__getattr__("torch"), ModelError)
    assert said == "rpucc.torch: needs torch: pip install 'rpucc[torch]'"


def test_what_no_loss_needs_is_refused_and_offered() -> None:
    tiny: Any = tiny_cnn()
    said = line_of(lambda: rpucc.compile(tiny, loss="none", label_smoothing=0.1), UnsupportedError)
    assert "belong to cross-entropy" in said
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]> net (float[N,2] x) => (float[N,2] y, float[N,2] z)
        <float[2,2] W = {0.1, -0.2, 0.3, 0.4}> { y = MatMul (x, W)  z = Tanh (y) }
    """)
    assert "loss = none" in line_of(lambda: rpucc.compile(model, "ideal"), UnsupportedError)
    machine = Machine(rpucc.compile(model, "ideal", loss="none"))
    x = np.ones((1, 2), np.float32)
    y = machine.forward(x)
    one = np.ones((1, 2), np.float32)
    said = line_of(lambda: machine.backward(one), DataError)
    assert "the outputs are y, z; give a dictionary" in said
    machine.backward({"y": one, "z": one})  # y is used inside, too
    machine.update(0.5)
    (W,) = machine.state().values()
    d = 1 + (1 - y["z"] ** 2)
    np.testing.assert_allclose(W, [[0.1, 0.3], [-0.2, 0.4]] - 0.5 * d.T @ x, rtol=1e-6)
