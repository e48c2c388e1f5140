"""The models that can be fitted, by the names of their devices."""

from __future__ import annotations

from rpucc.runtime.fitting.lines import ConstantStep, LinearStep, SoftBounds
from rpucc.runtime.fitting.models import FitModel
from rpucc.runtime.fitting.shapes import ExpStep, PowStep
from rpucc.runtime.fitting.tables import PiecewiseStep, TableStep

_MODELS = (ConstantStep, LinearStep, SoftBounds, ExpStep, PowStep, PiecewiseStep, TableStep)
ON_REQUEST = (TableStep,)
"""That are fitted where they are named: what any formula can say, they can."""
FIT_MODELS: dict[str, type[FitModel]] = {model.name: model for model in _MODELS}
