"""What the update of a cell is told beside what a plane's own update is: named tuples for Numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.update_arguments import NOT_KEPT, TO_ZERO, Resets, Tiles, Written


class Rates(NamedTuple):
    """How far a step goes."""

    fast_lr: np.float32
    slow_lr: tuple[np.float32, ...]
    """Of each link."""
    bl: int
    """Slots of a transfer; 0 without pulse trains."""
    reset: bool
    """Whether a column of a plane is set to zero when it was transferred."""
    keys: tuple[np.float32, ...] = ()
    """The cell model's own keys, for its rule."""


class SignedRates(NamedTuple):
    """`Rates` of a cell with digital memory and a sign."""

    fast_lr: np.float32
    slow_lr: tuple[np.float32, ...]
    bl: int
    reset: bool
    keys: tuple[np.float32, ...]
    memory: NDArray[np.float32]
    """[R, C]."""
    signs: NDArray[np.float32]
    """[rows of X + 1]: the sign that each is pulsed with, then that behind the step."""
    held: NDArray[np.float32]
    """[R, C]: the memory where the sign last changed; [0, 0] where it never does."""


class Timing(NamedTuple):
    """When columns are transferred, and which."""

    before: int
    """Vectors, or minibatches, before this step."""
    every: int
    """Of all links their greatest common divisor."""
    columns: int
    by_minibatch: bool
    trains: int
    """Rows of X a vector: one for each of its pulse trains."""


class Link(NamedTuple):
    """From which plane to which another transfers go, and how often."""

    fast: NDArray[np.float32]
    """The weights of the plane that is read [R, C]."""
    slow: NDArray[np.float32]
    """Of the one that is pulsed [R, C]."""
    devices: Any
    """Of the latter, as the update kernels take them."""
    fast_ids: NDArray[np.int64]
    """The ids of the tiles of the first [B, S]."""
    tiles: Tiles
    """The tiles of the second."""
    dw_min: np.float32
    """Of the second; where updates are exact 1."""
    every: int
    """Vectors, or minibatches, from one transfer to the next."""
    written: Written = NOT_KEPT
    """Of the plane that is read: what is seen of devices that were pulsed is drawn before."""
    resets: Resets = TO_ZERO
    """Where its devices are reset to."""


class Events(NamedTuple):
    """When transfers happen in a step, for planes of which devices are pulsed one by one."""

    number: int
    first: int
    """The row of X after which the first happens."""
    stride: int
    """Rows from one to the next."""
    n: int
    """Vectors, or minibatches, before the first, those of earlier steps included."""
    every: int
    """And from one to the next."""
    columns: int
    positions: int
    """Rows of X a sample."""


class TransferDraws(NamedTuple):
    """Scratch for the draws of events, and of their links and columns in turn."""

    normals: NDArray[np.float32]
    """[events · links · columns, rows + 128]."""
    words: NDArray[np.uint32]
    """[events · links · columns, slots · rows + 128]."""
    noise: NDArray[np.float32]
    """[slots + 128]: of the pulses of one device."""


class Transfers(NamedTuple):
    """What happens between pulses of a plane whose devices are pulsed one by one."""

    events: Events
    links: tuple[Link, ...]
    rates: Rates | SignedRates
    read: TransferRead
    most: int
    """Events that have their draws made together."""
    columns: int
    """The most of a tile that an event transfers."""
    scratch: TransferDraws


class Sending(NamedTuple):
    """Which whole steps of a digital sum are sent to devices (`accumulated_template.py.txt`)."""

    event: int
    """How often rows were sent before."""
    rows: int
    """Of each tile, in turn; 0: all."""
    epsilon: np.float32
    """What makes a step."""
    most: np.float32
    """Steps of a device at once."""


class TransferRead(NamedTuple):
    """What stands behind an array when a column is read."""

    noise: np.float32
    bound: np.float32
    adc_step: np.float32


class TransferScratch(NamedTuple):
    """Of one column of one tile."""

    values: NDArray[np.float32]
    """[rows]."""
    normals: NDArray[np.float32]
    """[rows + 128]."""
    words: NDArray[np.uint32]
    """[rows · slots + 128]."""
    noise: NDArray[np.float32]
    """[slots + 128]."""
