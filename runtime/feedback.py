"""The random matrices of feedback alignment, as they are drawn: by a seed and a layer's name.

Not for their size and shape: the compiler decides that (`passes/learning/feedback_alignment.py`).
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

PART = 1 << 20
"""Numbers that are drawn at a time, whole groups."""


def draw(seed: int, layer: str, count: int) -> NDArray[np.float32]:
    """Return `count` numbers from -1 to 1, uniformly distributed.

    The address of a draw has the layer's name (its CRC-32) in the place of an index, so what a
    layer gets does not depend on which other layers there are. layer: its name.

    >>> draw(0, "fc1", 3)
    array([ 0.8339288, -0.2642995,  0.4313349], dtype=float32)
    """
    from rpucc.runtime.kernels.philox import FEEDBACK, GROUP, fill_words, seed_key  # Numba, late

    found = np.empty(count, np.float32)
    words = np.empty(-(-min(count, PART) // GROUP) * GROUP, np.uint32)
    index = zlib.crc32(layer.encode())
    for first in range(0, count, PART):
        n = min(PART, count - first)
        fill_words(words, first, n, index, FEEDBACK << 24, 0, *seed_key(seed))
        found[first : first + n] = (words[:n] + 0.5) * 2.0**-31 - 1.0
    return found
