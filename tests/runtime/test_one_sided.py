"""Pairs of devices that are only pulsed up: draw for draw, what they hold, refreshes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import TargetError
from rpucc.runtime import threads
from rpucc.runtime.cycles import UpdateCycle
from rpucc.runtime.devices import make_device
from rpucc.runtime.kernels.open_loop import count_pulses
from rpucc.runtime.kernels.pulses import pulse_gains
from rpucc.runtime.reference.one_sided import pulse_pair, written
from rpucc.runtime.reference.pulse_numbers import implicit, mean_counts
from rpucc.runtime.reference.pulses import pulse_tile

from .tilings import Tiling, plain_step

Array = np.ndarray[Any, np.dtype[Any]]

TILING = Tiling((0, 3, 7), (0, 4, 9, 11))
R, C = TILING.shape
N, P = 3, 4
LR = 0.05
SOFT = {"model": "soft-bounds", "dw_min": 0.004}
IDEAL = {"model": "ideal", "dw_min": 0.004}
CAPPED = {"model": "constant-step", "dw_min": 0.004, "dw_min_dtod": 0, "dw_min_std": 0,
          "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0}  # fmt: skip


def array(device: dict[str, Any], tiling: Tiling = TILING, **keys: Any) -> rpucc.Array:
    update = {"pulsed": keys.pop("pulsed", True), "bl": 10, **keys.pop("update", {})}
    periphery = keys.pop("periphery", None)
    return rpucc.Array(
        device, *tiling.shape, seed=7, row_cuts=tiling.row_cuts, col_cuts=tiling.col_cuts,
        cell={"model": "one-sided", **keys}, update=update, periphery=periphery,
    )  # fmt: skip


def batch(seed: int = 1) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (N, P, C)).astype(np.float32)
    return x, random.uniform(-0.5, 0.5, (N, P, R)).astype(np.float32)


def weights(seed: int = 2, size: float = 0.3) -> Array:
    return np.random.default_rng(seed).uniform(-size, size, (R, C)).astype(np.float32)


def planes(made: rpucc.Array) -> tuple[Array, Array]:
    return made.planes["positive"].W, made.planes["negative"].W


@pytest.mark.parametrize("device", [SOFT, {"model": "constant-step", "dw_min": 0.004}])
def test_equals_the_plain_statement(device: dict[str, Any]) -> None:
    made = array(device)
    made.program(weights())
    layout, pair = made.main.layout, [plane.astype(float) for plane in planes(made)]
    before = [plane.copy() for plane in pair]
    step = sum(plane.device.up_granularity for plane in made.planes.values()) / 2
    x, d = batch()
    key, pulses = (int(layout.key[0]), int(layout.key[1])), 0
    for tile, rows, cols in TILING.blocks():
        steps = [plain_step(plane, rows, cols) for plane in made.planes.values()]
        for i in range(N):
            counts = np.zeros(rows.stop - rows.start, np.int64)
            for p in range(P):
                trains = pulse_gains(
                    x[i, p], d[i, p], np.float32(LR), np.float32(step), 10, False, False
                )
                pulses += pulse_pair(
                    (pair[0][rows, cols], pair[1][rows, cols]), x[i, p, cols], d[i, p, rows], p,
                    counts, (steps[0], steps[1]), tile, i, key, trains,
                )  # fmt: skip
    assert made.update(x, d, LR) == pulses > 100
    for found, expected, start in zip(planes(made), pair, before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        assert np.all(expected >= start - 1e-6)
        assert np.mean(expected > start) > 0.3
    np.testing.assert_allclose(made.weights, pair[0] - pair[1], rtol=0, atol=4e-6)


def test_each_side_holds_the_weights_of_its_sign() -> None:
    made, W = array(SOFT), weights()
    made.program(W)
    positive, negative = planes(made)
    np.testing.assert_array_equal(positive, np.maximum(W, 0))
    np.testing.assert_array_equal(negative, np.maximum(-W, 0))
    np.testing.assert_array_equal(made.weights, W)
    made.program(10 * W)
    assert made.clipped > 10
    assert positive.min() == negative.min() == 0


@pytest.mark.parametrize(
    ("model", "keys", "expected"),
    [
        ("ideal", {"dw_min": 0.01}, 0.01),
        ("constant-step", {"dw_min": 0.01, "w_max": 0.5}, 0.01),
        ("soft-bounds", {"dw_min": 0.01, "w_max": 0.5}, 0.005),
        ("linear-step", {"dw_min": 0.01, "gamma_up": 0.5, "w_max": 0.5}, 0.0075),
    ],
)
def test_a_pulse_up_is_counted_half_way_to_the_top(
    model: str, keys: dict[str, float], expected: float
) -> None:
    assert make_device(model, keys).up_granularity == pytest.approx(expected, rel=1e-5)


def test_the_mean_of_pulses_goes_to_the_side_of_each_vector() -> None:
    """Of ideal devices: W as with exact updates; g+ and g- take what each vector asks for."""
    made = array(IDEAL, pulsed="mean")
    x, d = batch()
    made.update(x, d, LR)
    moves = -LR * np.einsum("npr,npc->nprc", d.astype(float), x.astype(float)).reshape(-1, R, C)
    positive, negative = planes(made)
    np.testing.assert_allclose(positive, np.maximum(moves, 0).sum(axis=0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(negative, np.maximum(-moves, 0).sum(axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pulses", ["mean-count", "deterministic-implicit"])
def test_numbers_of_pulses_go_to_the_side_of_their_sign(pulses: str) -> None:
    """Draw for draw, through each device's own step; in an open loop with draws of their own."""
    made = array(
        SOFT, update={"pulses": pulses}, refresh_every=1, refresh_upper=0.0, refresh_lower=0.0,
        refresh_writes="open-loop",
    )  # fmt: skip
    layout, pair = made.main.layout, [plane.astype(float) for plane in planes(made)]
    x, d = (4 * each for each in batch())
    key, total, room = (int(layout.key[0]), int(layout.key[1])), 0, 12
    step = np.float32(sum(plane.device.up_granularity for plane in made.planes.values()) / 2)
    for i in range(N):
        for p in range(P):
            bl, cx, cd = pulse_gains(x[i, p], d[i, p], np.float32(LR), step, 10, False, False)
            fine = 1 << 24
            number = (
                mean_counts(x[i, p], d[i, p], bl, cx, cd)
                if pulses == "mean-count"
                else implicit(x[i, p], d[i, p], bl, cx, cd, fine, fine)
            )
            for plane, W, side in zip(made.planes.values(), pair, (1, -1), strict=True):
                for tile, rows, cols in TILING.blocks():
                    total += pulse_tile(
                        W[rows, cols], np.maximum(side * number[rows, cols], 0),
                        plain_step(plane, rows, cols), tile, i, key, p * room,
                    )  # fmt: skip
    wanted = np.where(np.minimum(*pair) > 0, pair[0] - pair[1], 0)
    full = wanted != 0
    assert full.sum() > 5
    for plane, W, side in zip(made.planes.values(), pair, (1, -1), strict=True):
        W[full], part = 0, np.maximum(side * wanted, 0)
        tiles = map(int, plane.layout.for_kernels.ids.ravel())
        for tile, (_, rows, cols) in zip(tiles, TILING.blocks(), strict=True):
            counts = written(part[rows, cols], plane.device.up_granularity, tile, 0, key, 31)
            total += pulse_tile(
                W[rows, cols], counts, plain_step(plane, rows, cols), tile, 0, key, P * room
            )
    assert made.update(x, d, LR) == total > 100
    np.testing.assert_allclose(np.stack(planes(made)), pair, rtol=0, atol=4e-6)


def test_rank_1_moves_each_side_up_to_its_bound() -> None:
    made = array({**SOFT, "w_max": 0.2, "write_noise_std": 5.0}, pulsed="rank-1")
    x, d = batch()
    x[..., 2] = 0
    tops = [plane.bounds[1].astype(float) for plane in made.planes.values()]
    pair, seen = np.zeros((2, R, C)), [plane.seen.copy() for plane in made.planes.values()]
    for row, error in zip(x.reshape(-1, C).astype(float), d.reshape(-1, R), strict=True):
        move = -0.5 * np.outer(error.astype(float), row)
        for W, top, side in zip(pair, tops, (1, -1), strict=True):
            np.minimum(W + np.maximum(side * move, 0), top, out=W)
    assert made.update(x, d, 0.5) == 0
    np.testing.assert_allclose(np.stack(planes(made)), pair, rtol=0, atol=1e-6)
    assert 0.1 < np.mean(pair == tops) < 0.9
    for plane, before in zip(made.planes.values(), seen, strict=True):
        np.testing.assert_array_equal(plane.seen == before, plane.W == 0)


def test_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MIN_SHARED", 0)
    found = []
    for pulsed in (True, False):
        for count in (1, 3):
            made = array(SOFT, pulsed=pulsed)
            x, d = batch()
            cycle = UpdateCycle(made, made.policy, x.shape, threads=threads.Threads(count))
            cycle.x[...], cycle.d[...], cycle.lr[...] = x, d, LR
            cycle.run(0)
            cycle.run(N)
            found.append(np.stack(planes(made)))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])


# ---------------------------------------------------------------- refreshes


def raised(made: rpucc.Array) -> tuple[Array, Array]:
    """Both devices anywhere up to the top, 0.6."""
    random = np.random.default_rng(5)
    positive, negative = planes(made)
    positive[...], negative[...] = random.uniform(0, 0.6, (2, R, C))
    made.refresh()
    return positive.copy(), negative.copy()


def nothing() -> tuple[Array, Array]:
    return np.zeros((N, P, C), np.float32), np.zeros((N, P, R), np.float32)


@pytest.mark.parametrize("every", [1, 3])
def test_a_refresh_keeps_the_difference(every: int) -> None:
    made = array(CAPPED, refresh_every=every, refresh_upper=0.6, refresh_lower=0.3)
    positive, negative = raised(made)
    for _ in range(every - 1):
        made.update(*nothing(), LR)
    np.testing.assert_array_equal(np.stack(planes(made)), np.stack([positive, negative]))
    assert made.update(*nothing(), LR) == 0
    full = (np.maximum(positive, negative) > 0.36) & (np.minimum(positive, negative) > 0.18)
    assert 10 < full.sum() < 60
    found = planes(made)
    difference = positive - negative
    for plane, side, before in zip(found, (1, -1), (positive, negative), strict=True):
        expected = np.where(full, np.maximum(side * difference, 0), before)
        np.testing.assert_array_equal(plane, expected)
    np.testing.assert_allclose(made.weights, difference, rtol=0, atol=1e-7)


def test_a_refresh_sees_what_a_read_gives() -> None:
    """Noise, bound and ADC: here values in steps of 0.1, none above 0.5."""
    periphery = {"bound": 0.5, "adc_bits": 4, "read_noise": 0.0}
    made = array(CAPPED, refresh_every=1, refresh_upper=0.3, periphery=periphery)
    positive, negative = raised(made)
    made.update(*nothing(), LR)
    step = 2 * 0.5 / (2**4 - 2)
    seen = [np.floor(np.clip(v, -0.5, 0.5) / step + 0.5) * step for v in (positive, negative)]
    full = (np.maximum(*seen) > 0.18) & (np.minimum(*seen) > 0.15)
    np.testing.assert_allclose(
        made.weights, np.where(full, seen[0] - seen[1], positive - negative), rtol=0, atol=1e-6
    )
    noisy = array(CAPPED, refresh_every=1, refresh_upper=0.3, periphery={"read_noise": 0.05})
    raised(noisy)
    noisy.update(*nothing(), LR)
    changed = noisy.weights - (positive - negative)
    moved = np.abs(changed) > 1e-6
    assert moved.sum() > 20
    # A difference of two reads: 0.05 √2. Of 20 and more a deviation is known to 16 %.
    assert 0.5 < np.std(changed[moved]) / (0.05 * np.sqrt(2)) < 1.6


def test_an_open_loop_pulses_as_the_plain_statement_counts() -> None:
    made = array(CAPPED, refresh_every=1, refresh_upper=0.6, refresh_writes="open-loop")
    positive, negative = raised(made)
    full = (np.maximum(positive, negative) > 0.36) & (np.minimum(positive, negative) > 0.15)
    wanted = np.where(full, positive - negative, 0)
    counts = np.zeros((R, C), np.int64)
    for plane, side in zip(made.planes.values(), (1, -1), strict=True):
        key, part = tuple(map(int, plane.layout.key)), np.maximum(side * wanted, 0).astype(float)
        tiles = plane.layout.for_kernels.ids.ravel()
        for tile, (_, rows, cols) in zip(map(int, tiles), TILING.blocks(), strict=True):
            counts[rows, cols] += written(part[rows, cols], 0.004, tile, 0, key, 31)
    assert made.update(*nothing(), LR) == counts.sum() > 100
    moved = np.where(full, np.sign(wanted) * counts * 0.004, positive - negative)
    np.testing.assert_allclose(made.weights, np.clip(moved, -0.6, 0.6), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("wanted", "mean", "deviation"), [(0.1, 0.55, 0.22), (0.25, 0.86, 0.24), (0.5, 1.14, 0.31)]
)
def test_an_open_loop_overshoots_on_phase_change_memory(
    wanted: float, mean: float, deviation: float
) -> None:
    """Spec A.5: first steps are far larger than those half way up; a verified one does not."""
    table = rpucc.Target.load("pcm").device
    device = {"model": table.model, **table.parameters}
    found = []
    for how in ("open-loop", "verify"):
        made = rpucc.Array(
            device, 10, 400, seed=1,
            cell={"model": "one-sided", "refresh_every": 1, "refresh_upper": 0,
                  "refresh_lower": 0, "refresh_writes": how},
        )  # fmt: skip
        made.planes["positive"].W[...], made.planes["negative"].W[...] = 0.9 + wanted, 0.9
        made.update(np.zeros(400), np.zeros(10), 0.1)
        found.append(made.weights)
    # The devices of a column share its train: a mean is known to deviation / sqrt(400).
    assert abs(found[0].mean() - mean) < 0.005 + 5 * deviation / 20
    assert abs(found[0].std() / deviation - 1) < 0.15
    np.testing.assert_allclose(found[1], wanted, rtol=0, atol=1e-6)


def test_an_open_loop_is_right_on_average_where_trains_are_long_enough() -> None:
    """Alike devices of one tile: the mean of what is fired is what was wanted, in steps."""
    tiling = Tiling((0, 60), (0, 100))
    layout = tiling.layout()
    wanted = np.repeat(np.linspace(-0.1, 0.1, 60, dtype=np.float32)[:, None], 100, axis=1)
    counts, words = np.zeros(wanted.shape, np.int32), np.empty((2, 31 + 128), np.uint32)
    total = np.zeros(60)
    for sample in range(50):
        count_pulses(
            wanted, counts, layout.for_kernels, np.float32(0.004), 31, sample, *layout.key, words
        )
        total += counts.mean(axis=1)
    expected = np.abs(wanted[:, 0]) / 0.004
    # 25 pulses in 25 slots at most; a slot's deviation is 1/2 at most, of 5,000 trains.
    np.testing.assert_allclose(total / 50, expected, rtol=0, atol=5 * 0.5 * 5 / np.sqrt(5000))


@pytest.mark.parametrize("pulsed", [True, "mean"])
def test_noise_of_writing_is_drawn_where_a_device_was_pulsed(pulsed: bool | str) -> None:
    """Not where a pulse was the other one's; and where a refresh wrote both."""
    made = array({**SOFT, "write_noise_std": 5.0}, pulsed=pulsed, refresh_every=3)
    made.program(weights())
    for step in range(2):
        before = [(p.W.copy(), p.seen.copy()) for p in made.planes.values()]
        x, d = batch(step)
        made.update(x[:1, :1], np.where(np.arange(R) % 2, d[:1, :1], 0), 0.02)
        for plane, (W, seen) in zip(made.planes.values(), before, strict=True):
            np.testing.assert_array_equal(plane.seen != seen, plane.W != W)
            assert 0 < np.mean(plane.W != W) < 0.5
    raised(made)
    for plane in made.planes.values():
        plane.seen[...] = plane.W
    before = [(p.W.copy(), p.seen.copy()) for p in made.planes.values()]
    made.update(*nothing(), LR)
    moved = np.any([p.W != W for p, (W, _) in zip(made.planes.values(), before, strict=True)], 0)
    assert 5 < moved.sum() < 70
    for plane, (_, seen) in zip(made.planes.values(), before, strict=True):
        np.testing.assert_array_equal(plane.seen != seen, moved)


def test_symmetry_points_are_refused() -> None:
    with pytest.raises(TargetError, match=r"calibration\.zero_shift: devices of a one-sided cell"):
        rpucc.Array(
            SOFT, 3, 4, cell={"model": "one-sided"}, calibration={"zero_shift": True, "pairs": 3}
        )
