"""A chain of arrays, each a finer correction of the one that it is transferred to.

arXiv 2510.02516. Of N + 1 arrays A_0, the finest, takes the gradients and A_N, the coarsest, holds
the initial weights; reads see all of them:

    W = Σ γ^(N-m) A_m
    U(A_0, x, d, lr_A)                                              lr_A = fast_lr · lr
    every T_m vectors:  U(A_{m+1}, u_k, -read(A_m, k), lr_m),  each m with a column k of its own

T_m and lr_m grow geometrically with m; the coarsest transfer comes first. With two arrays it is
residual learning. A chain is a row of integrators: lr_{m+1} / T_{m+1} has to be well below
lr_m / T_m, and γ times the range of an array above the largest step of the next coarser one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from rpucc.cells.base import CELL, COUNT, Cell
from rpucc.cells.multi_tile_body import chain_body
from rpucc.cells.transferred import Link, Transferred
from rpucc.target.keys import OnNode
from rpucc.target.values import Allowed, Flag, RateScale, integer, is_number

MOST_TILES = 8

Growth = Annotated[float, Allowed("a number from 0 to 100", lambda v: is_number(v, 0, 100))]


class MultiTile(Transferred):
    """Several devices a weight: pulses go to the finest, each is handed on to the next coarser."""

    model: ClassVar[str] = "multi-tile"
    summary: ClassVar[str] = "a chain of arrays, each a finer correction of the next coarser one"
    source: ClassVar[str] = "arXiv 2510.02516"
    pulsed: ClassVar[str] = "tile_0"

    fast_lr: Annotated[RateScale, OnNode(CELL)] = 1.0
    """The finest array's learning rate as a multiple of the layer's."""
    transfer_lr: Annotated[RateScale, OnNode(CELL)] = 0.1
    """lr_0, the rate of transfers from the finest array to the next."""
    transfer_every: Annotated[int, integer(1, 1_000_000), OnNode(CELL)] = 2
    """T_0: how many vectors, or minibatches, come between transfers from the finest array."""
    transfer_by_minibatch: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_every` counts minibatches; false: vectors, of which a convolution has one a
    position."""
    reset_fast: Annotated[Flag, OnNode(CELL)] = False
    """Set a column of an array to zero when it was transferred."""
    gamma: Annotated[RateScale, OnNode(CELL)] = 0.5
    """γ: the finest of n arrays counts γ^(n - 1) in what reads see, the coarsest 1."""
    shift_fast: Flag = True
    """Zero-shift all arrays but the coarsest as [calibration] says, whether or not `zero_shift` is
    set there: that is about the coarsest."""
    tiles: Annotated[int, integer(2, MOST_TILES)] = 3
    """How many arrays a weight has: tile_0, the finest, and so on to the coarsest."""
    transfer_every_growth: Annotated[int, integer(1, 100), OnNode(CELL)] = 5
    """T_m+1 as a multiple of T_m."""
    transfer_lr_growth: Annotated[Growth, OnNode(CELL)] = 1.2
    """lr_m+1 as a multiple of lr_m."""
    scale_transfer_lr: Annotated[Flag, OnNode(CELL)] = False
    """Whether `transfer_lr` is a multiple of the layer's rate; false: it is the rate, except in a
    layer whose rate is 0, where nothing learns."""

    @classmethod
    def variants(cls) -> tuple[Cell, ...]:
        """One for each number of arrays."""
        return tuple(cls.model_construct(tiles=tiles) for tiles in range(2, MOST_TILES + 1))

    @classmethod
    def all_planes(cls) -> tuple[str, ...]:
        """From the coarsest that there may be to the finest."""
        return cls.variants()[-1].planes

    @property
    def planes(self) -> tuple[str, ...]:
        """From the coarsest, which holds the initial weights, to the finest."""
        return tuple(f"tile_{m}" for m in reversed(range(self.tiles)))

    @property
    def op(self) -> str:
        """One for each number of arrays, all of which it takes."""
        return f"MultiTile{self.tiles}Update"

    @property
    def body(self) -> str:
        """The recursion with exact updates and reads."""
        return chain_body(self.tiles)

    @property
    def gains(self) -> dict[str, float]:
        """Σ γ^(N-m) A_m."""
        found = {name: self.gamma**i for i, name in enumerate(self.planes)}
        return {name: gain for name, gain in found.items() if gain}

    @property
    def shifted(self) -> tuple[str, ...]:
        """All but the coarsest, unless that is switched off."""
        return self.planes[1:] if self.shift_fast else ()

    @property
    def state(self) -> tuple[str, ...]:
        """All but the coarsest, and what transfers are timed by."""
        return (*self.planes[1:], COUNT)

    @property
    def links(self) -> tuple[Link, ...]:
        """From each array to the next coarser one, the coarsest first."""
        return tuple(
            Link(
                fast=f"tile_{m}",
                slow=f"tile_{m + 1}",
                rate=self.transfer_lr * self.transfer_lr_growth**m,
                every=self.transfer_every * self.transfer_every_growth**m,
            )
            for m in reversed(range(self.tiles - 1))
        )

    @property
    def scaled(self) -> bool:
        """As its key says."""
        return self.scale_transfer_lr

    @property
    def rule_keys(self) -> tuple[float, ...]:
        """None: rates and periods are those of the links."""
        return ()

    @staticmethod
    def transfer(value: float, rate: float, dw_min: float) -> float:
        """How many pulses the coarser device should get for what was read off the finer one.

        Any number: it is their mean, in `transfer_bl` slots at most.
        """
        return rate * value / dw_min
