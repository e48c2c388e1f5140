"""Tables of what there is: targets, models, passes, devices. Pure functions of rows.

Not for finding the rows: those are the tables of the packages themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.report import units
from rpucc.report.text.tables import heading, new_table, pairs


def targets(rows: Iterable[tuple[str, str]]) -> Table:
    """Return the presets: name, description."""
    table = new_table("target", "what it is", folds=(1,))
    for name, description in rows:
        table.add_row(name, description)
    return table


def keys(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return the keys of a target: name, values with the default first, what it does."""
    table = new_table("key", "values, default first", "what it does", folds=(1, 2))
    for name, values, text in rows:
        table.add_row(name, values, text)
    return table


def models(rows: Iterable[tuple[str, str, Sequence[int | str], int, str]]) -> Table:
    """Return the zoo: name, description, input shape, parameters, source."""
    table = new_table("model", "what it is", "input", "weights", numeric=(3,), folds=(1,))
    for name, description, shape, weights, source in rows:
        text = Text(description)
        text.append(f"\n{source}", style="dim")
        table.add_row(name, text, " × ".join(map(str, shape)), units.count(weights))
    return table


def passes(rows: Iterable[tuple[str, str, bool]]) -> Table:
    """Return the passes in order: name, summary, whether only training programs need it."""
    table = new_table("", "pass", "what it does", numeric=(0,), folds=(2,))
    for i, (name, summary, training_only) in enumerate(rows):
        table.add_row(str(i), name, f"{summary}{' (training only)' if training_only else ''}")
    return table


def operators(rows: Iterable[tuple[str, bool, str, str, str]]) -> Table:
    """Return the operators: name, whether on arrays, what runs it, trained through, remark."""
    table = new_table("operator", "arrays", "forward", "trained through", "", folds=(4,))
    for name, arrays, forward, through, remark in rows:
        place = "yes" if arrays else units.NONE
        table.add_row(name, place, forward, through or units.NONE, remark)
    return table


def cells(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return the cells: name, summary, source."""
    return _models("cell", rows)


def cell(
    name: str,
    summary: str,
    source: str,
    planes: Sequence[str],
    rows: Sequence[tuple[str, str, str]],
) -> RenderableType:
    """Return one cell with its planes and its keys: name, values, what it does."""
    facts = [("planes", ", ".join(planes)), *([("source", source)] if source else [])]
    parts: list[RenderableType] = [heading(name, f": {summary}"), pairs(facts), Text()]
    return Group(*parts, keys(rows) if rows else Text("It has no keys."))


def devices(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return the device models: name, summary, source."""
    return _models("device", rows)


def _models(kind: str, rows: Iterable[tuple[str, str, str]]) -> Table:
    table = new_table(kind, "what it is", folds=(1,))
    for name, summary, source in rows:
        text = Text(summary)
        if source:
            text.append(f"\n{source}", style="dim")
        table.add_row(name, text)
    return table


def device(
    name: str,
    summary: str,
    source: str,
    defaults: Mapping[str, object],
    ranges: Mapping[str, tuple[float, float]],
    meanings: Mapping[str, str],
    column: str = "default",
    besides: Sequence[str] = (),
) -> RenderableType:
    """Return one device model with its parameters; `column` says what the values are.

    besides: further keys, which are off.
    """
    parts: list[RenderableType] = [heading(name, f": {summary}" if summary else "")]
    if source:
        parts.append(pairs([("source", source)]))
    parts.append(Text())
    if not defaults:
        parts.append(Text("It takes no parameters."))
        return Group(*parts)
    table = new_table(
        "parameter", column, "lowest", "highest", "meaning", numeric=(1, 2, 3), folds=(4,)
    )
    for key, value in defaults.items():
        low, high = ranges.get(key, (float("-inf"), float("inf")))
        table.add_row(key, units.parameter(value), _end(low), _end(high), meanings.get(key, ""))
    parts.append(table)
    if besides:
        parts += [
            Text(),
            Text(f"As every model, off by default: {', '.join(besides)}", style="dim"),
        ]
    return Group(*parts)


def _end(value: float) -> str:
    return units.NONE if value in (float("inf"), float("-inf")) else f"{value:g}"


def timings(seconds: Mapping[str, float]) -> Table:
    """Return the time that each pass took, and the total."""
    table = new_table("pass", "time", numeric=(1,))
    for name, value in seconds.items():
        table.add_row(name, units.seconds(value))
    table.add_row("total", units.seconds(sum(seconds.values())), style="bold")
    return table


def predictions(rows: Iterable[tuple[int, int, float, int | None, float]]) -> Table:
    """Return classified inputs: index, class and its score, the runner-up and its score."""
    table = new_table("input", "class", "score", "next", "score", numeric=(0, 1, 2, 3, 4), folds=())
    for index, best, score, second, next_score in rows:
        runner_up = (str(second), f"{next_score:.3f}") if second is not None else (units.NONE,) * 2
        table.add_row(str(index), str(best), f"{score:.3f}", *runner_up)
    return table


def pruned(layers: Iterable[tuple[str, int, int]]) -> Table:
    """Return pruned layers: name, weights, and how many of them are 0; and all together."""
    table = new_table("layer", "weights", "zeros", "share", numeric=(1, 2, 3))
    rows = [*layers]
    for name, weights, zeros in rows:
        table.add_row(*_zeros(units.plain(name), weights, zeros))
    if len(rows) > 1:
        total = sum(weights for _, weights, _ in rows), sum(zeros for _, _, zeros in rows)
        table.add_row(*_zeros("total", *total), style="bold")
    return table


def _zeros(name: str, weights: int, zeros: int) -> tuple[str, str, str, str]:
    share = units.significant_percent(zeros / weights)
    return name, units.count(weights), units.count(zeros), share
