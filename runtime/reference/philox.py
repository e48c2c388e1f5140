"""Philox4x32-10 and the normals made from it, in NumPy (Salmon et al. 2011; Box & Muller 1958)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Ten rounds on counters [..., 4]; returns words of the same shape."""
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    k0, k1 = (np.uint64(word) for word in key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        shift = np.uint64(32)
        c = [(p1 >> shift) ^ c[1] ^ k0, p1 & low, (p0 >> shift) ^ c[3] ^ k1, p0 & low]
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack(c, axis=-1).astype(np.uint32)


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
