"""Arrays that are used by themselves: the bits of a program's layer, new draws at every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, RpuccError, TargetError
from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine
from rpucc.target.target import Target, Update

from .one_matrix import one_matrix

R, C, N, P = 7, 11, 3, 4
ANALOG = {"read_noise": 0.06, "bound": 0.9, "dac_bits": 7, "adc_bits": 9}
MANAGED = {"noise_forward": "auto", "noise_backward": "always"}
POLICIES: dict[str, dict[str, Any]] = {
    "exact reads, pulses that are counted": {"device": {"model": "constant-step"}},
    "exact updates": {"update": {"pulsed": False}, "periphery": ANALOG},
    "converters, noise and a bound": {"device": {"model": "soft-bounds"}, "periphery": ANALOG},
    "noise management": {"periphery": ANALOG, "management": MANAGED},
    "bound management": {
        "periphery": {**ANALOG, "dac_stochastic": True, "read_noise_backward": 0.2},
        "management": {**MANAGED, "bound_forward": True, "bound_backward": True},
    },
    "worst-case bound management": {
        "periphery": ANALOG, "management": {"bound_forward": True, "bound_mode": "worst-case"},
    },
    "long trains, managed": {
        "device": {"model": "linear-step", "up_down_dtod": 0.2},
        "update": {"bl": 40, "update_management": True, "update_bl_management": True},
    },
    "a reference pair": {
        "device": {"model": "soft-bounds", "up_down": 0.2}, "cell": {"model": "reference"},
        "calibration": {"zero_shift": True, "pairs": 5},
    },
    "a fast and a slow device": {
        "device": {"model": "soft-bounds", "up_down": 0.2}, "calibration": {"pairs": 5},
        "cell": {"model": "tiki-taka", "gamma": 0.5, "transfer_by_minibatch": False},
        "periphery": ANALOG,
    },
    "a zero-shifted array without spread": {
        "device": {"model": "soft-bounds", "up_down": 0.2},
        "variations": {"remove": ["dtod"]}, "calibration": {"zero_shift": True, "pairs": 5},
    },
}  # fmt: skip
CUTS = {"row_cuts": [0, 3, 7], "col_cuts": [0, 4, 9, 11]}


def uniform(*shape: int, seed: int = 0, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-size, size, shape).astype(np.float32)


@pytest.mark.parametrize("lead", [(N,), (N, P)], ids=str)
@pytest.mark.parametrize("tables", POLICIES.values(), ids=POLICIES)
def test_calls_are_the_steps_of_a_program(tables: dict[str, Any], lead: tuple[int, ...]) -> None:
    """Reads of both cycles and an update, all at the draws of the samples where they are."""
    tables = {"device": {"model": "constant-step"}, **tables}
    kind = {"name": "any", "rows": 64, "cols": 64, "t_read": 1e-8}
    target = Target.load({"name": "one", "array": [kind], "mapping": CUTS, **tables})
    W, x, d = uniform(R, C, size=0.3), uniform(*lead, C, seed=1), uniform(*lead, R, seed=2)
    machine = Machine(one_matrix(W, target, *lead[1:]), seed=2**40 + 3)
    layer = machine.arrays["W"]

    array = rpucc.Array(tables["device"], R, C, seed=2**40 + 3, **CUTS, **{
        name: table for name, table in tables.items() if name != "device"
    })  # fmt: skip
    array.program(W)
    np.testing.assert_array_equal(array.weights, layer.weights)

    def run(output: str, sample: int) -> np.ndarray:
        executor = Executor(machine, N, [output])
        executor["x"][...], executor["d"][...], executor["lr"][...] = x, d, 0.05
        executor.run(sample)
        return executor[output]

    np.testing.assert_array_equal(array.read(x), run("y", 0))
    np.testing.assert_array_equal(array.read(d, transpose=True), run("z", N))
    before = array.weights.copy()
    pulses = array.update(x, d, 0.05)
    run(machine.program.step.state.get("W", "W2"), 2 * N)
    np.testing.assert_array_equal(array.weights, layer.weights)
    assert np.any(array.weights != before)
    assert (pulses > 10) == layer.main.pulsed
    np.testing.assert_array_equal(array.read(x), run("y", 3 * N))
    if layer.main.pulsed:
        counts = np.random.default_rng(3).integers(-5, 6, (R, C))
        array.pulse(counts)
        layer.main.pulse(counts, 4 * N)
        layer.refresh()
        np.testing.assert_array_equal(array.weights, layer.weights)


def test_every_call_draws_anew_and_a_seed_fixes_all() -> None:
    def used(seed: int) -> list[np.ndarray]:
        array = rpucc.Array("soft-bounds", R, C, seed, periphery={"read_noise": 0.1})
        array.program(uniform(R, C, size=0.3))
        x, d = np.ones(C), np.ones(R)
        results = [array.read(x), array.read(x), array.read(x)]
        for _ in range(2):
            before = array.weights.copy()
            array.update(x, d, 0.005)
            results.append(array.weights - before)
        for _ in range(2):
            before = array.weights.copy()
            array.pulse(np.ones((R, C), int))
            results.append(array.weights - before)
        return results

    first, again, other = used(1), used(1), used(2)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.mean(a == c) < 0.2
    reads, updates, pulses = first[:3], first[3:5], first[5:]
    for alike in (reads[:2], reads[1:], updates, pulses):
        assert np.mean(alike[0] == alike[1]) < 0.7  # devices that no pulse met stay


def test_shapes_of_reads() -> None:
    array = rpucc.Array("ideal", R, C)
    W, x = uniform(R, C), uniform(N, P, C, seed=1)
    array.program(W)
    for inputs in (x, x[0], x[0, 0]):
        np.testing.assert_allclose(array.read(inputs), inputs @ W.T, atol=1e-6)
        assert array.read(inputs).dtype == np.float32
    np.testing.assert_allclose(array.read([1.0] * R, transpose=True), W.sum(0), atol=1e-6)
    kept = array.read(x)
    array.read(2 * x)
    np.testing.assert_allclose(kept, x @ W.T, atol=1e-6)  # not a view of what is read next
    for n in range(1, 30):
        array.read(x[:1, :1].repeat(n, 0))  # buffers of few shapes are kept
    assert len(array._cycles) < 10


def test_a_read_with_another_periphery() -> None:
    array = rpucc.Array("ideal", 1, 1000, periphery={"read_noise": 0.5, "bound": 2.0})
    array.program(np.ones((1, 1000)))
    assert array.read(np.ones(1000)) == 2
    quiet = array.read(np.full(1000, 1e-3), periphery={"read_noise": 0.0})
    assert quiet == pytest.approx(1, abs=1e-6)
    assert array.read(np.ones(1000), periphery={"bound": 0}) > 990
    assert array.read(np.full(1000, 1e-3)) != quiet


def test_what_is_programmed_and_pulsed() -> None:
    array = rpucc.Array({"model": "constant-step", "dw_min_std": 0, "dw_min": 0.01}, R, C, seed=3)
    assert not array.weights.any()
    array.program(uniform(R, C, size=0.05).tolist())
    assert array.clipped == 0
    before, parameters = array.weights.copy(), array.main.parameters
    counts = np.zeros((R, C))
    counts[2, 3], counts[4, 5] = 7, -2
    array.pulse(counts)
    moved = array.weights - before
    assert np.count_nonzero(moved) == 2
    assert moved[2, 3] == pytest.approx(7 * parameters[0, 2, 3], rel=1e-5)
    assert moved[4, 5] == pytest.approx(-2 * parameters[1, 4, 5], rel=1e-5)
    array.program(np.full((R, C), 9))
    assert array.clipped == R * C
    np.testing.assert_array_equal(array.weights, parameters[2])
    with pytest.raises(ValueError, match="read-only"):
        array.weights[0, 0] = 0


def test_cells_by_themselves() -> None:
    """Programming sets what a read sees, whatever the fast plane holds; planes are pulsed apart."""
    cell = {"model": "tiki-taka", "gamma": 0.5, "fast": {"dw_min": 0.02}}
    device = {"model": "soft-bounds", "dw_min": 0.01, "dw_min_std": 0.0}
    array = rpucc.Array(device, R, C, cell=cell, calibration={"pairs": 5})
    fast, slow = array.planes["fast"], array.planes["slow"]
    assert (fast.device.dw_min, slow.device.dw_min) == (0.02, 0.01)
    assert repr(array) == "<Array [7, 11] of tiki-taka cells of soft-bounds devices, seed 0>"
    start = array.weights.copy()
    array.pulse(np.full((R, C), 3), plane="fast")
    np.testing.assert_allclose(array.weights - start, 0.5 * fast.W, atol=1e-6)
    assert np.all(fast.W > 0)
    assert not slow.W.any()
    W = uniform(R, C, size=0.05)
    array.program(W)
    np.testing.assert_allclose(array.weights, W, atol=1e-6)
    np.testing.assert_allclose(slow.W, W - 0.5 * fast.W, atol=1e-6)
    np.testing.assert_allclose(array.read(np.eye(C)), W.T, atol=1e-6)
    array.pulse(np.eye(R, C))
    assert np.all((array.weights > W + 1e-4) == np.eye(R, C, dtype=bool))


def test_devices_of_ones_own_and_sections() -> None:
    made = make_device("soft-bounds", {"dw_min": 0.02})
    array = rpucc.Array(made, R, C, update=Update(bl=3), variations={"remove": "all"})
    device = array.main.device
    assert device.parameters["dw_min"] == 0.02
    assert device.parameters["dw_min_dtod"] == 0
    assert repr(array) == "<Array [7, 11] of soft-bounds devices, seed 0>"
    own = Own(dw_min=0.03)
    array = rpucc.Array(own, R, C, cell={"model": "tiki-taka"}, calibration={"pairs": 5})
    assert {plane.device for plane in array.planes.values()} == {own}
    exact = rpucc.Array("ideal", R, C, update={"pulsed": False, "lr_scale": 2.0})
    assert exact.update(np.ones(C), np.ones(R), 0.5) == 0
    np.testing.assert_array_equal(exact.weights, -1)
    assert "exact weights" in repr(exact)


class Own(SoftBounds):
    """A device of a user's own, as an object."""

    name = "own"


Call = Callable[[rpucc.Array], object]
WRONG: dict[str, tuple[Call, type[RpuccError], str]] = {
    "a device": (lambda a: rpucc.Array(3, R, C), ArgumentError, "device: found 3; allowed: a dev"),
    "its name": (lambda a: rpucc.Array("soft", R, C), TargetError, "device.model = 'soft': no su"),
    "its key": (
        lambda a: rpucc.Array({"model": "ideal", "std": 1}, R, C),
        TargetError, "device.std: device 'ideal' has no such key",
    ),
    "rows": (lambda a: rpucc.Array("ideal", 0, C), ArgumentError, "rows: found 0; allowed: an int"),
    "columns": (lambda a: rpucc.Array("ideal", R, 1.5), ArgumentError, "columns: found 1.5"),
    "seed": (lambda a: rpucc.Array("ideal", R, C, -1), ArgumentError, "seed: found -1"),
    "cuts": (
        lambda a: rpucc.Array("ideal", R, C, row_cuts=[0, 5, 3, 7]),
        ArgumentError, "row_cuts: found (0, 5, 3, 7); allowed: None, or rising integers from 0",
    ),
    "cuts of nothing": (
        lambda a: rpucc.Array("ideal", R, C, col_cuts=[]), ArgumentError, "col_cuts: found ()",
    ),
    "a table": (lambda a: rpucc.Array("ideal", R, C, update=3), ArgumentError, "update: found 3"),
    "a key of a table": (
        lambda a: rpucc.Array("ideal", R, C, update={"bl": 0}),
        TargetError, "update.bl: found 0, allowed: an integer from 1 to 255",
    ),
    "keys that contradict": (
        lambda a: rpucc.Array("ideal", R, C, periphery={"adc_bits": 7}),
        TargetError, "periphery.adc_bits: found 7, allowed: 0 where bound = 0",
    ),
    "a periphery": (
        lambda a: a.read(np.ones(C), periphery={"read_noise": -1}),
        TargetError, "periphery.read_noise: found -1",
    ),
    "W of another shape": (
        lambda a: a.program(np.ones((C, R))),
        ArgumentError, "W: found the shape [11, 7]; allowed: finite float32 numbers, [7, 11]",
    ),
    "W with nan": (
        lambda a: a.program(np.where(np.eye(R, C), np.nan, 1)),
        ArgumentError, "W[0, 0]: found nan; allowed: finite",
    ),
    "W of words": (lambda a: a.program("W"), ArgumentError, "W: found the str 'W'"),
    "W beyond float32": (lambda a: a.program(np.full((R, C), 1e300)), ArgumentError, "W[0, 0]: f"),
    "x of another length": (
        lambda a: a.read(np.ones(R)),
        ArgumentError, "x: found the shape [7]; allowed: finite float32 numbers, [11] or",
    ),
    "no x": (lambda a: a.read(np.ones((0, C))), ArgumentError, "x: found the shape [0, 11]"),
    "x infinite": (lambda a: a.read([np.inf] * C), ArgumentError, "x[0]: found inf"),
    "uneven x": (lambda a: a.read([[1, 2], [3]]), ArgumentError, "x: found [[1, 2], [3]]"),
    "transpose": (
        lambda a: a.read(np.ones(C), transpose=1), ArgumentError, "read(transpose): found 1",
    ),
    "d of another length": (
        lambda a: a.update(np.ones(C), np.ones(C), 0.1), ArgumentError, "d: found the shape [11]",
    ),
    "as many d as x": (
        lambda a: a.update(np.ones((2, C)), np.ones((3, R)), 0.1),
        ArgumentError, "update(x, d): found x [2, 11] and d [3, 7]; allowed: as many",
    ),
    "lr": (lambda a: a.update(np.ones(C), np.ones(R), 0), ArgumentError, "lr: found 0; allowed"),
    "lr beyond float32": (
        lambda a: a.update(np.ones(C), np.ones(R), 1e38), RpuccError, "is beyond float32",
    ),
    "half a pulse": (
        lambda a: a.pulse(np.full((R, C), 0.5)),
        ArgumentError, "counts[0, 0]: found 0.5; allowed: whole numbers up to",
    ),
    "pulses of nan": (lambda a: a.pulse(np.full((R, C), np.nan)), ArgumentError, "found nan"),
    "too many pulses": (
        lambda a: a.pulse(np.full((R, C), 10**10)), ArgumentError, "found 10000000000",
    ),
    "the fewest pulses": (
        lambda a: a.pulse(np.full((R, C), -(2**63))), ArgumentError, "found -9223372036854775808",
    ),
    "counts of another shape": (
        lambda a: a.pulse(3), ArgumentError, "counts: found the shape []; allowed: whole numbers",
    ),
    "a plane": (
        lambda a: a.pulse(np.ones((R, C)), plane="fast"),
        ArgumentError, "pulse(plane): found the str 'fast'; allowed: 'weight'",
    ),
    "a key of a cell": (
        lambda a: rpucc.Array("ideal", R, C, cell={"model": "tiki-taka", "speed": 2}),
        TargetError, "cell.speed: found 2, allowed: the keys of a tiki-taka cell",
    ),
    "planes of a device of one's own": (
        lambda a: rpucc.Array(Own(), R, C, cell={"model": "tiki-taka", "fast": {"dw_min": 0.1}}),
        ArgumentError, "cell: found devices of single planes; allowed beside a Device of your own",
    ),
    "pulses without devices": (
        lambda a: rpucc.Array("ideal", R, C, update={"pulsed": False}).pulse(np.ones((R, C))),
        ArgumentError, "pulse(counts): the array has no devices",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "why"), WRONG.values(), ids=WRONG)
def test_what_arrays_refuse(call: Call, error: type[RpuccError], why: str) -> None:
    array = rpucc.Array("soft-bounds", R, C)
    with pytest.raises(error) as caught:
        call(array)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not array.weights.any()
