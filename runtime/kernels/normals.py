"""Standard normals by the block: `runtime/scalars/normals.py` compiled."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import philox
from rpucc.runtime.scalars import normals as scalars

u32 = nb.uint32

box_muller = inlined(scalars.box_muller)


@kernel
def fill_normals(out, first, n, c1, c2, c3, k0, k1):
    """Write the normals of elements first .. first + n - 1, starting at the group of `first`.

    out: float32 [>= GROUP * groups]; element e lands in out[e - first // GROUP * GROUP].
    """
    g0 = first >> 6
    g1 = (first + n + 63) >> 6
    for g in range(g0, g1):
        o = out[(g - g0) * 64 : (g - g0) * 64 + 64]
        for i in range(16):
            a, b, c, d = philox(u32(g * 16 + i), u32(c1), u32(c2), u32(c3), u32(k0), u32(k1))
            z0, z1 = box_muller(a, b)
            z2, z3 = box_muller(c, d)
            o[i] = z0
            o[i + 16] = z1
            o[i + 32] = z2
            o[i + 48] = z3


@inlined
def one_normal(element, c1, c2, c3, k0, k1):
    """The normal of a single element, as `fill_normals` has it."""
    word = (element >> 4) & 3
    a, b, c, d = philox(
        u32((element >> 6) * 16 + (element & 15)), u32(c1), u32(c2), u32(c3), u32(k0), u32(k1)
    )
    cosine, sine = box_muller(a if word < 2 else c, b if word < 2 else d)
    return cosine if word & 1 == 0 else sine
