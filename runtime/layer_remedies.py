"""Which setting the figures of a layer's reads point to, where the layer costs accuracy.

Not for the figures (`read_effects.py`), nor for words: those are `rpucc/report/text/by_layer.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.patterns import pattern_of

if TYPE_CHECKING:
    from rpucc.layers import AnalogLayer
    from rpucc.runtime.read_effects import ReadEffects
    from rpucc.target.target import LayerPolicy

UNUSED = 0.5
"""A part of a converter's range above which narrowing it gains less than a bit."""
MARGIN = 1.1
"""What a narrowed bound leaves above the largest output that was seen."""
AVERAGED = 4
"""Devices a weight whose mean has half the noise."""
MOST_DEVICES = 1024
BITS = 2
"""Bits that a converter with too few gets more: a quarter of the step."""
MOST_BITS = 16


@dataclass(frozen=True)
class Remedy:
    """What to try for a layer."""

    effect: str
    """One of `read_effects.EFFECTS`: what takes most from its outputs; "other" for none of them."""
    option: str
    """The setting, as `--set` takes it."""


def remedy_of(
    layer: AnalogLayer,
    policy: LayerPolicy,
    reads: Sequence[ReadEffects],
    effects: Mapping[str, float],
) -> Remedy:
    """Return what helps against the effect that takes most from the layer's outputs.

    effects: what each takes, as a part of their power.
    """
    effect = max(effects, key=lambda name: effects[name])
    if not effects[effect] > 0:
        effect = "other"
    key, value = _setting(effect, policy, reads)
    return Remedy(effect, f"layer.{_pattern(layer.name)}.{key}={value}")


def _setting(
    effect: str, policy: LayerPolicy, reads: Sequence[ReadEffects]
) -> tuple[str, str | int]:
    managed = all(read.managed for read in reads)
    largest = max(read.largest_input for read in reads)
    used = max(read.range_used for read in reads)
    periphery, mapping = policy.periphery, policy.mapping
    # Without it inputs are too small for what follows, or too large for their converters.
    unmanaged = not managed and (largest < UNUSED or largest > 1)
    if effect in ("noise", "dac", "adc") and unmanaged:
        return "management.noise_forward", "always"
    if effect == "adc" and used < UNUSED:
        return "periphery.bound", _rounded_up(used * periphery.bound * MARGIN)
    if effect == "noise" and mapping.devices_per_weight * AVERAGED <= MOST_DEVICES:
        return "mapping.devices_per_weight", mapping.devices_per_weight * AVERAGED
    if effect == "dac" and periphery.dac_bits + BITS <= MOST_BITS:
        return "periphery.dac_bits", periphery.dac_bits + BITS
    if effect == "adc" and periphery.adc_bits + BITS <= MOST_BITS:
        return "periphery.adc_bits", periphery.adc_bits + BITS
    if effect == "bound" and not policy.management.bound_forward:
        return "management.bound_forward", "true"
    if effect == "bound":
        return "periphery.bound", _rounded_up(used * periphery.bound * MARGIN)
    if effect == "clipped" and mapping.weight_scaling == "off":
        return "mapping.weight_scaling", "auto"
    return "analog", "false"


def _pattern(name: str) -> str:
    """How `--set` is told of a layer; a number alone would be that of a rule."""
    pattern = pattern_of(name).replace("=", "?")
    return f"[{pattern[0]}]{pattern[1:]}" if pattern.isdigit() else pattern


def _rounded_up(value: float) -> str:
    """Two digits, never less than the value."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / unit) * unit:.6g}"
