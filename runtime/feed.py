"""What goes into a program: stored samples on their way to the buffers of its data inputs.

Not for which samples are next (`training.py`), nor for reading them from files (`data/`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import DataError
from rpucc.runtime.data.inputs import by_input
from rpucc.runtime.data.mapped import at_random, is_large, parts
from rpucc.runtime.kernels.batches import gather

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.executor import Executor

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Samples as rows, a table for each data input, and what brings them into the input range."""

    tables: tuple[Array, ...]
    """[n, elements of a sample] each, uint8 or float32: the types that the kernels take. A large
    array that stays in its file is there as it is, [n, ...] of any type and order of axes."""
    scaling: tuple[tuple[np.float32, np.float32], ...]
    """Factor and offset of each."""

    def __len__(self) -> int:
        return len(self.tables[0])


class Feed:
    """The data inputs of a program: their shapes, their range, and how samples get into them."""

    def __init__(self, program: Program) -> None:
        self.range = program.input_range
        found = {str(value.name): value.shape for value in program.model.graph.inputs}
        self.shapes = {
            name: tuple(dim for dim in list(found[name] or ())[1:] if isinstance(dim, int))
            for name in program.inputs
        }
        """Data input to the shape of a sample, which is the same for any batch size."""

    def rows(self, x: Samples, where: str) -> Rows:
        """Samples as rows; raises DataError where they are not the program's, or out of range."""
        given = by_input(x, self.shapes, where)
        for each in given.values():
            check_range(each, self.range)
        tables = tuple(_flat(each) for each in given.values())
        return Rows(tables, tuple(self._scaling(each.dtype) for each in tables))

    def buffers(self, executor: Executor) -> tuple[Array, ...]:
        """Where an executor has its data, as rows, in the order of `Rows.tables`."""
        return tuple(executor[name].reshape(executor.batch, -1) for name in self.shapes)

    def _scaling(self, dtype: np.dtype[Any]) -> tuple[np.float32, np.float32]:
        """Scale and shift that bring stored samples into the program's input range."""
        low, high = self.range
        if dtype == np.uint8:
            return np.float32((high - low) / 255), np.float32(low)
        return np.float32(1), np.float32(0)


def check_range(x: Array, interval: tuple[float, float]) -> None:
    """Raise DataError for samples beyond a program's range: its noise management relies on it."""
    if x.dtype == np.uint8 or not x.size:
        return
    low, high = interval
    found = [(np.min(rows), np.max(rows)) for _, rows in parts(x)]
    least, most = float(np.min(found)), float(np.max(found))
    if not math.isfinite(least + most):
        raise DataError("the samples hold NaN or infinity; clean them (np.nan_to_num)")
    slack = 1e-3 * (high - low)
    if not (low - slack <= least and most <= high + slack):
        raise DataError(
            f"the samples span {least:.4g} to {most:.4g}, beyond the program's input range "
            f"{low:g} to {high:g}: compile with --input-range {math.floor(least)} "
            f"{math.ceil(most)}, or scale them"
        )


def fill(buffers: tuple[Array, ...], rows: Rows, order: Array, first: int) -> None:
    """Put the samples order[first], order[first + 1], … into the buffers of a batch."""
    for buffer, table, (scale, shift) in zip(buffers, rows.tables, rows.scaling, strict=True):
        if is_large(table):
            batch = _flat(table[order[first : first + len(buffer)]])  # reads these samples only
            gather(batch, np.arange(len(batch)), 0, buffer, scale, shift)
        else:
            gather(table, order, first, buffer, scale, shift)


def _flat(x: Array) -> Array:
    """Samples as rows, in one of the two types that the kernels take; what is large stays."""
    if is_large(x):
        at_random(x)
        return x
    x = np.ascontiguousarray(x).reshape(len(x), -1)
    return x if x.dtype == np.uint8 else np.asarray(x, np.float32)
