"""The weights of a machine as a chip would tell them: least squares through noisy reads.

Not for what is read without noise: `Array.weights`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.cycles import ReadCycle
from rpucc.runtime.kernels.philox import GROUP, MEASURE_INPUT, fill_words
from rpucc.runtime.threads import Threads

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.target.target import LayerPolicy, Target

MOST_READS = 2**20
READS_A_COLUMN = 4
"""So many reads there are at least for each column that is driven at a time: the error of the
weights is then at most 1 / √(3/4 N) of a read's."""


@dataclass(frozen=True)
class Measured:
    """The weights of one array, as they were measured."""

    weights: NDArray[np.float32]
    """[R, C]."""
    error: float
    """The standard error of a weight (RMS over the array), from what the reads leave unexplained:
    noise, rounding and saturation."""


def measure(
    arrays: Mapping[str, Array], target: Target, sample: int, reads: int, threads: int = 1
) -> dict[str, Measured]:
    """Return the weights of arrays by the names of their weights, from `reads` reads of each.

    The periphery of the forward cycle reads. A few columns of a tile at a time get random inputs of
    -1 and 1, which any converter has, the others 0; every weight has `reads` reads. The arrays stay
    as they are; sample addresses the draws: the same gives the same again.
    """
    found = {}
    for name, array in arrays.items():
        policy = target.for_layer(array.layer)
        found[name] = _measured(array, policy, reads, sample, Threads(threads))
    return found


def _measured(
    array: Array, policy: LayerPolicy, reads: int, sample: int, threads: Threads
) -> Measured:
    layout = array.layout
    rows, columns = layout.shape
    shape = (reads, columns) if layout.groups == 1 else (reads, layout.groups, 1, columns)
    cycle = ReadCycle(array, policy, shape, measuring=True, threads=threads)
    weights = np.empty((rows, columns), np.float32)
    variance = 0.0
    for block, lines in enumerate(_blocks(layout.col_cuts.tolist(), reads)):
        count = lines.stop - lines.start
        x = _signs(reads, count, block, int(layout.tiles.flat[0]), sample, layout.key)
        cycle.x[...] = 0
        cycle.x[..., lines] = x.reshape(reads, *[1] * (len(shape) - 2), count)
        cycle.run(sample + block * reads)
        y = cycle.y.reshape(reads, rows).astype(np.float64)
        solve = np.linalg.pinv(x)
        found = solve @ y  # [columns, R]
        weights[:, lines] = found.T
        left = np.mean((y - x @ found) ** 2) * reads / (reads - count)
        variance += left * float(np.sum(solve**2))
    return Measured(weights, float(np.sqrt(variance / columns)))


def _blocks(cuts: list[int], reads: int) -> Iterator[slice]:
    """Yield the columns that are driven at a time: within a tile, and few beside the reads."""
    most = max(1, reads // READS_A_COLUMN)
    for start, stop in pairwise(cuts):
        for first in range(start, stop, most):
            yield slice(first, min(first + most, stop))


def _signs(
    reads: int, columns: int, block: int, tile: int, sample: int, key: tuple[np.uint32, np.uint32]
) -> NDArray[np.float64]:
    """Draw -1 and 1, [reads, columns]."""
    count = reads * columns
    words = np.empty(-(-count // GROUP) * GROUP, np.uint32)
    fill_words(words, 0, count, block, MEASURE_INPUT << 24 | tile, sample & 0xFFFFFFFF, *key)
    return np.where(words[:count] >> 31, 1.0, -1.0).reshape(reads, columns)
