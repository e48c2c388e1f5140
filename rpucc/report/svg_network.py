"""The network as a drawing: layers coloured by kind of array, digital work between them in grey.

A long network is broken into columns where a single value crosses, so that a page shows it like
columns of text. Not for what the network is (`network.py`) nor for positions (`layout.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rpucc.report import units
from rpucc.report.layout import Point, layout, ranks
from rpucc.report.markup import Markup, joined, number, tag
from rpucc.report.network import NetworkNode
from rpucc.report.program import input_shape
from rpucc.report.scene import Scene, layer_summary
from rpucc.report.svg import BOLD, Drawing, fit, kind_style, styled, text_width, words

WIDTH = 204.0
LINE = 16.0
"""Height of a line of a node."""
GAPS = (14.0, 16.0)
"""Least distances between nodes, across and down."""
COLUMN = 880.0
"""Height at which a new column begins, as soon as a single value crosses."""
COLUMN_GAP = 36.0

_SHORT = {
    "AveragePool": "AvgPool",
    "BatchNormalization": "BatchNorm",
    "GlobalAveragePool": "GlobalAvgPool",
    "SoftmaxCrossEntropyLoss": "cross-entropy",
}
"""Names that would not fit; a node's title has the full ones."""


@dataclass(frozen=True)
class _Box:
    """A node to draw: an index into the network, or a note of where an edge comes from or goes."""

    index: int | None
    lines: tuple[tuple[str, str], ...]
    """(text, style) of each line."""
    layer: str | None = None
    title: str = ""

    @property
    def size(self) -> Point:
        return WIDTH, LINE * len(self.lines) + 6


def network_columns(scene: Scene, *, links: bool) -> list[Drawing]:
    """Draw the network as columns, to be read one after the other.

    links: make each layer a link to the page's `#layer-<place in the plan>`.
    """
    whole = _with_ends(scene)
    parts = list(_columns(*whole))
    drawings = []
    for i, (boxes, edges) in enumerate(parts):
        label = f"Network of {scene.program.name}"
        if len(parts) > 1:
            label += f", column {i + 1} of {len(parts)}"
        drawings.append(_draw(scene, boxes, edges, label, links))
    return drawings


def network_drawing(scene: Scene) -> Drawing:
    """Draw the network's columns side by side, for a file."""
    columns = network_columns(scene, links=False)
    body, x = [], 0.0
    for column in columns:
        body.append(tag("g", column.body, transform=f"translate({number(x)} 0)"))
        x += column.width + COLUMN_GAP
    height = max(column.height for column in columns)
    return Drawing(joined(*body), x - COLUMN_GAP, height, f"Network of {scene.program.name}")


# ---------------------------------------------------------------- what is drawn


def _with_ends(scene: Scene) -> tuple[list[_Box], list[tuple[int, int]]]:
    """Return the network's nodes between one for its input and one for its output."""
    net = scene.network
    shape = " × ".join(map(str, input_shape(scene.program)))
    boxes = [_Box(None, ((fit(f"input {shape}", WIDTH), "muted"),), title="input")]
    boxes += [_box(scene, i, node) for i, node in enumerate(net.nodes)]
    boxes.append(_Box(None, (("output", "muted"),), title="output"))
    edges = [(0, i + 1) for i in net.sources]
    edges += [(a + 1, b + 1) for a, b in net.edges]
    edges += [(i + 1, len(boxes) - 1) for i in net.sinks()]
    return boxes, edges


def _box(scene: Scene, index: int, node: NetworkNode) -> _Box:
    ops = " · ".join(_SHORT.get(op, op) for op in node.ops)
    names = "\n".join(f"{op} {name}" for op, name in zip(node.ops, node.names, strict=True))
    if node.layer is None:
        return _Box(index, ((fit(ops, WIDTH - 12), "muted"),), title=f"digital\n{names}")
    layer = scene.layer(node.layer)
    matrix = units.matrix(layer.R, layer.C, layer.groups)
    room = WIDTH - 24 - text_width(matrix)
    lines = [(fit(units.plain(layer.name), room / BOLD), "strong")]
    if ops:
        lines.append((fit(ops, WIDTH - 18), "muted"))
    title = layer_summary(layer) + (f"\nthen, digital:\n{names}" if names else "")
    return _Box(index, tuple(lines), node.layer, title)


def _columns(
    boxes: list[_Box], edges: list[tuple[int, int]]
) -> Iterator[tuple[list[_Box], list[tuple[int, int]]]]:
    """Yield the boxes and edges of each column, with a note at each end that is not an end."""
    rank = ranks(len(boxes), edges)
    breaks = _breaks(boxes, edges, rank)
    for k, (start, stop) in enumerate(pairwise([0, *breaks, max(rank) + 1])):
        mine = [i for i in range(len(boxes)) if start <= rank[i] < stop]
        number_of = {box: n for n, box in enumerate(mine, start=1 if k else 0)}
        shown = [boxes[i] for i in mine]
        kept = [(number_of[a], number_of[b]) for a, b in edges if a in number_of and b in number_of]
        coming = [(a, b) for a, b in edges if rank[a] < start <= rank[b]]
        if coming:
            shown.insert(0, _note(f"from {_name(boxes[coming[0][0]])}"))
            kept += [(0, number_of[b]) for _, b in coming]
        going = sorted({a for a, b in edges if a in number_of and rank[b] >= stop})
        if going:
            kept += [(number_of[a], len(shown)) for a in going]
            shown.append(_note("continued"))
        yield shown, kept


def _breaks(boxes: list[_Box], edges: list[tuple[int, int]], rank: list[int]) -> list[int]:
    """Return the ranks at which columns begin: the value of one node is all that crosses."""
    heights = [0.0] * (max(rank) + 1)
    for box, r in zip(boxes, rank, strict=True):
        heights[r] = max(heights[r], box.size[1] + GAPS[1])
    crossing: list[set[int]] = [set() for _ in heights]
    for a, b in edges:
        for r in range(rank[a] + 1, rank[b] + 1):
            crossing[r].add(a)
    total = sum(heights)
    columns = max(1, round(total / COLUMN))
    found, height, last = [], 0.0, 0.0
    for r, h in enumerate(heights):
        full = height - last >= total / columns - h / 2 and total - height > COLUMN / 4
        if full and len(crossing[r]) == 1:
            found.append(r)
            last = height
        height += h
    return found


def _note(text: str) -> _Box:
    return _Box(None, ((fit(text, WIDTH), "muted"),), title=text)


def _name(box: _Box) -> str:
    return units.plain(box.layer) if box.layer is not None else box.lines[0][0]


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
        text = words(width / 2, 15, box.lines[0][0], "muted", text_anchor="middle")
        parts += [_frame(box.size, "paper", rx=height / 2), text]
    elif box.layer is None:
        parts += [_frame(box.size, "array"), words(8, 15, box.lines[0][0], "text")]
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
    yield styled("rect", style=style, width=width, height=height, rx=3, fill_opacity=0.16)
    yield styled("rect", style=style, width=6, height=height, rx=3)
    if layer.is_bottleneck:
        yield styled("rect", style="slow", width=width, height=height, rx=3)
    yield words(13, 15, box.lines[0][0], "strong")
    yield words(
        width - 7, 15, units.matrix(layer.R, layer.C, layer.groups), "text", text_anchor="end"
    )
    for i, (text, line_style) in enumerate(box.lines[1:], start=1):
        yield words(13, 15 + LINE * i, text, line_style)


def _frame(size: Point, style: str, rx: float = 3) -> Markup:
    return styled("rect", style=style, width=size[0], height=size[1], rx=rx)
