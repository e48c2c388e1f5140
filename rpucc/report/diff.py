"""What differs between two plans: layers and how, totals side by side.

Works on the plain data of a plan (`Plan.to_dict`), so that a program and a JSON file of another
day compare alike. Not for reading files: that is the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from rpucc.report import units
from rpucc.report.tables import new_table

Data = Mapping[str, Any]

TOLERANCE = 1e-9
"""Relative difference up to which times and fractions are the same: JSON keeps 17 digits, but
sums may be made in another order."""

FOLLOWS = frozenset({"is_bottleneck"})
"""Keys of a layer that follow from other layers and are shown with the totals."""


@dataclass(frozen=True)
class Change:
    """One value that differs; None where a side does not have it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class PlanDiff:
    """What two plans do not have in common. Layers are matched by their names."""

    totals: tuple[Change, ...]
    """All totals of either side, also those that are equal."""
    layers: Mapping[str, tuple[Change, ...]]
    """Layers of both sides that differ, with what differs."""
    removed: tuple[str, ...]
    added: tuple[str, ...]
    same_layers: int
    """Layers that are alike on both sides."""
    moved: bool = False
    """The layers that both have come in another order."""

    @property
    def same(self) -> bool:
        """True where the plans differ in nothing."""
        unequal = any(differs(c.before, c.after) for c in self.totals)
        return not (unequal or self.layers or self.removed or self.added or self.moved)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {
            "same": self.same,
            "totals": {c.key: [c.before, c.after] for c in self.totals},
            "layers": {
                name: {c.key: [c.before, c.after] for c in changes}
                for name, changes in self.layers.items()
            },
            "removed": list(self.removed),
            "added": list(self.added),
            "same_layers": self.same_layers,
            "moved": self.moved,
        }


def diff(before: Data, after: Data) -> PlanDiff:
    """Compare two plans as `Plan.to_dict` gives them."""
    old = {layer["name"]: layer for layer in before["layers"]}
    new = {layer["name"]: layer for layer in after["layers"]}
    common = [name for name in old if name in new]
    changes = {name: tuple(_changes(old[name], new[name])) for name in common}
    return PlanDiff(
        totals=tuple(_totals(before, after)),
        layers={name: found for name, found in changes.items() if found},
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
        same_layers=sum(not found for found in changes.values()),
        moved=common != [name for name in new if name in old],
    )


def differs(before: Any, after: Any) -> bool:
    """Tell whether two values of a plan differ; numbers by more than rounding."""
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    if numbers and not isinstance(before, bool) and not isinstance(after, bool):
        return bool(abs(before - after) > TOLERANCE * max(abs(before), abs(after)))
    return bool(before != after)


def _changes(before: Data, after: Data) -> Iterator[Change]:
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if key in FOLLOWS or not differs(one, other):
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping) and one and other:
            yield from (replace(c, key=f"{key} {c.key}") for c in _changes(one, other))
        else:
            yield Change(key, one, other)


def _totals(before: Data, after: Data) -> Iterator[Change]:
    yield Change("target", before.get("target"), after.get("target"))
    yield Change("training", before.get("training"), after.get("training"))
    one, other = before["totals"], after["totals"]
    for key in dict.fromkeys((*one, *other)):
        yield Change(key, one.get(key), other.get(key))


# ---------------------------------------------------------------- for people


def as_tables(found: PlanDiff, names: tuple[str, str]) -> list[RenderableType]:
    """Return the totals side by side, then what differs, layer by layer."""
    if found.same:
        return [Text(f"the same plan: {units.counted(found.same_layers, 'layer')} alike")]
    totals = new_table("", units.plain(names[0]), units.plain(names[1]), folds=(1, 2))
    for change in found.totals:
        style = "bold" if differs(change.before, change.after) else "dim"
        totals.add_row(*_row(change), style=style)
    parts: list[RenderableType] = [totals, Text()]
    if found.layers:
        layers = new_table("layer", "", "before", "after", folds=(0, 2, 3))
        for name, changes in found.layers.items():
            for i, change in enumerate(changes):
                layers.add_row("" if i else units.plain(name), *_row(change))
        parts += [layers, Text()]
    return [*parts, *(Text(line) for line in _rest(found))]


def _rest(found: PlanDiff) -> Iterator[str]:
    for what, layers in (("only in the first", found.removed), ("only in the second", found.added)):
        if layers:
            yield f"{what}: {', '.join(units.plain(name) for name in layers)}"
    if found.moved:
        yield "the layers come in another order"
    yield f"{units.counted(found.same_layers, 'layer')} alike"


def _row(change: Change) -> tuple[str, str, str]:
    key = change.key
    return key.replace("_", " "), _text(key, change.before), _text(key, change.after)


def _text(key: str, value: Any) -> str:
    """Return a value of the plan by what its key says that it is."""
    if value is None:
        return units.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text('', v)}" for k, v in value.items()) or units.NONE
    if isinstance(value, list):
        return " × ".join(_text("", v) for v in value)
    if isinstance(value, int | float) and key.endswith("seconds"):
        return units.seconds(value)
    if isinstance(value, int | float) and key == "utilisation":
        return units.significant_percent(value)
    if isinstance(value, int):
        return units.count(value)
    return units.plain(str(value)) or units.NONE
