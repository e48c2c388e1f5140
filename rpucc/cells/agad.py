"""AGAD: choppers, and reads that count from what was read before the sign changed.

Rasch et al. 2024 (doi 10.1038/s41467-024-51221-z). Beside what `chopped_tiki_taka.py` has, P is a
running mean of reads and O what they count from:

    transfer:  v = read(A, k)
               if c_k changed behind the last read:  O_k = P_k
               H_k += (lr_T / q) c_k (v - O_k),  n = trunc(H_k), cut to ± transfer_bl
               W_k gets n pulses,  H_k -= n,  P_k += beta (v - P_k),  then c_k may change

beta = `tail_weightening` / T, at most 1, for a period of T reads. Where A's devices come to rest
without gradients is found on the way, so that A needs no reference and no zero-shifting. Until
every column has been through a whole period O means nothing, and H is held at 0 (`warm_up`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from rpucc.cells.base import CELL
from rpucc.cells.buffered_body import buffered_body
from rpucc.cells.chopped_tiki_taka import CHOPPED, Chopped
from rpucc.target.keys import OnNode
from rpucc.target.values import Flag, RateScale

f32 = np.float32


class Agad(Chopped):
    """Columns whose sign changes, read from where they were before."""

    model: ClassVar[str] = "agad"
    summary: ClassVar[str] = "chopped tiki-taka that finds out on the way what reads count from"
    source: ClassVar[str] = "Rasch et al. 2024, doi 10.1038/s41467-024-51221-z"
    op: ClassVar[str] = "AgadUpdate"
    buffers: ClassVar[tuple[str, ...]] = ("buffer", "recent", "offset")
    column_flags: ClassVar[tuple[str, ...]] = (CHOPPED, "switched")
    additions: ClassVar[int] = 4
    multiplications: ClassVar[int] = 2
    body: ClassVar[str] = buffered_body(
        "@buffer_granularity", "fast_step", chops=True, averages=True
    )

    tail_weightening: Annotated[RateScale, OnNode(CELL)] = 5.0
    """How much the last reads of a period count in what the next one's count from: of a period of T
    reads the mean gets this share of T of each; T and above: the last read alone counts."""
    warm_up: Annotated[Flag, OnNode(CELL)] = True
    """Hold H at 0 until all columns have been read more than a period."""
    shift_fast: Flag = False
    """Zero-shift the fast array as [calibration] says, too: reads need it not."""

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """Those of every rule, and beta."""
        period = self.period
        beta = min(self.tail_weightening / period, 1.0) if period else 0.0
        return (*super().rule_keys, beta)

    @property
    def held_passes(self) -> int:
        """A period, and the read behind it."""
        return self.period if self.warm_up else 0

    @staticmethod
    def transfer(  # type: ignore[override]
        value: Any, chopper: Any, switched: Any, warming: Any, scale: Any, most: Any,
        buffer: Any, recent: Any, offset: Any, momentum: Any, forget: Any, cap: Any, beta: Any,
    ) -> tuple[Any, Any, Any, Any]:  # fmt: skip
        """Whole pulses of H are written, and taken off it; P and O as in the equations above."""
        offset = recent if switched else offset
        total = f32(0) if warming else buffer + scale * chopper * (value - offset)
        pulses = f32(int(min(max(total, -most), most)))
        left = total - (f32(1) - momentum) * pulses
        if forget != f32(0):
            left = total * momentum if pulses != f32(0) else total
        return pulses, min(max(left, -cap), cap), recent + beta * (value - recent), offset
