"""Which share each position of a sample falls to, one draw after the other: `kernels.shares`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.scalars.philox import ASSIGN, below, philox


def draw_order(
    positions: int, sample: int, layer: int, evaluating: bool, key: tuple[np.uint32, np.uint32]
) -> NDArray[np.int64]:
    """A random permutation (Fisher-Yates) for one sample of a layer."""
    order = np.arange(positions)
    address = (np.uint32(evaluating), np.uint32(ASSIGN << 24 | layer), np.uint32(sample), *key)
    for i in range(positions - 1, 0, -1):
        a, b, _, _ = philox(np.uint32(i), *address)
        j = below(a, b, i + 1)
        order[[i, j]] = order[[j, i]]
    return order
