"""How long each layer's arrays are busy for one sample, as bars; the bottleneck is marked.

Widths in percent, so that a drawing fits a phone and a poster. Not for deriving times.
"""

from __future__ import annotations

from rpucc.plan import LayerPlan, Plan
from rpucc.report import units
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.scene import layer_summary
from rpucc.report.svg import Drawing, fit, styled, words

ROW = 20.0
NAMES, BARS = 22.0, 48.0
"""Percent of the width for names and for bars; the times have the rest."""
FILE_WIDTH = 900.0
CYCLES = ("forward", "backward", "update")


def cycle_seconds(layer: LayerPlan) -> tuple[float, float, float]:
    """Return the time of a layer's forward, backward and update cycles for one sample.

    >>> import rpucc
    >>> conv1 = rpucc.compile("lenet", "rpu-managed").plan.layers[0]
    >>> [round(seconds * 1e6, 2) for seconds in cycle_seconds(conv1)]
    [5.76, 0.0, 5.76]
    """
    read = layer.seconds / layer.reads_forward if layer.reads_forward else 0.0
    backward = layer.reads_backward * read
    return layer.seconds, backward, max(layer.training_seconds - layer.seconds - backward, 0.0)


def latency_drawing(plan: Plan) -> Drawing:
    """Draw a bar for each layer on arrays: its forward cycle, then backward and update."""
    layers = [(i, layer) for i, layer in enumerate(plan.layers) if layer.analog]
    longest = max((sum(cycle_seconds(layer)) for _, layer in layers), default=0.0) or 1.0
    rows = [_row(n, i, layer, longest) for n, (i, layer) in enumerate(layers)]
    label = "Time of each layer's arrays for one sample"
    if plan.bottleneck is not None:
        label += f"; the bottleneck is {units.plain(plan.bottleneck)}"
    return Drawing(joined(*rows), FILE_WIDTH, ROW * len(layers), label)


def _row(n: int, index: int, layer: LayerPlan, longest: float) -> Markup:
    y = n * ROW
    style = "slow-text" if layer.is_bottleneck else "text"
    parts = [
        tag("title", f"{layer_summary(layer)}\n{_cycles(layer)}"),
        name_column(layer.name, y, style),
    ]
    x = NAMES
    for cycle, seconds in zip(CYCLES, cycle_seconds(layer), strict=True):
        width = BARS * seconds / longest
        if seconds:
            parts.append(
                styled("rect", style=cycle, x=f"{x:.3f}%", y=y + 4, width=f"{width:.3f}%", height=12)
            )
        x += width
    text = units.seconds(sum(cycle_seconds(layer)))
    text += " bottleneck" if layer.is_bottleneck else ""
    parts.append(words(f"{x:.3f}%", y + 14, text, style, dx=5))
    return tag("g", *parts, class_="bar", data_layer=str(index))


def _cycles(layer: LayerPlan) -> str:
    times = zip(CYCLES, cycle_seconds(layer), strict=True)
    return ", ".join(f"{cycle} {units.seconds(time)}" for cycle, time in times if time)


def name_column(name: str, y: float, style: str = "text") -> Markup:
    """Return a layer's name in the column for names, cut off at its end."""
    text = words(0, 14, fit(units.plain(name), FILE_WIDTH * NAMES / 100), style)
    return tag("svg", text, x=0, y=y, width=f"{NAMES - 1:g}%", height=ROW, overflow="hidden")
