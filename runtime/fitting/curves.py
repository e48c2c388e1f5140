"""Measured response curves: what was read off each device, and the pulses before every read.

Not for files: that is read.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


FEW = 10
"""Reads below which a curve is not smoothed."""


@dataclass(frozen=True)
class DeviceCurve:
    """The reads of one device in the order in which they were made, all arrays [reads]."""

    name: str
    counts: NDArray[np.int64]
    """Pulses between the read before and this one: up where positive, down where negative."""
    seen: NDArray[np.bool_]
    """Whether the read gave a number: of others only the pulses before them count."""
    fresh: NDArray[np.bool_]
    """Whether it is not known which pulses came since the read before: a curve starts here."""
    values: Floats
    """Weights that were read; 0 where none was."""

    @property
    def moves(self) -> int:
        """How many reads say where known pulses led."""
        return int(np.sum(self.seen & ~self.fresh & (self.counts != 0)))

    @property
    def pulses(self) -> int:
        """How many pulses are known of."""
        return int(np.abs(self.counts).sum())

    @cached_property
    def smooth(self) -> Floats:
        """What was read as the medians of five reads in a row: a single one is noisy."""
        values = self.values[self.seen]
        if len(values) < FEW:
            return values
        padded = np.concatenate([values[:1].repeat(2), values, values[-1:].repeat(2)])
        return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1))

    @property
    def legs(self) -> int:
        """How often the direction of the pulses turns, and the first."""
        directions = np.sign(self.counts[self.counts != 0])
        return 1 + int(np.sum(directions[1:] != directions[:-1]))


@dataclass(frozen=True)
class Curves:
    """The curves of some devices of one kind, as weights."""

    devices: tuple[DeviceCurve, ...]
    unit: str = ""
    """The unit of conductance that they were measured in, "" for weights."""
    reference: float = 0.0
    """The conductance of weight 0, in that unit."""
    scale: float = 1.0
    """The conductance of a weight of 1, in that unit."""
    left_out: int = 0
    """Reads after which it was not known which pulses came before."""
    missing: int = 0
    """Reads without a number."""

    @property
    def moves(self) -> int:
        """Reads that say where known pulses led, of all devices."""
        return sum(each.moves for each in self.devices)

    @cached_property
    def rereads(self) -> Floats:
        """Half the squared differences of reads of a device with no pulse between them."""
        found = [np.zeros(0)]
        for each in self.devices:
            again = each.seen[1:] & each.seen[:-1] & ~each.fresh[1:] & (each.counts[1:] == 0)
            found.append(np.diff(each.values)[again] ** 2 / 2)
        return np.concatenate(found)
