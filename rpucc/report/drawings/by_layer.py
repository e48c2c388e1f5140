"""What each layer on arrays costs, as bars; and what takes it from the layer's outputs, as dots.

Not for measuring: that is rpucc.runtime.by_layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.chart import Axis, axis
from rpucc.report.drawings.svg import Drawing, fit, styled, words
from rpucc.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from rpucc.runtime.layer_effects import ByLayer, LayerEffect, Score

MOST_LAYERS = 30
"""Layers that are drawn, the worst; the table has all."""
WIDTH, NAMES, RIGHT = 440.0, 110.0, 24.0
"""Of the drawing, of the layers' names, and what is left beyond the last tick."""
TOP, ROW = 22.0, 28.0
BAR = 9.0
LARGEST = 60.0
"""Decibels that are drawn: what is less than a millionth of the signal matters to nobody."""

BARS = (("kind1", "this layer alone on the target"), ("kind0", "all but this layer"))
LINES = (("all on the target", None), ("all ideal", "4 3"))
"""Style and meaning of the bars of a layer; meaning and dashes of the lines through all."""
EFFECTS = {
    "noise": ("kind0", "read noise"),
    "dac": ("kind1", "input converters (DAC)"),
    "adc": ("kind2", "output converters (ADC)"),
    "bound": ("kind3", "saturated reads"),
    "clipped": ("kind4", "weights beyond their devices' bounds"),
}
"""Effect -> style and meaning of its dot."""
MEASURED = ("text", "measured: all of them together")


def errors_drawing(found: ByLayer) -> Drawing:
    """Draw the error (of a regression the loss) of each layer alone, and of all but it.

    Lines through all rows are what the network has all on the target, and all ideal.
    """
    has_errors = found.ideal.error is not None
    shown = units.percent if has_errors else units.number
    layers = found.layers[:MOST_LAYERS]
    pairs = [(_value(each.alone), _value(each.without)) for each in layers]
    ends = (_value(found.target), _value(found.ideal))
    scale = axis([0.0, *(value for pair in (*pairs, ends) for value in pair)])
    frame = _Frame(len(layers), scale)
    parts = [*frame.rules([_tick(tick, part=has_errors) for tick in scale.ticks])]
    for k, (layer, pair) in enumerate(zip(layers, pairs, strict=True)):
        parts.append(frame.name(k, layer.layer))
        for (style, meaning), value, shift in zip(BARS, pair, (-BAR - 0.5, 0.5), strict=True):
            if math.isfinite(value):
                bar = {"x": NAMES, "width": max(frame.x(value) - NAMES, 0.5), "height": BAR}
                title = tag("title", f"{layer.layer}, {meaning}: {shown(value)}")
                y = frame.middle(k) + shift
                parts.append(styled("rect", title, style=style, y=y, rx=1, **bar))
    for (meaning, dashes), value in zip(LINES, ends, strict=True):
        if math.isfinite(value):
            title = tag("title", f"{meaning}: {shown(value)}")
            parts.append(frame.line(value, title, dashes))
    what = "Error" if has_errors else "Loss"
    return frame.drawing(parts, f"{what} of each layer alone on the target, and of all but it")


def signal_drawing(found: ByLayer) -> Drawing:
    """Draw the signal-to-noise ratio of each layer's outputs, and what each effect would leave."""
    layers = found.layers[:MOST_LAYERS]
    dots = [list(_dots(each)) for each in layers]
    values = [value for row in dots for _, _, value in row] or [0.0]
    low, high = math.floor(min(values) / 10) * 10, math.ceil(max(values) / 10) * 10
    high = max(high, low + 10)
    step = 10 if high - low <= 60 else 20
    ticks = tuple(float(tick) for tick in range(low, high + 1, step))
    frame = _Frame(len(layers), Axis(float(low), float(high), ticks))
    parts = [*frame.rules([f"{tick:.0f} dB" for tick in ticks])]
    for k, layer in enumerate(layers):
        parts.append(frame.name(k, layer.layer))
        for style, meaning, value in dots[k]:
            radius = 4.5 if style == MEASURED[0] else 3.5
            title = tag("title", f"{layer.layer}, {meaning}: {value:.1f} dB")
            place = {"cx": frame.x(value), "cy": frame.middle(k), "r": radius}
            parts.append(styled("circle", title, style=style, **place))
    label = "Signal-to-noise ratio of each layer's outputs, and what each effect alone would leave"
    return frame.drawing(parts, label)


def effects_seen(found: ByLayer) -> list[tuple[str, str]]:
    """Return styles and meanings of the effects that take something from a layer that is drawn."""
    drawn = found.layers[:MOST_LAYERS]
    return [look for name, look in EFFECTS.items() if any(e.effects[name] > 0 for e in drawn)]


def _tick(value: float, *, part: bool) -> str:
    return f"{100 * value:.3g} %" if part else f"{value:g}"


def _value(score: Score) -> float:
    return score.loss if score.error is None else score.error


def _dots(layer: LayerEffect) -> Iterator[tuple[str, str, float]]:
    """Yield style, meaning and decibels, what is measured first: it is larger, and below."""
    ratios = [(*MEASURED, layer.snr)]
    for name, look in EFFECTS.items():
        power = layer.effects[name]
        ratios.append((*look, -10 * math.log10(power) if power > 0 else math.inf))
    yield from (each for each in ratios if math.isfinite(each[2]) and each[2] <= LARGEST)


@dataclass(frozen=True)
class _Frame:
    """Rows of layers, their names to the left, over a scale."""

    rows: int
    scale: Axis

    @property
    def bottom(self) -> float:
        return TOP + ROW * self.rows

    def x(self, value: float) -> float:
        inside = min(max(value, self.scale.low), self.scale.high)
        return NAMES + (WIDTH - NAMES - RIGHT) * self.scale.share(inside)

    def middle(self, row: int) -> float:
        return TOP + ROW * (row + 0.5)

    def name(self, row: int, name: str) -> Markup:
        text = words(NAMES - 8, self.middle(row) + 4, fit(units.plain(name), NAMES - 12),
                     text_anchor="end")  # fmt: skip
        return tag("g", tag("title", units.plain(name)), text)

    def rules(self, labels: Sequence[str]) -> Iterator[Markup]:
        for tick, label in zip(self.scale.ticks, labels, strict=True):
            x = self.x(tick)
            yield styled("line", style="rule", x1=x, x2=x, y1=TOP - 4, y2=self.bottom)
            yield words(x, TOP - 8, label, "muted", text_anchor="middle")

    def line(self, value: float, title: Markup, dashes: str | None) -> Markup:
        ends = {"x1": self.x(value), "x2": self.x(value), "y1": TOP - 4, "y2": self.bottom}
        return styled(
            "line", title, style="line", stroke_width=1.6, stroke_dasharray=dashes, **ends
        )

    def drawing(self, parts: Sequence[Markup], label: str) -> Drawing:
        return Drawing(joined(*parts), WIDTH, self.bottom + 4, label)
