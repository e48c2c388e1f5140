"""Chains of arrays: residual learning where there are two, their program on onnxruntime, state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.cells import CELLS
from rpucc.cells.multi_tile import MultiTile
from rpucc.errors import TargetError
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import state_bytes
from rpucc.runtime.trainer import Trainer

from ..passes.masked import sparse
from .small import tiny, tiny_data
from .stock import assert_close, run_executor, stock_values, training_outputs
from .test_cells_exact import exact, feeds_of

CHAIN = ("cell.model=multi-tile", "cell.transfer_every_growth=2", "calibration.pairs=20")


def trained(program: rpucc.Program, threads: int = 1, **how: Any) -> Machine:
    machine = Machine(program, seed=3)
    Trainer(machine, threads=threads).fit(
        tiny_data(), **{"epochs": 1, "batch_size": 8, "lr": 0.05} | how
    )
    return machine


@pytest.mark.parametrize("pulsed", ["true", "false", '"mean"'])
def test_two_arrays_are_residual_learning_bit_for_bit(pulsed: str) -> None:
    keys = ("cell.transfer_every=3", "cell.transfer_lr=5", "cell.gamma=0.4", "calibration.pairs=20")
    keys = (*keys, f"update.pulsed={pulsed}")
    chain = ("cell.model=multi-tile", "cell.tiles=2", "cell.scale_transfer_lr=true")
    pair = ("cell.model=residual", "cell.transfer_by_minibatch=false")
    one, two = (trained(tiny("soft-bounds", "", *own, *keys)) for own in (chain, pair))
    for layer in ("c", "fc"):
        for name, other in (
            ("", ""),
            (".tile_1", ".slow"),
            (".tile_0", ".fast"),
            (".count", ".count"),
        ):
            found, expected = one.state()[f"{layer}.W{name}"], two.state()[f"{layer}.W{other}"]
            np.testing.assert_array_equal(found, expected, f"{layer}{name}")
            assert np.any(found)


@pytest.mark.parametrize(
    "keys",
    [
        ("cell.tiles=3",),
        ("cell.tiles=4", "cell.transfer_columns=3", "cell.reset_fast=true", "cell.gamma=0.3"),
        ("cell.tiles=2", "cell.transfer_by_minibatch=true", "cell.transfer_every=1"),
        ("cell.tiles=3", "cell.scale_transfer_lr=true", "cell.transfer_lr=20", "cell.gamma=0"),
    ],
    ids=["three", "four", "minibatches", "scaled and hidden"],
)
@pytest.mark.parametrize("kind", ["tiled", "grouped"])
def test_a_step_is_that_of_onnxruntime(kind: str, keys: tuple[str, ...]) -> None:
    program = exact(kind, *CHAIN, *keys)
    machine, feeds = Machine(program), feeds_of(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    expected = stock_values(program.model, feeds)
    run_executor(machine, feeds, training_outputs(program), 2)
    moved = set()
    for name, after in program.step.state.items():
        found = machine.state()[name]
        assert_close(found, np.asarray(expected[after]), name)
        if np.any(found != before[name]):
            moved.add(name.partition(".W")[2])
    planes = {f".tile_{m}" for m in range(program.target.cell.settings.tiles - 1)}  # type: ignore[attr-defined]
    assert moved >= {"", ".count", *planes}


def test_every_array_learns_and_counts_from_its_symmetry_points() -> None:
    machine = trained(tiny("soft-bounds-asymmetric", "", *CHAIN, "cell.transfer_lr=3"))
    array = machine.arrays["c.W"]
    assert list(array.planes) == ["tile_2", "tile_1", "tile_0"]
    assert array.gains == {"tile_2": 1.0, "tile_1": 0.5, "tile_0": 0.25}
    coarse, *fine = array.planes.values()
    assert coarse.reference is None
    assert all(plane.reference is not None and np.any(plane.W) for plane in fine)
    total = sum(gain * array.planes[name].W for name, gain in array.gains.items())
    np.testing.assert_allclose(array.visible, total, rtol=0, atol=1e-6)


def test_threads_give_the_same_bits(many_parts: list[int]) -> None:
    program = tiny("soft-bounds", "", *CHAIN, "cell.transfer_lr=3")
    one, two = trained(program), trained(program, threads=2)
    assert max(many_parts) == 2
    for name, array in one.state().items():
        np.testing.assert_array_equal(two.state()[name], array, name)


def test_a_checkpoint_in_mid_period_goes_on_bit_for_bit(tmp_path: Path) -> None:
    program = tiny("soft-bounds", "", *CHAIN, "cell.transfer_every=7", "cell.transfer_lr=3")
    whole, half = trained(program, epochs=2), trained(program, epochs=1)
    assert int(half.state()["fc.W.count"]) % 7
    half.save(tmp_path / "half.safetensors")
    again = Machine.load(tmp_path / "half.safetensors", program)
    Trainer(again).fit(tiny_data(), epochs=2, batch_size=8, lr=0.05)
    assert whole.state().keys() >= {"c.W", "c.W.tile_0", "c.W.tile_1", "c.W.count"}
    for name, array in whole.state().items():
        np.testing.assert_array_equal(again.state()[name], array, name)


def test_fixed_zeros_stay_zero_in_all_arrays() -> None:
    keys = [*CHAIN, "update.mask=zeros", "array.rows=3", "array.cols=5", "cell.transfer_lr=3"]
    program = rpucc.compile(sparse("conv"), "soft-bounds", overrides=keys, verify=False)
    machine = Machine(program, seed=5)
    random = np.random.default_rng(3)
    x, y = random.random((24, 2, 5, 5), np.float32), random.integers(0, 3, 24)
    Trainer(machine).fit((x, y, x[:4], y[:4]), epochs=2, batch_size=4, lr=0.2)
    for array in machine.arrays.values():
        mask = array.main.mask
        assert mask is not None
        for plane in array.planes.values():
            assert not plane.W[~mask].any()
            assert plane.W[mask].any()


@pytest.mark.parametrize("training", [True, False])
def test_memory_is_known_before(training: bool) -> None:
    target = rpucc.Target.load("soft-bounds", [*CHAIN, "cell.tiles=5", "calibration.pairs=1"])
    program = rpucc.compile("lenet", target, verify=False, training=training)
    machine = Machine(program)
    ranges = sum(p.ranges.nbytes for a in machine.arrays.values() for p in a.planes.values())
    assert state_bytes(program) == machine.bytes_per_weight * machine.weights - ranges


def test_a_layer_that_does_not_learn_transfers_nothing() -> None:
    """Rates of transfers are not the layer's; but reads of what is there would be noise."""
    program = tiny(
        "soft-bounds", "", *CHAIN, "periphery.read_noise=0.1", "layer.c.update.lr_scale=0"
    )
    start = Machine(program, seed=3)
    machine = trained(program)
    for plane in ("tile_2", "tile_1", "tile_0"):
        before, after = (m.arrays["c.W"].planes[plane].W for m in (start, machine))
        np.testing.assert_array_equal(before, after)
        assert np.any(machine.arrays["fc.W"].planes[plane].W)


def test_an_array_by_itself() -> None:
    cell = {"model": "multi-tile", "tiles": 4, "shift_fast": False, "tile_2": {"dw_min": 0.02}}
    array = rpucc.Array("soft-bounds", 3, 5, cell=cell)
    assert [plane.device.dw_min for plane in array.planes.values()] == [0.001, 0.02, 0.001, 0.001]
    for _ in range(40):
        array.update(np.full(5, 0.5), np.full(3, -0.5), 0.05)
    assert np.all(array.weights.mean(axis=1) > 0)


def test_devices_of_an_array_that_is_not_there_are_refused() -> None:
    with pytest.raises(TargetError) as caught:
        rpucc.Target.load("soft-bounds", [*CHAIN, "cell.tile_3.dw_min=0.1"])
    (line,) = caught.value.args
    assert "cell.tile_3" in line
    assert "[cell.tile_2] and [cell.tile_1] and [cell.tile_0] in a multi-tile cell" in line
    rpucc.Target.load("soft-bounds", [*CHAIN, "cell.tiles=4", "cell.tile_3.dw_min=0.1"])


def test_links_are_those_of_the_paper() -> None:
    """Its appendix: T_m = 2·5^m, lr_m = 0.1·1.2^m, γ = 0.5."""
    cell = MultiTile(tiles=4)
    assert [link.every for link in cell.links] == [50, 10, 2]
    assert [link.rate for link in cell.links] == pytest.approx([0.144, 0.12, 0.1])
    assert (cell.links[0].fast, cell.links[0].slow) == ("tile_2", "tile_3")
    assert list(cell.gains.values()) == [1, 0.5, 0.25, 0.125]
    assert not cell.scaled
    assert CELLS["multi-tile"].all_planes()[0] == "tile_7"
