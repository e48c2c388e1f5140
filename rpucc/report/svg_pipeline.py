"""The forward pipeline as a Gantt chart: each layer is a stage, consecutive images overlap.

An image enters every `Plan.image_seconds`, the time of the slowest stage; a stage begins when the
stages before it in the network have finished with that image. No stage is longer than the time
between images, so none waits for itself. Not for deriving the stages' times: those are the plan's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rpucc.report import units
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.scene import Scene
from rpucc.report.svg import Drawing, kind_style, styled, words
from rpucc.report.svg_latency import FILE_WIDTH, NAMES, name_column

ROW = 18.0
AXIS = 22.0
IMAGES = 4
"""Images whose whole way is shown; more are drawn as far as they come in that time."""
CHART = 100.0 - NAMES
LEAST = 0.12
"""Percent of the chart that a stage takes at least."""


@dataclass(frozen=True)
class Stage:
    """One layer for one image."""

    layer: int
    """The layer's place in the plan."""
    start: float
    """Seconds after the image came in."""
    seconds: float


def stages(scene: Scene) -> list[Stage]:
    """Return the stages of one image, in forward order; a shared matrix is one at each place."""
    net, plan = scene.network, scene.plan
    reads = [scene.positions[node.layer] if node.layer else None for node in net.nodes]
    places = [reads.count(i) for i in range(len(plan.layers))]
    ends = [0.0] * len(net.nodes)
    before: list[list[int]] = [[] for _ in net.nodes]
    for a, b in net.edges:
        before[b].append(a)
    found = []
    for i, layer in enumerate(reads):
        start = max((ends[a] for a in before[i]), default=0.0)
        seconds = plan.layers[layer].seconds / places[layer] if layer is not None else 0.0
        ends[i] = start + seconds
        if layer is not None and plan.layers[layer].analog:
            found.append(Stage(layer, start, seconds))
    return found


def pipeline_drawing(scene: Scene) -> Drawing:
    """Draw the stages of consecutive images against time."""
    found = stages(scene)
    period = scene.plan.image_seconds
    latency = max((stage.start + stage.seconds for stage in found), default=0.0)
    span = (latency + (IMAGES - 1) * period) or 1.0
    order = sorted({stage.layer for stage in found})
    parts = [_axis(span, len(order))]
    for row, layer in enumerate(order):
        mine = [stage for stage in found if stage.layer == layer]
        parts.append(_row(scene, row, layer, mine, span))
    label = f"Pipeline: an image comes in every {units.seconds(period)}"
    return Drawing(joined(*parts), FILE_WIDTH, AXIS + ROW * len(order), label)


def _row(scene: Scene, row: int, layer: int, mine: Sequence[Stage], span: float) -> Markup:
    plan = scene.plan.layers[layer]
    y = AXIS + row * ROW
    period = scene.plan.image_seconds
    style = kind_style(scene.kind_index(plan.array))
    bars = []
    for image in range(math.ceil(span / period) if period else 1):
        for stage in mine:
            start = image * period + stage.start
            if start < span:
                bars.append(_bar(start, min(stage.seconds, span - start), span, style, image))
    names = name_column(plan.name, y, "slow-text" if plan.is_bottleneck else "text")
    chart = tag("svg", *bars, x=f"{NAMES:g}%", y=y, width=f"{CHART:g}%", height=ROW)
    times = ", ".join(
        f"{units.seconds(stage.start)} to {units.seconds(stage.start + stage.seconds)}"
        for stage in mine
    )
    title = f"{plan.name}: {times} after an image came in"
    return tag("g", tag("title", title), names, chart, class_="stage", data_layer=str(layer))


def _bar(start: float, seconds: float, span: float, style: str, image: int) -> Markup:
    """A stage of one image; every other image is paler, and numbered where there is room."""
    width = max(100 * seconds / span, LEAST)
    x = 100 * start / span
    bar = styled(
        "rect", style=style, x=f"{x:.3f}%", y=2, width=f"{width:.3f}%", height=ROW - 4,
        fill_opacity=(1.0, 0.62, 0.8, 0.46)[image % 4],
    )  # fmt: skip
    return bar


def _axis(span: float, rows: int) -> Markup:
    """Times above vertical rules, at round steps."""
    step = _round_step(span / 4)
    parts = []
    for k in range(math.floor(span / step) + 1):
        x = NAMES + CHART * k * step / span
        anchor = "end" if x > 92 else "start"
        line = {"x1": f"{x:.3f}%", "x2": f"{x:.3f}%", "y1": 4, "y2": AXIS + ROW * rows}
        parts.append(styled("line", style="rule", **line))
        dx = -4 if anchor == "end" else 4
        parts.append(
            words(f"{x:.3f}%", 12, units.seconds(k * step), "muted", text_anchor=anchor, dx=dx)
        )
    return tag("g", *parts)


def _round_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten.

    >>> _round_step(0.0031)
    0.005
    """
    size = 10.0 ** math.floor(math.log10(least))
    return next(step * size for step in (1, 2, 5, 10) if step * size >= least * 0.999999)
