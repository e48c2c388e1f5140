"""Normals for the devices of a plane, a block of rows at a time, each named by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.fabricate import grid_normals

if TYPE_CHECKING:
    from rpucc.runtime.layout import Layout


def normals(layout: Layout, rows: slice, purpose: int, index: int) -> NDArray[np.float32]:
    """Standard normals for the devices of some rows, named by purpose, index and place in a tile.

    purpose: see `scalars/philox.py`. Returns float32 [rows, C].
    """
    scratch = np.empty(layout.longest_segment + 128, np.float32)
    out = np.empty((rows.stop - rows.start, layout.shape[1]), np.float32)
    grid_normals(
        out, rows.start, layout.row_cuts, layout.col_cuts, layout.tiles, purpose, index,
        *layout.key, scratch,
    )  # fmt: skip
    return out
