"""Where a training stands, which addresses every random draw of it.

Not for the draws themselves: `scalars/philox.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rpucc import limits
from rpucc.errors import RpuccError

MAX_SEED = limits.SEED
MOST_DRAWS = 2**32
"""Samples, and epochs, that have a random draw of their own (`scalars/philox.py`)."""


def check_draws(last: int, doing: str) -> None:
    """Hold that samples up to number `last` (or epochs) have draws; doing: what begins messages."""
    if last > MOST_DRAWS:
        raise RpuccError(
            f"{doing}random numbers would repeat after {MOST_DRAWS:,} samples or epochs; train "
            "fewer, or a new machine"
        )


@dataclass
class Counters:
    """Where training stands, and what the epoch under way has seen so far.

    `epoch` epochs are complete; `done` samples of the next one are trained; `sample` samples were
    trained in all (it addresses every random draw), `earlier` epochs were begun before the first
    that is counted here (with `epoch`, it addresses the order of the samples).
    """

    epoch: int = 0
    done: int = 0
    sample: int = 0
    loss_sum: float = 0.0
    """Of the steps, each as often as its samples, or as `loss_weight` counts it."""
    errors: int = 0
    pulses: int = 0
    reads: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    """Tile reads, saturated ones, re-reads."""
    earlier: int = 0
    layers: dict[str, list[int]] = field(default_factory=dict)
    """Layer to tile reads, saturated ones, re-reads and pulses of the epoch under way; only where
    someone watches layers, and up to date where it is asked for (`Training`)."""
    loss_weight: float = 0.0
    """What the loss is a mean over where that is not the samples: the weights of the labels."""

    def evaluation(self, samples: int) -> int:
        """The number that addresses the first of so many evaluated samples, whose draws follow.

        It is `sample`, where an epoch trains at least as many, so that the evaluations after two
        epochs share no draw; where epochs are shorter, a multiple of it, as long as there are
        draws for that.
        """
        epochs, trained = self.epoch + self.earlier, self.sample - self.done
        times = max(1, -(-samples * epochs // trained)) if trained else 1
        apart = self.sample * times
        return apart if apart + samples <= MOST_DRAWS else self.sample

    def next_epoch(self) -> Counters:
        """Where training stands after the epoch under way."""
        return Counters(epoch=self.epoch + 1, sample=self.sample, earlier=self.earlier)
