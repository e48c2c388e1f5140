"""The compiled update of cells with digital memory against its plain statement, draw for draw."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.cells import CELLS
from rpucc.runtime.instructions import buffered_update
from rpucc.runtime.reference.buffered import Filter, Sizes, sign_changes, write_pulses
from rpucc.runtime.reference.rest import settle
from rpucc.runtime.reference.transfer import read_column
from rpucc.runtime.reference.update import trains, update_tile

from ..tilings import Pulsing, _gains_of, plain_step

Array = np.ndarray[Any, np.dtype[Any]]

R, C, POSITIONS, SAMPLES, BATCHES = 7, 11, 13, 2, 3
ROWS, COLUMNS = (0, 3, R), (0, 4, 9, C)
LR = 0.05
SOFT = {"model": "soft-bounds", "dw_min": 0.005}
"""One vector after the other, with noise of single pulses."""
QUIET = {**SOFT, "dw_min_std": 1e-12}
"""Of so little noise that its numbers play no part; none at all would take other kernels."""
COUNTED = {**QUIET, "model": "constant-step"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "tiki-taka-2": ({"model": "tiki-taka-2", "transfer_lr": 150.0}, {}, 6),
    "plain rate": (
        {"model": "tiki-taka-2", "auto_scale": False, "fast_lr": 0.03, "transfer_every": 4,
         "transfer_columns": 3, "auto_granularity": 0, "transfer_bl": 9, "thres_scale": 2.0,
         "momentum": 0.3, "buffer_cap": 1.5},
        {"read_noise": 0.0, "bound": 0.05, "adc_bits": 5}, 40,
    ),
    "forgetting": (
        {"model": "tiki-taka-2", "transfer_lr": 150.0, "forget_buffer": True, "momentum": 0.2,
         "reset_fast": True, "transfer_every": 2}, {}, 6,
    ),
    "minibatches": (
        {"model": "tiki-taka-2", "transfer_by_minibatch": True, "transfer_columns": 20,
         "transfer_lr": 200.0, "auto_granularity": 100}, {}, 6,
    ),
    "chopped": (
        {"model": "chopped-tiki-taka", "transfer_lr": 150.0, "in_chop_prob": 0.3,
         "transfer_columns": 2}, {}, 6,
    ),
    "by chance": (
        {"model": "chopped-tiki-taka", "transfer_lr": 150.0, "in_chop_prob": 0.4,
         "in_chop_random": True}, {}, 6,
    ),
    "agad": (
        {"model": "agad", "transfer_lr": 150.0, "in_chop_prob": 0.4, "tail_weightening": 2.0},
        {}, 6,
    ),
    "corrected": (
        {"model": "agad", "transfer_lr": 3.0, "in_chop_prob": 0.5, "warm_up": False,
         "correct_gradient_magnitudes": True}, {}, 6,
    ),
    "residual-2": (
        {"model": "residual-2", "transfer_lr": 60.0, "gamma": 0.4, "fast_lr": 0.5,
         "momentum": 0.4}, {}, 6,
    ),
}  # fmt: skip
"""Name -> the cell, its periphery, and BL."""


def make(
    case: str, device: Any = SOFT, seed: int = 3, *, cuts: bool = True, **more: Any
) -> rpucc.Array:
    cell, periphery, bl = CASES[case]
    return rpucc.Array(
        device, R, C, seed, row_cuts=ROWS if cuts else None, col_cuts=COLUMNS if cuts else None,
        cell={**cell, "shift_fast": False, **more}, periphery={"read_noise": 0.06, **periphery},
        update={"bl": bl, "update_management": True},
    )  # fmt: skip


def data(batch: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(batch)
    X = rng.uniform(-1, 1, (SAMPLES, POSITIONS, C)).astype(np.float32)
    D = rng.uniform(-0.8, 0.8, (SAMPLES, POSITIONS, R)).astype(np.float32)
    return X, np.where(rng.random(D.shape) < 0.5, D, np.float32(0))


def run(array: rpucc.Array, batches: int = BATCHES) -> int:
    return sum(array.update(*data(batch), LR) for batch in range(batches))


class Plain:
    """A standalone array of cells, vector by vector in float64, with the same draws."""

    def __init__(self, array: rpucc.Array) -> None:
        self.array, self.cell = array, array.policy.cell.settings
        self.slow, self.fast = (array.planes[name] for name in self.cell.planes)
        self.W, self.A = self.slow.W.astype(float), self.fast.W.astype(float)
        self.H, self.P, self.offset = (np.zeros((R, C)) for _ in range(3))
        self.signs, self.switched = np.ones(C), np.zeros(C, bool)
        self.sizes = Sizes(0.01 / (POSITIONS * SAMPLES))
        self.n = self.sample0 = self.pulses = 0
        self.key = (int(self.slow.layout.key[0]), int(self.slow.layout.key[1]))
        self.counts: dict[int, Array] = {}
        self.seen = {name: plane.seen.astype(float) for name, plane in array.planes.items()}
        self.marks = {name: np.zeros((R, C), bool) for name in array.planes}

    def step(self, X: Array, D: Array) -> None:
        cell, before = self.cell, self.n
        vectors = [(i, p) for i in range(len(X)) for p in range(X.shape[1])]
        for i, p in vectors:
            product = self.sizes.measure(X[i, p], D[i, p]) if cell.auto_scale else np.float32(1)
            self.pulse(X[i, p], D[i, p] * (np.float32(1) / product), p, self.sample0 + i)
            if cell.transfer_by_minibatch and (i, p) != vectors[-1]:
                continue
            self.n += 1
            if self.n % cell.transfer_every == 0:
                first = 0 if cell.transfer_by_minibatch else before + i * POSITIONS
                self.transfer(first, self.sample0 + i, float(product))
        for name, W in (("slow", self.W), ("fast", self.A)):
            for tile, r, c in blocks(self.array.planes[name].layout):
                self.see(name, W, r, c, self.marks[name][r, c].copy(), tile, self.sample0, -1)
        self.sample0 += len(X)

    def see(
        self, name: str, W: Array, r: slice, c: slice, which: Array, tile: int, sample: int,
        position: int,
    ) -> None:  # fmt: skip
        """Draw what reads see of these devices of a tile, where they were written."""
        std = float(self.array.planes[name].device.write_noise)
        settle(self.seen[name][r, c], W[r, c], which.copy(), std, tile, sample, self.key, position)
        self.marks[name][r, c] &= ~which

    @property
    def fast_lr(self) -> float:
        aim = self.array.policy.update.bl * self.fast.device.granularity
        lr = LR if self.cell.scale_fast_lr else 1.0
        return self.cell.fast_lr * lr * (aim if self.cell.auto_scale else 1.0)

    def pulse(self, x: Array, d: Array, position: int, sample: int) -> None:
        """The stochastic update of the fast array by one vector."""
        bl_max, before = self.array.policy.update.bl, self.A.copy()
        slots = len(trains(bl_max, bl_max))
        x = (self.signs * x).astype(np.float32)
        how = Pulsing(self.fast_lr, bl_max, True, False, POSITIONS * slots, sample)
        for train in range(slots):
            at = position * slots + train
            rows = np.repeat(x[None], at + 1, axis=0), np.repeat(d[None], at + 1, axis=0)
            bl, cx, cd = _gains_of(self.fast, *rows, at, how)
            for tile, r, c in blocks(self.fast.layout):
                if at == 0:
                    self.counts[tile] = np.zeros(r.stop - r.start, np.int64)
                self.pulses += update_tile(
                    self.A[r, c], x[c], d[r], at, self.counts[tile], plain_step(self.fast, r, c),
                    tile, sample, self.key, bl, cx, cd,
                )  # fmt: skip
        self.marks["fast"] |= before != self.A

    def transfer(self, first: int, sample: int, product: float) -> None:
        """One transfer in every tile. first: vectors, or minibatches, before the sample."""
        cell, policy = self.cell, self.array.policy
        event = self.n // cell.transfer_every - 1
        earlier = event if cell.transfer_by_minibatch else first // cell.transfer_every
        changes = set()
        for (slow_tile, r, c), (fast_tile, _, _) in zip(
            blocks(self.slow.layout), blocks(self.fast.layout), strict=True
        ):
            width = c.stop - c.start
            taken = min(cell.transfer_columns, width)
            for turn in range(taken):
                passes, k = divmod(event * taken + turn, width)
                k, j = c.start + k, (event - earlier) * taken + turn
                column = np.arange(width) == k - c.start
                now = self.marks["fast"][r, c] & column
                self.see("fast", self.A, r, c, now, fast_tile, sample, j)
                A = self.seen["fast"] if self.fast.device.write_noise else self.A
                v = read_column(
                    A[r, k], j, 0, (fast_tile, sample), self.key,
                    noise=float(np.float32(policy.periphery.read_noise)),
                    bound=policy.periphery.bound, adc_bits=policy.periphery.adc_bits,
                )  # fmt: skip
                n = self.filter(width, taken, product).take(
                    v, self.signs[k], self.switched[k], passes <= self.held, self.H[r, k],
                    self.P[r, k], self.offset[r, k],
                )  # fmt: skip
                step = plain_step(self.slow, r, c)
                self.pulses += write_pulses(
                    self.W[r, k], n,
                    lambda w, up, noise, row, k=k - c.start, step=step: step(w, up, noise, row, k),
                    j, (slow_tile, sample), self.key,
                )  # fmt: skip
                self.marks["slow"][r, k] |= n != 0
                self.A[r, k] *= not cell.reset_fast
                changes.add((k, passes, j))
        chance = getattr(cell, "chop_chance", 0.0)
        place = int(self.fast.layout.tiles[0, 0]), sample
        for k, passes, j in changes:
            flips = sign_changes(k, passes, j, cell.period, chance, place, self.key)
            self.switched[k], self.signs[k] = flips, self.signs[k] * (-1 if flips else 1)

    @property
    def held(self) -> int:
        return self.cell.held_passes or -1

    def filter(self, width: int, taken: int, product: float) -> Filter:
        """The digital rule, from the cell's keys."""
        cell, g = self.cell, self.slow.device.granularity
        every = cell.transfer_every * (POSITIONS * SAMPLES if cell.transfer_by_minibatch else 1)
        unit = g * getattr(cell, "thres_scale", 1.0) * getattr(cell, "buffer_granularity", 1.0)
        if cell.auto_granularity:
            unit *= cell.auto_granularity / (every * width / taken)
        scale = cell.transfer_lr * (LR if cell.scale_transfer_lr else 1.0) / unit
        if cell.correct_gradient_magnitudes:
            scale /= self.fast_lr / product
        tail, period = getattr(cell, "tail_weightening", 0.0), cell.period
        decays = cell.model == "residual-2"
        kept = not decays and cell.buffer_cap and not cell.forget_buffer
        return Filter(
            scale, cell.transfer_bl, cell.momentum, not decays and cell.forget_buffer,
            cell.buffer_cap * cell.transfer_bl if kept else np.inf,
            min(tail / period, 1.0) if period else 0.0, cell.model == "agad", decays,
        )  # fmt: skip


def blocks(layout: Any) -> list[tuple[int, slice, slice]]:
    """(tile, rows, columns) of a layout."""
    return [
        (int(layout.tiles[b, s]), slice(*map(int, rows)), slice(*map(int, cols)))
        for b, rows in enumerate(pairwise(layout.row_cuts))
        for s, cols in enumerate(pairwise(layout.col_cuts))
    ]


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pulses be numbered as if vectors came one by one: one transfer a window."""
    turns = buffered_update.turns_of
    monkeypatch.setattr(buffered_update, "turns_of", lambda *how: turns(*how)._replace(most=1))


def assert_same(array: rpucc.Array, plain: Plain) -> None:
    np.testing.assert_allclose(plain.fast.W, plain.A, rtol=0, atol=3e-6)
    np.testing.assert_allclose(plain.slow.W, plain.W, rtol=0, atol=3e-6)
    found = {name: array.buffers.get(name) for name in ("buffer", "recent", "offset")}
    for name, expected in zip(found, (plain.H, plain.P, plain.offset), strict=True):
        if found[name] is not None:
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=2e-4)
    if "chopped" in array.buffers:
        np.testing.assert_array_equal(1 - 2 * array.buffers["chopped"], plain.signs)
    if "switched" in array.buffers:
        np.testing.assert_array_equal(array.buffers["switched"] != 0, plain.switched)
    if plain.cell.auto_scale:
        np.testing.assert_allclose(array.buffers["sizes"], plain.sizes.means, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_plain_statement(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all noise; what vectors are pulsed in is as it is stated, one after the other."""
    one_at_a_time(monkeypatch)
    array = make(case)
    plain = Plain(array)
    pulses = run(array)
    for batch in range(BATCHES):
        plain.step(*data(batch))
    assert pulses == plain.pulses > 100
    assert_same(array, plain)
    assert np.mean(plain.slow.W != 0) > 0.2
    assert not plain.signs.all() or plain.cell.period == 0 or np.any(plain.signs < 0)


@pytest.mark.parametrize("case", ["tiki-taka-2", "agad"])
def test_reads_see_the_noise_of_writing(case: str) -> None:
    """Of both arrays, drawn when a written device is read, or behind a step."""
    array = make(case, {**QUIET, "write_noise_std": 6})
    plain = Plain(array)
    run(array)
    for batch in range(BATCHES):
        plain.step(*data(batch))
    assert_same(array, plain)
    for name, plane in array.planes.items():
        np.testing.assert_allclose(plane.seen, plain.seen[name], rtol=0, atol=3e-6)
        assert np.mean(np.abs(plane.seen - plane.W) > 0.003) > 0.2


@pytest.mark.parametrize("device", [QUIET, COUNTED], ids=["one by one", "counted"])
@pytest.mark.parametrize("case", ["forgetting", "agad"])
def test_windows_are_the_plain_statement(case: str, device: dict[str, Any]) -> None:
    """Vectors of a window, taken in two goes: to rounding what one after the other comes to."""
    array = make(case, device)
    plain = Plain(array)
    assert buffered_update.turns_of(plain.cell, plain.slow, 0, 1, POSITIONS).most > 1
    pulses = run(array)
    for batch in range(BATCHES):
        plain.step(*data(batch))
    assert pulses == plain.pulses > 100
    assert_same(array, plain)


@pytest.mark.parametrize("device", [SOFT, COUNTED], ids=["one by one", "counted"])
def test_windows_have_noise_of_the_same_distribution(
    device: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which pulse gets which number differs, and nothing else: means and variances over seeds."""
    found = []
    for apart in (False, True):
        if apart:
            one_at_a_time(monkeypatch)
        states = []
        for seed in range(100):
            array = make("tiki-taka-2", {**device, "dw_min_std": 1.0}, seed=0)
            array._samples = 1000 * seed
            run(array, 1)
            states.append(array.planes["fast"].W.copy())
        found.append(np.array(states, float).reshape(100, -1))
    means, variances = [f.mean(axis=0) for f in found], [f.var(axis=0, ddof=1) for f in found]
    z = (means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 100)
    # The same streams fire in both, so that z is smaller than a normal; 77 devices.
    assert np.max(np.abs(z)) < 4
    # 77 variances of 100 runs each: 5 standard deviations of the ratio of their sums.
    assert abs(np.sum(variances[0]) / np.sum(variances[1]) - 1) < 0.12


@pytest.mark.parametrize("name", ["constant-step", "soft-bounds"])
def test_rows_in_parts_give_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter how many reads have their noise drawn together."""
    states = []
    for piece, together in ((4, 8192), (1, 1), (2, 8192)):
        monkeypatch.setattr(buffered_update, "READ_TOGETHER", together)
        monkeypatch.setattr(buffered_update, "cut", lambda rows, _, n, p=piece: parts_of(rows, p))
        array = make("agad", {"model": name, "dw_min": 0.005})
        run(array)
        states.append({key: held.copy() for key, held in array.state().items()})
    for state in states[1:]:
        for key, held in state.items():
            np.testing.assert_array_equal(held, states[0][key], key)


def parts_of(rows: int, piece: int) -> list[tuple[int, int]]:
    """All rows, in parts."""
    return [(a, min(rows, a + piece)) for a in range(0, rows, piece)]


def test_the_mean_of_a_write_is_a_pulse_without_noise() -> None:
    """Whole pulses, as where they are drawn: two runs differ by the fast array's rounding alone."""
    array = rpucc.Array(
        {**QUIET, "w_max_dtod": 0, "w_min_dtod": 0, "dw_min_dtod": 0, "up_down_dtod": 0}, R, C,
        cell={**CASES["agad"][0], "transfer_lr": 1500.0, "slow": {"w_max": 1e6, "w_min": -1e6}},
        update={"pulsed": "mean", "bl": 6},
    )  # fmt: skip
    run(array)
    steps = array.planes["slow"].W / 0.005
    assert np.mean(steps != 0) > 0.1
    np.testing.assert_allclose(steps, np.round(steps), rtol=0, atol=2e-3)


def test_choppers_and_their_cells_are_all_here() -> None:
    """A new cell with digital memory has a case."""
    from rpucc.cells.buffered import Buffered

    with_memory = {name for name, cell in CELLS.items() if issubclass(cell, Buffered)}
    assert with_memory == {case[0]["model"] for case in CASES.values()}
