"""Normals for a whole grid, addressed tile by tile: what device parameters are drawn from."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.normals import fill_normals

u32 = nb.uint32


@kernel
def grid_normals(
    out, first_row, row_cuts, col_cuts, tiles, purpose, index, k0, k1, scratch
):  # fmt: skip
    """Fill out [rows, C] with the standard normals of the grid's rows from first_row on.

    Element r * columns + c of each tile's own stream. tiles: int64 [row blocks, column segments];
    purpose: what for (scalars/philox.py); index: which quantity is drawn; scratch: float32
    [>= longest segment + 128].
    """
    for b in range(row_cuts.shape[0] - 1):
        r0, r1 = max(row_cuts[b], first_row), min(row_cuts[b + 1], first_row + out.shape[0])
        for s in range(col_cuts.shape[0] - 1):
            c0 = col_cuts[s]
            columns = col_cuts[s + 1] - c0
            word = u32(u32(purpose << 24) | u32(tiles[b, s]))
            for r in range(r0, r1):
                first = (r - row_cuts[b]) * columns
                fill_normals(scratch, first, columns, index, word, 0, k0, k1)
                for c in range(columns):
                    out[r - first_row, c0 + c] = scratch[(first & 63) + c]
