"""The compiled update of RIDER cells against its plain statement, draw for draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.runtime.instructions import cell_update
from rpucc.runtime.reference.rest import settle
from rpucc.runtime.reference.rider import RunningMean
from rpucc.runtime.reference.transfer import Link, transfer
from rpucc.runtime.reference.update import trains, update_tile

from ..tilings import Pulsing, _gains_of
from .test_buffered_cells import COLUMNS, LR, POSITIONS, ROWS, C, R, blocks, data
from .test_cells import plain_array

Array = np.ndarray[Any, np.dtype[Any]]
BATCHES = 2
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]

SOFT = {"model": "soft-bounds", "dw_min": 0.005}
CHOPPED = {"transfer_lr": 0.5, "recent_share": 0.4, "gamma": 0.3}

CASES: dict[str, Case] = {
    "flips": ({**CHOPPED, "flip_every": 2, "transfer_columns": 2}, SOFT, {}, 6),
    "by chance": ({**CHOPPED, "flip_every": 2, "flip_random": True}, SOFT, {}, 6),
    "never": ({**CHOPPED, "flip_every": 0, "transfer_every": 3}, SOFT, {}, 6),
    "minibatches": (
        {**CHOPPED, "flip_every": 1, "transfer_by_minibatch": True, "transfer_columns": 20,
         "reset_fast": True, "scale_transfer_lr": True, "transfer_lr": 10.0},
        SOFT, {}, 6,
    ),
    "written with noise, two trains": (
        {**CHOPPED, "flip_every": 1, "transfer_columns": 3},
        {**SOFT, "write_noise_std": 6, "dw_min_std": 1e-12},
        {"read_noise": 0.0, "bound": 0.05, "adc_bits": 5}, 32,
    ),
}  # fmt: skip
"""Name -> the cell, its devices, its periphery, and BL."""


def make(case: str) -> rpucc.Array:
    cell, device, periphery, bl = CASES[case]
    return rpucc.Array(
        device, R, C, 3, row_cuts=ROWS, col_cuts=COLUMNS, cell={"model": "rider", **cell},
        periphery={"read_noise": 0.06, **periphery}, update={"bl": bl, "update_management": True},
    )  # fmt: skip


def run(array: rpucc.Array) -> int:
    return sum(array.update(*data(batch), LR) for batch in range(BATCHES))


class Plain:
    """A standalone array, vector by vector in float64, with the same draws."""

    def __init__(self, array: rpucc.Array) -> None:
        self.array, self.cell = array, array.policy.cell.settings
        self.slow, self.fast = (array.planes[name] for name in ("slow", "fast"))
        self.W, self.A = plain_array(self.slow), plain_array(self.fast)
        rate = self.cell.transfer_lr * (LR if self.cell.scale_transfer_lr else 1)
        self.link = Link(self.A, self.W, rate, self.cell.transfer_every)
        cell, width = self.cell, int(np.max(np.diff(COLUMNS)))
        turn = -(-width // min(cell.transfer_columns, width))
        chance = 1 / cell.flip_every if cell.flip_random else 0.0
        self.mean = RunningMean(
            (R, C), cell.recent_share, turn * (1 if chance else cell.flip_every), chance
        )
        self.key = (int(self.slow.layout.key[0]), int(self.slow.layout.key[1]))
        self.n = self.sample0 = self.pulses = 0
        self.signs: list[float] = []
        self.counts: dict[int, Array] = {}

    def step(self, X: Array, D: Array) -> None:
        vectors = [(i, p) for i in range(len(X)) for p in range(X.shape[1])]
        for i, p in vectors:
            self.signs.append(self.mean.sign)
            self.pulse(X[i, p], D[i, p] * np.float32(self.mean.sign), p, self.sample0 + i)
            if self.cell.transfer_by_minibatch and (i, p) != vectors[-1]:
                continue
            self.n += 1
            if self.n % self.cell.transfer_every == 0:
                self.transfer(p, self.sample0 + i)
        for name, plain in (("slow", self.W), ("fast", self.A)):
            self.see(name, plain)
        self.sample0 += len(X)

    def pulse(self, x: Array, d: Array, position: int, sample: int) -> None:
        bl_max = self.array.policy.update.bl
        slots = len(trains(bl_max, bl_max))
        how = Pulsing(LR * self.cell.fast_lr, bl_max, True, False, POSITIONS * slots, sample)
        for train in range(slots):
            at = position * slots + train
            rows = np.repeat(x[None], at + 1, axis=0), np.repeat(d[None], at + 1, axis=0)
            bl, cx, cd = _gains_of(self.fast, *rows, at, how)
            for tile, r, c in blocks(self.fast.layout):
                if at == 0:
                    self.counts[tile] = np.zeros(r.stop - r.start, np.int64)
                self.pulses += update_tile(
                    self.A.W[r, c], x[c], d[r], at, self.counts[tile], self.A.step(r, c), tile,
                    sample, self.key, bl, cx, cd,
                )  # fmt: skip

    def transfer(self, position: int, sample: int) -> None:
        cell, periphery = self.cell, self.array.policy.periphery
        bl = self.array.policy.update.bl
        slots = len(trains(bl, bl))
        last = position * slots + slots - 1
        self.pulses += transfer(
            self.link, self.n, [(r, c) for _, r, c in blocks(self.fast.layout)],
            cell.transfer_columns, (last, sample), self.key,
            noise=float(np.float32(periphery.read_noise)), bound=periphery.bound,
            adc_bits=periphery.adc_bits, bl=cell.transfer_bl, reset_read=cell.reset_fast,
            digital=self.mean.take,
        )  # fmt: skip
        transfers, place = self.n // cell.transfer_every, (self.A.first_tile, sample)
        self.mean.turn(transfers, last, place, self.key)

    def see(self, name: str, plain: Any) -> None:
        """Behind a step: what reads see of devices that were written."""
        for tile, r, c in blocks(self.array.planes[name].layout):
            settle(
                plain.seen[r, c], plain.W[r, c], plain.written[r, c].copy(), plain.write_noise,
                tile, self.sample0, self.key, -1,
            )  # fmt: skip
            plain.written[r, c] = False


def assert_same(array: rpucc.Array, plain: Plain) -> None:
    np.testing.assert_allclose(plain.slow.W, plain.W.W, rtol=0, atol=3e-6)
    np.testing.assert_allclose(plain.fast.W, plain.A.W, rtol=0, atol=3e-6)
    np.testing.assert_allclose(array.buffers["recent"], plain.mean.Q, rtol=0, atol=3e-6)
    seen = plain.W.seen + array.gains["fast"] * plain.A.seen
    assert array.gains["fast"] == pytest.approx(0.3 * plain.mean.sign)
    if "reference" in array.planes:
        reference = array.planes["reference"]
        held = np.clip(plain.mean.R, *reference.bounds)
        np.testing.assert_allclose(reference.W, held, rtol=0, atol=3e-6)
        seen += array.gains["reference"] * reference.seen
    np.testing.assert_allclose(array.visible, seen, rtol=0, atol=3e-6)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_plain_statement(case: str) -> None:
    array = make(case)
    plain = Plain(array)
    pulses = run(array)
    for batch in range(BATCHES):
        plain.step(*data(batch))
    assert pulses == plain.pulses > 100
    assert_same(array, plain)
    assert np.mean(plain.slow.W != 0) > 0.2
    if plain.cell.flip_every:
        assert bool(array.buffers["flipped"]) == (plain.mean.sign < 0)
        assert {-1.0, 1.0} == set(plain.signs)
        assert np.any(plain.mean.R)


def test_what_a_write_of_the_reference_leaves_is_seen_with_noise() -> None:
    """Of as many devices as there are, each written once: 6 steps of 0.005 about Q."""
    array = make("written with noise, two trains")
    run(array)
    reference = array.planes["reference"]
    gaps = (reference.seen - reference.W).ravel() / 0.03
    assert abs(np.mean(gaps)) < 4 / np.sqrt(gaps.size)
    assert abs(np.var(gaps) - 1) < 4 * np.sqrt(2 / gaps.size)
    assert not reference.written.marks.any()


def test_rows_in_parts_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for piece in (4, 1, 2):
        parts = [(a, min(R, a + piece)) for a in range(0, R, piece)]
        monkeypatch.setattr(cell_update, "cut", lambda rows, _, n, parts=parts: parts)
        array = make("flips")
        run(array)
        states.append({key: held.copy() for key, held in array.state().items()})
    for state in states[1:]:
        for key, held in state.items():
            np.testing.assert_array_equal(held, states[0][key], key)
