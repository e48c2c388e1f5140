"""Masks of dropouts, in plain NumPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import words
from rpucc.runtime.scalars.philox import DROPOUT


def dropout_mask(
    shape: tuple[int, ...], ratio: float, number: int, sample: int, key: tuple[int, int]
) -> NDArray[np.float32]:
    """What x [N, ...] is multiplied by: 0, or 1 / (1 - ratio) with the probability 1 - ratio.

    sample: number of the first of the N; ratio: a float32.
    """
    elements = np.arange(math.prod(shape[1:]), dtype=np.int64)
    purpose = DROPOUT << 24 | number
    rows = [words(elements, 0, purpose, (sample + n) % 2**32, key) for n in range(shape[0])]
    share = float(np.float32(ratio))
    kept = np.array(rows).reshape(shape) >= math.floor(share * 2**32)
    return np.where(kept, np.float32(1 / (1 - share)), np.float32(0))
