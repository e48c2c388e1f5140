"""`update.pulsed = "mean"`: what pulses do on average, through each device's own step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rpucc
from rpucc import Array
from rpucc.runs.data import sample_shapes
from rpucc.runtime.data import Dataset
from rpucc.runtime.devices import DEVICES, Device
from rpucc.runtime.machine import Machine
from rpucc.runtime.make_plane import make_plane
from rpucc.runtime.memory import bytes_per_weight, state_bytes
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.mean import mean_update, move
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.verdict import verdict
from rpucc.stamps import stamp_of
from rpucc.target.values import MEAN

from ..hostile.networks import network
from .test_cells_machine import VECTORS, data, tiny
from .tilings import step_constants

Floats = NDArray[np.float64]

MEAN_OF = {"pulsed": "mean"}
SPREAD = {"dw_min": 0.004, "up_down": 0.1, "up_down_dtod": 0.05, "w_max": 0.3, "w_min": -0.2}


def plain(plane: Plane) -> tuple[Any, Floats, Floats]:
    """A plane's devices as the reference takes them: step, lowest and highest weights."""
    parameters = plane.parameters.astype(float)
    constants = step_constants(plane)

    def step(w: float, direction: float, noise: float, r: int, c: int) -> float:
        return float(plane.device.step(w, direction, noise, *parameters[:, r, c], *constants))

    low, high = plane.bounds.astype(float)
    return step, low, high


def vectors(seed: int, count: int, rows: int, columns: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    x, d = random.uniform(-1, 1, (count, columns)), random.uniform(-1, 1, (count, rows))
    x[:, 1], d[:, 2], d[1:2] = 0, 0, 0  # nothing moves there, nor in the second vector at all
    return np.float32(x).astype(float), np.float32(d).astype(float)


@pytest.mark.parametrize("lr", [1e-4, 0.003, 0.05, 3.0])
@pytest.mark.parametrize("model", [*DEVICES])
def test_an_update_is_that_of_the_formula(model: str, lr: float) -> None:
    """Parts of a pulse to hundreds of them, on tiles: as the plain statement has it."""
    device = {"model": model, **(SPREAD if model != "ideal" else {"dw_min": 0.004})}
    array = Array(device, 5, 19, seed=3, update=MEAN_OF, row_cuts=(0, 2, 5), col_cuts=(0, 7, 19))
    start = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 19))
    array.program(start)
    W, (step, low, high) = array.weights.astype(float), plain(array.main)
    x, d = vectors(1, 6, 5, 19)
    rate = float(np.float32(lr))
    for row, error in zip(x, d, strict=True):
        mean_update(W, row, error, rate, array.main.device.granularity, step, low, high)
    assert array.update(x, d, lr) == 0
    allowed = (
        1e-5 if model == "pow-step" else 2e-6
    )  # powers are float32 (runtime/scalars/powers.py)
    np.testing.assert_allclose(
        array.weights, W, rtol=0, atol=allowed * max(1.0, float(abs(W).max()))
    )
    assert np.abs(W - start).max() > 1e-5


@pytest.mark.parametrize("model", ["constant-step", "linear-step", "soft-bounds"])
def test_no_weight_leaves_the_bounds_of_its_device(model: str) -> None:
    array = Array({"model": model, **SPREAD}, 6, 8, seed=2, update=MEAN_OF)
    x, d = vectors(5, 40, 6, 8)
    array.update(x, -np.abs(d), 5.0)
    low, high = array.main.bounds
    assert np.all(array.weights >= low - 1e-6)
    assert np.all(array.weights <= high + 1e-6)
    if model == "constant-step":
        assert np.mean(np.isclose(array.weights, high) | np.isclose(array.weights, low)) > 0.3


def test_what_is_kept_and_what_is_not() -> None:
    """Response, asymmetry, spreads and bounds are the devices' own; cycle noise plays no part."""
    x, d = np.ones((1, 4)), -np.ones((1, 3))

    def moved(**device: float) -> Any:
        array = Array({"model": "soft-bounds", "dw_min": 0.001, **device}, 3, 4, seed=1,
                      update=MEAN_OF)  # fmt: skip
        array.update(x, d, 0.0005)
        return array.weights

    plain_step = {"dw_min_dtod": 0, "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0}
    np.testing.assert_allclose(moved(**plain_step), 0.0005, rtol=1e-5)
    np.testing.assert_allclose(moved(**plain_step, up_down=0.2), 0.0006, rtol=1e-5)
    np.testing.assert_array_equal(moved(dw_min_std=0.9), moved(dw_min_std=0))
    spread = moved()
    assert 0.1 < spread.std() / spread.mean() < 0.6  # dw_min_dtod = 0.3 of 12 devices


def test_steps_far_below_float32s_resolution_of_a_weight_add_up() -> None:
    """A pulse of 1e-9 is lost on a weight of 0.3 in float32; its mean is not."""
    array = Array({"model": "constant-step", "dw_min": 1e-9, "dw_min_dtod": 0, "up_down_dtod": 0,
                   "w_max": 2, "w_min": -2}, 1, 2, update=MEAN_OF)  # fmt: skip
    array.program([[0.3, -0.3]])
    for _ in range(100):
        array.update([[1.0, 1.0]], [[-1.0]], 1e-4)
    np.testing.assert_allclose(array.weights, [[0.31, -0.29]], rtol=1e-4)


# ---------------------------------------------------------------- the limit of pulses

DEVICES_ALIKE = 2000
FINE = {"dw_min_dtod": 0, "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0, "dw_min_std": 0.3}
CHANGE = 2e-4
"""That every update asks for."""
SLOTS = 100
MODELS = ("constant-step", "linear-step", "soft-bounds")


def after_updates(model: str, dw_min: float, seed: int, pulsed: Any, sizes: float = 1.0) -> Floats:
    """Weights [devices] after 200 updates up and 100 down.

    A device a row, whose one column fires in every slot: pulses of a device are its own, CHANGE /
    dw_min of them in an update, binomially distributed. sizes: of the errors.
    """
    device = {"model": model, "dw_min": dw_min, "up_down": 0.1, "w_max": 0.5, "w_min": -0.4, **FINE}
    if model == "linear-step":
        device |= {"gamma_up_dtod": 0, "gamma_down_dtod": 0}
    array = Array(device, DEVICES_ALIKE, 1, seed=seed, update={"pulsed": pulsed, "bl": SLOTS})
    gain = np.sqrt(1 / (SLOTS * dw_min))  # Cx = Cd at lr = 1
    x = np.full((300, 1), 1.001 / gain)
    d = np.full((300, DEVICES_ALIKE), -CHANGE * gain * sizes)
    d[200:] *= -1
    if pulsed == MEAN:
        x /= 1.001  # pulse probabilities stop at 1
    array.update(x, d, 1.0)
    return array.weights[:, 0].astype(float)


@pytest.mark.parametrize("model", MODELS)
def test_it_is_what_pulses_come_to_on_average(model: str) -> None:
    """2,000 devices alike, 300 updates of 4 pulses: how well their mean is known, they say.

    4 standard errors of it would come once in 16,000 seeds; pulses 2 % larger are 10 of them away,
    which the last line tries.
    """
    mean = after_updates(model, 5e-5, 7, MEAN)
    assert mean.std() == 0  # the devices are alike

    def distance(sizes: float) -> float:
        pulsed = after_updates(model, 5e-5, 7, True, sizes)
        return abs(pulsed.mean() - mean[0]) / (pulsed.std() / np.sqrt(DEVICES_ALIKE))

    assert distance(1.0) < 4
    assert distance(1.02) > 6


@pytest.mark.parametrize("model", MODELS)
def test_pulsed_weights_close_in_on_it_as_steps_get_finer(model: str) -> None:
    """Their distance falls as the root of the step: a step four times finer halves it.

    A root mean square over 2,000 devices is known to 1 / sqrt(4000) of itself, 1.6 %: 9 % are four
    standard errors of a ratio. p of a slot, 0.0025 to 0.04, takes a part p off the variance.
    """
    errors = []
    for dw_min in (8e-4, 2e-4, 5e-5):
        pulsed, mean = (after_updates(model, dw_min, 11, how) for how in (True, MEAN))
        errors.append(float(np.sqrt(np.mean(np.square(pulsed - mean)))))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.09)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.09)


# ---------------------------------------------------------------- programs and runs


def trained(*overrides: str, threads: int = 1, target: str = "soft-bounds", **how: Any) -> Machine:
    machine = Machine(tiny("update.pulsed=mean", *overrides, target=target), seed=4)
    Trainer(machine, threads=threads).fit(data(), batch_size=3, lr=0.05, **how)
    return machine


CELLS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "shifted": ("calibration.zero_shift=true", "calibration.pairs=50"),
    "reference": ("cell.model=reference", "calibration.zero_shift=true", "calibration.pairs=50"),
    "tiki-taka": (*VECTORS, "cell.gamma=0.5"),
    "grouped devices": ("mapping.devices_per_weight=3",),
}


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_on_any_threads_and_goes_on_bit_for_bit(
    cell: str, tmp_path: Path, many_parts: list[int]
) -> None:
    whole = trained(*CELLS[cell], epochs=2)
    threaded = trained(*CELLS[cell], epochs=2, threads=2)
    assert max(many_parts) == 2
    half = trained(*CELLS[cell], epochs=1)
    half.save(tmp_path / "half.safetensors")
    again = Machine.load(tmp_path / "half.safetensors", half.program)
    Trainer(again).fit(data(), epochs=2, batch_size=3, lr=0.05)
    start = Machine(whole.program, seed=4).state()
    for name, array in whole.state().items():
        np.testing.assert_array_equal(threaded.state()[name], array, name)
        np.testing.assert_array_equal(again.state()[name], array, name)
        assert np.any(array != start[name]), name
    assert whole.history[-1]["pulses_per_weight"] == 0


@pytest.mark.parametrize("kind", ["conv", "grouped", "transposed", "dense"])
def test_on_devices_without_flaws_it_is_the_exact_update(kind: str) -> None:
    """Whatever the layer, on tiles of 3 by 5, several devices a weight where that may be."""
    states = []
    for pulsed in ("mean", "false"):
        keys = ["array.rows=3", "array.cols=5", f"update.pulsed={pulsed}", "device.dw_min=1e-3"]
        keys += ["mapping.devices_per_weight=2"] if kind == "conv" else []
        target = rpucc.Target.load("ideal", keys)
        machine = Machine(rpucc.compile(network(kind), target, verify=False), seed=1)
        (shape,) = sample_shapes(machine.program).values()
        x = np.random.default_rng(3).random((6, *shape), np.float32)
        y = np.arange(6) % 2
        Trainer(machine, threads=2).fit(Dataset("r", x, y, x, y), epochs=2, batch_size=3, lr=0.05)
        states.append({name: array.copy() for name, array in machine.state().items()})
    start = Machine(machine.program, seed=1).state()
    for name, array in states[0].items():
        np.testing.assert_allclose(array, states[1][name], rtol=0, atol=2e-6, err_msg=name)
        assert np.any(array != start[name])


def test_minibatches_are_vectors_one_after_the_other() -> None:
    """As of pulses: what an update finds is what the last vector left."""
    x, d = vectors(3, 4, 3, 5)
    device = {"model": "soft-bounds", "dw_min": 0.05, **FINE}
    whole, single = (Array(device, 3, 5, update=MEAN_OF) for _ in range(2))
    whole.update(x, d, 0.3)
    for row, error in zip(x, d, strict=True):
        single.update(row, error, 0.3)
    np.testing.assert_allclose(whole.weights, single.weights, rtol=0, atol=1e-6)


def test_a_transfer_moves_the_slow_devices_by_their_own_mean_steps() -> None:
    """Columns of the fast array, read without noise, as the plain statement moves them."""
    cell = {"model": "tiki-taka", "shift_fast": False, "transfer_columns": 3, "transfer_lr": 4}
    array = Array(
        {"model": "soft-bounds", "dw_min": 0.01, "w_max": 0.5, "w_min": -0.5}, 4, 3, seed=5,
        update=MEAN_OF, cell=cell,
    )  # fmt: skip
    slow, fast = array.planes["slow"], array.planes["fast"]
    slow.W[...] = np.random.default_rng(1).uniform(-0.2, 0.2, (4, 3))
    before = slow.W.astype(float)
    x, d = vectors(9, 1, 4, 3)
    array.update(x, d, 0.5)
    step, low, high = plain(slow)
    for k in range(3):
        pulses = 4 * 0.5 * fast.W[:, k].astype(float) / 0.01
        for r in range(4):
            one, n = before[r : r + 1, k : k + 1], pulses[r : r + 1, None]
            own = lambda w, a, e, i, j, r=r, k=k: step(w, a, e, r, k)  # noqa: E731
            move(one, n, float(abs(n).max()), own, low[r : r + 1, k:], high[r : r + 1, k:])
    np.testing.assert_allclose(slow.W, before, rtol=0, atol=2e-6)
    assert np.abs(pulses).max() > 1


def test_a_program_carries_it_and_a_plan_says_it() -> None:
    """The attribute of the node, its check on loading, the plan in words, no slots and no time."""
    program = tiny("update.pulsed=mean", target="rpu-managed")
    layer = program.plan.layers[0]
    assert (layer.update["pulsed"], layer.update["bl"]) == ("mean", 0)
    assert "mean" in str(program.plan)
    update = next(node for node in program.model.graph if node.op_type == "Update")
    assert update.attributes.get_int("pulsed") == 2
    assert stamp_of(program.target.for_layer(layer.name), update)["bl"] == 0
    (cycle,) = (c for c in program.plan.cost.layers[0].cycles if c.cycle == "update")
    assert cycle.seconds == cycle.energy.total == 0
    pulsed = tiny("update.pulsed=true", target="rpu-managed").plan.cost.layers[0].cycles
    assert next(c for c in pulsed if c.cycle == "update").seconds > 0


def test_a_program_that_says_otherwise_than_its_target_is_refused(tmp_path: Path) -> None:
    program = tiny("update.pulsed=mean", target="rpu-managed")
    path = tmp_path / "p.rpu.onnx"
    program.save(path)
    assert rpucc.Program.load(path).target.for_layer("c").update.pulsed == "mean"
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "pulsed":
                attribute.i = 1
    onnx.save(model, path)
    with pytest.raises(rpucc.errors.RpuccError, match="pulsed"):
        rpucc.Program.load(path)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("target", ["soft-bounds", "rpu-managed"])
def test_state_bytes_are_those_of_the_machine(target: str, training: bool) -> None:
    program = tiny("update.pulsed=mean", target=target, training=training)
    machine = Machine(program)
    ranges = sum(p.ranges.nbytes for a in machine.arrays.values() for p in a.planes.values())
    found = machine.bytes_per_weight * machine.weights - ranges
    assert state_bytes(program) == pytest.approx(found)
    assert bytes_per_weight(program.target.for_layer("c"), training=training) == pytest.approx(
        found / machine.weights
    )


def test_a_verdict_does_not_look_for_pulses() -> None:
    """No pulses are no sign of weights that stood still, and no slots none of too few."""
    machine = trained("device.dw_min=1e-8", epochs=3)
    found = [cause.kind for cause in verdict(machine, data()).causes]
    assert not {"still", "fine", "coarse", "states", "gain"} & set(found)


class Tabled(Device):
    """A user's own device: a step from a table, without bounds of its own."""

    name = "tabled"
    defaults = {"dw_min": 0.01}  # noqa: RUF012
    per_device = ("size",)

    def fabricate(self, normal: Any) -> tuple[Any, ...]:
        return (0.01 * (1 + 0.2 * normal()),)

    @staticmethod
    def step(w: float, direction: float, noise: float, size: float) -> float:  # type: ignore[override]
        return w + direction * size * TABLE[min(int(abs(w) * 10), 9)] * (1 + noise)


TABLE = np.linspace(1, 0.1, 10)


def test_a_device_of_a_users_own_is_moved_by_its_step() -> None:
    array = Array(Tabled(), 3, 4, seed=1, update=MEAN_OF)
    W, (step, low, high) = array.weights.astype(float), plain(array.main)
    x, d = vectors(2, 5, 3, 4)
    for row, error in zip(x, d, strict=True):
        mean_update(W, row, error, float(np.float32(0.02)), 0.01, step, low, high)
    array.update(x, d, 0.02)
    np.testing.assert_allclose(array.weights, W, rtol=0, atol=1e-6)
    assert np.isfinite(make_plane("c", array.layout, Tabled(), pulsed=MEAN).bounds).all()
