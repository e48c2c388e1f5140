"""What a device is like, and what algorithms made of such devices, as text.

Not for measuring (`rpucc.runtime.device_traits`), nor for finding what is similar (`rpucc.advice`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rpucc.report import units
from rpucc.report.text.tables import new_table, pairs

if TYPE_CHECKING:
    from rpucc.advice import Condition, Measured
    from rpucc.runtime.device_traits import DeviceTraits, Spread

_ONE_SIDED = (
    "there are none to compare it with: it holds no weight below 0, so it is one of a pair that is "
    'only pulsed up (cell.model = "one-sided", docs/cells.md), and other devices were trained'
)


def advice_text(model: str, traits: DeviceTraits, figures: Measured, seed: int) -> RenderableType:
    """Return the figures of a device, and the errors of each algorithm on devices like it."""
    parts: list[RenderableType] = [pairs(_traits(model, traits, seed)), Text()]
    if traits.above_zero:
        return Group(*parts, Text(_ONE_SIDED))
    offsets = {"as it is": traits.offset, "zero-shifted": traits.shifted_offset}
    found = {
        key: figures.nearest(traits.states, offset)
        for key, offset in offsets.items()
        if offset is not None
    }
    if not found or not math.isfinite(traits.states):
        why = "there are none to compare it with: it has no " + (
            "bounds" if found else "symmetry points, and only devices with some were trained"
        )
        return Group(*parts, Text(why))
    parts += [_table(found, figures), Text(), Text(_source(found, figures))]
    return Group(*parts)


def _traits(model: str, traits: DeviceTraits, seed: int) -> list[tuple[str, str]]:
    step = f"{traits.granularity:.3g}"
    asymmetry = units.spread(traits.asymmetry.mean, traits.asymmetry.std)
    rows = [
        ("device", f"{model}, {units.counted(traits.devices, 'device')} (seed {seed})"),
        ("states", _states(traits, step)),
        ("asymmetry", f"{asymmetry}: (up - down) / (up + down) of the steps at weight 0"),
        ("noise", f"{traits.noise:.2f} of a step, from pulse to pulse"),
        ("symmetry", _points(traits.symmetry, traits.offset, traits.without)),
        ("zero-shifted", _shifted(traits)),
    ]
    if traits.immovable:
        rows.append(("stuck", f"{units.counted(traits.immovable, 'device')} at weight 0"))
    return rows


def _states(traits: DeviceTraits, step: str) -> str:
    if not math.isfinite(traits.states):
        return f"any number of {step}: it has no bounds"
    low, high = f"{traits.lowest:.3g}", f"{traits.highest:.3g}"
    return f"{traits.states:.4g} of {step} between {low} and {high} on average"


def _points(points: Spread | None, offset: float | None, without: int) -> str:
    if points is None or offset is None:
        return "none: its steps do not depend on the weight, or cancel nowhere"
    text = f"{units.spread(points.mean, points.std)}: {offset:.2f} of the way to a bound (rms)"
    return text + (f", none for {units.counted(without, 'device')}" if without else "")


def _shifted(traits: DeviceTraits) -> str:
    if traits.shifted is None:
        return "cannot be"
    return _points(traits.shifted, traits.shifted_offset, 0) + (
        f", after {units.counted(traits.pairs, 'pair')} of pulses"
    )


def _table(found: dict[str, Condition], figures: Measured) -> RenderableType:
    table = new_table("cell", *found, numeric=range(1, len(found) + 1))
    for cell in figures.cells:
        errors = [condition.errors.get(cell) for condition in found.values()]
        table.add_row(cell, *(units.NONE if e is None else f"{e:.3g} %" for e in errors))
    return table


def _source(found: dict[str, Condition], figures: Measured) -> str:
    like = " and ".join(
        f"{c.states:g} states, offset {c.offset:g} ({key})" for key, c in found.items()
    )
    return (
        f"{figures.what} On the most similar devices that were trained: {like}; "
        f"rpucc reproduce {figures.experiment}. What each cell needs and costs: docs/algorithms.md."
    )
