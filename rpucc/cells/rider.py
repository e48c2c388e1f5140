"""RIDER and E-RIDER: residual learning that finds its fast array's symmetry points on the way.

arXiv 2602.21321. Q is a running mean of what is read of the fast array A, R an array that holds Q
as it was when the sign c last changed, η = `recent_share`:

    reads see  W + γ c (A - R)
    U(A, x, c d, lr_A)                                      lr_A = fast_lr · lr
    every so often:  v = read(A, k),  Q_k += η (v - Q_k),  U(W, u_k, -c (v - Q_k), lr_T),  k = k + 1
    then, now and then:  c = -c,  R = Q

What A's devices do besides gradients goes into W with both signs and cancels, so that A needs no
zero-shifting. Q has to follow A within the time between two changes of c, or W gets both signs of
the gradients, too. Where the sign never changes (`flip_every` = 0) it is RIDER, without R.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from rpucc.cells.base import CELL, COUNT, FLIPPED, Cell
from rpucc.cells.rider_body import rider_body
from rpucc.cells.transferred import Transferred
from rpucc.target.keys import OnNode
from rpucc.target.values import Flag, Fraction, RateScale, integer


class Rider(Transferred):
    """Residual learning whose reads of the fast array count from a running mean of them."""

    model: ClassVar[str] = "rider"
    summary: ClassVar[str] = "residual learning that finds out on the way what reads count from"
    source: ClassVar[str] = "arXiv 2602.21321"
    buffers: ClassVar[tuple[str, ...]] = ("recent",)
    flags: ClassVar[tuple[str, ...]] = (FLIPPED,)
    turned: ClassVar[tuple[str, ...]] = ("fast", "reference")
    additions: ClassVar[int] = 3
    multiplications: ClassVar[int] = 2

    transfer_lr: Annotated[RateScale, OnNode(CELL)] = 0.05
    """The rate of transfers: W gains it times what is read."""
    transfer_by_minibatch: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_every` counts minibatches; false: vectors, of which a convolution has one a
    position."""
    gamma: Annotated[RateScale, OnNode(CELL)] = 0.1
    """The share γ of the fast array in what reads see; 0 hides it."""
    shift_fast: Flag = False
    """Zero-shift the fast array as [calibration] says, too: reads need it not."""
    scale_transfer_lr: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_lr` is a multiple of the layer's rate; false: it is the rate, except in a
    layer whose rate is 0, where nothing learns."""
    recent_share: Annotated[Fraction, OnNode(CELL)] = 0.25
    """η: what share a read has in the mean that reads count from. 0: the mean stays 0."""
    flip_every: Annotated[int, integer(0, 1_000_000_000), OnNode(CELL)] = 20
    """How many times the columns of a tile are read, of the widest, until the sign changes. 0: it
    never does (RIDER), and there is no reference array."""
    flip_random: Annotated[Flag, OnNode(CELL)] = False
    """Whether the sign changes by chance, behind each of those times with 1 / `flip_every`."""

    @classmethod
    def variants(cls) -> tuple[Cell, ...]:
        """With a sign that changes, and without."""
        return cls.model_construct(), cls.model_construct(flip_every=0)

    @property
    def planes(self) -> tuple[str, ...]:
        """The slow one holds the initial weights."""
        return ("slow", "fast", "reference") if self.flip_every else ("slow", "fast")

    @property
    def op(self) -> str:
        """With a sign that changes it has more of a state."""
        return "ERiderUpdate" if self.flip_every else "RiderUpdate"

    @property
    def body(self) -> str:
        """The recursion with exact updates and reads; a sign that changes by chance stays."""
        return rider_body(flips=bool(self.flip_every))

    @property
    def gains(self) -> dict[str, float]:
        """W + γ (A - R), of a positive sign."""
        gains = {"slow": 1.0, "fast": self.gamma, "reference": -self.gamma}
        return {name: gains[name] for name in self.planes if gains[name]}

    @property
    def state(self) -> tuple[str, ...]:
        """The fast array, R and its sign, the running mean, and what transfers are timed by."""
        flips = ("reference", *self.buffers, *self.flags)
        return ("fast", *(flips if self.flip_every else self.buffers), COUNT)

    @property
    def scaled(self) -> bool:
        """As its key says."""
        return self.scale_transfer_lr

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """η: the rest is when, not how."""
        return (self.recent_share,)

    @staticmethod
    def transfer(value: Any, rate: Any, dw_min: Any, recent: Any, share: Any) -> tuple[Any, Any]:
        """How many pulses, on average, a slow device gets, and Q; rate: with the sign."""
        recent = recent + share * (value - recent)
        return rate * (value - recent) / dw_min, recent
