"""Residual learning: a fast array takes the gradients, and reads see a share of it.

arXiv 2502.06309. As Tiki-Taka, at W + γ A:

    U(A, x, d, lr_A)                                        lr_A = fast_lr · lr
    every so often:  v = read(A, k),  U(W, u_k, -v, lr_T),  k = k + 1       lr_T = transfer_lr · lr

With γ = 0 it is Tiki-Taka. On exact devices that descend a quadratic loss of curvature h,
transferred whole at every step, the pair (W + γ A - W*, A) has determinant 1 - γ lr_A h: what is
seen of A damps, where Tiki-Taka oscillates for ever.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from rpucc.cells.base import CELL
from rpucc.cells.tiki_taka import TikiTaka
from rpucc.target.keys import OnNode
from rpucc.target.values import RateScale


class Residual(TikiTaka):
    """Tiki-Taka whose reads see the slow array and a share of the fast one."""

    model: ClassVar[str] = "residual"
    summary: ClassVar[str] = "tiki-taka that is read with a share of its fast array"
    source: ClassVar[str] = "arXiv 2502.06309"
    op: ClassVar[str] = "ResidualUpdate"

    gamma: Annotated[RateScale, OnNode(CELL)] = 0.4
    """The share γ of the fast array in what reads see; 0 hides it, as in tiki-taka."""
