"""The models that can be fitted, by the names of their devices."""

from __future__ import annotations

from rpucc.runtime.fitting.lines import ConstantStep, LinearStep, SoftBounds
from rpucc.runtime.fitting.models import FitModel

_MODELS = (ConstantStep, LinearStep, SoftBounds)
FIT_MODELS: dict[str, type[FitModel]] = {model.name: model for model in _MODELS}
