"""When each layer works, as Gantt charts: the forward pipeline, and one training image.

In the pipeline an image enters every `Plan.image_seconds`, the time of the slowest layer, and goes
its way as if it were alone: no layer takes longer than the time between images, so none is still
busy with the image before. Not for deriving the stages: those are `Plan.stages`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rpucc.plan.plan import LayerPlan, Plan
from rpucc.plan.schedule import Stage, finish
from rpucc.report import units
from rpucc.report.drawings.latency import FILE_WIDTH, NAMES, name_column, parts
from rpucc.report.drawings.svg import Drawing, kind_style, styled, words
from rpucc.report.markup import Markup, joined, tag

ROW = 18.0
AXIS = 22.0
IMAGES = 4
"""Images whose whole way is shown; later ones as far as they come in that time."""
CHART = 100.0 - NAMES
LAST_LABEL = 86.0
"""Percent of the width from where on there is no room for a time, on a phone."""
LEAST = 0.12
"""Percent of the chart that a stage takes at least."""
SHADES = (1.0, 0.62, 0.8, 0.46)
"""Opacities that tell consecutive images apart."""


@dataclass(frozen=True)
class _Bar:
    start: float
    seconds: float
    style: str
    shade: float = 1.0


def pipeline_drawing(plan: Plan) -> Drawing:
    """Draw the forward stages of consecutive images against time."""
    (whole,) = pipeline_drawings(plan, len(plan.layers) + 1)
    return whole


def training_drawing(plan: Plan) -> Drawing:
    """Draw the three cycles of one image against time."""
    (whole,) = training_drawings(plan, len(plan.layers) + 1)
    return whole


def pipeline_drawings(plan: Plan, most: int) -> list[Drawing]:
    """Draw the pipeline with at most `most` layers a drawing, so that pages can break between."""
    stages = [stage for stage in plan.stages if stage.cycle == "forward"]
    period = plan.image_seconds
    span = finish(stages) + (IMAGES - 1) * period
    kinds = {kind.name: kind_style(i) for i, kind in enumerate(plan.kinds)}
    styles = {layer.name: kinds[layer.array] for layer in plan.analog_layers}
    bars: dict[str, list[_Bar]] = {}
    for stage in stages:
        images = math.ceil((span - stage.start) / period) if period else 0
        bars.setdefault(stage.layer, []).extend(
            _Bar(start, min(stage.seconds, span - start), styles[stage.layer], SHADES[k % 4])
            for k in range(images)
            if (start := stage.start + k * period) < span
        )
    label = f"Forward pipeline: an image comes in every {units.seconds(period)}"
    return _charts(plan, stages, bars, span, label, most)


def training_drawings(plan: Plan, most: int) -> list[Drawing]:
    """Draw one training image with at most `most` layers a drawing."""
    bars: dict[str, list[_Bar]] = {}
    for stage in plan.stages:
        bars.setdefault(stage.layer, []).append(_Bar(stage.start, stage.seconds, stage.cycle))
    span = finish(plan.stages)
    label = f"One training image: {units.seconds(span)} of forward, backward and update cycles"
    return _charts(plan, plan.stages, bars, span, label, most)


def _charts(
    plan: Plan,
    stages: Sequence[Stage],
    bars: dict[str, list[_Bar]],
    span: float,
    label: str,
    most: int,
) -> list[Drawing]:
    span = span or 1.0
    found = []
    rows = [(i, layer) for i, layer in enumerate(plan.layers) if layer.name in bars]
    for some in parts(rows, most):
        body = [_axis(span, len(some))]
        for row, (index, layer) in enumerate(some):
            title = "\n".join([layer.name, *_times(stages, layer.name)])
            body.append(_row(row, index, layer, [_bar(b, span) for b in bars[layer.name]], title))
        found.append(Drawing(joined(*body), FILE_WIDTH, AXIS + ROW * len(some), label))
    return found


def _row(row: int, index: int, layer: LayerPlan, drawn: Sequence[Markup], title: str) -> Markup:
    y = AXIS + row * ROW
    chart = tag("svg", *drawn, x=f"{NAMES:g}%", y=y, width=f"{CHART:g}%", height=ROW)
    names = name_column(layer.name, y, "slow-text" if layer.is_bottleneck else "text")
    return tag("g", tag("title", title), names, chart, class_="stage", data_layer=str(index))


def _times(stages: Sequence[Stage], layer: str) -> Iterator[str]:
    """Yield when a layer works for one image, a line a stage."""
    for stage in stages:
        if stage.layer == layer:
            yield f"{stage.cycle} {units.seconds(stage.start)} to {units.seconds(stage.end)}"


def _bar(bar: _Bar, span: float) -> Markup:
    width = max(100 * bar.seconds / span, LEAST)
    at = {"x": f"{100 * bar.start / span:.3f}%", "width": f"{width:.3f}%"}
    shade = bar.shade if bar.shade < 1 else None
    return styled("rect", style=bar.style, y=2, height=ROW - 4, fill_opacity=shade, **at)


def _axis(span: float, rows: int) -> Markup:
    """Times above vertical rules, at round steps."""
    step = round_step(span / 4)
    parts = []
    for k in range(math.floor(span / step) + 1):
        x = NAMES + CHART * k * step / span
        at = f"{x:.3f}%"
        parts.append(styled("line", style="rule", x1=at, x2=at, y1=4, y2=AXIS + ROW * rows))
        if x <= LAST_LABEL:
            parts.append(words(at, 12, units.seconds(k * step), "muted", dx=4))
    return tag("g", *parts)


def round_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten.

    >>> round_step(0.0031)
    0.005
    """
    size = 10.0 ** math.floor(math.log10(least))
    return next(step * size for step in (1, 2, 5, 10) if step * size >= least * 0.999999)
