"""RIDER and E-RIDER: residual learning where nothing moves, their program on onnxruntime, state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.cells.rider import Rider
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from ..hostile.networks import network
from ..passes.masked import sparse
from .small import tiny, tiny_data
from .stock import assert_close, run_executor, stock_values, training_outputs
from .test_cells_exact import exact, feeds_of

Array = np.ndarray[Any, np.dtype[Any]]

RIDER = ("cell.model=rider", "cell.transfer_lr=0.5")
FLIPS = (*RIDER, "cell.flip_every=1", "cell.transfer_columns=9")


def trained(program: rpucc.Program, threads: int = 1, **how: Any) -> Machine:
    machine = Machine(program, seed=3)
    Trainer(machine, threads=threads).fit(
        tiny_data(), **{"epochs": 1, "batch_size": 8, "lr": 0.05} | how
    )
    return machine


# ---------------------------------------------------------------- equalities


@pytest.mark.parametrize("pulsed", ["true", "false"])
def test_with_a_mean_that_stays_it_is_residual_learning_bit_for_bit(pulsed: str) -> None:
    keys = ("cell.transfer_every=3", "cell.gamma=0.4", f"update.pulsed={pulsed}")
    keys = (*keys, "cell.transfer_lr=5")
    pair = ("cell.model=residual", "cell.transfer_by_minibatch=false", "cell.shift_fast=false")
    still = ("cell.recent_share=0", "cell.scale_transfer_lr=true", "cell.flip_every=0")
    residual = trained(tiny("soft-bounds", "", *pair, *keys)).state()
    rider = trained(tiny("soft-bounds", "", "cell.model=rider", *still, *keys)).state()
    for name, expected in residual.items():
        np.testing.assert_array_equal(rider[name], expected, name)
    assert np.any(residual["c.W.fast"])


@pytest.mark.parametrize("pulsed", [True, False])
def test_until_the_sign_changes_it_is_rider_bit_for_bit(pulsed: bool) -> None:
    """With the same tiles: where there are more layers, those behind have others."""
    rng = np.random.default_rng(2)
    X, D = rng.normal(size=(1, 50, COLUMNS)), SPREAD * rng.normal(size=(1, 50, ROWS))
    states = []
    for every in (0, 10, 3):
        cell = {"model": "rider", "flip_every": every, "gamma": 0.3, "transfer_lr": 0.5}
        array = rpucc.Array(
            "soft-bounds", ROWS, COLUMNS, cell=cell, update={"pulsed": pulsed},
            periphery={"read_noise": 0.06},
        )  # fmt: skip
        for part in range(2):  # the sign changes behind the 50th vector, or in between
            array.update(X[:, 25 * part :][:, : 25 - part], D[:, 25 * part :][:, : 25 - part], 0.5)
        states.append(array.state())
    never, late, early = states
    assert late.keys() - never.keys() == {"flipped", "reference"}
    for name, held in never.items():
        np.testing.assert_array_equal(late[name], held, name)
        assert name == "count" or np.any(early[name] != held), name


ROWS, COLUMNS, VECTORS, SPREAD = 3, 5, 400, 0.02


def test_it_is_a_loop_over_columns() -> None:
    """Exact updates and reads against the equations in float64, a vector a step."""
    cell = {"model": "rider", "fast_lr": 0.5, "transfer_lr": 0.1, "gamma": 0.3,
            "recent_share": 0.4, "flip_every": 3, "transfer_every": 2}  # fmt: skip
    array = rpucc.Array("ideal", ROWS, COLUMNS, cell=cell, update={"pulsed": False})
    rng = np.random.default_rng(1)
    X, D = rng.normal(size=(VECTORS, COLUMNS)), SPREAD * rng.normal(size=(VECTORS, ROWS))
    W, P, Q, R = (np.zeros((ROWS, COLUMNS)) for _ in range(4))
    c, k, transfers, signs = 1.0, 0, 0, set()
    for n, (x, d) in enumerate(zip(X, D, strict=True), 1):
        array.update(x, d, 1.0)
        P -= 0.5 * np.outer(c * d, x)
        if n % 2 == 0:
            v = P[:, k]
            Q[:, k] += 0.4 * (v - Q[:, k])
            W[:, k] += 0.1 * c * (v - Q[:, k])
            k, transfers = (k + 1) % COLUMNS, transfers + 1
            if transfers % (3 * COLUMNS) == 0:
                c, R = -c, Q.copy()
        signs.add(c)
        np.testing.assert_allclose(array.weights, W + 0.3 * c * (P - R), rtol=0, atol=2e-6)
    assert signs == {-1.0, 1.0}
    for name, expected in (("slow", W), ("fast", P), ("reference", R)):
        np.testing.assert_allclose(array.planes[name].W, expected, rtol=0, atol=2e-6)


def test_what_an_array_at_rest_holds_goes_over_once() -> None:
    """A whole read later only (1 - η) of it are left, and so on; residual learning never ends."""
    eta, offset = 0.25, 0.37
    cell = {"model": "rider", "recent_share": eta, "transfer_lr": 0.1, "flip_every": 50,
            "transfer_columns": COLUMNS}  # fmt: skip
    array = rpucc.Array("ideal", ROWS, COLUMNS, cell=cell, update={"pulsed": False})
    array.planes["fast"].W[...] = offset
    array.update(np.zeros((1, 49, COLUMNS)), np.zeros((1, 49, ROWS)), 1.0)
    gained = 0.1 * offset * (1 - eta) / eta
    np.testing.assert_allclose(array.planes["slow"].W, gained, rtol=1e-4)
    array.update(np.zeros((1, 500, COLUMNS)), np.zeros((1, 500, ROWS)), 1.0)
    np.testing.assert_allclose(array.planes["slow"].W, gained, rtol=1e-4)
    np.testing.assert_allclose(array.planes["reference"].W, offset, rtol=1e-4)


# ---------------------------------------------------------------- its program


@pytest.mark.parametrize(
    "keys",
    [
        (*FLIPS, "cell.transfer_every=2"),
        (*RIDER, "cell.transfer_by_minibatch=true", "cell.flip_every=1",
         "cell.transfer_columns=20"),
        (*RIDER, "cell.flip_every=0", "cell.transfer_every=3", "cell.gamma=0",
         "cell.reset_fast=true"),
    ],
    ids=["vectors", "minibatches", "rider"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["tiled", "grouped", "windows"])
def test_a_step_is_that_of_onnxruntime(kind: str, keys: tuple[str, ...]) -> None:
    moved = assert_a_step_is_onnxruntimes(exact(kind, *keys))
    assert moved >= {"", ".fast", ".recent", ".count"}
    assert "cell.flip_every=0" in keys or moved >= {".reference", ".flipped"}


def test_weights_that_stay_keep_what_they_have() -> None:
    """Fixed zeros, on tiles that are not all there."""
    keys = [*FLIPS, "update.mask=zeros", "array.rows=3", "array.cols=5"]
    program = rpucc.compile(network("sparse"), rpucc.Target.load("ideal", keys), verify=False)
    assert any(node.op_type == "MaskedERiderUpdate" for node in program.model.graph)
    assert assert_a_step_is_onnxruntimes(program) >= {"", ".fast", ".reference", ".recent"}


def assert_a_step_is_onnxruntimes(program: rpucc.Program) -> set[str]:
    """What of the state of a machine's weights a step changes, held to what onnxruntime makes."""
    machine, feeds = Machine(program), feeds_of(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    expected, moved = stock_values(program.model, feeds), set()
    run_executor(machine, feeds, training_outputs(program), 2)
    for name, after in program.step.state.items():
        found = machine.state()[name]
        assert_close(found, np.asarray(expected[after]), name)
        if np.any(found != before[name]):
            moved.add(name.partition(".W")[2])
    return moved


# ---------------------------------------------------------------- its state


def test_fixed_zeros_stay_zero_on_devices() -> None:
    """Of the reference, too, when it is written; a fifth of its devices are stuck elsewhere."""
    keys = [*FLIPS, "update.mask=zeros", "array.rows=3", "array.cols=5",
            "cell.reference.corrupt_devices_prob=0.2"]  # fmt: skip
    program = rpucc.compile(sparse("conv"), "soft-bounds", overrides=keys, verify=False)
    machine = Machine(program, seed=5)
    random = np.random.default_rng(3)
    x, y = random.random((24, 2, 5, 5), np.float32), random.integers(0, 3, 24)
    Trainer(machine).fit((x, y, x[:4], y[:4]), epochs=1, batch_size=4, lr=0.2)
    for array in machine.arrays.values():
        mask = array.main.mask
        assert mask is not None
        for plane in array.planes.values():
            assert not plane.W[~mask].any()
            assert plane.W[mask].any()


@pytest.mark.parametrize("more", [(), ("cell.flip_random=true", "cell.flip_every=2")])
def test_a_checkpoint_in_mid_period_goes_on_bit_for_bit(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    keys = (*FLIPS, "cell.transfer_every=7", "cell.reference.write_noise_std=2", *more)
    program = tiny("soft-bounds", "", *keys)
    whole, half = trained(program, epochs=2), trained(program, epochs=1)
    assert half.state()["c.W.reference"].any()
    assert int(half.state()["fc.W.count"]) % 7
    half.save(tmp_path / "half.safetensors")
    again = Machine.load(tmp_path / "half.safetensors", program)
    Trainer(again).fit(tiny_data(), epochs=2, batch_size=8, lr=0.05)
    assert whole.state().keys() >= {
        f"c.W.{name}" for name in ("fast", "reference", "reference.seen", "recent", "flipped")
    }
    for name, array in whole.state().items():
        np.testing.assert_array_equal(again.state()[name], array, name)


def test_threads_give_the_same_bits(many_parts: list[int]) -> None:
    program = tiny("soft-bounds", "", *FLIPS)
    one, two = trained(program), trained(program, threads=2)
    assert max(many_parts) == 2
    for name, array in one.state().items():
        np.testing.assert_array_equal(two.state()[name], array, name)


def test_what_a_read_sees_has_the_sign() -> None:
    machine = trained(tiny("soft-bounds", "", *FLIPS, "cell.transfer_columns=40", "cell.gamma=0.3"))
    signs = set()
    for array in machine.arrays.values():
        sign = 1 - 2 * float(array.buffers["flipped"])
        signs.add(sign)
        gains = {"slow": 1.0, "fast": 0.3 * sign, "reference": -0.3 * sign}
        assert array.gains == gains
        total = sum(gain * array.planes[name].W for name, gain in gains.items())
        np.testing.assert_allclose(array.visible, total, rtol=0, atol=1e-6)
        array.program(np.full(array.layout.shape, 0.05, np.float32))
        np.testing.assert_allclose(array.weights, 0.05, rtol=0, atol=1e-6)
    assert -1 in signs


def test_planes_and_ops_are_those_of_its_keys() -> None:
    chopped, plain = Rider(), Rider(flip_every=0)
    assert (chopped.planes, plain.planes) == (("slow", "fast", "reference"), ("slow", "fast"))
    assert (chopped.op, plain.op) == ("ERiderUpdate", "RiderUpdate")
    assert plain.gains == {"slow": 1.0, "fast": 0.1}
    assert Rider(gamma=0).gains == {"slow": 1.0}
    program = rpucc.compile("lenet", "soft-bounds", overrides=RIDER, verify=False)
    assert program.plan.layers[0].planes == chopped.planes
