"""What an epoch did to each layer, and where its weights stand: for `on_layer_stats`.

Not for counting reads and pulses (`tallies.py`), nor for what figures mean (`verdict.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rpucc.runtime.layer_figures import steps_and_bounds

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.machine import Machine


@dataclass(frozen=True)
class LayerStats:
    """One layer on arrays after an epoch: what training did in it, and its weights at its end.

    Weights are as a read sees them, in the units of the arrays (a scaled layer's are divided by its
    scale). All figures are reproducible: the same seed gives them again.
    """

    epoch: int
    """The epoch that is complete, from 1."""
    layer: str
    weights: int
    pulses: int
    """Pulses on the layer's devices in the epoch's training; 0 where updates are exact."""
    reads: int
    """Reads of single arrays in the epoch's training, forward and backward."""
    saturated_reads: int
    rereads: int
    at_bounds: float
    """Share of the weights within a step of a bound of their device; 0 without bounds."""
    lowest: float
    highest: float
    mean: float
    std: float

    @property
    def pulses_per_weight(self) -> float:
        """Pulses of the epoch over the weights."""
        return self.pulses / self.weights


def layer_stats(
    machine: Machine, epoch: int, counts: Mapping[str, Sequence[int]]
) -> tuple[LayerStats, ...]:
    """Return the figures of every layer on arrays, in the order of the program.

    counts: layer to its tile reads, saturated ones, re-reads and pulses.
    """
    return tuple(
        _stats(array, epoch, counts.get(array.layer, (0, 0, 0, 0)))
        for array in machine.arrays.values()
    )


def _stats(array: Array, epoch: int, counts: Sequence[int]) -> LayerStats:
    W, plane = array.visible, array.main
    sums = np.zeros(2)
    for rows in array.layout.row_blocks():  # so that no copy of all weights is made
        block = W[rows].astype(np.float64)
        sums += block.sum(), np.square(block).sum()
    mean, square = (float(each) for each in sums / W.size)
    reads, saturated, again, pulses = counts
    return LayerStats(
        epoch=epoch,
        layer=array.layer,
        weights=array.size,
        pulses=pulses,
        reads=reads,
        saturated_reads=saturated,
        rereads=again,
        at_bounds=steps_and_bounds(plane)[1] if plane.pulsed else 0.0,
        lowest=float(W.min()),
        highest=float(W.max()),
        mean=mean,
        std=math.sqrt(max(square - mean * mean, 0.0)),
    )
