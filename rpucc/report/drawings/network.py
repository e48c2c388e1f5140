"""The network as a drawing: layers coloured by kind of array, digital work between them in grey.

A long network is broken into columns where a single value crosses, so that a page shows it like
columns of text. Not for what the network is (`network.py`) nor for positions (`layout.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rpucc.report import units
from rpucc.report.drawings.drawing_model import Scene, layer_summary
from rpucc.report.drawings.layout import Point, layout, ranks
from rpucc.report.drawings.network_graph import NetworkNode
from rpucc.report.drawings.svg import (
    BOLD,
    CHARACTER,
    Drawing,
    fit,
    kind_style,
    styled,
    text_width,
    words,
)
from rpucc.report.markup import Markup, joined, number, tag
from rpucc.report.text.program import input_shapes

LEAST_WIDTH, MOST_WIDTH = 150.0, 264.0
"""Bounds of the width of a node: as wide as the longest text about a layer."""
OPS_WIDTH = 216.0
"""Up to here the operations after a layer make nodes wider."""
LINE = 15.5
"""Height of a line of a node."""
CAPITALS = 1.12
"""How much wider than the mean the letters of a name may be."""
EDGES = 18.0
"""What a node's text leaves free to the left and right."""
BETWEEN = 8.0
"""Least distance between the texts of a line."""
GAPS = (14.0, 16.0)
"""Least distances between nodes, across and down."""
COLUMN, LEAST_COLUMN = 560.0, 330.0
"""Height at which a new column begins, as soon as a single value crosses; where a page has room for
more columns side by side, they may be so short."""
PAPER = 1460.0
"""What a page has for columns side by side, and a little more: there they are drawn smaller."""
COLUMN_GAP = 28.0
MOST_PER_ROW = 6

_SHORT = {
    "AveragePool": "AvgPool",
    "BatchNormalization": "BatchNorm",
    "GlobalAveragePool": "GlobalAvgPool",
    "SoftmaxCrossEntropyLoss": "cross-entropy",
}
"""Names that would not fit; a node's title has the full ones."""


@dataclass(frozen=True)
class _Line:
    """What stands on a line of a node at its left, and at its right."""

    left: str
    right: str = ""
    style: str = "muted"
    right_style: str = "muted"

    @property
    def width(self) -> float:
        """What it takes without being cut."""
        left = text_width(self.left) if self.style == "strong" else CHARACTER * len(self.left)
        right = CHARACTER * len(self.right) + BETWEEN if self.right else 0.0
        return left + right + EDGES


@dataclass(frozen=True)
class _Box:
    """A node to draw: an index into the network, or a note of where an edge comes from or goes."""

    index: int | None
    lines: tuple[_Line, ...]
    layer: str | None = None
    title: str = ""
    width: float = LEAST_WIDTH

    @property
    def size(self) -> Point:
        return self.width, LINE * len(self.lines) + 7


@dataclass(frozen=True)
class Columns:
    """The drawings of a network, to be read one after the other."""

    drawings: tuple[Drawing, ...]
    per_row: int
    """So many stand side by side on a page."""


def network_columns(scene: Scene, *, links: bool) -> Columns:
    """Draw the network as columns.

    links: make each layer a link to the page's `#layer-<place in the plan>`.
    """
    boxes, edges = _with_ends(scene)
    width = layout([box.size for box in boxes], edges, GAPS).width
    per_row = min(max(int((PAPER + COLUMN_GAP) / (width + COLUMN_GAP)), 1), MOST_PER_ROW)
    parts = list(_columns(boxes, edges, ranks(len(boxes), edges), per_row))
    drawings = []
    for i, (some, between) in enumerate(parts):
        label = f"Network of {scene.program.name}"
        if len(parts) > 1:
            label += f", column {i + 1} of {len(parts)}"
        drawings.append(_draw(scene, some, between, label, links))
    widest = max(drawing.width for drawing in drawings)
    return Columns(tuple(_centred(drawing, widest) for drawing in drawings), per_row)


def _centred(drawing: Drawing, width: float) -> Drawing:
    """Return a drawing in the middle of a given width: columns of one width have one scale."""
    left = number((width - drawing.width) / 2)
    body = tag("g", drawing.body, transform=f"translate({left} 0)")
    return replace(drawing, body=body, width=width)


def network_drawing(scene: Scene) -> Drawing:
    """Draw the network's columns side by side, row below row, for a file."""
    found = network_columns(scene, links=False)
    body, y, width = [], 0.0, 0.0
    for start in range(0, len(found.drawings), found.per_row):
        row, x = found.drawings[start : start + found.per_row], 0.0
        for column in row:
            at = f"translate({number(x)} {number(y)})"
            body.append(tag("g", column.body, transform=at))
            x += column.width + COLUMN_GAP
        y += max(column.height for column in row) + COLUMN_GAP
        width = max(width, x - COLUMN_GAP)
    return Drawing(joined(*body), width, y - COLUMN_GAP, f"Network of {scene.program.name}")


# ---------------------------------------------------------------- what is drawn


def _with_ends(scene: Scene) -> tuple[list[_Box], list[tuple[int, int]]]:
    """Return the network's nodes between one for each input and one for its output."""
    net = scene.network
    shapes = input_shapes(scene.program)
    first = len(shapes)
    boxes = [
        _Box(None, (_Line(f"{name if first > 1 else 'input'} {_shape(shape)}"),), title="input")
        for name, shape in shapes.items()
    ]
    boxes += [_box(scene, i, node) for i, node in enumerate(net.nodes)]
    boxes.append(_Box(None, (_Line("output"),), title="output"))
    edges = [(k, i + first) for k, name in enumerate(shapes) for i in net.sources[name]]
    edges += [(a + first, b + first) for a, b in net.edges]
    edges += [(i + first, len(boxes) - 1) for i in net.sinks()]
    layers = [box.lines for box in boxes if box.layer is not None]
    wanted = [line.width for lines in layers for line in lines[:2]]
    wanted += [min(line.width, OPS_WIDTH) for lines in layers for line in lines[2:]]
    width = min(max(math.ceil(max(wanted, default=0.0)), LEAST_WIDTH), MOST_WIDTH)
    return [_fitted(box, width) for box in boxes], edges


def _fitted(box: _Box, width: float) -> _Box:
    """Return a node of that width: operations and a shape that do not share a line get two."""
    lines: list[_Line] = []
    for line in box.lines:
        apart = line.style != "strong" and line.right and line.width > width
        lines += [replace(line, right=""), replace(line, left="")] if apart else [line]
    return replace(box, lines=tuple(lines), width=width)


def _box(scene: Scene, index: int, node: NetworkNode) -> _Box:
    ops = " · ".join(_SHORT.get(op, op) for op in node.ops)
    names = "\n".join(f"{op} {name}" for op, name in zip(node.ops, node.names, strict=True))
    shape = f"→ {_shape(node.shape)}" if node.shape else ""
    if node.layer is None:
        return _Box(index, (_Line(ops, shape, "text"),), title=f"digital\n{names}\n{shape}")
    layer = scene.layer(node.layer)
    each = -(-layer.reads_forward // layer.replicas)
    reads = units.counted(each, "read") if layer.analog else "digital"
    copies = f" × {layer.replicas:,}" if layer.replicas > 1 else ""
    slow = "slow-text" if layer.is_bottleneck else "muted"
    matrix = units.matrix(layer.R, layer.C, layer.groups)
    window = str(node.window) if node.window is not None else "dense"
    lines = (
        _Line(units.plain(layer.name), matrix, "strong", "text"),
        _Line(window, f"{reads}{copies}", right_style=slow),
        *([_Line(ops, shape)] if ops or shape else []),
    )
    title = [
        layer_summary(layer),
        f"{window} {shape}",
        *([f"then, digital:\n{names}"] if ops else []),
    ]
    return _Box(index, lines, node.layer, "\n".join(title))


def _shape(shape: Sequence[int | str]) -> str:
    return " × ".join(f"{dim:,}" if isinstance(dim, int) else dim for dim in shape)


def _columns(
    boxes: list[_Box], edges: list[tuple[int, int]], rank: list[int], per_row: int
) -> Iterator[tuple[list[_Box], list[tuple[int, int]]]]:
    """Yield the boxes and edges of each column, with a note at each end that is not an end."""
    breaks = _breaks(boxes, edges, rank, per_row)
    for k, (start, stop) in enumerate(pairwise([0, *breaks, max(rank) + 1])):
        mine = [i for i in range(len(boxes)) if start <= rank[i] < stop]
        number_of = {box: n for n, box in enumerate(mine, start=1 if k else 0)}
        shown = [boxes[i] for i in mine]
        kept = [(number_of[a], number_of[b]) for a, b in edges if a in number_of and b in number_of]
        coming = [(a, b) for a, b in edges if rank[a] < start <= rank[b]]
        if coming:
            shown.insert(0, _note(f"from {_name(boxes[coming[0][0]])}", boxes[0].width))
            kept += [(0, number_of[b]) for _, b in coming]
        going = sorted({a for a, b in edges if a in number_of and rank[b] >= stop})
        if going:
            kept += [(number_of[a], len(shown)) for a in going]
            shown.append(_note("continued", boxes[0].width))
        yield shown, kept


def _breaks(
    boxes: list[_Box], edges: list[tuple[int, int]], rank: list[int], per_row: int
) -> list[int]:
    """Return the ranks at which columns begin: the value of one node is all that crosses.

    As many columns as fill the rows of a page.
    """
    heights = [0.0] * (max(rank) + 1)
    for box, r in zip(boxes, rank, strict=True):
        heights[r] = max(heights[r], box.size[1] + GAPS[1])
    crossing: list[set[int]] = [set() for _ in heights]
    for a, b in edges:
        for r in range(rank[a] + 1, rank[b] + 1):
            crossing[r].add(a)
    total = sum(heights)
    columns = math.ceil(total / COLUMN)
    if columns > per_row:
        columns = per_row * math.ceil(columns / per_row)
    elif columns > 1:
        columns = max(columns, min(per_row, round(total / LEAST_COLUMN)))
    found: list[int] = []
    height = 0.0
    for r, h in enumerate(heights):
        full = height >= total * (len(found) + 1) / columns - h / 2
        if full and len(crossing[r]) == 1 and total - height > LEAST_COLUMN / 2:
            found.append(r)
        height += h
    return found


def _note(text: str, width: float) -> _Box:
    return _Box(None, (_Line(text),), title=text, width=width)


def _name(box: _Box) -> str:
    return units.plain(box.layer) if box.layer is not None else box.lines[0].left


# ---------------------------------------------------------------- how


def _draw(
    scene: Scene, boxes: Sequence[_Box], edges: Sequence[tuple[int, int]], label: str, links: bool
) -> Drawing:
    placed = layout([box.size for box in boxes], edges, GAPS)
    lines = [_path(route) for route in placed.routes]
    body = [styled("path", style="line", d=" ".join(lines), stroke_width=1.2)]
    body += [
        _node(scene, box, corner, links) for box, corner in zip(boxes, placed.corners, strict=True)
    ]
    inner = tag("g", *body, transform="translate(2 2)")
    return Drawing(inner, placed.width + 4, placed.height + 4, label)


def _path(route: Sequence[Point]) -> str:
    """Straight down where nothing is beside, else an S from one x to the next."""
    (x, y), *rest = route
    found = [f"M{number(x)} {number(y)}"]
    for to_x, to_y in rest:
        if abs(to_x - x) < 0.05:
            found.append(f"V{number(to_y)}")
        else:
            middle = number((y + to_y) / 2)
            found.append(
                f"C{number(x)} {middle} {number(to_x)} {middle} {number(to_x)} {number(to_y)}"
            )
        x, y = to_x, to_y
    return "".join(found)


def _node(scene: Scene, box: _Box, corner: Point, links: bool) -> Markup:
    width, height = box.size
    parts = [tag("title", box.title)]
    if box.index is None:
        label = fit(box.lines[0].left, width)
        text = words(width / 2, 15, label, "muted", text_anchor="middle")
        parts += [_frame(box.size, "paper", rx=height / 2), text]
    elif box.layer is None:
        parts += [_frame(box.size, "array"), *_lines(box, 8)]
    else:
        parts += _layer(scene, box)
    attributes = {"transform": f"translate({number(corner[0])} {number(corner[1])})"}
    if box.layer is None:
        return tag("g", *parts, **attributes)
    position = scene.positions[box.layer]
    attributes |= {"class_": "node", "data_layer": str(position)}
    if links:
        return tag("a", *parts, href=f"#layer-{position}", **attributes)
    return tag("g", *parts, **attributes)


def _layer(scene: Scene, box: _Box) -> Iterator[Markup]:
    assert box.layer is not None
    layer = scene.layer(box.layer)
    width, height = box.size
    style = kind_style(scene.kind_index(layer.array)) if layer.analog else "digital"
    yield _frame(box.size, "box")
    yield styled("rect", style=style, width=width, height=height, rx=3, fill_opacity=0.14)
    yield styled("rect", style=style, width=6, height=height, rx=3)
    if layer.is_bottleneck:
        yield styled("rect", style="slow", width=width, height=height, rx=3)
    yield from _lines(box, 13)


def _lines(box: _Box, left: float) -> Iterator[Markup]:
    """The lines of a node; what is too long at the left is cut in its middle."""
    for i, line in enumerate(box.lines):
        y = 15 + LINE * i
        room = box.width - left - 7 - (CHARACTER * len(line.right) + BETWEEN if line.right else 0)
        # What has to be cut may be of wide letters: of such a text no more is sure to fit.
        room /= (BOLD if line.style == "strong" else 1) * (
            CAPITALS if line.width > box.width else 1
        )
        text = fit(line.left, room)
        yield words(left, y, text, line.style)
        if line.right:
            yield words(box.width - 7, y, line.right, line.right_style, text_anchor="end")


def _frame(size: Point, style: str, rx: float = 3) -> Markup:
    return styled("rect", style=style, width=size[0], height=size[1], rx=rx)
