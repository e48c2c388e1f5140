"""The compiled update of a cell against its plain statement, draw for draw; Tiki-Taka's laws."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rpucc.cells.tiki_taka import TikiTaka
from rpucc.runtime.cells.arguments import (
    Link,
    Rates,
    Timing,
    TransferDraws,
    TransferRead,
    Transfers,
    TransferScratch,
)
from rpucc.runtime.cells.compiled import compile_cell, in_turn
from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.instructions.cell_update import events_of
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.update_arguments import Address, PulsePolicy, Span
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference import transfer
from rpucc.runtime.reference.transfer import columns
from rpucc.runtime.reference.update import trains, update_tile

from ..tilings import Pulsing, Tiling, _gains_of, make_plane, plain_step

R, C, POSITIONS, SAMPLES = 7, 11, 5, 3
SLOW = Tiling((0, 3, R), (0, 4, 9, C), first_tile=2)
FAST = replace(SLOW, first_tile=20)


class OneByOne(ConstantStep):
    """The same device, pulsed one by one as devices without a counted update are."""

    name = "one-by-one"
    counted = False


@dataclass(frozen=True)
class How:
    """Settings of a cell's update."""

    lr: float = 0.05
    bl: int = 10
    every: int = 2
    columns: int = 2
    by_minibatch: bool = False
    transfer_lr: float = 0.5
    transfer_bl: int = 31
    reset: bool = False
    noise: float = 0.06
    bound: float = 0.0
    adc_bits: int = 0
    sample: int = 100
    before: int = 7


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (POSITIONS * SAMPLES, C)).astype(np.float32)
    D = rng.uniform(-0.8, 0.8, (POSITIONS * SAMPLES, R)).astype(np.float32)
    return X, np.where(rng.random(D.shape) < 0.5, D, np.float32(0))


def planes(device: Device, seed: int = 5) -> tuple[Plane, Plane]:
    start = np.random.default_rng(seed).uniform(-0.3, 0.3, (R, C)).astype(np.float32)
    return make_plane(device, SLOW, start, seed=seed), make_plane(device, FAST, seed=seed)


Ends = tuple[Plane, Plane, float, int]
"""The finer plane of a link and the coarser, its rate, and vectors from a transfer to the next."""


def run(
    slow: Plane, fast: Plane, how: How, ranges: tuple[tuple[int, int], ...] = ((0, R),),
    vectors: tuple[np.ndarray, np.ndarray] | None = None, positions: int = POSITIONS,
) -> int:  # fmt: skip
    """The kernel, a range of rows after the other; the pulses."""
    return run_chain([(fast, slow, how.transfer_lr, how.every)], how, ranges, vectors, positions)


def run_chain(
    ends: Sequence[Ends], how: How, ranges: tuple[tuple[int, int], ...] = ((0, R),),
    vectors: tuple[np.ndarray, np.ndarray] | None = None, positions: int = POSITIONS,
) -> int:  # fmt: skip
    """The same for any number of links, the coarsest first."""
    fast = ends[-1][0]
    X, D = vectors or data()
    count = len(trains(how.bl, how.bl))
    X, D = (np.repeat(a, count, axis=0)[None] for a in (X, D))
    rates = Rates(
        np.float32(how.lr), tuple(np.float32(rate) for _, _, rate, _ in ends),
        how.transfer_bl if fast.pulsed else 0, how.reset,
    )  # fmt: skip
    step = 2 * how.bound / (2**how.adc_bits - 2) if how.adc_bits else 0
    read = TransferRead(
        np.float32(how.noise), np.float32(how.bound or np.finfo(np.float32).max), np.float32(step),
    )  # fmt: skip
    scratch = TransferScratch(
        np.empty(4, np.float32),
        np.empty(4 + 128, np.float32),
        np.empty(4 * how.transfer_bl + 128, np.uint32),
        np.empty(how.transfer_bl + 128, np.float32),
    )
    links = tuple(
        Link(
            finer.W, coarser.W, device_state(coarser), finer.layout.ids, coarser.layout.for_kernels,
            _dw_min(coarser), every, finer.written, finer.resets,
        )
        for finer, coarser, _, every in ends
    )  # fmt: skip
    slow = [coarser.device for _, coarser, _, _ in ends]
    kernel = compile_cell(TikiTaka, fast.device, slow, pulsed=fast.pulsed)
    timing = Timing(how.before, ends[-1][3], how.columns, how.by_minibatch, count)
    policy = PulsePolicy(_dw_min(fast), how.bl, True, False)
    tiles, address = fast.layout.for_kernels, Address(positions * count, *fast.layout.key)
    pulses = 0
    for r0, r1 in ranges:
        pulsing = update_scratch(fast, X.shape[1], positions, how.bl, r1 - r0, 3)
        if in_turn(fast.device, pulsed=fast.pulsed, numbered=False):
            most = 2  # events that have their draws made together
            slots = most * len(links) * how.columns, 4
            draws = TransferDraws(
                np.empty((slots[0], slots[1] + 128), np.float32),
                np.empty((slots[0], slots[1] * how.transfer_bl + 128), np.uint32),
                np.empty(how.transfer_bl + 128, np.float32),
            )
            events = events_of(timing, X.shape[1], address.positions)
            pulses += kernel(
                r0, r1, fast.W, device_state(fast), X, D, rates.fast_lr, policy, tiles, address,
                Span(how.sample, 0, X.shape[1], 0, 0), pulsing,
                Transfers(events, links, rates, read, most, how.columns, draws),
            )  # fmt: skip
            continue
        pulses += kernel(
            r0, r1, fast.W, device_state(fast) if fast.pulsed else blas_routines(), X, D, rates,
            policy, tiles, address, timing, how.sample, read, pulsing if fast.pulsed else (), links,
            scratch,
        )  # fmt: skip
    return pulses


def _dw_min(plane: Plane) -> np.float32:
    return np.float32(plane.device.dw_min if plane.pulsed else 1)


def plain(
    slow: Plane, fast: Plane, how: How
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray, np.ndarray]:
    """(W, A, pulses) that `run` should give, one pulse after the other in float64.

    Then what reads see of A, and which of its devices were written since.
    """
    (A, W), pulses = plain_chain([(fast, slow, how.transfer_lr, how.every)], how)
    return W.W, A.W, pulses, A.seen, A.written


def plain_array(plane: Plane) -> transfer.Array:
    """A plane as the plain statement takes it."""
    device, W = plane.device, plane.W.astype(float)
    written = np.zeros(W.shape, bool)

    def step(rows: slice, cols: slice) -> Callable[..., float]:
        return noting(plain_step(plane, rows, cols), written[rows, cols])

    return transfer.Array(
        W=W, seen=plane.seen.astype(float) if device.write_noise else W, written=written,
        write_noise=device.write_noise, reset=(device.rest.reset, device.rest.reset_std),
        bounds=(plane.bounds[0], plane.bounds[1]), dw_min=device.dw_min, step=step,
        first_tile=int(plane.layout.ids[0, 0]),
    )  # fmt: skip


def plain_chain(ends: Sequence[Ends], how: How) -> tuple[list[transfer.Array], int]:
    """(the planes from the finest to the coarsest, pulses) that `run_chain` should give."""
    X, D = data()
    fast = ends[-1][0]
    planes = [plain_array(plane) for plane in (fast, *(each[1] for each in reversed(ends)))]
    links = [
        transfer.Link(planes[m], planes[m + 1], rate, every)
        for m, (_, _, rate, every) in enumerate(reversed(ends))
    ][::-1]
    A, pulses, n = planes[0], 0, how.before
    slots = len(trains(how.bl, how.bl))
    key = (int(fast.layout.key[0]), int(fast.layout.key[1]))
    pulsing = Pulsing(how.lr, how.bl, True, False, POSITIONS * slots, how.sample)
    counts: dict[int, np.ndarray] = {}
    for v in range(len(X)):
        for train in range(slots):
            m = v * slots + train
            many = np.repeat(X, slots, axis=0), np.repeat(D, slots, axis=0)
            bl, cx, cd = _gains_of(fast, *many, m, pulsing)
            position, sample = m % (POSITIONS * slots), how.sample + m // (POSITIONS * slots)
            for tile, rows, cols in FAST.blocks():
                if position == 0:
                    counts[tile] = np.zeros(rows.stop - rows.start, np.int64)
                pulses += update_tile(
                    A.W[rows, cols], X[v, cols], D[v, rows], position, counts[tile],
                    A.step(rows, cols), tile, sample, key, bl, cx, cd,
                )  # fmt: skip
        n += 1 if not how.by_minibatch or v == len(X) - 1 else 0
        if how.by_minibatch and v < len(X) - 1:
            continue
        for link in links:
            pulses += transfer.transfer(
                link, n, [(rows, cols) for _, rows, cols in FAST.blocks()], how.columns,
                (position, sample), key, noise=how.noise, bound=how.bound, adc_bits=how.adc_bits,
                bl=how.transfer_bl, reset_read=how.reset,
            )  # fmt: skip
    return planes, pulses


def noting(step: Callable[..., float], written: np.ndarray) -> Callable[..., float]:
    """The step of devices, with a note of which were pulsed."""

    def run(w: float, direction: float, noise: float, r: int, c: int) -> float:
        written[r, c] = True
        return step(w, direction, noise, r, c)

    return run


SOFT = make_device("soft-bounds", {"dw_min": 0.005})
NOISY = make_device("soft-bounds", {"dw_min": 0.005, "write_noise_std": 6, "reset_std": 0.02})


@pytest.mark.parametrize(
    ("device", "how"),
    [
        (SOFT, How()),
        (OneByOne(dw_min=0.005), How()),
        (SOFT, How(every=1, columns=1, before=0)),
        (SOFT, How(every=4, columns=20, reset=True)),
        (NOISY, How(every=4, columns=20, reset=True)),
        (SOFT, How(by_minibatch=True, every=2, columns=3)),
        (SOFT, How(noise=0.0, bound=0.05, adc_bits=5, bl=40)),
    ],
    ids=["vectors", "packed", "each", "all-and-reset", "write-noise", "minibatch", "converters"],
)
def test_equals_the_plain_statement(device: Device, how: How) -> None:
    slow, fast = planes(device)
    before = slow.W.copy()
    W, A, pulses, seen, written = plain(slow, fast, how)
    assert run(slow, fast, how) == pulses > 100
    np.testing.assert_allclose(fast.W, A, rtol=0, atol=2e-6)
    np.testing.assert_allclose(slow.W, W, rtol=0, atol=2e-6)
    assert np.mean(np.abs(slow.W - before) > 1e-4) > 0.05
    if device.rest.marks:
        np.testing.assert_array_equal(fast.written.marks, written)
        np.testing.assert_allclose(fast.seen, seen, rtol=0, atol=2e-6)
        assert slow.written.marks.any()


@pytest.mark.parametrize("name", ["constant-step", "soft-bounds"])
def test_rows_in_parts_give_the_same_bits(name: str) -> None:
    device = make_device(name, {"dw_min": 0.005})
    whole, parts = planes(device), planes(device)
    assert run(*whole, How()) == run(*parts, How(), ((0, 2), (2, 5), (5, R)))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.W, other.W)


def test_counted_devices_move_as_those_that_are_pulsed_one_by_one() -> None:
    """A counted fast plane draws its noise otherwise: the distribution is the same."""
    found = []
    for device in (make_device("constant-step", {"dw_min": 0.005}), OneByOne(dw_min=0.005)):
        runs = []
        for seed in range(200):
            slow, fast = planes(device, seed)
            run(slow, fast, replace(How(), sample=1000 * seed))
            runs.append(np.stack([slow.W, fast.W]).astype(float))
        found.append(np.array(runs))
    means, variances = (
        [each.reshape(200, -1).mean(axis=0) for each in found],
        [each.reshape(200, -1).var(axis=0, ddof=1) for each in found],
    )
    z = (means[0] - means[1]) / np.sqrt((variances[0] + variances[1]) / 200 + 1e-12)
    # 154 devices: the largest of so many |z| is beyond 4.6 once in 1600.
    assert np.max(np.abs(z)) < 4.6
    ratio = np.mean(variances[0]) / np.mean(variances[1])
    assert abs(ratio - 1) < 0.1  # 154 variances of 200 runs each: 4 standard deviations


def exact(how: How, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(W, A) after exact updates of ideal devices."""
    device = make_device("ideal", {})
    slow = make_plane(device, SLOW, np.full((R, C), 0.1, np.float32), pulsed=False)
    fast = make_plane(device, FAST, pulsed=False)
    for step in range(steps):
        run(slow, fast, replace(how, before=step * POSITIONS * SAMPLES))
    return slow.W, fast.W


def test_exact_updates_are_float_arithmetic() -> None:
    """A loop in NumPy; sums of the outer product are rounded in another order."""
    how = How(noise=0.0, every=4, columns=2, before=0)
    W, A = np.full((R, C), 0.1), np.zeros((R, C))
    X, D = data()
    n = 0
    for _ in range(3):
        for x, d in zip(X, D, strict=True):
            A -= how.lr * np.outer(d, x)
            n += 1
            if n % how.every == 0:
                for _, rows, cols in SLOW.blocks():
                    width = cols.stop - cols.start
                    for k in columns(n // how.every - 1, width, how.columns):
                        c = cols.start + k
                        W[rows, c] += how.transfer_lr * A[rows, c]
    slow, fast = exact(how, 3)
    np.testing.assert_allclose(fast, A, rtol=0, atol=1e-6)
    np.testing.assert_allclose(slow, W, rtol=0, atol=1e-6)


def test_reset_after_each_transfer_of_the_whole_is_minibatch_descent() -> None:
    how = How(noise=0.0, every=POSITIONS * SAMPLES, columns=20, reset=True, before=0)
    slow, fast = exact(how, 2)
    X, D = data()
    descent = 0.1 - 2 * how.transfer_lr * how.lr * D.T.astype(float) @ X
    np.testing.assert_allclose(slow, descent, rtol=0, atol=1e-6)
    assert not fast.any()


def closed_loop(a: float, b: float, gamma: float, steps: int) -> np.ndarray:
    """(W + gamma A - W*, A) [steps, 2] of one weight that descends e²/2, transferred every step.

    lr_A = a, lr_T = b; from e = 0.7.
    """
    device, one = make_device("ideal", {}), Tiling((0, 1), (0, 1))
    slow = make_plane(device, one, np.full((1, 1), 0.7, np.float32), pulsed=False)
    fast = make_plane(device, replace(one, first_tile=1), pulsed=False)
    how = How(lr=a, transfer_lr=b, every=1, columns=1, noise=0.0, before=0)
    seen = np.empty((steps, 2))
    for step in range(steps):
        seen[step] = slow.W[0, 0] + gamma * fast.W[0, 0], fast.W[0, 0]
        error = np.full((1, 1), seen[step, 0], np.float32)
        run(slow, fast, how, ((0, 1),), (np.ones((1, 1), np.float32), error), positions=1)
    return seen


def test_without_gamma_ideal_devices_oscillate_for_ever() -> None:
    """Spec: a symplectic Euler oscillator, both eigenvalues on the unit circle for a b < 4."""
    seen = closed_loop(0.1, 0.1, 0.0, 10_000)
    early, late = np.max(np.abs(seen[:100, 0])), np.max(np.abs(seen[-100:, 0]))
    assert abs(early - 0.7) < 2e-3
    assert abs(late - 0.7) < 2e-3
    steps, results = seen[:-1], seen[1:]
    matrix, *_ = np.linalg.lstsq(steps, results, rcond=None)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)), 1, rtol=0, atol=1e-6)


def test_gamma_damps_as_stated() -> None:
    """Spec: determinant 1 - gamma a, trace 2 - (gamma + b) a."""
    a, b, gamma = 0.1, 0.05, 0.4
    seen = closed_loop(a, b, gamma, 60)
    matrix, *_ = np.linalg.lstsq(seen[:-1], seen[1:], rcond=None)
    assert abs(np.linalg.det(matrix) - (1 - gamma * a)) < 1e-5
    assert abs(np.trace(matrix) - (2 - (gamma + b) * a)) < 1e-5


@pytest.mark.slow
def test_bits_are_the_same_where_kernels_come_from_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The process that compiles runs the code that later ones load."""
    code = (
        "from tests.runtime.kernels.test_cells import *;"
        "found = [];"
        "[(run(*(p := planes(make_device(name, {'dw_min': 0.005}))), How()),"
        " found.extend(each.W.tobytes().hex() for each in p))"
        " for name in ('constant-step', 'soft-bounds')]; print(hash(tuple(found)))"
    )
    caches = {"RPUCC_CACHE": str(tmp_path / "own"), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    both = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **caches, "PYTHONHASHSEED": "0"},
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert both[0] == both[1]
