"""Tiki-Taka, version 2: what is read of the fast array is added up digitally.

Gokmen 2021 (doi 10.3389/frai.2021.699148). With q H's unit (`thres_scale` granularities of W, by
`auto_granularity`):

    U(A, x, d, lr_A)
    every so often:  v = read(A, k),  H_k += (lr_T / q) v,  n = trunc(H_k), cut to ± transfer_bl
                     W_k gets n pulses,  H_k -= n,  k = k + 1

H is a low-pass filter: a pulse of W stands for many reads that agree. A has to count from its
devices' symmetry points, or their distance is added up too.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from rpucc.cells.base import CELL
from rpucc.cells.buffered import Grain, Summed
from rpucc.cells.buffered_body import buffered_body
from rpucc.target.keys import OnNode


class TikiTaka2(Summed):
    """Tiki-Taka with a digital filter between its arrays."""

    model: ClassVar[str] = "tiki-taka-2"
    summary: ClassVar[str] = "tiki-taka with digital memory between its arrays (TTv2)"
    source: ClassVar[str] = "Gokmen 2021, doi 10.3389/frai.2021.699148"
    op: ClassVar[str] = "TikiTaka2Update"
    body: ClassVar[str] = buffered_body("@thres_scale", "slow_step")

    thres_scale: Annotated[Grain, OnNode(CELL)] = 1.0
    """H's unit, which a pulse of W stands for, in granularities of W."""

    def grain(self, slow_step: float, fast_step: float) -> float:
        """Granularities of the slow array."""
        return self.thres_scale * slow_step
