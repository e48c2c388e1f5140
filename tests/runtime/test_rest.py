"""What happens to devices besides pulses: write noise, random walk, decay, reset, drift."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from rpucc import Array
from rpucc.cli.main import cli
from rpucc.errors import ArgumentError, TargetError
from rpucc.runtime import plane_rest
from rpucc.runtime.devices.ideal import Ideal
from rpucc.runtime.devices.rest import KEYS
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import state_bytes
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference import rest as plain
from rpucc.runtime.reference.update import coincidences, gains
from rpucc.runtime.scalars.philox import DRIFT, FABRICATE, WRITE_NOISE
from rpucc.runtime.trainer import Trainer

from .bounds import deviations
from .test_cells_machine import VECTORS, data, tiny

Floats = NDArray[np.float64]

ROWS, COLUMNS = (0, 2, 5), (0, 7, 19)
SEED = 3
KEY = (SEED, 0)
SOFT = {"model": "soft-bounds", "dw_min": 0.004, "w_max": 0.3, "w_min": -0.2}
SPREADS = {
    "lifetime": 8.0, "lifetime_dtod": 0.4, "diffusion": 0.06, "diffusion_dtod": 0.5, "reset": 0.05,
    "reset_dtod": 0.1,
}  # fmt: skip


def tiled(device: dict[str, Any], **more: Any) -> Array:
    return Array(device, 5, 19, seed=SEED, row_cuts=ROWS, col_cuts=COLUMNS, **more)


def tiles(plane: Plane) -> list[tuple[int, slice, slice]]:
    return [
        (int(plane.layout.tiles[b, s]), slice(*rows), slice(*cols))
        for b, rows in enumerate(pairwise(ROWS))
        for s, cols in enumerate(pairwise(COLUMNS))
    ]


def spread(plane: Plane, which: int) -> Floats:
    """What was drawn once for each device."""
    found = np.empty(plane.W.shape)
    for tile, rows, cols in tiles(plane):
        found[rows, cols] = plain.drawn(found[rows, cols].shape, which, FABRICATE, tile, 0, KEY)
    return found


def pulsed_by(plane: Plane, x: Floats, d: Floats, lr: float, sample: int) -> NDArray[np.bool_]:
    """Where pulses of an update of one vector arrive."""
    found = np.zeros(plane.W.shape, bool)
    for tile, rows, cols in tiles(plane):
        bl, cx, cd = gains(x, d, lr, plane.device.granularity, 10, False, False)
        shape = found[rows, cols].shape
        fired = coincidences(x[cols], d[rows], 0, shape[0], tile, sample, KEY, bl, cx, cd)
        found[rows, cols] = np.any(fired[0][:, :, None] & fired[1][:, None, :], axis=0)
    return found


# ---------------------------------------------------------------- write noise


@pytest.mark.parametrize("model", ["soft-bounds", "constant-step"])
def test_reads_see_what_was_written_with_noise_of_its_own(model: str) -> None:
    """Draw for draw: programmed, pulsed by an update, pulsed by counts; others keep theirs."""
    array = tiled({**SOFT, "model": model, "write_noise_std": 6.0})
    plane, std = array.main, float(np.float32(6 * 0.004))
    assert plane.seen is array.visible is not plane.W
    array.program(np.full((5, 19), 0.05))
    seen = np.empty((5, 19))
    for tile, rows, cols in tiles(plane):
        number = (1 << 31) + 1  # it was programmed to 0 when it was made
        noise = plain.drawn(seen[rows, cols].shape, number, WRITE_NOISE, tile, 0, KEY)
        seen[rows, cols] = plane.W[rows, cols] + std * noise
    np.testing.assert_allclose(array.weights, seen, rtol=0, atol=1e-6)
    rng = np.random.default_rng(1)
    x, d = (np.float32(rng.uniform(-1, 1, n)).astype(float) for n in (19, 5))
    d[3] = 0
    for sample in range(3):
        before = plane.W.copy()
        if sample == 1:
            written = rng.random((5, 19)) < 0.1
            array.pulse(np.where(written, 2, 0))
        else:
            written = pulsed_by(plane, x, d, 0.01, sample)
            array.update(x, d, 0.01)
        assert 5 < written.sum() < 60
        assert not np.any((before != plane.W) & ~written)
        for tile, rows, cols in tiles(plane):
            part = written[rows, cols]
            plain.settle(seen[rows, cols], plane.W[rows, cols], part, std, tile, sample, KEY)
        np.testing.assert_allclose(array.weights, seen, rtol=0, atol=1e-6)


def test_write_noise_neither_adds_up_nor_is_remembered() -> None:
    """After any number of pulses its variance is σ², and what it was before plays no part."""
    array = Array({"model": "ideal", "dw_min": 0.001, "write_noise_std": 20.0}, 100, 100)
    n, std, found = 10_000, 0.02, []
    array.program(np.zeros((100, 100)))
    for _ in range(3):
        found.append((array.weights - array.main.W).astype(float))
        array.pulse(np.full((100, 100), 5))
    for noise in found:
        assert abs(noise.mean()) < deviations() * std / np.sqrt(n)
        assert abs(noise.var() / std**2 - 1) < deviations() * np.sqrt(2 / n)
    for one, other in pairwise(found):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < deviations() / np.sqrt(n)
    np.testing.assert_allclose(array.main.W, 0.015, rtol=1e-5)


def test_pulses_move_what_they_would_without_write_noise() -> None:
    """The hidden weights are those of devices that have none, bit for bit."""
    arrays = [tiled({**SOFT, "write_noise_std": std}) for std in (0.0, 6.0)]
    rng = np.random.default_rng(0)
    x, d = rng.uniform(-1, 1, (4, 19)), rng.uniform(-1, 1, (4, 5))
    for array in arrays:
        array.update(x, d, 0.02)
    np.testing.assert_array_equal(arrays[0].weights, arrays[1].main.W)
    assert arrays[0].main.seen is arrays[0].main.W


def test_the_mean_of_pulses_writes_what_it_moves() -> None:
    array = tiled({**SOFT, "write_noise_std": 6.0}, update={"pulsed": "mean"})
    rng = np.random.default_rng(0)
    x, d = rng.uniform(-1, 1, 19), rng.uniform(-1, 1, 5)
    x[4], d[2] = 0, 0
    before = array.weights - array.main.W
    array.update(x, d, 0.02)
    noise = array.weights - array.main.W
    np.testing.assert_array_equal(noise == before, (d[:, None] == 0) | (x == 0))


# ---------------------------------------------------------------- walk and decay


def test_a_step_without_pulses_is_that_of_the_formula() -> None:
    """Draw for draw, every quantity of every device of its own; what is seen moves alike."""
    array = tiled({**SOFT, **SPREADS, "write_noise_std": 3.0})
    array.program(np.random.default_rng(0).uniform(-0.2, 0.3, (5, 19)))
    plane = array.main
    W, noise = plane.W.astype(float), array.weights - plane.W
    lifetime = 8 * (1 + 0.4 * spread(plane, plane_rest.OF_LIFETIME))
    diffusion = np.abs(0.06 * (1 + 0.5 * spread(plane, plane_rest.OF_DIFFUSION)))
    targets = 0.05 + 0.1 * spread(plane, plane_rest.OF_RESET)
    cut = 0
    for sample in range(6):
        array.rest()
        for tile, rows, cols in tiles(plane):
            at = rows, cols
            bounds = plane.bounds[0][at].astype(float), plane.bounds[1][at].astype(float)
            own = diffusion[at], lifetime[at], targets[at], bounds
            free = plain.rest(W[at], *own[:-1], (-np.inf, np.inf), tile, sample, KEY)
            W[at] = plain.rest(W[at], *own, tile, sample, KEY)
            cut += int(np.sum(W[at] != free))
        np.testing.assert_allclose(plane.W, W, rtol=0, atol=1e-6)
        np.testing.assert_allclose(array.weights - plane.W, noise, rtol=0, atol=1e-6)
    assert cut > 50


@pytest.mark.parametrize(("lifetime", "left"), [(10.0, 0.9**20), (1.0, 0.0), (0.3, 0.0)])
def test_weights_decay_by_the_share_of_their_lifetime(lifetime: float, left: float) -> None:
    """To (1 - 1/t)^n of their distance to `reset`; all at once where t is 1 or less."""
    array = Array({"model": "ideal", "lifetime": lifetime, "reset": 0.1}, 2, 3)
    array.program([[0.5, 0.1, -0.3]] * 2)
    for _ in range(20):
        array.rest()
    np.testing.assert_allclose(
        array.weights, [0.1 + left * np.array([0.4, 0, -0.4])] * 2, atol=1e-6
    )


def test_a_walk_grows_with_the_root_of_time() -> None:
    array = Array({"model": "ideal", "diffusion": 0.01}, 100, 100)
    for _ in range(25):
        array.rest()
    walked, n = array.weights.astype(float), 10_000
    assert abs(walked.mean()) < deviations() * 0.05 / np.sqrt(n)
    assert abs(walked.var() / 0.05**2 - 1) < deviations() * np.sqrt(2 / n)


def test_nothing_moves_where_there_is_no_device() -> None:
    array = tiled({**SOFT, **SPREADS, "write_noise_std": 3.0, "nu": 0.1, "w_noise_std": 0.1})
    plane = array.main
    plane.missing = np.random.default_rng(0).random((5, 19)) < 0.5
    array.program(np.full((5, 19), 0.1))
    for _ in range(2):
        array.rest()
        array.drift(10)
    np.testing.assert_array_equal(array.weights[plane.missing], 0)
    np.testing.assert_array_equal(plane.W[plane.missing], 0)
    assert np.all(array.weights[~plane.missing] != 0)


# ---------------------------------------------------------------- drift


def test_weights_drift_from_when_they_were_written() -> None:
    """w0 (t / t_0)^-ν, from t_0 on; a pulse starts the clock of its device anew."""
    array = Array({"model": "ideal", "dw_min": 0.01, "nu": 0.1, "t_0": 2.0}, 1, 3)
    array.program([[0.5, -0.5, 0.2]])
    array.drift(1.5)
    np.testing.assert_allclose(array.weights, [[0.5, -0.5, 0.2]])  # not yet
    array.drift(18.5)
    np.testing.assert_allclose(array.weights, [np.array([0.5, -0.5, 0.2]) * 10**-0.1], rtol=1e-6)
    array.pulse([[0, 0, 3]])
    pulsed = float(array.weights[0, 2])
    array.drift(20)
    share = 20**-0.1, 20**-0.1, 10**-0.1
    np.testing.assert_allclose(array.weights, [np.array([0.5, -0.5, pulsed]) * share], rtol=1e-6)
    array.program([[0.5, -0.5, 0.2]])
    array.drift(20)
    np.testing.assert_allclose(array.weights, [np.array([0.5, -0.5, 0.2]) * 10**-0.1], rtol=1e-6)


def test_drift_is_that_of_the_formula() -> None:
    """Draw for draw; noise is drawn anew at every call and does not add up; walks stay."""
    keys = {"nu": 0.06, "nu_dtod": 0.4, "nu_std": 0.3, "nu_k": 0.02, "g0": 0.1, "w_noise_std": 0.01}
    array = tiled({**SOFT, **keys, "diffusion": 0.01, "write_noise_std": 3.0})
    array.program(np.random.default_rng(0).uniform(-0.2, 0.25, (5, 19)))
    plane = array.main
    noise, origin = array.weights - plane.W, plane.W.astype(float)
    for call, seconds in enumerate((30.0, 3000.0)):
        own = [np.empty((5, 19)) for _ in range(2)]
        for tile, rows, cols in tiles(plane):
            for i, each in enumerate(own):
                shape = each[rows, cols].shape
                each[rows, cols] = plain.drawn(shape, 2 * call + i, DRIFT, tile, 0, KEY)
        nu = 0.06 * (1 + 0.4 * spread(plane, plane_rest.OF_NU) + 0.3 * own[0])
        nu -= 0.02 * np.log(np.abs(origin) / 0.1)
        seconds_since = 30.0 + seconds * call
        low, high = plane.bounds.astype(float)
        found = plain.drift(
            origin, np.full((5, 19), seconds_since), nu, 1.0, 0.01 * own[1], (low, high)
        )
        array.drift(seconds)
        np.testing.assert_allclose(plane.W, found, rtol=0, atol=2e-6)
        np.testing.assert_allclose(array.weights - plane.W, noise, rtol=0, atol=1e-6)
        before = plane.W.copy()
        array.rest()
        origin += plane.W - before


def test_what_cannot_happen_is_refused() -> None:
    array = Array("ideal", 2, 2)
    with pytest.raises(ArgumentError, match="no device of the array drifts; set nu"):
        array.drift(1)
    with pytest.raises(ArgumentError, match="no device of the array diffuses or decays"):
        array.rest()
    with pytest.raises(ArgumentError, match="seconds"):
        Array({"model": "ideal", "nu": 0.1}, 2, 2).drift(0)
    with pytest.raises(TargetError, match=r"lifetime = -1: device 'ideal' takes 0 to 1e\+07"):
        Array({"model": "ideal", "lifetime": -1}, 2, 2)


# ---------------------------------------------------------------- machines

ALL = (
    "device.write_noise_std=5", "device.lifetime=50", "device.lifetime_dtod=0.3",
    "device.diffusion=0.001", "device.reset_std=0.01", "device.nu=0.05",
)  # fmt: skip


def test_a_machine_is_the_same_on_any_threads_and_after_a_stop(tmp_path: Path) -> None:
    """Cells of which reads see both planes; time passes before the stop and after it."""
    program = tiny(*VECTORS, *ALL, "cell.reset_fast=true", "cell.gamma=0.5")
    whole = Machine(program, seed=2)
    other = Machine(program, seed=2)
    for machine, threads in ((whole, 1), (other, 3)):
        Trainer(machine, threads).fit(data(), epochs=1, batch_size=7, lr=0.1)
        machine.drift(10)
    other.save(tmp_path / "run")
    other = Machine.load(tmp_path / "run")
    for machine in (whole, other):
        Trainer(machine).fit(data(), epochs=2, batch_size=7, lr=0.1)
        machine.drift(1000)
    assert whole.state().keys() == other.state().keys()
    for name, held in whole.state().items():
        np.testing.assert_array_equal(held, other.state()[name], err_msg=name)
    layer = next(iter(whole.arrays.values()))
    noise = layer.planes["fast"].seen - layer.planes["fast"].W
    assert noise.std() == pytest.approx(layer.planes["fast"].device.write_noise, rel=0.4)
    assert {"c.W.slow.seen", "c.W.fast.seen", "c.W.fast.age", "c.W.slow.times"} <= set(whole.held)


def test_devices_of_frozen_layers_rest_too() -> None:
    program = tiny("device.lifetime=10", "layer.c.update.lr_scale=0", target="soft-bounds")
    machine = Machine(program)
    before = machine.arrays["c.W"].weights.copy()
    Trainer(machine).fit(data(), epochs=1, batch_size=7, lr=0.1)  # two steps
    np.testing.assert_allclose(machine.arrays["c.W"].weights, 0.81 * before, rtol=1e-5)


@pytest.mark.parametrize("pulsed", ["true", "false", "mean"])
def test_state_bytes_are_those_of_the_machine(pulsed: str) -> None:
    program = tiny(*VECTORS, *ALL, f"update.pulsed={pulsed}")
    machine = Machine(program)
    ranges = sum(p.ranges.nbytes for a in machine.arrays.values() for p in a.planes.values())
    found = machine.bytes_per_weight * machine.weights - ranges
    assert state_bytes(program) == pytest.approx(found)
    assert bool(len(machine.arrays["c.W"].main.written.marks)) == (pulsed != "false")


def test_the_page_of_devices_has_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    for key, (default, _, _, meaning) in KEYS.items():
        assert f"| `{key}` | {default:g} | {meaning.replace('|', chr(92) + '|')} |" in page


def test_a_device_of_the_users_own_keeps_what_it_calls_so() -> None:
    class Own(Ideal):
        name = "own-with-a-diffusion"
        defaults: ClassVar[dict[str, float]] = {"dw_min": 0.001, "diffusion": 3.0}

    assert not Own().rest.rests
    assert Own(lifetime=5).rest.rests
    assert Own(diffusion=7.0).parameters["diffusion"] == 7.0


def test_a_run_is_measured_later(tmp_path: Path) -> None:
    samples = data(40)
    np.savez(
        tmp_path / "data.npz", x_train=samples.x_train, y_train=samples.y_train,
        x_test=samples.x_test, y_test=samples.y_test,
    )  # fmt: skip
    losses = []
    for nu in ("0.3", "0"):
        machine = Machine(tiny(f"device.nu={nu}"), seed=2)
        machine.save(tmp_path / nu)
        arguments = ["eval", str(tmp_path / nu), "--data", str(tmp_path / "data.npz"), "--json"]
        later = CliRunner().invoke(cli, [*arguments, "--at", "1000"])
        if nu == "0":
            assert later.exit_code == 1
            assert "none of its devices drifts; set device.nu" in later.stderr
            continue
        machine.drift(1000)
        evaluated = Trainer(machine).evaluate(np.array(samples.x_test), np.array(samples.y_test))
        found = json.loads(later.stdout)
        assert found["at"] == 1000
        losses += [found["loss"], json.loads(CliRunner().invoke(cli, arguments).stdout)["loss"]]
        assert losses[0] == evaluated.loss != losses[1]
