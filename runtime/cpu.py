"""The CPU backend: Numba kernels for arrays and what CNNs spend time in, NumPy for the rest."""

from __future__ import annotations

from rpucc.cells import UPDATE_OPS
from rpucc.layers import MASKED
from rpucc.runtime.backend import Backend
from rpucc.runtime.chains import FoldChain, Head, ReadChain, Slope, Turn, UnrollChain
from rpucc.runtime.digital import NATIVE
from rpucc.runtime.digital.session import build_session
from rpucc.runtime.instructions.accumulated_update import build_accumulated_update
from rpucc.runtime.instructions.batch_norm import build_batch_norm, build_batch_norm_gradient
from rpucc.runtime.instructions.buffered_update import build_buffered_update
from rpucc.runtime.instructions.cell_update import build_cell_update
from rpucc.runtime.instructions.drop import build_drop
from rpucc.runtime.instructions.fused import build_slope, build_turn
from rpucc.runtime.instructions.head import build_head
from rpucc.runtime.instructions.one_sided_update import build_one_sided_update
from rpucc.runtime.instructions.read import build_read
from rpucc.runtime.instructions.shares import build_assign, build_collect
from rpucc.runtime.instructions.update import build_update
from rpucc.runtime.instructions.windows import (
    build_append_one,
    build_col2im_chain,
    build_im2col,
    build_im2col_chain,
)

UPDATES = {
    "pulsed": build_update,
    "transferred": build_cell_update,
    "buffered": build_buffered_update,
    "accumulated": build_accumulated_update,
    "one-sided": build_one_sided_update,
}
"""Kind of a cell -> what builds its update op, with a mask or without."""

CPU = Backend(
    name="cpu",
    rpu={
        "Im2Col": build_im2col,
        "AppendOne": build_append_one,
        "Assign": build_assign,
        "Collect": build_collect,
        **{op: UPDATES[cell.kind] for op, cell in UPDATE_OPS.items()},
        **{f"{MASKED}{op}": UPDATES[cell.kind] for op, cell in UPDATE_OPS.items()},
        "BatchNorm": build_batch_norm,
        "BatchNormGradient": build_batch_norm_gradient,
        "Drop": build_drop,
    },
    standard=NATIVE,
    other=build_session,
    chains={
        ReadChain: build_read,
        UnrollChain: build_im2col_chain,
        FoldChain: build_col2im_chain,
        Turn: build_turn,
        Slope: build_slope,
        Head: build_head,
    },
)
