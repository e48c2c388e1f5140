"""The seam of the read kernels where further stages act on the products: the plain kernels' own.

A kernel with stages is the text of `read.py` with another `after_product` in the place of this one
(`composed.py`).
"""

from __future__ import annotations

from rpucc.runtime.kernels.jit import inlined


@inlined
def after_product(rows, W, tile, transpose, xs, zs, first, width, keys, sums):
    """What becomes of the products zs of `rows` inputs xs: here nothing.

    Outputs first .. first + width - 1 of the tile lie at those places of each row of zs
    [rows, outputs]. keys: the stages' settings; sums: scratch.
    """
