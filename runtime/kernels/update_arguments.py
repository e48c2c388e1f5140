"""What the update kernels are told, in groups: devices, pulse policy, layout, positions, scratch.

Named tuples, which Numba takes apart when it compiles: a group costs nothing in a kernel. The
scratch is planned in `runtime/instructions/update_scratch.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Words = NDArray[np.uint32]
Ints = NDArray[np.int32]


class Held(NamedTuple):
    """Weights that exact updates leave what they are."""

    parts: IntArray
    """[n, 4]: first and last row, first and last column of what is there, within row blocks."""
    kept: NDArray[np.uint8]
    """[G·R, C]: 1 where the weight is trained."""
    steps: FloatArray
    """[rows, C]: scratch."""
    starts: IntArray
    """[G·R + 1]: where each row begins in the list of trained weights, if there is one."""
    columns: IntArray
    """That list: the columns. Empty where the weights are not taken one by one."""

    def apart(self) -> Held:
        """Return the same for another thread, with scratch of its own."""
        return self._replace(steps=np.empty_like(self.steps))


class Written(NamedTuple):
    """Which devices of a plane were written, and what reads see of them.

    Of a plane with write noise, or with devices that drift: `runtime/plane_rest.py`.
    """

    marks: NDArray[np.uint8]
    """[G·R, C]: 1 where a device was pulsed, or reset, since what is seen was drawn. Of any other
    plane [0, 0], as are those that follow: kernels look at the shape."""
    seen: FloatArray
    """[G·R, C]: what reads see; the plane's W where writing has no noise."""
    std: np.float32
    """Standard deviation of what is seen about what pulses move."""
    age: FloatArray
    """[G·R, C]: seconds since a device was written, below 0 for those that were since time last
    passed; [0, 0] where devices do not drift."""


NOT_KEPT = Written(
    np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32), np.float32(0),
    np.empty((0, 0), np.float32),
)  # fmt: skip
"""Of planes that do not keep it."""


class Resets(NamedTuple):
    """Where devices go that are reset."""

    targets: FloatArray
    """[G·R, C], or [1, C] where it is the same for all; [0, 0]: exactly to 0."""
    std: np.float32
    bounds: FloatArray
    """[2, G·R, C]: lowest and highest weight."""


TO_ZERO = Resets(np.empty((0, 0), np.float32), np.float32(0), np.empty((2, 0, 0), np.float32))


class Rest(NamedTuple):
    """What becomes of devices in a step without pulses: a random walk, then a decay.

    Each [G·R, C], or [1, C] where all devices are alike; [0, 0] where there is none.
    """

    diffusion: FloatArray
    """Standard deviation of the walk's step."""
    decay: FloatArray
    """The share of the distance to `targets` that is lost."""
    targets: FloatArray
    bounds: FloatArray
    """[2, G·R, C]: lowest and highest weight."""


class CountedDevices(NamedTuple):
    """Devices of constant step, kept in 16 bits a parameter."""

    codes: NDArray[Any]
    """[4, G·R, C], as `ConstantStep.per_device` lists the parameters."""
    ranges: FloatArray
    """[row blocks, column segments, 4, 2]: each tile's lowest value and step."""
    limits: NDArray[np.uint8]
    """[G·R, C], from `rpucc.runtime.kernels.coincidences.rows.tightest`."""
    constants: FloatArray
    kept: NDArray[np.uint16] | tuple[()] = ()
    """[G·R · column segments · blocks]: of each 16 columns of a tile's row, which are trained;
    blocks: those of the widest segment. () where all are: kernels are compiled without."""
    written: Written = NOT_KEPT
    """Never kept: devices that are marked are pulsed one by one."""


class Devices(NamedTuple):
    """Devices of any other model."""

    params: NDArray[Any]
    """[number of parameters, G·R, C], float32 or, of packed ones, uint16."""
    ranges: FloatArray
    """[row blocks, column segments, number of parameters, 2]; read of packed ones."""
    constants: FloatArray
    written: Written = NOT_KEPT


class MeanDevices(NamedTuple):
    """Devices of any model that are moved by the mean of their pulses."""

    params: NDArray[Any]
    """[number of parameters, G·R, C], float32 or, of packed ones, uint16."""
    ranges: FloatArray
    """[row blocks, column segments, number of parameters, 2]; read of packed ones."""
    constants: NDArray[np.float64]
    bounds: FloatArray
    """[2, G·R, C]: lowest and highest weight."""
    kept: NDArray[np.uint8] | tuple[()] = ()
    """[G·R, C]: 1 where the weight is trained; () where all are."""
    written: Written = NOT_KEPT


class ClippedDevices(NamedTuple):
    """Devices of any model of which nothing but the bounds plays a part."""

    params: NDArray[Any]
    ranges: FloatArray
    constants: FloatArray
    kept: NDArray[np.uint8]
    """[G·R, C]: 1 where the weight is trained; [0, 0] where all are."""
    written: Written
    bounds: FloatArray
    """[2, G·R, C]: lowest and highest weight."""


class MaskedDevices(NamedTuple):
    """The same, of which some get no pulses: another kernel is compiled for them."""

    params: NDArray[Any]
    ranges: FloatArray
    constants: FloatArray
    kept: NDArray[np.uint8]
    """[G·R, C]: 1 where the weight is trained."""
    written: Written = NOT_KEPT


class PulsePolicy(NamedTuple):
    """How pulse trains are made (physics.md section 3)."""

    dw_min: np.float32
    """Of the devices' model, its granularity: the step that probabilities are divided by."""
    bl_max: int
    managed: int
    """Update management: 0 without; 1 with; 2 where it never cuts columns."""
    bl_managed: bool
    x_levels: int = 0
    """Of deterministic pulses: how many steps the probabilities of columns have; 0: mean counts."""
    d_levels: int = 0


class Tiles(NamedTuple):
    """Where the tiles of a matrix lie, and their ids, which address the draws."""

    row_cuts: IntArray
    """[B + 1], over all groups."""
    col_cuts: IntArray
    """[S + 1]."""
    ids: IntArray
    """[B, S]; -1 for a tile that is not there."""


class Address(NamedTuple):
    """What draws are addressed by, the same in every step."""

    positions: int
    """Row m of X is position m % positions of its sample; a train of a position counts as one."""
    k0: np.uint32
    k1: np.uint32


class Span(NamedTuple):
    """Which rows of X and D are applied, and how their draws are called."""

    sample0: int
    """The sample of row 0."""
    first: int
    last: int
    """Rows first .. last - 1."""
    noise_sample: int
    noise_chunk: int
    """Counted updates draw a chunk's noise at once: the sample and number of the first chunk."""


class ListScratch(NamedTuple):
    """For `devices/pulse_counts_template.py.txt`: devices that are pulsed side by side."""

    elements: Words
    rows: Ints
    columns: Ints
    left: Ints
    noise: FloatArray
    """[4, listed devices]."""


class NumberScratch(NamedTuple):
    """For the update of `devices/pulse_counts_template.py.txt`."""

    x: IntArray
    """[C]: how often columns fire, or how likely."""
    d: IntArray
    """[R] of a group."""
    listed: ListScratch


class CountedScratch(NamedTuple):
    """For `coincidences/update.py`; lines, pairs, width, rows: of one chunk of one tile."""

    chunk: int
    gains: FloatArray
    lengths: Ints
    numbers: Ints
    lines: Ints
    levels: Ints
    fired: Words
    tied: Words
    draws: Words
    groups: Ints
    order: Ints
    row_starts: Ints
    slots: Words
    samples: Words
    counters: Words
    words: Words
    tops: NDArray[np.uint8]
    marks: NDArray[np.int8]
    column_levels: Ints
    ties: Words
    bits: NDArray[np.int16]
    signs: NDArray[np.int16]
    total: NDArray[np.int16]
    net: NDArray[np.int16]
    listed: Ints
    row_counters: Words
    found: IntArray
    noise: FloatArray
    near: Ints
    blocks: Ints
    sizes: Ints


class MeanScratch(NamedTuple):
    """For `devices/mean_template.py.txt`."""

    row: NDArray[np.float64]
    """[3 + parameters, columns]: a row of a tile."""
    parts: Ints
    """[positions of the step]."""


class PulseScratch(NamedTuple):
    """For `devices/update_template.py.txt`."""

    chunk: int
    gains: FloatArray
    lengths: Ints
    numbers: Ints
    lines: Ints
    levels: Ints
    fired: Words
    tied: Words
    draws: Words
    groups: Ints
    pairs: Ints
    pair_lines: Ints
    pair_slots: Words
    pair_counts: Ints
    counters: Words
    words: Words
    signs: NDArray[np.int8]
    column_marks: NDArray[np.int8]
    column_levels: Ints
    columns: Ints
    order: Ints
    row_starts: Ints
    counts: IntArray
    """[column segments, R]: pulses of the sample so far, which number their noise."""
    noise: FloatArray
    row_noise: FloatArray
    unpacked: FloatArray
