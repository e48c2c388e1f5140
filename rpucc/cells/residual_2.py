"""Residual learning, version 2: the memory between the arrays is a running mean of reads.

arXiv 2502.06309. With q H's unit, as in `tiki_taka_2.py`, and b = 1 - momentum:

    U(A, x, d, lr_A)
    every so often:  v = read(A, k),  H_k = (1 - b) H_k + b (lr_T / q) v,  n = trunc(H_k)
                     W_k gets n pulses, `transfer_bl` at most,  H_k -= n,  k = k + 1

Gradients are those at W + gamma A. Its settings follow the paper; the simulator that it was run on
is not public, and how it counts H may differ.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from rpucc.cells.base import CELL
from rpucc.cells.buffered import Buffered, Grain
from rpucc.cells.buffered_body import buffered_body
from rpucc.target.keys import OnNode
from rpucc.target.values import Flag, Fraction, RateScale

f32 = np.float32


class Residual2(Buffered):
    """Residual learning with a digital running mean between its arrays."""

    model: ClassVar[str] = "residual-2"
    summary: ClassVar[str] = "residual learning with a digital running mean between its arrays"
    source: ClassVar[str] = "arXiv 2502.06309"
    op: ClassVar[str] = "Residual2Update"
    multiplications: ClassVar[int] = 2
    body: ClassVar[str] = buffered_body("@thres_scale", "slow_step", decays=True)

    fast_lr: Annotated[RateScale, OnNode(CELL)] = 1.0
    """The fast array's learning rate; with `auto_scale`, what share of `update.bl` pulses the
    largest product of a usual vector gets."""
    scale_fast_lr: Annotated[Flag, OnNode(CELL)] = True
    """Whether `fast_lr` is a multiple of the layer's rate, and follows its schedule."""
    auto_scale: Annotated[Flag, OnNode(CELL)] = False
    """Divide the fast rate by running means of max|x| and max|d|, in steps of its devices. Wants
    `update.update_management`."""
    transfer_lr: Annotated[RateScale, OnNode(CELL)] = 0.11
    """The rate of transfers; the paper adds 1 / states of the devices."""
    scale_transfer_lr: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_lr` is a multiple of the layer's rate; false: it is the rate."""
    auto_granularity: Annotated[RateScale, OnNode(CELL)] = 100.0
    """H's unit is multiplied by it and divided by the vectors between two reads of a column, so
    that arrays of all sizes learn alike; 0: the unit is as it is."""
    gamma: Annotated[RateScale, OnNode(CELL)] = 0.4
    """The share γ of the fast array in what reads see; 0 hides it."""
    thres_scale: Annotated[Grain, OnNode(CELL)] = 1.0
    """H's unit, which a pulse of W stands for, in granularities of W."""
    momentum: Annotated[Fraction, OnNode(CELL)] = 0.9
    """1 - b: what a read leaves of H."""

    def grain(self, slow_step: float, fast_step: float) -> float:
        """Granularities of the slow array."""
        return self.thres_scale * slow_step

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """What a read leaves of H."""
        return (self.momentum,)

    @staticmethod
    def transfer(
        value: Any, chopper: Any, switched: Any, warming: Any, scale: Any, most: Any,
        buffer: Any, momentum: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Whole pulses of the running mean are written, and taken off it."""
        total = buffer * momentum + (f32(1) - momentum) * (scale * value)
        pulses = f32(int(min(max(total, -most), most)))
        return pulses, total - pulses
