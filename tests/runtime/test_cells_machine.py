"""Machines of cells: refusals, memory, folded references, checkpoints, threads, verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.cells import CELLS, Cell
from rpucc.errors import TargetError
from rpucc.runtime.cells.make import make_cells
from rpucc.runtime.data import Dataset
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import bytes_per_weight, state_bytes
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.verdict import verdict
from rpucc.target.target import Calibration

from ..hostile.networks import network

Array = np.ndarray[Any, np.dtype[Any]]

TIKI = ("cell.model=tiki-taka", "calibration.pairs=50", "cell.transfer_lr=5")
MIXED = (
    "cell.model=mixed-precision", "cell.transfer_every=4", "cell.transfer_rows=2",
    "cell.n_x_bins=16", "cell.granularity=0.002",
)  # fmt: skip
MEMORY = ("cell.transfer_lr=200", "cell.fast_lr=0.5", "calibration.pairs=50", "update.bl=5")
AGAD = ("cell.model=agad", *MEMORY, "cell.in_chop_prob=0.4", "cell.transfer_every=5")
CHANCE = ("cell.model=chopped-tiki-taka", *MEMORY, "cell.in_chop_random=true",
          "cell.in_chop_prob=0.3")  # fmt: skip
PAIR = (
    "cell.model=one-sided", "cell.refresh_every=4", "cell.refresh_upper=0.2",
    "cell.refresh_lower=0.01", "cell.refresh_writes=open-loop",
)  # fmt: skip
VECTORS = (*TIKI, "cell.transfer_by_minibatch=false", "cell.transfer_every=3")


def tiny(*overrides: str, target: str = "soft-bounds", training: bool = True) -> rpucc.Program:
    chosen = rpucc.Target.load(target, overrides)
    return rpucc.compile(network("conv"), chosen, verify=False, training=training)


def data(samples: int = 14) -> Dataset:
    random = np.random.default_rng(3)
    x, y = random.random((samples, 2, 5, 5), np.float32), random.integers(0, 3, samples)
    return Dataset("random", x, y, x[:4], y[:4])


# ---------------------------------------------------------------- refusals


def test_devices_without_a_symmetry_point_are_refused_with_the_way_out() -> None:
    program = tiny("cell.model=tiki-taka", target="rpu-managed")
    with pytest.raises(TargetError) as caught:
        Machine(program)
    (message,) = caught.value.args
    assert message.startswith("layer 'c': cell.shift_fast: device 'constant-step' has no symmetry")
    assert message.endswith("or set cell.shift_fast = false")
    Machine(tiny("cell.model=tiki-taka", "cell.shift_fast=false", target="rpu-managed"))


def test_devices_that_cannot_be_pulsed_do_with_exact_updates() -> None:
    """`ideal` has update.pulsed = false: no device property plays a part, nothing is shifted."""
    machine = Machine(tiny(*VECTORS, target="ideal"))
    before = machine.state()["c.W"].copy()
    Trainer(machine).fit(data(), epochs=1, batch_size=7, lr=0.1)
    assert np.abs(machine.state()["c.W"] - before).max() > 1e-4


# ---------------------------------------------------------------- memory

CELLS_AND_KEYS = {
    "tiki-taka": (),
    "tiki-taka seen": ("cell.gamma=0.5",),
    "agad": (),
    "residual-2": (),
    "rider": (),
    "rider flips": ("cell.flip_every=0",),
    "tiki-taka unshifted": ("cell.shift_fast=false", "calibration.zero_shift=true"),
    "reference": ("calibration.zero_shift=true",),
    "mixed-precision": ("calibration.zero_shift=true",),
    "one-sided": (),
    "plain": ("calibration.zero_shift=true",),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pulsed", [True, False])
@pytest.mark.parametrize("target", ["soft-bounds", "rpu-managed"])
@pytest.mark.parametrize("name", CELLS_AND_KEYS)
def test_state_bytes_are_those_of_the_machine(
    name: str, target: str, pulsed: bool, training: bool
) -> None:
    """All planes, their devices and references, what a read sees, and the count."""
    model, *_ = name.split()
    keys = [f"cell.model={model}", "calibration.pairs=1", *CELLS_AND_KEYS[name]]
    if target == "rpu-managed":  # no symmetry points
        keys += ["calibration.zero_shift=false"]
        keys += ["cell.shift_fast=false"] if model in ("tiki-taka", "residual-2") else []
    program = tiny(*keys, f"update.pulsed={str(pulsed).lower()}", target=target, training=training)
    machine = Machine(program)
    ranges = sum(p.ranges.nbytes for a in machine.arrays.values() for p in a.planes.values())
    found = machine.bytes_per_weight * machine.weights - ranges
    assert state_bytes(program) == pytest.approx(found)
    each = bytes_per_weight(program.target.for_layer("c"), training=training)
    assert each is not None
    shared = sum(
        buffer.nbytes
        for array in machine.arrays.values()
        for buffer in array.buffers.values()
        if buffer.shape != array.layout.shape
    )
    assert (shared > 0) == (training and model not in ("plain", "reference"))
    assert state_bytes(program) == each * machine.weights + shared


# ---------------------------------------------------------------- a reference plane


class Unfolded(SoftBounds):
    """Soft bounds that cannot say how they look from a reference."""

    name = "unfolded"
    shifted = Device.shifted


LAYOUT = Layout.of((0, 4, 9), (0, 5, 11), seed_key(5), first_tile=3)
SOFT = {"dw_min": 0.002, "up_down_dtod": 0.02, "w_max_dtod": 0.2, "w_min_dtod": 0.2}


def reference_array(cell: str, device: Device, calibration: Calibration, reference: Device) -> Any:
    W = np.random.default_rng(0).uniform(-0.2, 0.2, (9, 11)).astype(np.float32)
    made: Cell = CELLS[cell]()
    devices = {"weight": device, "reference": reference}
    return make_cells(
        "c", LAYOUT, made, devices.__getitem__, W, pulsed=True, calibration=calibration,
        training=True,
    )  # fmt: skip


@pytest.mark.parametrize("zero_shift", [True, False])
def test_folded_is_unfolded_to_rounding(zero_shift: bool) -> None:
    """The same devices where weights are kept as differences, and where planes are summed."""
    calibration = Calibration(zero_shift=zero_shift, pairs=400, reference_std=0.01)
    folded, apart = (
        reference_array("reference", kind(**SOFT), calibration, SoftBounds(**SOFT))
        for kind in (SoftBounds, Unfolded)
    )
    assert folded.visible is folded.main.W
    assert apart.visible is not apart.main.W
    np.testing.assert_allclose(folded.visible, apart.visible, rtol=0, atol=2e-6)
    absolute = folded.main.W + folded.planes["reference"].W
    np.testing.assert_allclose(absolute, apart.main.W, rtol=0, atol=2e-6)
    low, high = folded.main.device.weight_range(tuple(folded.main.parameters))
    ends = apart.main.device.weight_range(tuple(apart.main.parameters))
    for one, other in zip((low, high), ends, strict=True):
        np.testing.assert_allclose(one + folded.planes["reference"].W, other, rtol=0, atol=2e-4)


def test_an_able_reference_is_plain_zero_shifting_bit_for_bit() -> None:
    """Devices of the reference that can hold every symmetry point, written without error."""
    calibration = Calibration(zero_shift=True, pairs=400, reference_std=0)
    wide = SoftBounds(**{**SOFT, "w_max": 50, "w_min": -50, "w_max_dtod": 0, "w_min_dtod": 0})
    plain = reference_array("plain", SoftBounds(**SOFT), calibration, wide)
    pair = reference_array("reference", SoftBounds(**SOFT), calibration, wide)
    np.testing.assert_array_equal(plain.visible, pair.visible)
    np.testing.assert_array_equal(plain.main.reference, pair.planes["reference"].W)
    np.testing.assert_array_equal(plain.main.codes, pair.main.codes)
    np.testing.assert_array_equal(plain.main.ranges, pair.main.ranges)


def test_training_with_an_able_reference_is_that_of_plain_zero_shifting() -> None:
    shift = ("calibration.zero_shift=true", "calibration.pairs=50", "calibration.reference_std=0")
    able = ("w_max=50", "w_min=-50", "w_max_dtod=0", "w_min_dtod=0")
    pair = ["layer.fc.cell.model=reference", *(f"layer.fc.cell.reference.{key}" for key in able)]
    states = []
    for overrides in (shift, (*shift, *pair)):
        machine = Machine(tiny(*overrides), seed=2)
        Trainer(machine).fit(data(), epochs=1, batch_size=3, lr=0.05)
        states.append({name: machine.state()[name].copy() for name in ("c.W", "fc.W")})
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])


# ---------------------------------------------------------------- checkpoints and threads


def trained(overrides: tuple[str, ...], threads: int = 1, **how: Any) -> Machine:
    machine = Machine(tiny(*overrides), seed=4)
    Trainer(machine, threads=threads).fit(data(), batch_size=3, lr=0.05, **how)
    return machine


@pytest.mark.parametrize(
    "overrides", [TIKI, VECTORS, (*VECTORS, "cell.gamma=0.5"), MIXED, AGAD, CHANCE, PAIR],
    ids=["minibatches", "vectors", "seen", "mixed", "agad", "chance", "pair"],
)  # fmt: skip
def test_a_checkpoint_in_mid_period_goes_on_bit_for_bit(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    """14 samples in minibatches of 3 and periods of 3 vectors or 4 minibatches."""
    overrides = (*overrides, *(("cell.transfer_every=4",) if overrides is TIKI else ()))
    whole = trained(overrides, epochs=2)
    half = trained(overrides, epochs=1)
    if overrides not in (AGAD, CHANCE):
        period = 4 if "cell.transfer_every=4" in overrides else 3
        assert int(half.state()["c.W.count"]) % period
    else:
        before = Machine(half.program, seed=4).state()["c.W"]
        assert half.state()["c.W.chopped"].any()
        assert np.any(half.state()["c.W"] != before)
    half.save(tmp_path / "half.safetensors")
    again = Machine.load(tmp_path / "half.safetensors", half.program)
    for name, array in half.state().items():
        np.testing.assert_array_equal(again.state()[name], array)
    Trainer(again).fit(data(), epochs=2, batch_size=3, lr=0.05)
    other = {MIXED: "chi", PAIR: "negative"}.get(overrides, "fast")
    assert whole.state().keys() >= {"c.W", f"c.W.{other}", "c.W.count"}
    for name, array in whole.state().items():
        np.testing.assert_array_equal(again.state()[name], array, name)


@pytest.mark.parametrize("cell", [VECTORS, AGAD, CHANCE], ids=["vectors", "agad", "chance"])
def test_threads_give_the_same_bits(cell: tuple[str, ...]) -> None:
    one, two = (trained(cell, threads, epochs=1) for threads in (1, 2))
    for name, array in one.state().items():
        np.testing.assert_array_equal(two.state()[name], array, name)


@pytest.mark.parametrize(
    "cell", [("cell.model=reference",), (*VECTORS, "cell.gamma=0.5"), TIKI, ("cell.model=plain",)]
)
def test_programming_makes_what_a_read_sees(cell: tuple[str, ...]) -> None:
    machine = trained((*cell, "calibration.zero_shift=true"), epochs=1)
    array = machine.arrays["c.W"]
    wanted = np.full(array.layout.shape, 0.05, np.float32)
    before = {name: plane.W.copy() for name, plane in array.planes.items()}
    array.program(wanted)
    np.testing.assert_allclose(array.weights, wanted, rtol=0, atol=1e-6)
    for name in list(array.planes)[1:]:
        np.testing.assert_array_equal(array.planes[name].W, before[name])


# ---------------------------------------------------------------- verdicts


def test_few_pulses_on_the_slow_array_are_no_verdict() -> None:
    """What learns is the fast array; weights are judged by how far they have come."""
    from rpucc.runtime.layer_figures import layer_figures

    machine = trained((*VECTORS, "cell.fast_lr=2", "cell.fast.dw_min=0.004"), epochs=3)
    (conv, fc) = layer_figures(machine, 0.05)
    assert not conv.direct
    assert (conv.dw_min, fc.dw_min) == (pytest.approx(0.004), pytest.approx(0.004))
    assert conv.gain == pytest.approx(0.05 * 2 / (10 * 0.004))
    assert conv.symmetry < 0.05  # the fast array's, shifted
    assert conv.moved > 0.05
    machine.history = [{**record, "pulses": 0} for record in machine.history]
    assert "still" not in [cause.kind for cause in verdict(machine, data()).causes]


def test_a_digital_sum_has_no_gain_of_pulses() -> None:
    """Whatever the rate, whole steps are sent: BL and dw_min say nothing of it."""
    from rpucc.runtime.layer_figures import layer_figures
    from rpucc.runtime.step_sizes import step_sizes

    machine = trained(MIXED, epochs=1)
    for figures in layer_figures(machine, 0.05):
        assert (figures.gain, figures.direct) == (0, False)
        assert figures.shift == "calibration.zero_shift=true"
    assert step_sizes(machine, data(), 0.05, 3) == []


def test_an_unshifted_fast_array_is_named_with_its_own_key() -> None:
    from rpucc.runtime.layer_figures import layer_figures

    machine = Machine(tiny("cell.model=tiki-taka", "cell.shift_fast=false"))
    assert {figures.shift for figures in layer_figures(machine, 0.05)} == {"cell.shift_fast=true"}
    plain = Machine(tiny())
    found = {figures.shift for figures in layer_figures(plain, 0.05)}
    assert found == {"calibration.zero_shift=true"}
