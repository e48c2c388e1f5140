"""How long each layer's arrays are busy for one sample, as bars; bottlenecks are marked.

Widths in percent, so that a drawing fits a phone and a poster. Not for deriving times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rpucc.cost.timing import CYCLES
from rpucc.plan.plan import LayerPlan, Plan
from rpucc.plan.schedule import busy
from rpucc.report import units
from rpucc.report.drawings.drawing_model import layer_summary
from rpucc.report.drawings.svg import Drawing, fit, styled, words
from rpucc.report.markup import Markup, joined, tag

ROW = 20.0
NAMES, BARS = 24.0, 58.0
"""Percent of the width for names and for bars; the times have the rest."""
FILE_WIDTH = 900.0

T = TypeVar("T")


def cycle_seconds(plan: Plan) -> dict[str, tuple[float, ...]]:
    """Return the time of each layer's forward, backward and update cycles for one sample.

    >>> import rpucc
    >>> times = cycle_seconds(rpucc.compile("lenet", "rpu-managed", verify=False).plan)
    >>> [round(seconds * 1e6, 2) for seconds in times["conv1"]]
    [5.76, 0.0, 5.76]
    """
    times = [busy(plan.stages, cycle) for cycle in CYCLES]
    return {la.name: tuple(each.get(la.name, 0.0) for each in times) for la in plan.analog_layers}


def cycle_styles(plan: Plan) -> list[tuple[str, str]]:
    """Return the style of each cycle that the program has, with its name."""
    return [(cycle, cycle) for cycle in (CYCLES if plan.training else CYCLES[:1])]


def latency_drawing(plan: Plan) -> Drawing:
    """Draw a bar for each layer on arrays: its forward cycle, then backward and update."""
    (whole,) = latency_drawings(plan, len(plan.layers) + 1)
    return whole


def latency_drawings(plan: Plan, most: int) -> list[Drawing]:
    """Draw the bars of at most `most` layers a drawing, so that pages can break between."""
    times = cycle_seconds(plan)
    longest = max((sum(each) for each in times.values()), default=0.0) or 1.0
    layers = [(i, layer) for i, layer in enumerate(plan.layers) if layer.analog]
    label = "Time of each layer's arrays for one sample"
    if plan.bottleneck is not None:
        others = len(plan.bottlenecks) - 1
        more = f", {units.counted(others, 'layer')} as slow" if others else ""
        label += f"; the bottleneck is {units.plain(plan.bottleneck)}{more}"
    found = []
    for some in parts(layers, most):
        rows = [_row(n, i, la, times[la.name], longest) for n, (i, la) in enumerate(some)]
        found.append(Drawing(joined(*rows), FILE_WIDTH, ROW * len(some), label))
    return found


def parts(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Return items in parts of at most `most`; one empty part for no items."""
    return [items[i : i + most] for i in range(0, len(items), most)] or [items]


def _row(n: int, index: int, layer: LayerPlan, times: tuple[float, ...], longest: float) -> Markup:
    y = n * ROW
    style = "slow-text" if layer.is_bottleneck else "text"
    named = [(cycle, seconds) for cycle, seconds in zip(CYCLES, times, strict=True) if seconds]
    each = ", ".join(f"{cycle} {units.seconds(seconds)}" for cycle, seconds in named)
    parts = [tag("title", f"{layer_summary(layer)}\n{each}"), name_column(layer.name, y, style)]
    x = NAMES
    for cycle, seconds in named:
        width = BARS * seconds / longest
        at = {"x": f"{x:.3f}%", "width": f"{width:.3f}%"}
        parts.append(styled("rect", style=cycle, y=y + 4, height=12, **at))
        x += width
    parts.append(words(f"{x:.3f}%", y + 14, units.seconds(sum(times)), style, dx=5))
    return tag("g", *parts, class_="bar", data_layer=str(index))


def name_column(name: str, y: float, style: str = "text") -> Markup:
    """Return a layer's name in the column for names, cut off at its end."""
    text = words(0, 14, fit(units.plain(name), FILE_WIDTH * NAMES / 100), style)
    return tag("svg", text, x=0, y=y, width=f"{NAMES - 1:g}%", height=ROW, overflow="hidden")
