"""Machines of programs with masks: what stays, what is trained, and that nothing else matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import rpucc
from rpucc.errors import ArgumentError, CheckpointError
from rpucc.runtime.data import Dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from ..passes.masked import sparse

TILES = ("array.rows=3", "array.cols=5")
TIKI = ("cell.model=tiki-taka", "calibration.pairs=20", "cell.gamma=0.3", "cell.transfer_lr=5")
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "counted": ("conv", ("device.model=constant-step", *TILES)),
    "one by one": ("conv", ("device.model=soft-bounds", *TILES)),
    "exact": ("conv", ("update.pulsed=false", *TILES)),
    "grouped": ("grouped", ("device.model=soft-bounds",)),
    "grouped exact": ("grouped", ("update.pulsed=false",)),
    "shares": (
        "conv",
        ("layer.c.mapping.replicas=3", "layer.c.mapping.replica_updates=independent"),
    ),
    "devices": ("conv", ("mapping.devices_per_weight=2",)),
    "tiki-taka": ("conv", ("device.model=soft-bounds", *TIKI, *TILES)),
    "tiki-taka vectors": (
        "conv",
        (
            *("device.model=soft-bounds", *TIKI, "cell.transfer_by_minibatch=false"),
            *("cell.transfer_every=2", "cell.reset_fast=true"),
        ),
    ),
    "tiki-taka counted": ("conv", (*TIKI, "cell.shift_fast=false")),
    "tiki-taka exact": ("conv", (*TIKI, "update.pulsed=false", *TILES)),
    "reference": (
        "conv",
        (
            *("device.model=soft-bounds", "cell.model=reference", "calibration.zero_shift=true"),
            "calibration.pairs=20",
        ),
    ),
    "shifted": (
        "conv",
        ("device.model=soft-bounds", "calibration.zero_shift=true", "calibration.pairs=20"),
    ),
    "managed": ("conv", ("update.update_management=true", "update.update_bl_management=true")),
    "mean": ("conv", ("device.model=soft-bounds", "update.pulsed=mean", *TILES)),
    "mean counted": ("conv", ("update.pulsed=mean", *TILES)),
    "mean tiki-taka": (
        "conv",
        ("device.model=soft-bounds", *TIKI, "update.pulsed=mean", *TILES),
    ),
    "mixed precision": ("conv", ("cell.model=mixed-precision", *TILES)),
    "mixed precision exact": (
        "grouped",
        ("cell.model=mixed-precision", "cell.granularity=1e-3", "update.pulsed=false"),
    ),
    "one-sided": ("conv", ("cell.model=one-sided", *TILES)),
    "one-sided exact": ("grouped", ("cell.model=one-sided", "update.pulsed=false")),
    "long trains": ("conv", ("update.bl=40",)),
}
"""Network and overrides of rpu-managed."""


def program_of(case: str, *overrides: str) -> rpucc.Program:
    name, own = CASES[case]
    return rpucc.compile(
        sparse(name), "rpu-managed", overrides=[*own, "update.mask=zeros", *overrides], verify=False
    )


def data(samples: int = 24) -> Dataset:
    random = np.random.default_rng(3)
    x, y = random.random((samples, 2, 5, 5), np.float32), random.integers(0, 3, samples)
    return Dataset("random", x, y, x[:4], y[:4])


def trained(program: rpucc.Program, threads: int = 1, epochs: int = 2) -> Machine:
    machine = Machine(program, seed=5)
    Trainer(machine, threads=threads).fit(data(), epochs=epochs, batch_size=4, lr=0.2)
    return machine


@pytest.mark.parametrize("case", CASES)
def test_fixed_zeros_are_exactly_zero_and_threads_change_nothing(
    case: str, many_parts: list[int]
) -> None:
    program = program_of(case)
    start, one, two = Machine(program, seed=5), trained(program), trained(program, threads=2)
    assert max(many_parts) == 2
    for name, array in one.arrays.items():
        mask = array.main.mask
        assert mask is not None
        assert not array.weights[~mask].any()
        for plane in array.planes.values():
            assert not plane.W[~mask].any()
        moved = array.weights != start.arrays[name].weights
        assert moved[mask].mean() > 0.05, name
    for name, held in one.state().items():
        np.testing.assert_array_equal(two.state()[name], held)


@pytest.mark.parametrize("mask", ["zeros", "none"])
@pytest.mark.parametrize("cell", [(), TIKI], ids=["plain", "tiki-taka"])
def test_exact_updates_are_the_same_however_rows_are_cut(
    mask: str, cell: tuple[str, ...], many_parts: list[int]
) -> None:
    """Row blocks begin where threads do not, and a product's bits tell how many rows it had."""
    random = np.random.default_rng(7)
    W = random.normal(0, 0.1, (36, 33)) * (random.random((36, 33)) < 0.7)
    keys = ["update.pulsed=false", "array.rows=20", f"update.mask={mask}", *cell]
    program = rpucc.compile(
        rpucc.dense([(W, None)], activation="none"), "rpu-managed", overrides=keys, verify=False
    )
    x, y = random.random((2304, 33), np.float32), random.integers(0, 36, 2304)
    found = []
    for threads in (1, 2, 3):
        machine = Machine(program, seed=5)
        given = Dataset("random", x, y, x[:4], y[:4])
        Trainer(machine, threads).fit(given, epochs=1, batch_size=len(x), lr=50)
        found.append(machine.state())
    assert max(many_parts) == 3
    for name, held in found[0].items():
        for other in found[1:]:
            np.testing.assert_array_equal(other[name], held, name)


@pytest.mark.parametrize("case", ["counted", "exact", "tiki-taka"])
def test_a_training_goes_on_where_it_stood(case: str, tmp_path: Path) -> None:
    program = program_of(case)
    whole = trained(program, epochs=3)
    part = trained(program, epochs=1)
    part.save(tmp_path / "run")
    again = Machine.load(tmp_path / "run")
    Trainer(again).fit(data(), epochs=3, batch_size=4, lr=0.2)
    for name, held in whole.state().items():
        np.testing.assert_array_equal(again.state()[name], held)


def test_a_checkpoint_with_a_weight_where_there_is_no_device_is_refused(tmp_path: Path) -> None:
    machine = trained(program_of("counted"))
    array = next(iter(machine.arrays.values()))
    assert array.main.mask is not None
    array.main.W[~array.main.mask] = 0.01
    machine.save(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"holds 0\.01, which lies beyond"):
        Machine.load(tmp_path / "run")


@pytest.mark.parametrize("measured", [None, 16])
def test_an_exported_zero_is_zero(measured: int | None) -> None:
    for case in ("counted", "devices", "shares"):
        model = sparse(CASES[case][0])
        found = trained(program_of(case)).export(measured=measured).weights
        for tensor in model.graph.initializer:
            if tensor.name.startswith("w"):
                before = numpy_helper.to_array(tensor)
                assert not found[tensor.name][before == 0].any()
                assert (found[tensor.name] != before)[before != 0].any()


@pytest.mark.parametrize("target", ["rpu-managed", "soft-bounds"])
def test_pulses_are_those_of_trained_weights_alone(target: str) -> None:
    """With one trained weight in a layer, its pulses bound those that are counted."""
    W = np.zeros((6, 9))
    W[2, 3] = 0.2
    model = rpucc.dense([(W, None)], activation="none")
    random = np.random.default_rng(0)
    x, y = random.random((30, 9), np.float32), random.integers(0, 6, 30)
    dataset = Dataset("r", x, y, x[:4], y[:4])
    pulses = []
    for mask in ("zeros", "none"):
        program = rpucc.compile(
            model, target, overrides=[f"update.mask={mask}", *TILES], verify=False
        )
        (epoch,) = Trainer(Machine(program)).fit(dataset, epochs=1, batch_size=5, lr=0.1)
        pulses.append(round(epoch.pulses_per_weight * W.size))
    assert 0 < pulses[0] <= 30 * program.target.update.bl
    assert pulses[1] > 10 * pulses[0]


# ---------------------------------------------------------------- inference


def test_absent_tiles_are_not_read() -> None:
    """What a read puts out is that of the tiles that are there; where none is it is exactly 0."""
    W = np.zeros((6, 10))
    W[3:, :5] = 0.3  # of 2 x 2 tiles one is there
    model = rpucc.dense([(W, None)], activation="none")
    overrides = ["update.mask=zeros", *TILES]
    x = np.random.default_rng(0).random((20, 10)).astype(np.float32)
    program = rpucc.compile(model, "rpu-managed", overrides=overrides, verify=False, training=False)
    y = outputs_of(program, x)
    assert not y[:, :3].any()
    assert y[:, 3:].std() > 0.02
    whole = rpucc.compile(model, "rpu-managed", overrides=TILES, verify=False, training=False)
    assert outputs_of(whole, x)[:, :3].any()  # read noise
    ideal = rpucc.compile(model, "ideal", overrides=overrides, verify=False, training=False)
    np.testing.assert_allclose(outputs_of(ideal, x), x @ W.T, rtol=0, atol=1e-5)


def outputs_of(program: rpucc.Program, x: np.ndarray) -> np.ndarray:
    return np.asarray(Trainer(Machine(program)).predict(x))


# ---------------------------------------------------------------- exact training


@st.composite
def nets(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    sizes = draw(st.lists(st.integers(1, 7), min_size=2, max_size=4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    pairs = list(zip(sizes[1:], sizes[:-1], strict=True))
    weights = [random.normal(0, 0.5, pair).astype(np.float32) for pair in pairs]
    masks = [random.random(pair) < draw(st.sampled_from([0.1, 0.5, 0.9])) for pair in pairs]
    samples = draw(st.sampled_from([2, 5]))
    x = random.random((samples, sizes[0])).astype(np.float32)
    targets = random.random((samples, sizes[-1])).astype(np.float32)
    return weights, masks, x, targets


@given(nets())
@settings(max_examples=15, deadline=None)
def test_an_ideal_masked_run_is_numpys_descent_with_the_masked_gradient(
    tmp_path_factory: pytest.TempPathFactory, net: Any
) -> None:
    weights, masks, x, targets = net
    path = tmp_path_factory.mktemp("masks") / "m.npz"
    np.savez(path, **{f"fc{i + 1}": mask for i, mask in enumerate(masks)})
    model = rpucc.dense([(w, None) for w in weights], activation="tanh")
    program = rpucc.compile(
        model, "ideal", overrides=[f"update.mask={path}"], loss="mse", verify=False
    )
    path.unlink()  # nothing of it is needed any more
    machine = Machine(program)
    dataset = Dataset("r", x, targets, x[:2], targets[:2])
    Trainer(machine).fit(dataset, epochs=3, batch_size=len(x), lr=0.1)
    expected = [w.astype(np.float64) for w in weights]
    for _ in range(3):
        _descend(expected, masks, x, targets, 0.1)
    for i, (w, mask) in enumerate(zip(expected, masks, strict=True)):
        found = machine.arrays[f"fc{i + 1}.W"].weights
        np.testing.assert_allclose(found, w, rtol=0, atol=2e-5)
        np.testing.assert_array_equal(found[~mask], weights[i][~mask])


def _descend(
    weights: list[np.ndarray], masks: list[np.ndarray], x: np.ndarray, t: np.ndarray, lr: float
) -> None:
    """One step of y = W₂ tanh(W₁ x) against the mean squared error, in place."""
    values = [x.astype(np.float64)]
    for i, w in enumerate(weights):
        y = values[-1] @ w.T
        values.append(np.tanh(y) if i < len(weights) - 1 else y)
    d = 2 * (values[-1] - t) / t.size
    for i in reversed(range(len(weights))):
        gradient = d.T @ values[i]
        if i:
            d = (d @ weights[i]) * (1 - values[i] ** 2)
        weights[i] -= lr * np.where(masks[i], gradient, 0)


# ---------------------------------------------------------------- an array by itself


def test_an_array_by_itself_has_no_file_that_a_mask_could_be_of() -> None:
    with pytest.raises(ArgumentError, match=r"update\.mask"):
        rpucc.Array("constant-step", 2, 3, update={"mask": "zeros"})
