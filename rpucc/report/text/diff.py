"""What differs between two programs: everything that they carry, as their JSON says it.

Works on the plain data of `rpucc.report.text.program.describe`, so that a program and a JSON file
of another day compare alike; what a file of another version lacks is not compared, and named. Not
for reading files (the command), nor for how differences look (diff_tables.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Data = Mapping[str, Any]

TOLERANCE = 1e-9
"""Relative difference up to which times and fractions are the same: JSON keeps 17 digits, but
sums may be made in another order."""

FOLLOWS = frozenset({"name", "is_bottleneck"})
"""Keys of a layer that match it, or follow from other layers and are shown with the totals."""

PLACES = frozenset({"array_ids", "places_digest"})
"""Keys of a layer that say where it lies: a layer that grows moves all that come after it."""

PARTS = ("target", "policies", "cost", "digests")
"""Parts of a program beside its plan."""

OPEN = frozenset({"array", "batch_norms", "cell", "device", "operations"})
"""Tables with names of the user or of a model: what only one side has there is a difference."""

WRITTEN = ("program.model", "program.version", "target.")
"""Settings that act through what else is compared, or not at all: where only these differ, two
targets are written differently and do the same."""

ACTING = ("target.array.", "target.placement.")
"""Those of them that act as they are."""


@dataclass(frozen=True)
class Change:
    """One value that differs; None where a side does not have it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class PlanDiff:
    """What two programs do not have in common. Layers are matched by their names."""

    totals: tuple[Change, ...]
    """All totals that both have, also those that are equal."""
    settings: tuple[Change, ...]
    """What differs in the target, and of what holds for the whole network."""
    layers: Mapping[str, tuple[Change, ...]]
    """Layers of both sides that differ, with what differs."""
    removed: tuple[str, ...]
    """Layers of the first side alone."""
    added: tuple[str, ...]
    """Layers of the second side alone."""
    same_layers: int
    """Layers that are alike, wherever they lie."""
    moved: bool
    """The layers that both have come in another order."""
    elsewhere: tuple[str, ...]
    """Layers with tiles that lie on other arrays, or elsewhere on them."""
    missing: tuple[str, ...]
    """What one side's version did not write: it is not compared."""

    @property
    def same(self) -> bool:
        """True where nothing differs, but for how the target is written."""
        unequal = any(differs(c.before, c.after) for c in self.totals)
        unequal |= any(map(acts, self.settings))
        some = self.layers or self.removed or self.added or self.elsewhere
        return not (unequal or some or self.moved)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {
            "same": self.same,
            "totals": _pairs(self.totals),
            "settings": _pairs(self.settings),
            "layers": {name: _pairs(changes) for name, changes in self.layers.items()},
            "removed": list(self.removed),
            "added": list(self.added),
            "same_layers": self.same_layers,
            "moved": self.moved,
            "elsewhere": list(self.elsewhere),
            "not_compared": list(self.missing),
        }


def _pairs(changes: Iterable[Change]) -> dict[str, list[Any]]:
    return {change.key: [change.before, change.after] for change in changes}


def acts(setting: Change) -> bool:
    """Tell whether a setting that differs changes what a program does or costs by itself."""
    key = setting.key
    return key.startswith(ACTING) or not key.startswith(WRITTEN)


def diff(before: Data, after: Data) -> PlanDiff:
    """Compare two programs as `describe` gives them; a file may have the plan alone."""
    old = {layer["name"]: layer for layer in before["plan"]["layers"]}
    new = {layer["name"]: layer for layer in after["plan"]["layers"]}
    common = [name for name in old if name in new]
    compare = _Comparison()
    totals = tuple(compare.totals(before["plan"], after["plan"]))
    settings = tuple(compare.changes(_settings(before), _settings(after), "."))
    policies = _policies(before), _policies(after)
    layers, elsewhere = {}, []
    for name in common:
        one, other = (found.get(name, {}) for found in policies)
        found = [*compare.changes(one, other)] if one and other else []  # a digital layer has none
        found += compare.changes(old[name], new[name])
        if any(change.key in PLACES for change in found):
            elsewhere.append(name)
        layers[name] = tuple(change for change in found if change.key not in PLACES)
    lacking = [key for key in PARTS if key not in before or key not in after]
    return PlanDiff(
        totals=totals,
        settings=settings,
        layers={name: found for name, found in layers.items() if found},
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
        same_layers=sum(not found for found in layers.values()),
        moved=common != [name for name in new if name in old],
        elsewhere=tuple(elsewhere),
        missing=tuple(dict.fromkeys((*lacking, *compare.missing))),
    )


def _policies(data: Data) -> Mapping[str, Data]:
    """Return what acts on each layer on arrays, and the digest of its weights."""
    weights = data.get("digests", {}).get("weights", {})
    found = data.get("policies", {})
    return {name: {**found[name], "initial_weights": weights.get(name)} for name in found}


def _settings(data: Data) -> dict[str, Any]:
    """Return what holds for the whole network, in tables; those that a file lacks are left out."""
    facts = ("model", "version", "input_shape", "input_range", "loss", "fixed_batch")
    found: dict[str, Any] = {}
    if "model" in data:
        found["program"] = {key: data[key] for key in facts if key in data}
    if "target" in data:
        rest = {k: v for k, v in data["target"].items() if k not in ("name", "cost")}
        kinds = {kind["name"]: kind for kind in rest["array"]}
        found["target"] = {**rest, "array": kinds}
    if "cost" in data:
        found["cost"] = data["cost"]["table"]
        work = data["cost"]["digital"]
        found["operations"] = {f"{each['op']} {each['cycle']}": each["nodes"] for each in work}
    if "digests" in data:
        found["digests"] = {key: data["digests"][key] for key in ("network", "other_weights")}
    if "batch_norms" in data:
        found["batch_norms"] = {each["node"]: each for each in data["batch_norms"]}
    return found


def differs(before: Any, after: Any) -> bool:
    """Tell whether two values of a plan differ; numbers by more than rounding."""
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    if numbers and not isinstance(before, bool) and not isinstance(after, bool):
        return bool(abs(before - after) > TOLERANCE * max(abs(before), abs(after)))
    return bool(before != after)


class _Comparison:
    """Compares tables and gathers the names of what one side's version did not write."""

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        """In order of appearance."""

    def changes(
        self, before: Data, after: Data, separator: str = " ", *, free: bool = False
    ) -> Iterator[Change]:
        """Yield what differs between two tables, with keys of inner tables joined.

        free: keys are the user's or a model's, in inner tables too; else a key that one side lacks
        is one of another version.
        """
        for key in dict.fromkeys((*before, *after)):
            if key in FOLLOWS:
                continue
            if not free and (key not in before or key not in after):
                self.missing[key] = None
                continue
            one, other = before.get(key), after.get(key)
            within = free or key in OPEN
            filled = within or (one and other)
            if filled and isinstance(one, Mapping) and isinstance(other, Mapping):
                inner = self.changes(one, other, separator, free=within)
                yield from (replace(c, key=f"{key}{separator}{c.key}") for c in inner)
            elif differs(one, other):
                yield Change(key, one, other)

    def totals(self, before: Data, after: Data) -> Iterator[Change]:
        """Yield all totals that both plans have."""
        one = {"target": before["target"], "training": before["training"], **before["totals"]}
        other = {"target": after["target"], "training": after["training"], **after["totals"]}
        for key in dict.fromkeys((*one, *other)):
            if key in one and key in other:
                yield Change(key, one[key], other[key])
            else:
                self.missing[key] = None
