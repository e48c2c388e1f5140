"""A difference of two programs as tables: totals, settings, then one row a layer.

Pure functions of a PlanDiff. Not for comparing: that is diff.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.report import units
from rpucc.report.text.diff import Change, PlanDiff, acts, differs
from rpucc.report.text.tables import new_table

TOTALS = {
    "target": "target",
    "training": "training",
    "images_per_second": "images a second",
    "training_images_per_second": "training one by one",
    "training_images_per_second_pipelined": "training pipelined",
    "joules": "energy an image",
    "training_joules": "energy in training",
    "watts": "power",
    "tops_per_watt": "TOPS/W",
    "image_seconds": "time in the pipeline",
    "latency_seconds": "time of one alone",
    "training_image_seconds": "time in training",
    "bottleneck": "bottleneck",
    "arrays": "arrays",
    "arrays_apart": "arrays apart",
    "arrays_sharing": "arrays if shared",
    "arrays_saved": "arrays saved",
    "tiles": "tiles",
    "utilisation": "used",
    "weights": "weights on arrays",
    "digital_weights": "weights digital",
    "weights_bytes": "bytes of weights",
    "macs": "multiply-accumulates",
}
"""Key of a total -> what people call it, in the order of the table; others come after them."""

LABELS = {
    "seconds": "forward time",
    "training_seconds": "training time",
    "joules": "forward energy",
    "training_joules": "training energy",
    "utilisation": "used",
    "macs": "multiply-accumulates",
    "digests.network": "digital part, digest",
    "digests.other_weights": "other weights, digest",
    "target.layer": "[[layer]]",
}
"""Keys that people know by another name."""

NAMES_SHOWN = 8
"""Layers that a line names before it counts the others."""


def as_tables(found: PlanDiff, names: tuple[str, str]) -> list[RenderableType]:
    """Return the totals side by side, the settings that differ, then layer by layer what does."""
    alike = f"{units.counted(found.same_layers, 'layer')} alike"
    if found.same:
        parts: list[RenderableType] = [Text(f"the same plan: {alike}")]
        if found.settings:
            parts += [Text("written differently, to the same effect:"), Text()]
            parts.append(_settings(found.settings, names))
    else:
        parts = [_totals(found.totals, names)]
        if found.settings:
            parts += [Text(), _settings(found.settings, names)]
        if found.layers:
            parts += [Text(), _layers(found)]
        parts += [Text(), *(Text(line) for line in _rest(found)), Text(alike)]
    if found.missing:
        keys = ", ".join(TOTALS.get(key) or _label(key) for key in found.missing)
        parts.append(Text(f"not compared, since a file of another version lacks it: {keys}"))
    return parts


def _totals(changes: Iterable[Change], names: tuple[str, str]) -> Table:
    table = new_table("", *map(units.plain, names), folds=(1, 2))
    by_key = {change.key: change for change in changes}
    for key in dict.fromkeys((*TOTALS, *by_key)):
        if key in by_key:
            change = by_key[key]
            style = "bold" if differs(change.before, change.after) else "dim"
            table.add_row(TOTALS.get(key) or _label(key), *_sides(change), style=style)
    return table


def _settings(changes: Iterable[Change], names: tuple[str, str]) -> Table:
    """What acts by itself first, then how the target is written."""
    table = new_table("setting", *map(units.plain, names), folds=(0, 1, 2))
    for change in sorted(changes, key=lambda change: not acts(change)):
        table.add_row(_label(change.key), *_sides(change))
    return table


def _layers(found: PlanDiff) -> Table:
    """One row a layer, after one of what is the same change for all of them."""
    table = new_table("layer", "what differs, before → after", folds=(0, 1))
    all_differ = len(found.layers) > 1 and not found.same_layers
    changes = [list(each) for each in found.layers.values()]
    common = [c for c in changes[0] if all_differ and all(c in each for each in changes)]
    if common:
        table.add_row("every layer", _in_words(common))
    for name, each in found.layers.items():
        own = [change for change in each if change not in common]
        if own:
            table.add_row(units.plain(name), _in_words(own))
    return table


def _rest(found: PlanDiff) -> Iterator[str]:
    named = (
        ("only in the first", found.removed),
        ("only in the second", found.added),
        ("on other arrays", found.elsewhere),
    )
    for what, layers in named:
        if layers:
            more = len(layers) - NAMES_SHOWN
            names = ", ".join(units.plain(name) for name in layers[:NAMES_SHOWN])
            yield f"{what}: {names}{f' and {units.count(more)} more' if more > 0 else ''}"
    if found.moved:
        yield "the layers come in another order"


def _in_words(changes: Iterable[Change]) -> str:
    return "; ".join(
        "other initial weights"
        if change.key == "initial_weights"
        else f"{_label(change.key)} {' → '.join(_sides(change))}"
        for change in changes
    )


def _label(key: str) -> str:
    if key in LABELS:
        return LABELS[key]
    for table in ("target.", "program."):
        key = key.removeprefix(table)
    if key.startswith("operations."):
        return f"{units.plain(key.removeprefix('operations.'))}, nodes"
    if "." in key:  # a key of the target, as it is written there
        return units.plain(key)
    return units.plain(key.replace("_", " "))


def _sides(change: Change) -> tuple[str, str]:
    """Return both values; how far apart they are, where both are the same in three digits."""
    one, other = _text(change.key, change.before), _text(change.key, change.after)
    sizes = change.before, change.after
    numbers = all(isinstance(size, int | float) and size for size in sizes)
    if one == other and numbers and differs(*sizes):
        other += f" ({100 * (change.after / change.before - 1):+.2g} %)"
    return one, other


def _text(key: str, value: Any) -> str:
    """Return a value by what its key says that it is."""
    if value is None:
        return units.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{units.plain(k)} {_text(k, v)}" for k, v in value.items()) or units.NONE
    if isinstance(value, list):
        return _list(key, value)
    if isinstance(value, int | float):
        return _number(key, value)
    return units.plain(str(value)) or units.NONE


def _list(key: str, values: list[Any]) -> str:
    """Sizes and cuts by their numbers, rules by how many they are."""
    if key == "target.layer":
        return units.counted(len(values), "rule")
    several = key.endswith(("cuts", "range", "remove", "arrays"))
    separator = ", " if several else " to " if key == "weight_scale" else " × "
    return separator.join(_text("", value) for value in values) or units.NONE


def _number(key: str, value: float) -> str:
    last = key.replace(" ", "_").replace(".", "_")
    unit = next((unit for ends, unit in _UNITS.items() if last.endswith(ends)), None)
    if unit is not None:
        return units.seconds(value) if unit == "s" else units.si(value, unit)
    if last == "utilisation":
        return units.significant_percent(value)
    if isinstance(value, int):
        return units.count(value)
    if "images_per_second" in last or last == "tops_per_watt":
        return units.large(value) if value >= 1000 else units.three_digits(value)
    return f"{value:.4g}"


_UNITS = {
    **dict.fromkeys(("seconds", "t_read", "t_pulse"), "s"),
    **dict.fromkeys(("joules", "_energy"), "J"),
    **dict.fromkeys(("watts", "_power"), "W"),
}
"""What a key ends with -> the unit of its value."""
