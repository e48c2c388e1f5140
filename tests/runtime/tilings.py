"""What the tests of reads, updates and planes share: tilings, kernel calls, plain statements.

The scratch that a kernel gets here is as large as the runtime plans it (`runtime/instructions`)
and ends in guard values, so that a kernel which writes past its scratch fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.array import Array
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.compiled import compile_update
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.composed import read_kernels
from rpucc.runtime.kernels.philox import READ_BACKWARD, READ_FORWARD, seed_key
from rpucc.runtime.kernels.pulses import pulse_gains
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Draws, Lines, Scratch, Settings
from rpucc.runtime.kernels.update_arguments import Address, PulsePolicy, Span
from rpucc.runtime.layout import Layout
from rpucc.runtime.make_plane import make_plane as fabricated_plane
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.coincidences import count_tile
from rpucc.runtime.reference.read import read_tile, reduction
from rpucc.runtime.reference.update import coincidences, trains, update_tile
from rpucc.stages.base import ProductStage
from rpucc.target.target import Calibration

FloatArray = NDArray[np.float32]
GUARD = 64
GUARD_VALUE = 77


@dataclass(frozen=True)
class Tiling:
    """Where the tiles of a matrix lie; their ids count from `first_tile` in row-major order."""

    row_cuts: tuple[int, ...]
    col_cuts: tuple[int, ...]
    first_tile: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.row_cuts[-1], self.col_cuts[-1]

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.array(self.row_cuts, np.int64)

    @property
    def cols(self) -> NDArray[np.int64]:
        return np.array(self.col_cuts, np.int64)

    @property
    def tiles(self) -> NDArray[np.int64]:
        shape = len(self.row_cuts) - 1, len(self.col_cuts) - 1
        return self.first_tile + np.arange(shape[0] * shape[1]).reshape(shape)

    def layout(self, seed: int = 1) -> Layout:
        return Layout.of(self.row_cuts, self.col_cuts, seed_key(seed), first_tile=self.first_tile)

    def blocks(self) -> list[tuple[int, slice, slice]]:
        """(tile id, rows, columns) of every tile."""
        return [
            (
                int(self.tiles[b, s]),
                slice(self.row_cuts[b], self.row_cuts[b + 1]),
                slice(self.col_cuts[s], self.col_cuts[s + 1]),
            )
            for b in range(len(self.row_cuts) - 1)
            for s in range(len(self.col_cuts) - 1)
        ]


class Guarded:
    """Allocates scratch with guard values behind it, and checks them afterwards."""

    def __init__(self) -> None:
        self._behind: list[NDArray[Any]] = []

    def __call__(self, shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
        size = int(np.prod(shape))
        array = np.full(size + GUARD, GUARD_VALUE, dtype)
        self._behind.append(array[size:])
        return array[:size].reshape(shape)

    def check(self) -> None:
        for guard in self._behind:
            assert np.all(guard == GUARD_VALUE), "a kernel wrote past its scratch"


@dataclass(frozen=True)
class Periphery:
    """The settings of a read; bits and bound 0 mean none."""

    noise: float = 0.0
    bound: float = 0.0
    dac_bits: int = 0
    adc_bits: int = 0
    noise_managed: bool = False
    max_halvings: int = 0
    worst_case: float = 0.0
    dac_stochastic: bool = False
    further: Mapping[type[ProductStage], tuple[float, ...]] = field(default_factory=dict)
    """Stages behind the product, with the values of their keys."""

    @property
    def adc_step(self) -> float:
        return 2 * self.bound / (2**self.adc_bits - 2) if self.adc_bits else 0.0


def read_rows(
    W: FloatArray, X: FloatArray, tiling: Tiling, periphery: Periphery, *, positions: int = 1,
    sample: int = 0, seed: int = 1, transpose: bool = False, purpose: int = 0,
    ranges: Sequence[tuple[int, int]] = (), block: int = 5, start: float = 0.25,
) -> tuple[FloatArray, NDArray[np.int64]]:  # fmt: skip
    """(Y, statistics) of the read kernel over the row ranges (default: one, all rows).

    Y holds `start` before, which must not matter.
    """
    in_cuts, out_cuts, tiles = tiling.cols, tiling.rows, np.ascontiguousarray(tiling.tiles.T)
    if transpose:
        in_cuts, out_cuts, tiles = tiling.rows, tiling.cols, tiling.tiles
    longest, widest = int(np.max(np.diff(in_cuts))), int(np.max(np.diff(out_cuts)))
    Y = np.full((len(X), int(out_cuts[-1])), start, np.float32)
    statistics = np.zeros(3, np.int64)
    p, guarded = periphery, Guarded()
    settings = Settings(
        p.noise_managed, p.max_halvings, np.float32(p.worst_case), np.float32(p.noise),
        np.float32(p.bound or UNBOUNDED),
        np.float32(2 ** (p.dac_bits - 1) - 1 if p.dac_bits else 0), p.dac_stochastic,
        np.float32(p.adc_step), tuple(np.float32(v) for keys in p.further.values() for v in keys),
    )  # fmt: skip
    read, _ = read_kernels(tuple(p.further))
    sums = max((stage.sums() for stage in p.further), default=0)
    purpose = purpose or (READ_BACKWARD if transpose else READ_FORWARD)
    for m0, m1 in ranges or [(0, len(X))]:
        read(
            m0, m1, sample, blas_routines(), W, X, Y, Lines(in_cuts, out_cuts, tiles, transpose),
            settings, Draws(positions, purpose, 0, *seed_key(seed)),
            Scratch.of(block, longest, widest, sums, guarded), statistics,
        )  # fmt: skip
    guarded.check()
    return Y, statistics


@dataclass
class PlainRead:
    """The reference's answer: Y, statistics, and how far its ADC outcomes can be off.

    slack [M, outputs]: one ADC step (times the read's scale) for each partial sum that lay within
    `near` of a step of a rounding border, where float32 and float64 may round apart; 0 elsewhere.
    """

    Y: NDArray[np.float64]
    slack: NDArray[np.float64]
    statistics: NDArray[np.int64]


def plain_read(
    W: FloatArray, X: FloatArray, tiling: Tiling, periphery: Periphery, *, positions: int = 1,
    sample: int = 0, seed: int = 1, transpose: bool = False, purpose: int = 0, near: float = 1e-3,
) -> PlainRead:  # fmt: skip
    """What `read_rows` should give, tile by tile and row by row, by `reference.read_tile`."""
    purpose = purpose or (READ_BACKWARD if transpose else READ_FORWARD)
    key = (seed & 0xFFFFFFFF, seed >> 32)
    settings = dict(vars(periphery), noise=float(np.float32(periphery.noise)))
    for stage, values in settings.pop("further").items():
        settings |= zip(stage.model_fields, values, strict=True)
    Y = np.zeros((len(X), tiling.shape[1 if transpose else 0]))
    slack, statistics = np.zeros_like(Y), np.zeros(3, np.int64)
    for tile, rows, cols in tiling.blocks():
        inside, outside = (rows, cols) if transpose else (cols, rows)
        part = W[rows, cols].astype(float)
        part = part.T if transpose else part
        for m in range(len(X)):
            x = X[m, inside].astype(float)
            at = (m % positions, (purpose << 24 | tile, sample + m // positions), key)
            y, halvings, saturated = read_tile(part, x, *at, **settings)
            Y[m, outside] += y
            if periphery.noise_managed and not x.any():
                continue
            statistics += [1, saturated, halvings]
            if periphery.adc_bits:
                unrounded, _, _ = read_tile(part, x, *at, **{**settings, "adc_bits": 0})
                scale = float(np.max(np.abs(x))) if periphery.noise_managed else 1.0
                scale *= reduction(x, scale, halvings, periphery.worst_case)
                step = periphery.adc_step * scale
                border = np.abs((unrounded / step) % 1 - 0.5)  # 0 on a border, 1/2 on a step
                slack[m, outside] += np.where(border < near, step, 0)
    return PlainRead(Y, slack, statistics)


def off_dac_borders(
    rng: np.random.Generator, rows: int, tiling: Tiling, periphery: Periphery, transpose: bool
) -> FloatArray:
    """Inputs [rows, …] of which none lies within 1e-4 of a step of a DAC rounding border.

    One input that float32 and float64 round apart would move every output of its read. Rows are
    drawn again, segment by segment, until none does, at any number of halvings. The largest input
    of a segment is ±1/2 or ±1: noise management scales it to ±1, and half of that *is* a border
    ((2^bits − 2) / 4 steps end in ½), which both sides then hit exactly and round up.
    """
    cuts = tiling.row_cuts if transpose else tiling.col_cuts
    X = np.empty((rows, cuts[-1]), np.float32)
    levels = 2 ** (periphery.dac_bits - 1) - 1 if periphery.dac_bits else 0
    halved = 0.5 ** np.arange(periphery.max_halvings + 1)
    for m in range(rows):
        for c0, c1 in pairwise(cuts):
            largest = rng.choice([-1.0, -0.5, 0.5, 1.0])
            scale = abs(largest) if periphery.noise_managed else 1.0
            while True:
                x = (0.999 * abs(largest) * rng.uniform(-1, 1, c1 - c0)).astype(np.float32)
                steps = x.astype(float)[:, None] / scale * halved * levels
                if not levels or np.min(np.abs(steps % 1 - 0.5)) > 1e-4:
                    break
            x[rng.integers(c1 - c0)] = largest
            X[m, c0:c1] = x
    return X


def make_array(
    layer: str, layout: Layout, device: Device, W: FloatArray, *, pulsed: bool = True
) -> Array:
    """An array of one device a weight, programmed to W [R, C]."""
    array = Array(layer, layout, {"weight": fabricated_plane(layer, layout, device, pulsed=pulsed)})
    array.program(W)
    return array


def make_plane(
    device: Device,
    tiling: Tiling,
    W: FloatArray | None = None,
    seed: int = 1,
    calibration: Calibration | None = None,
    pulsed: bool = True,
) -> Plane:
    """A plane of fabricated devices, pulsed ones unless told otherwise; weights 0 unless given."""
    plane = fabricated_plane(
        "fc", tiling.layout(seed), device, pulsed=pulsed, calibration=calibration
    )
    plane.program(np.zeros(tiling.shape, np.float32) if W is None else W)
    return plane


@dataclass(frozen=True)
class Pulsing:
    """The settings of an update; `chunk` is how many positions the kernel takes at once."""

    lr: float = 0.01
    bl: int = 10
    managed: bool = False
    bl_managed: bool = False
    positions: int = 1
    sample: int = 0
    chunk: int = 3


def pulse(
    plane: Plane, X: FloatArray, D: FloatArray, how: Pulsing,
    ranges: Sequence[tuple[int, int]] = (), spans: Sequence[int] = (),
) -> int:  # fmt: skip
    """Run the compiled update on the plane's weights, a row range after the other; its pulses.

    spans: the rows of X at which one call ends and the next begins, multiples of the chunk.
    """
    update = compile_update(plane.device, masked=plane.masked)
    X, D, positions = _by_train(X, D, how)
    pulses = 0
    for r0, r1 in ranges or [(0, len(plane.W))]:
        guarded = Guarded()
        scratch = update_scratch(plane, len(X), positions, how.bl, r1 - r0, how.chunk)
        assert scratch.chunk == how.chunk
        within = [guarded(array.shape, array.dtype) for array in scratch[1:]]
        policy = PulsePolicy(
            np.float32(plane.device.granularity), how.bl, how.managed, how.bl_managed
        )
        for first, last in pairwise((0, *spans, len(X))):
            span = Span(how.sample, first, last, how.sample, first // how.chunk)
            pulses += update(
                r0, r1, plane.W, device_state(plane), X[None], D[None], np.float32(how.lr), policy,
                plane.layout.for_kernels, Address(positions, *plane.layout.key),
                span, type(scratch)(how.chunk, *within),
            )  # fmt: skip
        guarded.check()
    return pulses


def _by_train(X: FloatArray, D: FloatArray, how: Pulsing) -> tuple[FloatArray, FloatArray, int]:
    """X and D with every position once for each of its pulse trains, and the positions then."""
    count = len(trains(how.bl, how.bl))
    return np.repeat(X, count, axis=0), np.repeat(D, count, axis=0), how.positions * count


def step_constants(plane: Plane) -> list[Any]:
    """What `step` gets after a device's own parameters, as float64."""
    constants: list[Any] = list(plane.constants.astype(float))
    if not plane.device.tabulated:
        return constants
    numbers = len(plane.device.constants)
    return [*constants[:numbers], np.array(constants[numbers:])]


def plain_step(plane: Plane, rows: slice, cols: slice) -> Callable[..., float]:
    """The device's `step` on one tile of a plane, as `reference.update_tile` calls it."""
    parameters = plane.parameters[:, rows, cols].astype(float)
    constants = step_constants(plane)

    def step(w: float, direction: float, noise: float, r: int, c: int) -> float:
        return plane.device.step(w, direction, noise, *parameters[:, r, c], *constants)

    return step


def plain_pulse(
    plane: Plane, X: FloatArray, D: FloatArray, how: Pulsing, counted: bool | None = None
) -> tuple[NDArray[np.float64], int]:
    """(weights, pulses) that `pulse` should give, by `reference.update` or `reference.counted`.

    counted: which of them; the kernel's where it is not given.

    BL, Cx and Cd are the kernel's (float32): the reference's, in float64, would differ in the
    last bit and so move a threshold by one draw in 2^24. `test_gains` compares them.
    """
    W, pulses = plane.W.astype(float), 0
    X, D, positions = _by_train(X, D, how)
    how = replace(how, positions=positions)
    layout = plane.layout
    counted = plane.device.counted if counted is None else counted
    plain = _plain_counted if counted else _plain_one_by_one
    for b, rows in enumerate(slice(*cuts) for cuts in pairwise(layout.row_cuts)):
        for s, cols in enumerate(slice(*cuts) for cuts in pairwise(layout.col_cuts)):
            pulses += plain(plane, W[rows, cols], X, D, how, rows, cols, int(layout.tiles[b, s]))
    return W, pulses


def _gains_of(
    plane: Plane, X: FloatArray, D: FloatArray, m: int, how: Pulsing
) -> tuple[int, float, float]:
    """(slots of the train that row m is, Cx, Cd)."""
    bl, cx, cd = pulse_gains(
        X[m], D[m], np.float32(how.lr), np.float32(plane.device.granularity), how.bl, how.managed,
        how.bl_managed,
    )  # fmt: skip
    slots = trains(how.bl, bl)
    return slots[m % len(slots)], cx, cd


def _plain_one_by_one(
    plane: Plane, part: NDArray[np.float64], X: FloatArray, D: FloatArray, how: Pulsing,
    rows: slice, cols: slice, tile: int,
) -> int:  # fmt: skip
    step, pulses = plain_step(plane, rows, cols), 0
    key = (int(plane.layout.key[0]), int(plane.layout.key[1]))
    counts = np.zeros(len(part), np.int64)
    for m in range(len(X)):
        position = m % how.positions
        if position == 0:
            counts[:] = 0
        bl, cx, cd = _gains_of(plane, X, D, m, how)
        pulses += update_tile(
            part, X[m, cols], D[m, rows], position, counts, step, tile,
            how.sample + m // how.positions, key, bl, cx, cd,
            None if plane.mask is None else plane.mask[rows, cols],
        )  # fmt: skip
    return pulses


def _plain_counted(
    plane: Plane, part: NDArray[np.float64], X: FloatArray, D: FloatArray, how: Pulsing,
    rows: slice, cols: slice, tile: int,
) -> int:  # fmt: skip
    pulses, key = 0, (int(plane.layout.key[0]), int(plane.layout.key[1]))
    for number, m0 in enumerate(range(0, len(X), how.chunk)):
        chunk = range(m0, min(m0 + how.chunk, len(X)))
        fired = []
        for m in chunk:
            bl, cx, cd = _gains_of(plane, X, D, m, how)
            sample = how.sample + m // how.positions
            lines = (X[m, cols], D[m, rows], m % how.positions, len(part), tile, sample, key)
            fired.append(coincidences(*lines, bl, cx, cd))
        pulses += count_tile(
            part, X[chunk, cols].astype(float), D[chunk, rows].astype(float), fired,
            plane.parameters[:, rows, cols].astype(float), float(plane.constants[0]), tile, number,
            how.sample, key, len(chunk) == 1 and how.bl <= 16,
            None if plane.mask is None else plane.mask[rows, cols],
        )  # fmt: skip
    return pulses
