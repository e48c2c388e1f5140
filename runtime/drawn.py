"""Which of many are taken: drawn from the seed, without replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.philox import GROUP, fill_words


def drawn(n: int, count: int, purpose: int, key: tuple[np.uint32, np.uint32]) -> NDArray[np.int64]:
    """Return `count` of range(n), rising: those that purpose and seed (`key`) alone say."""
    words = np.empty(-(-n // GROUP) * GROUP, np.uint32)
    fill_words(words, 0, n, 0, purpose << 24, 0, *key)
    return np.sort(np.argsort(words[:n], kind="stable")[:count])
