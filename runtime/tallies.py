"""What the instructions of a program count as they run: tile reads and pulses, by layer.

Not for what an epoch's counts say of a layer: `layer_stats.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime import aligned

Counts = NDArray[np.int64]

TILE_READS = slice(0, 3)
"""Of a line: tile reads, saturated ones, re-reads (see `kernels.read`)."""
PULSES = 3
COUNTS = 4
"""Numbers of a line that count something."""
_WIDTH = aligned.LINE // 8
_LINES = 32


class Tallies:
    """What the instructions of a step count: one line for each job, because they run side by side.

    A line has a cache line of its own, and all lie in a few blocks: adding up a step's counts takes
    the same few microseconds however many layers there are to tell apart.
    """

    def __init__(self) -> None:
        self._layers: list[str] = []
        self._steps: list[Counts] = []
        self._earlier: list[Counts] = []
        self._free: list[Counts] = []

    def line(self, layer: str) -> Counts:
        """A line that one job of a layer adds to when it runs: int64 [4].

        `TILE_READS` and `PULSES` say where. For the builder of an instruction: the array stays
        where it is.
        """
        if not self._free:
            block = aligned.empty((max(_LINES, len(self._layers)), _WIDTH), np.int64)
            block[:] = 0
            self._steps.append(block)
            self._earlier.append(np.zeros_like(block))
            self._free = [row[:COUNTS] for row in reversed(block)]
        self._layers.append(layer)
        return self._free.pop()

    @property
    def counts(self) -> Counts:
        """The sums of all lines since the last `reset`: int64 [4]."""
        total = np.zeros(_WIDTH, np.int64)
        for block in self._steps:
            total += block.sum(axis=0)
        return total[:COUNTS]

    @property
    def reads(self) -> Counts:
        """Tile reads, saturated ones and re-reads since the last `reset`."""
        return self.counts[TILE_READS]

    @property
    def pulses(self) -> int:
        """Pulses since the last `reset`."""
        return int(self.counts[PULSES])

    def reset(self) -> None:
        """Start a step: `counts` is 0 from here on."""
        for block, earlier in zip(self._steps, self._earlier, strict=True):
            earlier += block
            block[:] = 0

    def take(self) -> dict[str, Counts]:
        """Return what each layer counted since this was last asked, over all resets: int64 [4]."""
        self.reset()
        found = {layer: np.zeros(COUNTS, np.int64) for layer in self._layers}
        lines = (line for block in self._earlier for line in block)
        for layer, line in zip(self._layers, lines, strict=False):
            found[layer] += line[:COUNTS]
        for block in self._earlier:
            block[:] = 0
        return found
