"""What cells have in common in which a fast plane learns and is transferred to a slow one.

A transfer reads one column of the fast array with a one-hot input, works out digitally how many
pulses the slow devices of that column should get, and pulses them. Every tile has its own turn of
columns; all tiles take theirs at the same time.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

from rpucc.cells.base import CELL, COUNT, Cell
from rpucc.target.keys import OnNode, mark
from rpucc.target.values import Flag, RateScale, integer


class Link(NamedTuple):
    """From which plane to which another transfers go."""

    fast: str
    slow: str
    rate: float
    """What the slow plane gains of what is read, as a multiple of the layer's rate, where transfers
    are scaled by that."""
    every: int
    """Vectors, or minibatches, from one transfer to the next."""


class ColumnTransfer(Cell):
    """Two devices a weight: pulses of x and d go to the fast one, its columns to the slow one."""

    pulsed: ClassVar[str] = "fast"
    shift_key: ClassVar[str] = "shift_fast"
    additions: ClassVar[int] = 0
    """Additions a value that is read; comparisons with a threshold are left out."""
    multiplications: ClassVar[int] = 1
    """The same of multiplications; what changes a sign is none."""

    fast_lr: Annotated[RateScale, OnNode(CELL)] = 1.0
    """The fast array's learning rate as a multiple of the layer's."""
    transfer_lr: Annotated[RateScale, OnNode(CELL)] = 1.0
    """The rate of transfers as a multiple of the layer's: W gains it times what is read."""
    transfer_every: Annotated[int, integer(1, 1_000_000_000), OnNode(CELL)] = 1
    """How many vectors, or minibatches, come between transfers."""
    transfer_by_minibatch: Annotated[Flag, OnNode(CELL)] = True
    """Whether `transfer_every` counts minibatches; false: vectors, of which a convolution has one a
    position."""
    transfer_columns: Annotated[int, integer(1, 65536), OnNode(CELL)] = 1
    """Columns that a transfer takes, in turn; each tile has its own turn."""
    transfer_bl: Annotated[int, integer(1, 255), OnNode(CELL)] = 31
    """Pulse slots in which a row of a transfer may fire; the one column does in all of them."""
    reset_fast: Annotated[Flag, OnNode(CELL)] = False
    """Set a column of the fast array to zero when it was transferred."""
    gamma: Annotated[RateScale, OnNode(CELL)] = 0.0
    """The share γ of the fast array in what reads see; 0 hides it."""
    shift_fast: Flag = True
    """Zero-shift the fast array as [calibration] says, whether or not `zero_shift` is set there:
    that is about the slow one."""

    @property
    def planes(self) -> tuple[str, ...]:
        """The slow one holds the initial weights."""
        return ("slow", "fast")

    @property
    def gains(self) -> dict[str, float]:
        """W + γ A."""
        return {"slow": 1.0, "fast": self.gamma} if self.gamma else {"slow": 1.0}

    @property
    def rate(self) -> float:
        """That of the fast array."""
        return self.fast_lr

    @property
    def shifted(self) -> tuple[str, ...]:
        """The fast array, unless that is switched off."""
        return ("fast",) if self.shift_fast else ()

    @property
    def state(self) -> tuple[str, ...]:
        """The fast array, and what transfers are timed by: vectors or minibatches so far."""
        return ("fast", COUNT)


class Transferred(ColumnTransfer):
    """A column goes over at once, by a pulse train.

    Subclasses state `transfer`, the digital rule.
    """

    kind: ClassVar[str] = "transferred"

    @property
    def links(self) -> tuple[Link, ...]:
        """What is transferred where, in the order in which it is done."""
        return (Link("fast", "slow", self.transfer_lr, self.transfer_every),)

    @property
    def scaled(self) -> bool:
        """Whether the rates of transfers are multiples of the layer's."""
        return True

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """The values of the model's own keys that nodes carry: what `transfer` gets last."""
        return tuple(
            float(getattr(self, key))
            for key, field in type(self).model_fields.items()
            if key not in Transferred.model_fields and mark(field, OnNode) is not None
        )

    @staticmethod
    def transfer(value: Any, rate: Any, dw_min: Any, *keys: Any) -> Any:
        """How many pulses, on average, a slow device should get for what was read of the fast one.

        rate: `transfer_lr` times the layer's rate; dw_min: of the slow devices; keys: the model's
        own. A cell with digital memory, one number a weight, gets it before its keys, and returns
        it behind the pulses. Compiled into the kernel: arithmetic, comparisons, min, max and `math`
        only.
        """
        raise NotImplementedError
