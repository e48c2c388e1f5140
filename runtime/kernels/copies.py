"""Copies between arrays.

Numba's own, `a[:] = b`, makes room for a copy of b where the two could overlap: kernels that count
no references to arrays cannot be compiled with it.
"""

from __future__ import annotations

from rpucc.runtime.kernels.jit import inlined


@inlined
def copy(source, target):
    """target[i] = source[i], as long as target is; in this order where they overlap."""
    for i in range(target.shape[0]):
        target[i] = source[i]
