"""What cells have in common whose transfers go through digital memory.

Gokmen 2021 (doi 10.3389/frai.2021.699148), Rasch et al. 2024 (doi 10.1038/s41467-024-51221-z). A
fast array A takes the pulses of x and d; what its columns are read as is added up digitally, in H,
and the slow array W gets whole pulses of that:

    U(A, x, d, lr_A)
    every so often:  v = read(A, k),  H_k += s v,  n = trunc(H_k), cut to ± transfer_bl
                     where n is not 0:  W_k gets n pulses,  H_k -= (1 - momentum) n
                     k = k + 1

H is in pulses of W: s is the rate of transfers by the reads' granularity. A rule is one scalar
function of a row; the runtime compiles it into its kernels, the op's body states it in ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from rpucc.cells.base import CELL, COUNT
from rpucc.cells.transferred import ColumnTransfer
from rpucc.target.keys import OnNode
from rpucc.target.values import Allowed, Flag, Fraction, RateScale, integer, is_number

f32 = np.float32

SIZES = "sizes"
"""The state that holds running means of the largest |x| and |d| of a vector, float32 [2]."""

Grain = Annotated[float, Allowed("a number from 1e-6 to 1e6", lambda v: is_number(v, 1e-6, 1e6))]


class Buffered(ColumnTransfer):
    """A column of the fast array is added to digital memory, whole pulses of it are written.

    Subclasses state `transfer`, `rule_keys` and, of H, `grain`; with choppers, `period`.
    """

    kind: ClassVar[str] = "buffered"
    buffers: ClassVar[tuple[str, ...]] = ("buffer",)
    means: ClassVar[tuple[str, ...]] = (SIZES,)
    steps: ClassVar[Mapping[str, str]] = {"slow_step": "slow", "fast_step": "fast"}
    slots: ClassVar[str] = "slots"
    additions: ClassVar[int] = 1

    fast_lr: Annotated[RateScale, OnNode(CELL)] = 0.1
    """The fast array's learning rate; with `auto_scale`, what share of `update.bl` pulses the
    largest product of a usual vector gets."""
    scale_fast_lr: Annotated[Flag, OnNode(CELL)] = False
    """Whether `fast_lr` is a multiple of the layer's rate, and follows its schedule."""
    auto_scale: Annotated[Flag, OnNode(CELL)] = True
    """Divide the fast rate by running means of max|x| and max|d|, in steps of its devices: pulses
    neither vanish nor saturate as errors become smaller. Wants `update.update_management`."""
    transfer_lr: Annotated[RateScale, OnNode(CELL)] = 1.0
    """The rate of transfers, as a multiple of the layer's: H gains it times what is read."""
    scale_transfer_lr: Annotated[Flag, OnNode(CELL)] = True
    """Whether `transfer_lr` is a multiple of the layer's rate; false: it is the rate."""
    transfer_by_minibatch: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_every` counts minibatches; false: vectors, of which a convolution has one a
    position."""
    transfer_bl: Annotated[int, integer(1, 255), OnNode(CELL)] = 1
    """The most pulses of one write to a device; the rest stays in H."""
    auto_granularity: Annotated[RateScale, OnNode(CELL)] = 1000.0
    """In how many vectors a gradient that is seen in all of them should make a pulse, whatever the
    size of the array: H's unit is multiplied by it and divided by the vectors between two reads of
    a column. 0: the unit is as it is."""
    correct_gradient_magnitudes: Annotated[Flag, OnNode(CELL)] = False
    """Divide the rate of transfers by that of the fast array, so that W moves by the gradients
    themselves."""

    @property
    def rate(self) -> float:
        """That of the fast array, where it is a multiple of the layer's."""
        return self.fast_lr

    @property
    def state(self) -> tuple[str, ...]:
        """The fast array, digital memory, and what transfers are timed by."""
        return ("fast", *self.buffers, *self.column_flags, *self.means, COUNT)

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """What `transfer` gets last."""
        raise NotImplementedError

    def grain(self, slow_step: float, fast_step: float) -> float:
        """H's unit, what a pulse of W stands for, before `auto_granularity`.

        slow_step, fast_step: the granularity of the devices.
        """
        raise NotImplementedError

    @property
    def period(self) -> int:
        """How many times a column is read until its chopper may flip; 0 without choppers."""
        return 0

    @property
    def chop_chance(self) -> float:
        """With what chance a chopper flips behind a read; 0 where it does not flip by chance."""
        return 0.0

    @property
    def held_passes(self) -> int:
        """H stays at 0 for so many reads of a column."""
        return 0

    @staticmethod
    def transfer(
        value: Any, chopper: Any, switched: Any, warming: Any, scale: Any, most: Any, *rest: Any
    ) -> tuple[Any, ...]:
        """How many pulses a slow device gets for what was read of the fast one, and its memory.

        chopper: ±1; switched: whether it flipped after the last read of this column; warming:
        whether H is held at 0; scale: units of H a unit of the weight; most: pulses at most. Then
        the cell's buffers, and `rule_keys`; all float32 but for the two flags. Returns the pulses,
        a whole number, negative is down, and the buffers. Compiled into the kernel: arithmetic,
        comparisons, min, max, `math` and float32.
        """
        raise NotImplementedError


class Summed(Buffered):
    """H adds up what is read, and keeps what was not written."""

    momentum: Annotated[Fraction, OnNode(CELL)] = 0.0
    """What share of H stays, or of the pulses that were written, when it is written."""
    forget_buffer: Annotated[Flag, OnNode(CELL)] = False
    """Whether a write leaves `momentum` of H; false: it takes off what was written, less that share
    of it, and no part of a gradient is lost."""
    buffer_cap: Annotated[RateScale, OnNode(CELL)] = 0.0
    """H stays within so many times `transfer_bl`, where it is not forgotten; 0: without bounds."""

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """What `transfer` gets last."""
        cap = 0.0 if self.forget_buffer else self.buffer_cap * self.transfer_bl
        return (self.momentum, float(self.forget_buffer), cap or 3e38)

    @staticmethod
    def transfer(
        value: Any, chopper: Any, switched: Any, warming: Any, scale: Any, most: Any,
        buffer: Any, momentum: Any, forget: Any, cap: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Whole pulses of H are written, and taken off it."""
        total = buffer + scale * chopper * value
        pulses = f32(int(min(max(total, -most), most)))
        left = total - (f32(1) - momentum) * pulses
        if forget != f32(0):
            left = total * momentum if pulses != f32(0) else total
        return pulses, min(max(left, -cap), cap)
