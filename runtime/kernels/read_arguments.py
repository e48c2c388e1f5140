"""What the read kernels take, in groups: which lines, with what around them, whose draws, scratch.

Named tuples of this module, so that Numba's disk cache knows their types again, and a kernel
that is compiled with further stages takes the same ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

# A bound that no float32 exceeds (not inf: kernels are compiled for finite numbers).
UNBOUNDED = np.finfo(np.float32).max


class Lines(NamedTuple):
    """Which lines of a matrix a read goes through: (inputs, outputs) is (C, R), or (R, C)."""

    in_cuts: Indices
    """[S + 1]: the borders of the tiles on the inputs."""
    out_cuts: Indices
    """[B + 1]: the same on the outputs."""
    tiles: Indices
    """[S, B], or [G, S, B] for G matrices: the tile ids that address the draws; -1 for a tile that
    is not there."""
    transpose: bool
    """The backward cycle: inputs are rows."""


class Settings(NamedTuple):
    """What stands around the product, in the kernels' terms."""

    noise_managed: bool
    """Scale each row of each segment by its max |x| (0: nothing is read, Y = 0)."""
    max_halvings: int
    """Bound management's limit, 0 for none."""
    worst_case: np.float32
    """See `converters.reduction`."""
    noise: np.float32
    """Sigma."""
    bound: np.float32
    """Alpha, or UNBOUNDED."""
    dac_levels: np.float32
    """2^(bits - 1) - 1, or 0 for no converter."""
    dac_stochastic: bool
    """The DACs of every tile round by chance."""
    adc_step: np.float32
    """2 alpha / (2^bits - 2), or 0 for no converter."""
    stages: tuple[np.float32, ...] = ()
    """The keys of the stages behind the product that the kernel is compiled with (`composed`)."""


class Draws(NamedTuple):
    """What addresses the draws of a read, beside its tile, its sample and the retry."""

    positions: int
    """Rows a sample: row m is position m % positions of sample sample0 + m // positions."""
    purpose: int
    """See `philox`."""
    place: int
    """Which of the layer's places in the network reads: a shared matrix has several."""
    k0: np.uint32
    k1: np.uint32


class Scratch(NamedTuple):
    """What a kernel writes into meanwhile; one for each thread."""

    block: int
    """Rows that are read together."""
    xs: Floats
    """[2 · block · longest segment]"""
    zs: Floats
    """[2 · block · most outputs of a tile]"""
    scales: Floats
    """[2 · block]"""
    normals: Floats
    """[(block + 1) · most outputs of a tile + 256]"""
    words: NDArray[np.uint32]
    """[longest segment + 128]"""
    rows_again: Indices
    """[2 · block]"""
    sums: Floats
    """[most sums of a stage · most outputs of a tile]"""

    @classmethod
    def of(
        cls, block: int, longest: int, widest: int, sums: int = 0, make: Any = np.empty
    ) -> Scratch:
        """For tiles of at most `longest` inputs and `widest` outputs, and stages with `sums`.

        make: what allocates, called with a length and a type.
        """
        return cls(
            block=block,
            xs=make(2 * block * longest, np.float32),
            zs=make(2 * block * widest, np.float32),
            scales=make(2 * block, np.float32),
            normals=make((block + 1) * widest + 256, np.float32),
            words=make(longest + 128, np.uint32),
            rows_again=make(2 * block, np.int64),
            sums=make(sums * widest, np.float32),
        )


class Tile(NamedTuple):
    """The tile that is being read."""

    address: int
    """Of its first weight."""
    i0: int
    """Its first input line."""
    inputs: int
    o0: int
    """Its first output line."""
    outputs: int
    word: np.uint32
    """Purpose and tile id: a word of the address of its draws."""
