"""What each cause takes, as a table, as CSV and as a picture.

Pure functions of what was measured; errors in percent, differences in percentage points. Not for
measuring (rpucc.runs.ablation) nor for the page: ablation_page.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.csv import records_csv
from rpucc.report.drawings.svg import Drawing, fit, styled, words
from rpucc.report.experiments.tables import Cells
from rpucc.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from rpucc.experiments.ablation import Ablation, Effect, Figure

HEADERS = ("cause", "without it", "takes", "alone", "adds", "alone with")
_Place = Callable[[float], float]
"""Percentage points to pixels."""
CAPTION = (
    "without it: test error, all other causes being there; takes: how much error goes away; alone: "
    "test error with this cause and those it cannot be without; adds: how much error it makes. "
    "Mean ± standard deviation over seeds, differences seed by seed."
)


def title(found: Ablation) -> str:
    """Return what was ablated, in a line."""
    return f"Which effect costs accuracy: {found.model} on {found.target}"


def subtitle(found: Ablation) -> str:
    """Return how it was measured."""
    some = found.everything or found.nothing
    seeds = units.counted(len(some.by_seed), "seed") if some is not None else "no seed"
    if found.kind == "reads":
        return f"reads of weights as they are, {found.data}, {seeds}"
    first, last = found.average
    over = f"epochs {first} to {last}" if first < last else f"epoch {last}"
    return f"trained for {units.counted(found.epochs, 'epoch')} on {found.data}, {over}, {seeds}"


def totals(found: Ablation) -> list[tuple[str, str]]:
    """Return the errors with all causes and without any."""
    return [("all effects", _percent(found.everything)), ("none", _percent(found.nothing))]


def cells(found: Ablation) -> Cells:
    """Return a row a cause, the one that takes most first; several together come last."""
    labels = {each.name: each.label for each in found.effects}
    rows = tuple(
        (
            each.label,
            _percent(each.without),
            _points(each.takes),
            _percent(each.alone),
            _points(each.adds),
            labels.get(each.needs, each.needs),
        )
        for each in found.effects
    )
    return Cells(HEADERS, rows, numeric=(1, 2, 3, 4))


def as_csv(found: Ablation) -> str:
    """Return a line a cause, and one each for all effects and for none."""
    records: list[dict[str, object]] = [
        {"cause": "all", **_columns("without", found.everything)},
        {"cause": "none", **_columns("without", found.nothing)},
    ]
    for each in found.effects:
        record: dict[str, object] = {"cause": each.name}
        for name in ("without", "takes", "alone", "adds"):
            record |= _columns(name, getattr(each, name))
        records.append({**record, "alone_with": each.needs, "set": " ".join(each.overrides)})
    return records_csv(records)


def _columns(name: str, figure: Figure | None) -> dict[str, object]:
    if figure is None:
        return {name: "", f"{name}_spread": ""}
    spread = figure.spread
    return {name: figure.mean, f"{name}_spread": "" if spread is None else spread}


def _percent(figure: Figure | None) -> str:
    return units.NONE if figure is None else f"{_number(figure)} %"


def _points(figure: Figure | None) -> str:
    return units.NONE if figure is None else _number(figure)


def _number(figure: Figure) -> str:
    if figure.spread is None:
        return f"{round(figure.mean, 2) + 0.0:.2f}"
    return units.spread(figure.mean, figure.spread, 2)


# ---------------------------------------------------------------- picture

LABELS, WIDTH, RIGHT = 232.0, 700.0, 12.0
ROW, BAR, TOP, BOTTOM = 34.0, 11.0, 6.0, 40.0
TAKES, ADDS = "kind0", "kind1"
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def legend() -> tuple[tuple[str, str], ...]:
    """Return the styles of the bars with what they mean."""
    return (TAKES, "goes away without it"), (ADDS, "comes with it alone")


def drawing(found: Ablation) -> Drawing:
    """Draw two bars a cause, with the spread over seeds: what it takes and what it adds."""
    effects = [each for each in found.effects if each.takes or each.adds]
    low, high, step = _scale(effects)

    def x(points: float) -> float:
        return LABELS + (WIDTH - LABELS - RIGHT) * (points - low) / (high - low)

    bottom = TOP + ROW * len(effects)
    body = joined(
        *_frame(low, high, step, x, bottom),
        *(part for i, each in enumerate(effects) for part in _bars(each, TOP + ROW * i, x)),
        words((LABELS + WIDTH) / 2, bottom + 33, "test error, percentage points", "muted",
              text_anchor="middle"),
    )  # fmt: skip
    return Drawing(body, WIDTH, bottom + BOTTOM, f"{title(found)}: what each cause takes and adds")


def _scale(effects: Sequence[Effect]) -> tuple[float, float, float]:
    """Return the ends of the axis and the distance of its ticks."""
    ends = [0.0]
    for each in effects:
        for figure in (each.takes, each.adds):
            if figure is not None:
                spread = figure.spread or 0.0
                ends += [figure.mean - spread, figure.mean + spread]
    span = max(max(ends) - min(ends), 0.1)
    step = next((s for s in STEPS if span <= 8 * s), STEPS[-1])
    low, high = step * math.floor(min(ends) / step), step * math.ceil(max(ends) / step)
    return low, max(high, low + step), step


def _frame(low: float, high: float, step: float, x: _Place, bottom: float) -> Iterator[Markup]:
    for i in range(round((high - low) / step) + 1):
        tick = low + i * step
        style = "line" if abs(tick) < step / 2 else "rule"
        yield styled("line", style=style, x1=x(tick), x2=x(tick), y1=TOP, y2=bottom)
        text = f"{round(tick, 3) + 0.0:g}"
        yield words(x(tick), bottom + 16, text, "muted", text_anchor="middle")


def _bars(each: Effect, top: float, x: _Place) -> Iterator[Markup]:
    style = "muted" if each.together else "text"
    label = fit(each.label, LABELS - 14)
    yield words(LABELS - 10, top + ROW / 2 + 2, label, style, text_anchor="end")
    for i, (figure, look, what) in enumerate(
        ((each.takes, TAKES, "goes away without it"), (each.adds, ADDS, "comes with it alone"))
    ):
        if figure is None:
            continue
        y = top + 4 + (BAR + 2) * i
        ends = sorted((x(0.0), x(figure.mean)))
        note = tag("title", f"{each.label}: {_number(figure)} points, {what}")
        yield styled("rect", note, style=look, x=ends[0], y=y, width=max(ends[1] - ends[0], 1),
                     height=BAR)  # fmt: skip
        if figure.spread:
            middle = y + BAR / 2
            left, right = x(figure.mean - figure.spread), x(figure.mean + figure.spread)
            yield styled("line", style="line", x1=left, x2=right, y1=middle, y2=middle)
