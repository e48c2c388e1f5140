"""What each layer on arrays costs: what `by_layer` returns.

Not for measuring it: that is `by_layer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpucc.runtime.layer_remedies import Remedy
    from rpucc.runtime.metrics import Evaluation


@dataclass(frozen=True)
class Score:
    """What an evaluation came to."""

    error: float | None
    """A fraction of the labels; None for a regression."""
    loss: float
    """nan where the program has none."""

    @classmethod
    def of(cls, found: Evaluation) -> Score:
        """Of an evaluation's result."""
        return cls(found.error, found.loss)

    @property
    def key(self) -> tuple[float, float]:
        """What is compared: the error, and of equal errors the loss."""
        return (
            0.0 if self.error is None else self.error,
            math.inf if math.isnan(self.loss) else self.loss,
        )


@dataclass(frozen=True)
class LayerEffect:
    """What one layer on arrays costs."""

    layer: str
    alone: Score
    """With this layer on the target, all others ideal."""
    without: Score
    """With this layer ideal, all others on the target."""
    snr: float
    """Power of its ideal outputs over that of what its reads change in them, in dB; inf for
    nothing. Where the network uses its matrix in several places, the later ones carry what the
    earlier ones changed in their inputs."""
    clipped: float
    """Part of its weights that did not fit their devices when they were programmed."""
    at_bounds: float
    """Part of its weights within a step of a bound."""
    saturated: float
    """Part of its reads, when it is alone."""
    range_used: float
    """Its largest exact output before bound management, as a part of the signal bound, which is
    the range of the ADC; nan without a bound."""
    effects: Mapping[str, float]
    """What each of `EFFECTS` takes from its outputs by itself, as a part of their power."""
    remedy: Remedy | None
    """What the figures point to; None where the layer alone is no worse than ideal."""


@dataclass(frozen=True)
class Kept:
    """A layer that was chosen to be digital, and what came of it."""

    layer: str
    score: Score
    """With it and those before it ideal, all others on the target."""


@dataclass(frozen=True)
class ByLayer:
    """Layers by what they cost: the worst alone is first."""

    samples: int
    target: Score
    """All layers on the target."""
    ideal: Score
    """All layers ideal."""
    layers: tuple[LayerEffect, ...]
    chosen: tuple[Kept, ...] = ()
    """The layers to keep digital, in the order in which they were chosen."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from rpucc.report.text.by_layer import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_by_layer import by_layer_html

        return by_layer_html(self)
