"""Mixed precision: draw for draw its plain statement, what it conserves, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.runtime import threads
from rpucc.runtime.cycles import UpdateCycle
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.accumulated import round_to_bins, rows_in_turn, send_tile
from rpucc.runtime.scalars.philox import BIN_ERROR, BIN_INPUT

from .tilings import Tiling, plain_step

Array = np.ndarray[Any, np.dtype[Any]]

TILING = Tiling((0, 3, 7), (0, 4, 9, 11))
R, C = TILING.shape
N, P = 3, 4
LR = 0.05
SOFT = {"model": "soft-bounds", "dw_min": 0.004}
IDEAL = {"model": "ideal", "dw_min": 0.004}


def array(device: dict[str, Any], tiling: Tiling = TILING, **keys: Any) -> rpucc.Array:
    pulsed = keys.pop("pulsed", True)
    return rpucc.Array(
        device, *tiling.shape, seed=7, row_cuts=tiling.row_cuts, col_cuts=tiling.col_cuts,
        cell={"model": "mixed-precision", **keys}, update={"pulsed": pulsed},
    )  # fmt: skip


def batches(count: int, positions: int = P) -> list[tuple[Array, Array]]:
    random = np.random.default_rng(1)
    return [
        (
            random.uniform(-1, 1, (N, positions, C)).astype(np.float32),
            random.uniform(-0.3, 0.3, (N, positions, R)).astype(np.float32),
        )
        for _ in range(count)
    ]


def plain(
    plane: Plane, data: Sequence[tuple[Array, Array]], epsilon: float, every: int, rows: int,
    most: int, bins: tuple[int, int],
) -> tuple[Array, Array, int]:  # fmt: skip
    """(W, chi, pulses) after these minibatches, in float64, one pulse after the other."""
    W, chi, pulses = plane.W.astype(float), np.zeros((R, C)), 0
    key = int(plane.layout.key[0]), int(plane.layout.key[1])
    for number, (x, d) in enumerate(data):
        for i in range(N):
            for p in range(x.shape[1]):
                at = p, number * N + i
                x_p = round_to_bins(x[i, p][None].astype(float), bins[0], BIN_INPUT, 0, at, key)
                d_p = round_to_bins(d[i, p][None].astype(float), bins[1], BIN_ERROR, 0, at, key)
                chi += LR * d_p.T @ x_p
        if (number + 1) % every:
            continue
        for tile, r, c in TILING.blocks():
            due = rows_in_turn(number // every, r.stop - r.start, rows)
            step = plain_step(plane, r, c)
            steps = send_tile(W[r, c], chi[r, c], step, epsilon, most, due, (tile, number * N), key)
            pulses += int(np.abs(steps).sum())
    return W, chi, pulses


@pytest.mark.parametrize(
    ("device", "keys"),
    [
        (SOFT, {}),
        ({"model": "constant-step", "dw_min": 0.004}, {"transfer_rows": 2, "transfer_every": 3}),
        (SOFT, {"transfer_every": 2, "transfer_bl": 2, "granularity": 0.003}),
        (SOFT, {"n_x_bins": 4, "n_d_bins": 6}),
        (SOFT, {"n_d_bins": 2}),
    ],
    ids=["all", "rows", "cut", "bins", "signs"],
)
def test_equals_the_plain_statement(device: dict[str, Any], keys: dict[str, Any]) -> None:
    made, data = array(device, **keys), batches(7)
    bins = keys.get("n_x_bins", 0), keys.get("n_d_bins", 0)
    W, chi, pulses = plain(
        made.main, data, keys.get("granularity", 0.004), keys.get("transfer_every", 1),
        keys.get("transfer_rows", 0), keys.get("transfer_bl", 10**9), bins,
    )  # fmt: skip
    assert sum(made.update(x, d, LR) for x, d in data) == pulses > 50
    np.testing.assert_allclose(made.buffers["chi"], chi, rtol=0, atol=2e-6)
    np.testing.assert_allclose(made.weights, W, rtol=0, atol=2e-6)
    assert int(made.buffers["count"]) == 7


@pytest.mark.parametrize("pulsed", [True, False, "mean"])
@pytest.mark.parametrize(
    "keys", [{}, {"transfer_bl": 3, "transfer_every": 7}, {"transfer_rows": 1, "transfer_bl": 1}]
)
def test_what_is_not_sent_stays(pulsed: bool | str, keys: dict[str, int]) -> None:
    """Spec C.10.7: chi + eps sum n = lr sum d x', and W has moved by -eps sum n, with cuts too."""
    made, data = array(IDEAL, pulsed=pulsed, **keys), batches(21, positions=1)
    total = np.zeros((R, C))
    for x, d in data:
        made.update(x, d, LR)
        total += LR * np.einsum("npr,npc->rc", d.astype(float), x.astype(float))
        np.testing.assert_allclose(made.buffers["chi"] - made.weights, total, rtol=0, atol=2e-6)
    steps = made.weights / np.float32(0.004)
    np.testing.assert_allclose(steps, np.rint(steps), rtol=0, atol=1e-3)
    assert np.abs(steps).max() > 2
    if not keys:
        assert np.abs(made.buffers["chi"]).max() < 0.004


@pytest.mark.parametrize("pulsed", [False, "mean"])
def test_fine_steps_are_minibatch_descent(pulsed: bool | str) -> None:
    """Spec C.10.7: eps -> 0 with a transfer a minibatch is SGD, W fixed within the batch."""
    fine = array({"model": "ideal", "dw_min": 1e-9}, pulsed=pulsed)
    exact = rpucc.Array("ideal", R, C, seed=7, update={"pulsed": False})
    for x, d in batches(20):
        fine.update(x, d, LR)
        exact.update(x, d, LR)
    assert np.abs(exact.weights).max() > 0.05
    np.testing.assert_allclose(fine.weights, exact.weights, rtol=0, atol=1e-6)


def test_rounding_to_bins_is_right_on_average() -> None:
    """Of 4,000 vectors alike: the mean of lr d x' is that without bins, within 5 deviations."""
    x = np.broadcast_to(np.linspace(-1, 1, C, dtype=np.float32), (4000, 1, C))
    d = np.broadcast_to(np.linspace(0.01, 0.3, R, dtype=np.float32), (4000, 1, R))
    made = array(IDEAL, n_x_bins=4, n_d_bins=4, transfer_every=1000)
    made.update(x, d, 1.0)
    found, expected = made.buffers["chi"] / 4000, np.outer(d[0, 0], x[0, 0])
    # A number rounded by chance to bins of a width b has a deviation of b / 2 at most.
    deviation = (0.15 / 2 + 0.3 * 0.5 / 2) / np.sqrt(4000)
    assert np.abs(found - expected).max() < 5 * deviation
    np.testing.assert_allclose(found[-1, [0, C - 1]], [-0.3, 0.3], rtol=1e-4)


def test_any_tiling_sends_the_same_steps() -> None:
    made = [
        array(IDEAL, tiling)
        for tiling in (TILING, Tiling((0, R), (0, C)), Tiling((0, 1, 6, R), (0, 10, C)))
    ]
    for x, d in batches(5):
        pulses = {each.update(x, d, LR) for each in made}
        assert len(pulses) == 1
    for each in made[1:]:
        np.testing.assert_array_equal(each.weights, made[0].weights)
        np.testing.assert_array_equal(each.buffers["chi"], made[0].buffers["chi"])


@pytest.mark.parametrize("keys", [{}, {"transfer_rows": 5, "n_d_bins": 8}], ids=["all", "rows"])
def test_threads_give_the_same_bits(keys: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are cut in pieces of 16, whichever thread has them."""
    monkeypatch.setattr(threads, "MIN_SHARED", 0)
    tiling = Tiling((0, 20, 53), (0, 30, 37))
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (4, 2, 37)).astype(np.float32)
    d = random.uniform(-1, 1, (4, 2, 53)).astype(np.float32)
    found = []
    for count in (1, 3):
        made = array(SOFT, tiling, **keys)
        cycle = UpdateCycle(made, made.policy, x.shape, threads=threads.Threads(count))
        cycle.x[...], cycle.d[...], cycle.lr[...] = x, d, 0.02
        for step in range(3):
            cycle.run(4 * step)
        found.append((made.weights.copy(), made.buffers["chi"].copy(), cycle.tallies.pulses))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][2] > 1000


@pytest.mark.parametrize("pulsed", [True, "mean"])
def test_noise_of_writing_is_drawn_where_steps_were_sent(pulsed: bool | str) -> None:
    made = array({**SOFT, "write_noise_std": 5.0}, pulsed=pulsed)
    for x, d in batches(3):
        W, seen = made.main.W.copy(), made.main.seen.copy()
        made.update(x[:1, :1], d[:1, :1], LR)
        np.testing.assert_array_equal(made.main.seen != seen, made.main.W != W)
        assert 0 < np.mean(made.main.W != W) < 0.9


def test_nothing_breaks_where_a_training_does() -> None:
    """A sum far beyond what devices take: 65,535 pulses each, and the rest of it stays."""
    made = array(IDEAL)
    x, d = np.ones((1, 1, C), np.float32), np.full((1, 1, R), 1e3, np.float32)
    assert made.update(x, d, 10.0) == 65535 * R * C
    assert np.all(made.buffers["chi"] > 9000)


def test_what_a_target_may_say() -> None:
    for key, value in (("n_x_bins", 3), ("granularity", 1e-12), ("transfer_bl", -1)):
        with pytest.raises(rpucc.errors.RpuccError, match=rf"cell\.{key}"):
            array(SOFT, **{key: value})
