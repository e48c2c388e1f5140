"""What the update of a cell is told beside what a plane's own update is: named tuples for Numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rates(NamedTuple):
    """How far a step goes."""

    fast_lr: np.float32
    slow_lr: np.float32
    slow_dw_min: np.float32
    bl: int
    """Slots of a transfer; 0 without pulse trains; where updates are exact dw_min is 1."""
    reset: bool
    """Whether a column of the fast plane is set to zero when it was transferred."""
    keys: tuple[np.float32, ...] = ()
    """The cell model's own keys, for its rule."""


class Timing(NamedTuple):
    """When columns are transferred, and which."""

    before: int
    """Vectors, or minibatches, before this step."""
    every: int
    columns: int
    by_minibatch: bool
    trains: int
    """Rows of X a vector: one for each of its pulse trains."""


class TransferRead(NamedTuple):
    """What stands behind the fast array when a column is read."""

    noise: np.float32
    bound: np.float32
    adc_step: np.float32


class TransferScratch(NamedTuple):
    """Of one column of one tile."""

    values: NDArray[np.float32]
    """[rows]."""
    normals: NDArray[np.float32]
    """[rows + 128]."""
    words: NDArray[np.uint32]
    """[slots + 128]."""
    noise: NDArray[np.float32]
    """[slots + 128]."""
