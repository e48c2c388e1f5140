"""The sections on layers: what each epoch did to them, where their weights lie, their devices.

Not for the plan of the layers: that is report/html/tables.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.chart import Curve, spark
from rpucc.report.drawings.weights import LEGEND, asymmetry_drawing, weights_drawing
from rpucc.report.html.parts import breakable, scrolling, section, table
from rpucc.report.markup import Markup, tag
from rpucc.report.runs.curves import figure, legend_of, percent, plain

if TYPE_CHECKING:
    from rpucc.report.drawings.svg import Drawing
    from rpucc.report.runs.run_report import LayerReport, RunReport
    from rpucc.runs.layer_record import EpochRecord, LayerEpoch
    from rpucc.runtime.histogram import Histogram
    from rpucc.runtime.plane_figures import DeviceFigures, PlaneState

MOST_CURVES = 8
"""Layers that have a curve of their own: of more, those with the largest last values."""

Value = Callable[["LayerEpoch"], float | None]

OVER_TIME: tuple[tuple[str, str, Value, Callable[[float], str]], ...] = (
    ("Pulses a weight", "pulses a weight", lambda la: la.pulses_per_weight, plain),
    ("Saturated reads", "saturated", lambda la: la.saturated, percent),
    ("Re-reads", "re-reads", lambda la: la.reread, percent),
    ("Devices at their bounds", "at bounds", lambda la: la.at_bounds, percent),
    ("Spread of the weights (standard deviation)", "spread", lambda la: la.spread, plain),
)
"""Title, heading of a column, what of a layer's epoch, how it is written."""


def over_time(report: RunReport) -> Markup | None:
    """Return charts and a table of the layers, epoch by epoch; None where nothing was recorded."""
    records = report.history.records
    names = [each.layer for each in report.layers]
    if not names or len(records) < 2:
        return None
    looks = {name: i for i, name in enumerate(names)}
    charts, drawn = [], set()
    for title, _, value, shown in OVER_TIME:
        curves = [_curve(records, name, value, looks[name]) for name in names]
        curves = [curve for curve in curves if any(y > 0 for _, y in curve.points)]
        if len(curves) > MOST_CURVES:
            curves = sorted(curves, key=lambda curve: -curve.points[-1][1])[:MOST_CURVES]
            title = f"{title} of the {MOST_CURVES} layers with the most"
        if curves:
            drawn |= {curve.label for curve in curves}
            charts.append(figure(title, curves, shown, first=0))
    legend = legend_of([Curve(name, (), looks[name]) for name in names if name in drawn])
    return section(
        "layers-over-time",
        "Layers over time",
        "What each epoch did to each layer on arrays. Devices at their bounds are those within a "
        "step of one; epoch 0 is before training.",
        legend,
        tag("div", *charts, class_="charts"),
        scrolling(_table(records, names), "Layers over time"),
    )


def _curve(records: Sequence[EpochRecord], layer: str, value: Value, index: int) -> Curve:
    found = []
    for record in records:
        each = record.layer(layer)
        number = None if each is None else value(each)
        found.append((float(record.epoch), math.nan if number is None else number))
    return Curve(layer, found, index)


def _table(records: Sequence[EpochRecord], names: Sequence[str]) -> Markup:
    """One row a layer: the last value of each figure, and how it came to that."""
    headings = [tag("th", "layer", scope="col")]
    headings += [tag("th", heading, scope="col", class_="num") for _, heading, _, _ in OVER_TIME]
    rows = []
    for name in names:
        cells = []
        for _, heading, value, shown in OVER_TIME:
            curve = _curve(records, name, value, 0)
            finite = [y for _, y in curve.points if math.isfinite(y)]
            text = shown(finite[-1]) if finite else units.NONE
            small = spark(Curve(heading, curve.points, 0), shown) if any(finite) else None
            cells.append(
                tag("td", text, small.inline(class_="spark") if small else None, class_="num")
            )
        rows.append(tag("tr", tag("th", breakable(name), scope="row"), *cells))
    return table(headings, rows)


# ---------------------------------------------------------------- weights and devices


def weights(report: RunReport) -> Markup | None:
    """Return the histogram of each layer's weights between the bounds of its devices."""
    figures = []
    for layer in report.layers:
        for state in layer.states:
            devices = layer.device(state.plane)
            bounds = [each for each in (devices.lower, devices.upper) if each] if devices else []
            start = report.start.get((layer.layer, state.plane))
            between = _between(report, layer.layer, state.plane)
            title = _name(layer, state)
            drawing = weights_drawing(
                f"Weights of {units.plain(title)}",
                state.weights,
                start.weights if start else None,
                [each.weights for each in between],
                bounds,
            )
            figures.append(_figure(title, _weights_text(state, start, bounds), drawing))
    if not figures:
        return None
    return section(
        "weights",
        "Weights",
        "Where the weights of each layer lie, in the units of its arrays, and where the bounds of "
        "its devices are. Heights are roots of counts, so that a few weights far out are seen.",
        _weights_legend(),
        tag("div", *figures, class_="histograms"),
    )


def _weights_legend() -> Markup:
    items = []
    for style, meaning in LEGEND:
        if style.startswith("curve"):
            line = tag("line", class_=style, x1=0, x2=22, y1=5, y2=5)
            sample = tag("svg", line, width=22, height=10, aria_hidden="true")
        else:
            sample = tag("i", class_=f"swatch {style}")
        items.append(tag("li", sample, meaning))
    return tag("ul", *items, class_="legend lines")


def _between(report: RunReport, layer: str, plane: str) -> list[PlaneState]:
    """Return the states after the first recorded epoch and halfway, where more were recorded."""
    records = report.history.records
    chosen = sorted({1, len(records) // 2} & set(range(1, len(records) - 1)))
    states = (each.plane(plane) for i in chosen if (each := records[i].layer(layer)))
    return [state for state in states if state is not None]


def _weights_text(state: PlaneState, start: PlaneState | None, bounds: Sequence[Histogram]) -> str:
    parts = [f"{units.count(state.weights.total)} weights, {units.spread(state.mean, state.std)}"]
    if start is not None:
        parts.append(f"before training {units.spread(start.mean, start.std)}")
    if state.at_lower is not None and state.at_upper is not None:
        at = state.at_lower + state.at_upper
        means = " and ".join(f"{each.mean:.3g}" for each in bounds)
        parts.append(f"{units.significant_percent(at)} at bounds (mean {means})")
    return "; ".join(parts)


def devices(report: RunReport) -> Markup | None:
    """Return how up and down steps of each layer's devices differ at the present weights."""
    figures = []
    for layer in report.layers:
        for found in layer.devices:
            title = _name(layer, found)
            drawing = asymmetry_drawing(
                f"Update asymmetry of {units.plain(title)}", found.asymmetry
            )
            figures.append(_figure(title, _asymmetry_text(found), drawing))
    if not figures:
        return None
    return section(
        "asymmetry",
        "Update asymmetry",
        "Up step less down step as a part of their mean, at the present weights and without the "
        "noise from pulse to pulse, of devices spread over each layer. Where up and down steps "
        "differ, pulses that should cancel move a weight. Devices at a bound, which step one way "
        "alone, are counted apart.",
        tag("div", *figures, class_="histograms"),
    )


def _asymmetry_text(found: DeviceFigures) -> str:
    mean, std = 100 * found.asymmetry_mean, 100 * found.asymmetry_std
    text = f"{units.spread(mean, std, 1)} % of {units.counted(found.tried - found.stuck, 'device')}"
    if found.stuck:
        text += f", {units.count(found.stuck)} more at a bound"
    return f"{text}; mean step up {found.step_up:.3g}, down {found.step_down:.3g}"


def _name(layer: LayerReport, found: PlaneState | DeviceFigures) -> str:
    """A layer, with the plane where it has several."""
    if len(layer.states) < 2:
        return layer.layer
    return f"{layer.layer}, {f'plane {found.plane}' if found.plane else 'as reads see it'}"


def _figure(title: str, text: str, drawing: Drawing) -> Markup:
    caption = tag("figcaption", tag("b", breakable(title)), tag("span", text))
    return tag("figure", caption, drawing.scaled())
