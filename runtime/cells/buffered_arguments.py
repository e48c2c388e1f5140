"""What the update of a cell with digital memory is told: named tuples for Numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.cells.arguments import TransferRead
from rpucc.runtime.kernels.update_arguments import Resets

FloatArray = NDArray[np.float32]


class BufferedRates(NamedTuple):
    """How far a step goes."""

    fast_lr: np.float32
    scales: FloatArray
    """Units of the memory a unit of the weight, by column segment."""
    corrected: bool
    """Whether those are divided by the rate of the fast array: times the sizes of a vector."""
    most: np.float32
    """Pulses of one write."""
    slow_step: np.float32
    """What a pulse does where updates are exact."""
    reset: bool
    """Whether a column of the fast plane is set to zero when it was read."""
    keys: tuple[np.float32, ...]
    """The cell model's own keys, for its rule."""


class Turns(NamedTuple):
    """When columns are read, and which."""

    before: int
    """Vectors, or minibatches, before this step."""
    every: int
    columns: int
    by_minibatch: bool
    trains: int
    """Rows of X a vector: one for each of its pulse trains."""
    each: int
    """Vectors of a sample."""
    most: int
    """Transfers after which no column was read twice."""
    across: bool
    """Whether pulses of several samples may be taken in another order of columns."""


class Chopping(NamedTuple):
    """How the signs of columns change."""

    period: int
    """Reads of a column until its sign may change; 0: signs do not change."""
    level: int
    """Of 2^24 reads so many change it, drawn by chance; -1: those at the end of a period do."""
    held: int
    """In so many passes over the columns memory is held at 0."""
    tile: int
    """The first tile of the fast plane: names the draws of all its columns."""


class Signs(NamedTuple):
    """Of the columns of the matrix, [C] each."""

    chopped: FloatArray
    """1 where the sign is -1."""
    switched: FloatArray
    """1 where it has changed since the last read."""


class Prepared(NamedTuple):
    """What vectors are before they are pulsed (`kernels/column_windows.py`), and what is next.

    Where reads are listed (`kernels/column_turns.py`) `before` holds them with the signs of their
    time, and nothing stands in `after`.
    """

    before: FloatArray
    """[G, M, C or C + 1]: X with signs, until columns are read. The last column, if there is one
    more, holds what the largest |x| of a vector is, for pulse trains."""
    after: FloatArray
    """The same from then on."""
    errors: FloatArray
    """[G, M, R]: D over the sizes of a vector."""
    products: FloatArray
    """[vectors]: the sizes."""
    signs: Signs
    sizes: FloatArray
    read_at: NDArray[np.int32]
    """[C]: scratch."""
    old: FloatArray
    """[C]: scratch, as are the signs now."""
    now: FloatArray


class Reads(NamedTuple):
    """Of the columns of a step, in a list (`kernels/column_turns.py`): [S, most of a segment]."""

    number: NDArray[np.int32]
    """[S]: of each column segment."""
    after: NDArray[np.int32]
    """The row of X behind which a column is read."""
    column: NDArray[np.int32]
    """Which, of the tile."""
    place: NDArray[np.int32]
    """The number of the read in its sample."""
    chopped: FloatArray
    """1 where the sign of the column is -1."""
    switched: FloatArray
    """1 where it has changed since the read before."""
    warming: NDArray[np.int32]
    """1 where memory is held at 0."""
    size: FloatArray
    """The sizes of the vector before."""


class Between(NamedTuple):
    """What happens between pulses of a fast plane whose devices are pulsed one by one."""

    W: FloatArray
    """The slow plane [R, C]."""
    buffers: tuple[FloatArray, ...]
    slow: Any
    """Its devices, as the update kernels take them."""
    slow_ids: NDArray[np.int64]
    """The ids of its tiles [B, S]."""
    rates: BufferedRates
    read: TransferRead
    resets: Resets
    """Of the fast plane."""
    reads: Reads
    most: NDArray[np.int64]
    """[S]: reads that have their noise drawn together; those of a vector are never parted."""
    normals: FloatArray
    """[most · rows + 128]: scratch."""
    pulse_noise: FloatArray
    """[4]: scratch."""


class BufferedScratch(NamedTuple):
    """Of a thread."""

    chunk: int
    """Rows of X that the fast plane's update counts at once."""
    block: int
    """Columns that are read together."""
    signs: Signs
    values: FloatArray
    """[block]."""
    noises: FloatArray
    """[block]."""
    scales: FloatArray
    """[block]."""
    normals: FloatArray
    """[block · rows + 128]."""
    pulse_noise: FloatArray
    """[4]."""
