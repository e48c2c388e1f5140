"""Which class was taken for which, as a matrix of shades; outputs of a regression against targets.

Not for counting answers: that is rpucc.runtime.answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rpucc.report import units
from rpucc.report.drawings.pipeline import round_step
from rpucc.report.drawings.svg import CHARACTER, Drawing, styled, words
from rpucc.report.markup import Markup, joined, tag

SIDE = 360.0
LEFT, TOP = 40.0, 36.0
NUMBERED = 12
"""Classes up to which each cell has its number."""
NAMED = 24
"""Classes up to which each row and column has its label."""


def confusion_drawing(matrix: Sequence[Sequence[int]], name: Callable[[int], str] = str) -> Drawing:
    """Draw labels downwards and answers to the right: right ones in blue, wrong ones in orange.

    Shades are parts of a row, by their root: one wrong answer of a hundred is seen. name: what a
    class is called where the pointer rests.
    """
    classes = len(matrix)
    size = SIDE / classes
    parts = [
        styled("rect", style="box", x=LEFT, y=TOP, width=SIDE, height=SIDE),
        *_labels(classes, size),
    ]
    for i, row in enumerate(matrix):
        total = sum(row)
        for k, count in enumerate(row):
            if count:
                what = f"{name(i)} recognised" if i == k else f"{name(i)} taken for {name(k)}"
                numbered = classes <= NUMBERED
                parts.append(_cell(i, k, count, total, size, what, numbered=numbered))
    label = "How often each label was taken for each class"
    return Drawing(joined(*parts), LEFT + SIDE + 2, TOP + SIDE + 2, label)


def _cell(
    i: int, k: int, count: int, total: int, size: float, what: str, *, numbered: bool
) -> Markup:
    x, y, share = LEFT + k * size, TOP + i * size, count / total
    part = units.significant_percent(share)
    of = f"{units.count(count)} of {units.count(total)}, {part}"
    opacity = max(math.sqrt(share), 0.08) * (0.75 if i == k else 1.0)
    style = "kind0" if i == k else "kind1"
    at = {"x": x, "y": y, "width": size, "height": size}
    square = styled("rect", style=style, fill_opacity=f"{opacity:.3f}", **at)
    text = None
    if numbered:
        dark = "cell-dark" if opacity > 0.55 else "text"
        middle, small = (x + size / 2, y + size / 2 + 4), min(12.0, size * 0.42)
        text = words(*middle, str(count), dark, text_anchor="middle", font_size=small)
    return tag("g", tag("title", f"{what}: {of}"), square, text)


def _labels(classes: int, size: float) -> Iterator[Markup]:
    every = 1 if classes <= NAMED else round(round_step(classes / 10))
    middle = LEFT + SIDE / 2
    yield words(middle, 11, "answer", "muted", text_anchor="middle")
    at = f"rotate(-90 10 {TOP + SIDE / 2:g})"
    yield words(10, TOP + SIDE / 2, "label", "muted", text_anchor="middle", transform=at)
    for i in range(0, classes, every):
        place = (i + 0.5) * size
        yield words(LEFT + place, TOP - 6, str(i), "muted", text_anchor="middle")
        yield words(LEFT - 6, TOP + place + 4, str(i), "muted", text_anchor="end")


def scatter_drawing(pairs: Sequence[Sequence[float]]) -> Drawing:
    """Draw outputs upwards against targets to the right, and the line where they agree."""
    values = [value for pair in pairs for value in pair if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    step = round_step((high - low) / 4)
    ticks = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    left = 18 + CHARACTER * max((len(f"{tick:.3g}") for tick in ticks), default=1)

    def at(value: float) -> float:
        return SIDE * (value - low) / (high - low)

    parts = []
    for tick in ticks:
        x, y = left + at(tick), TOP / 3 + SIDE - at(tick)
        parts.append(styled("line", style="rule", x1=x, x2=x, y1=TOP / 3, y2=TOP / 3 + SIDE))
        parts.append(styled("line", style="rule", x1=left, x2=left + SIDE, y1=y, y2=y))
        below = TOP / 3 + SIDE + 14
        parts.append(words(x, below, f"{tick:.3g}", "muted", text_anchor="middle"))
        parts.append(words(left - 5, y + 4, f"{tick:.3g}", "muted", text_anchor="end"))
    corner = TOP / 3 + SIDE
    parts.append(styled("line", style="line", x1=left, x2=left + SIDE, y1=corner, y2=TOP / 3))
    for target, output in pairs:
        if math.isfinite(output):
            place = {"cx": left + at(target), "cy": corner - at(output)}
            parts.append(styled("circle", style="kind0", r=1.8, fill_opacity=0.5, **place))
    parts.append(words(left + SIDE / 2, corner + 29, "target", "muted", text_anchor="middle"))
    turned = f"rotate(-90 9 {TOP / 3 + SIDE / 2:g})"
    middle = TOP / 3 + SIDE / 2
    parts.append(words(9, middle, "output", "muted", text_anchor="middle", transform=turned))
    label = "Outputs against targets"
    return Drawing(joined(*parts), left + SIDE + 4, corner + 34, label)
