"""Random words, by `runtime/scalars/philox.py`, and the exact normals that are made from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.scalars import philox as scalars

Words = NDArray[np.uint32]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Ten rounds on counters [..., 4]; returns words of the same shape."""
    words = scalars.philox(*np.moveaxis(counter, -1, 0), *(np.uint32(word) for word in key))
    return np.stack(words, axis=-1)


def words(elements: NDArray[np.int64], c1: int, c2: int, c3: int, key: tuple[int, int]) -> Words:
    """The word of each element number: groups of 64 elements share 16 counters."""
    counter = np.empty((*elements.shape, 4), np.uint32)
    counter[..., 0] = (elements >> 6) * 16 + (elements & 15)
    counter[..., 1], counter[..., 2], counter[..., 3] = c1, c2, c3
    which = (elements >> 4) & 3
    result = np.take_along_axis(philox(counter, key), which[..., None], axis=-1)
    return np.asarray(result[..., 0], np.uint32)


def normals(
    elements: NDArray[np.int64], c1: int, c2: int, c3: int, key: tuple[int, int]
) -> NDArray[np.float64]:
    """The standard normal of each element number: even words give radii, odd ones angles."""
    pair = elements & ~np.int64(16)
    a, b = words(pair, c1, c2, c3, key), words(pair | 16, c1, c2, c3, key)
    radius = np.sqrt(-2 * np.log(((a >> 8) + 1) / 2.0**24))
    angle = np.pi * (b.astype(np.int32) >> 8) / 2.0**23
    return np.asarray(radius * np.where(elements & 16, np.sin(angle), np.cos(angle)))
