"""A cause: a figure that explains why a training learns little, and what it points to.

Not for which figures are causes (`verdict.py`, `step_causes.py`), nor for words: those are
`rpucc.report.text.verdict`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "still", "diverged", "gain", "noise", "saturated", "symmetry", "asymmetry", "states",
    "clipped", "bounds", "slow", "fine", "coarse",
]  # fmt: skip
"""What a cause is about; `rpucc.report.text.verdict` has words and remedies for each."""

DEFAULT_LR = 0.01
"""The learning rate of the papers, and of `Trainer.fit`."""


@dataclass(frozen=True)
class Cause:
    """A figure that explains why little was learned."""

    kind: Kind
    layers: tuple[str, ...]
    """The layers that it holds for; () for the network."""
    figure: float
    """What was found: the worst of the layers, in the unit of its kind."""
    against: float
    """What it has to be compared with."""
    advice: float | None = None
    """A number that would be better, where the figures give one: the learning rate."""
    options: tuple[str, ...] = ()
    """What would help, as `--set` takes it; () where no setting does."""
    full: float = 0.0
    """Of steps that are too fine: the part of the updates in which every slot fires."""
    step: float | None = None
    """A dw_min: of coarse steps what it is, of fine ones what would do where slots alone do not."""
