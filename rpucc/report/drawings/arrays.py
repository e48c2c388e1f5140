"""Every array with the blocks that live on it: a floorplan of thumbnails, layer by layer.

A layer's arrays stand as the grid that its matrix is cut into, its copies side by side; arrays that
layers share stand by themselves. A picture of thousands of arrays is two paths. Not for placing
(`rpucc.placement`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from rpucc.placement import Block, GridSpec
from rpucc.report import units
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.svg import Drawing, fit, kind_style, styled, text_width, words
from rpucc.report.markup import Markup, joined, number, tag

MOST_BLOCKS = 12_000
"""Blocks that are drawn of one layer: a picture of more would show nothing."""
SIDES = (1.0, 0.65, 0.45)
"""Relative sizes of kinds: the one with the most crosspoints, the next, all others."""
MOST_SIDE, LEAST_SIDE = 120.0, 5.0
"""Bounds of an array's longer side in pixels."""
PAPER = 1.5e6
"""Square pixels that all arrays may take before they are drawn smaller."""
PICTURE_PAPER = 60_000.0
"""The same for one picture."""
PICTURE_WIDTH = 1040.0
"""What a row of arrays may take before they are drawn smaller."""
MOST_ACROSS = 12
"""Arrays in a row where no cuts say how they stand."""
BETWEEN_COPIES = 8.0
"""Pixels between copies of several arrays, beyond the gap between arrays."""
LEAST_BLOCK = 1.5
"""Pixels that a block takes at least, however few of the lines it has."""
LABEL = 18.0
NAMES_SHOWN = 8
"""Layers that a caption names of those that share arrays."""


@dataclass(frozen=True)
class ArrayPicture:
    """Arrays that stand together: those of one layer alone, or those that layers share."""

    layers: tuple[str, ...]
    kind: str
    arrays: tuple[tuple[int, tuple[Block, ...]], ...]
    """Array id and what lies on it, copy by copy."""
    each: int
    """Arrays of a copy; where there is one, or copies share arrays, all."""
    columns: int
    """Arrays of a copy in a row."""
    left_out: int = 0
    """Blocks of the layer that are not drawn."""

    @property
    def copies(self) -> int:
        """Copies that stand side by side."""
        return -(-len(self.arrays) // self.each)

    @property
    def shared(self) -> bool:
        """True where several layers live on these arrays."""
        return len(self.layers) > 1

    @property
    def fill(self) -> float:
        """Crosspoints in use per array drawn."""
        used = sum(_area(block) for _, blocks in self.arrays for block in blocks)
        return used / len(self.arrays)


def array_pictures(scene: Scene) -> list[ArrayPicture]:
    """Return what stands together, in forward order of the first layer; then what is shared."""
    on: dict[tuple[str, int], list[Block]] = {}
    left_out = {grid.layer: max(grid.tiles - MOST_BLOCKS, 0) for grid in scene.plan.grids}
    for layer in scene.plan.analog_layers:
        for block in islice(scene.placement.blocks(layer.name), MOST_BLOCKS):
            on.setdefault((block.kind, block.array), []).append(block)
    groups: dict[tuple[str, str], list[tuple[int, tuple[Block, ...]]]] = {}
    for (kind, array), found in on.items():
        names = {block.layer for block in found}
        owner = names.pop() if len(names) == 1 else ""
        groups.setdefault((owner, kind), []).append((array, tuple(found)))
    pictures = [_picture(scene, *key, arrays, left_out) for key, arrays in groups.items()]
    return sorted(pictures, key=lambda p: (p.shared, scene.positions[p.layers[0]]))


def _picture(
    scene: Scene,
    owner: str,
    kind: str,
    arrays: list[tuple[int, tuple[Block, ...]]],
    left_out: dict[str, int],
) -> ArrayPicture:
    layers = tuple(dict.fromkeys(block.layer for _, blocks in arrays for block in blocks))
    if not owner:
        arrays = sorted(arrays)
    each = _arrays_of_a_copy(arrays) if owner else len(arrays)
    if owner and all(len(blocks) == 1 for _, blocks in arrays):  # the grid of the matrix
        columns = scene.layer(owner).grid[1]
    else:
        columns = min(each, MOST_ACROSS)
    left = left_out.get(owner, 0)
    return ArrayPicture(layers, kind, tuple(arrays), each, columns, left)


def _arrays_of_a_copy(arrays: Sequence[tuple[int, tuple[Block, ...]]]) -> int:
    """Return how many arrays each copy of a layer has; all of them where copies share arrays."""
    owners = [{block.copy for block in blocks} for _, blocks in arrays]
    if any(len(copies) > 1 for copies in owners):
        return len(arrays)
    counts = Counter(copy for copies in owners for copy in copies)
    return max(counts.values())


def _area(block: Block) -> int:
    return (block.rows[1] - block.rows[0]) * (block.cols[1] - block.cols[0])


# ---------------------------------------------------------------- one picture


@dataclass(frozen=True)
class Cells:
    """Where the arrays of a picture are: the page finds the array under the pointer by this."""

    each: int
    """Arrays of a copy."""
    columns: int
    """Arrays of a copy in a row."""
    across: int
    """Copies in a row."""
    width: float
    height: float
    gap: float
    between: float
    """Pixels between copies beyond the gap."""

    @property
    def rows(self) -> int:
        """Rows of arrays of a copy."""
        return -(-self.each // self.columns)

    @property
    def step(self) -> tuple[float, float]:
        """From one array of a copy to the next, right and down."""
        return self.width + self.gap, self.height + self.gap

    @property
    def copy_step(self) -> tuple[float, float]:
        """From one copy to the next, right and down."""
        return self.columns * self.step[0] + self.between, self.rows * self.step[1] + self.between

    def corner(self, index: int) -> tuple[float, float]:
        """Return the top left corner of the picture's array `index`."""
        copy, nth = divmod(index, self.each)
        (down, right), (row, col) = divmod(copy, self.across), divmod(nth, self.columns)
        x = right * self.copy_step[0] + col * self.step[0]
        return x, down * self.copy_step[1] + row * self.step[1]


def cells(scene: Scene, picture: ArrayPicture) -> Cells:
    """Return the size of the thumbnails: by the kind's size, smaller where many are in a row."""
    kind = scene.kinds[scene.kind_index(picture.kind)]
    side = max(LEAST_SIDE, min(_side(scene, picture), PICTURE_WIDTH / picture.columns - 1))
    gap = 4.0 if side >= 20 else 1.0
    between = BETWEEN_COPIES if picture.each > 1 and picture.copies > 1 else 0.0
    longer = max(kind.rows, kind.cols)
    width = max(side * kind.cols / longer, LEAST_BLOCK)
    height = max(side * kind.rows / longer, LEAST_BLOCK)
    room = int((PICTURE_WIDTH + between) / (picture.columns * (width + gap) + between))
    across = min(max(room, 1), picture.copies)
    return Cells(picture.each, picture.columns, across, width, height, gap, between)


def _side(scene: Scene, picture: ArrayPicture) -> float:
    """What the array's kind, and the number of arrays here and in all, leave room for."""
    by_size = sorted(scene.kinds, key=lambda k: -k.rows * k.cols)
    rank = [kind.name for kind in by_size].index(picture.kind)
    relative = 1.0 if picture.shared else SIDES[min(rank, len(SIDES) - 1)]
    total = sum(scene.placement.arrays.values())
    side = relative * max(min(MOST_SIDE, math.sqrt(PAPER / total) / 2), MOST_SIDE / 3)
    return min(side, math.sqrt(PICTURE_PAPER / len(picture.arrays)))


def picture_drawing(scene: Scene, picture: ArrayPicture) -> Drawing:
    """Draw one picture."""
    kind = scene.kinds[scene.kind_index(picture.kind)]
    grid = cells(scene, picture)
    count = len(picture.arrays)
    corners = [grid.corner(i) for i in range(count)]
    frames = [_box(x, y, grid.width, grid.height) for x, y in corners]
    scale = grid.width / kind.cols, grid.height / kind.rows
    by_style: dict[str, list[str]] = {}
    for (_, blocks), corner in zip(picture.arrays, corners, strict=True):
        for block in blocks:
            style = _block_style(scene, picture, block)
            by_style.setdefault(style, []).append(_block(block, corner, scale, grid))
    body = [styled("path", style="array", d="".join(frames))]
    body += [
        styled("path", style=style, d="".join(d), fill_opacity=0.85)
        for style, d in by_style.items()
    ]
    wide = max(x for x, _ in corners) + grid.width
    tall = max(y for _, y in corners) + grid.height
    return Drawing(joined(*body), wide, tall, caption(scene, picture))


def caption(scene: Scene, picture: ArrayPicture) -> str:
    """Return a line: whose arrays they are, how many, how full."""
    kind = scene.kinds[scene.kind_index(picture.kind)]
    names = ", ".join(units.plain(name) for name in picture.layers[:NAMES_SHOWN])
    more = len(picture.layers) - NAMES_SHOWN
    names += f" and {more} more layers" if more > 0 else ""
    full = units.significant_percent(picture.fill / (kind.rows * kind.cols))
    copies = "" if picture.copies == 1 else _copies(scene, picture)
    text = f"{units.counted(len(picture.arrays), 'array')} {kind.name}{copies}, {full} used"
    if picture.left_out:
        text += f"; {units.large(picture.left_out)} more tiles are not drawn"
    return f"{names}: {text}"


def _copies(scene: Scene, picture: ArrayPicture) -> str:
    """Say what the copies of a picture are: replicas, planes of cells, or both."""
    layer = scene.layer(picture.layers[0])
    if len(layer.planes) == 1:
        return f" in {units.count(picture.copies)} copies"
    each = f" of {units.count(layer.replicas)} copies each" if layer.replicas > 1 else ""
    return f" in planes {', '.join(layer.planes)}{each}"


def _block_style(scene: Scene, picture: ArrayPicture, block: Block) -> str:
    """Colour by kind; where layers share arrays, by layer."""
    if picture.shared:
        return kind_style(picture.layers.index(block.layer))
    return kind_style(scene.kind_index(block.kind))


def _block(
    block: Block, corner: tuple[float, float], scale: tuple[float, float], grid: Cells
) -> str:
    """A block on its array, inside of it also where it is drawn larger than it is."""
    width = max((block.cols[1] - block.cols[0]) * scale[0], LEAST_BLOCK)
    height = max((block.rows[1] - block.rows[0]) * scale[1], LEAST_BLOCK)
    x = min(block.at[1] * scale[0], grid.width - width)
    y = min(block.at[0] * scale[1], grid.height - height)
    return _box(corner[0] + x, corner[1] + y, width, height)


def _box(x: float, y: float, width: float, height: float) -> str:
    w = _short(width)
    return f"M{_short(x)} {_short(y)}h{w}v{_short(height)}h-{w}z"


def _short(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


# ---------------------------------------------------------------- a file for each kind


def kind_drawing(scene: Scene, kind: str, pictures: Iterable[ArrayPicture]) -> Drawing:
    """Draw all pictures of a kind, each under its caption, for a file."""
    drawings = [picture_drawing(scene, each) for each in pictures if each.kind == kind]
    parts: list[Markup] = []
    x, y, tallest, width = 0.0, 0.0, 0.0, 0.0
    for drawing in drawings:
        wide = max(drawing.width, min(text_width(drawing.label), PICTURE_WIDTH))
        if x and x + wide > PICTURE_WIDTH:
            x, y, tallest = 0.0, y + tallest, 0.0
        parts.append(words(x, y + 12, fit(drawing.label, PICTURE_WIDTH)))
        at = f"translate({number(x)} {number(y + LABEL)})"
        parts.append(tag("g", drawing.body, transform=at))
        width, tallest = max(width, x + wide), max(tallest, LABEL + drawing.height + 16)
        x += wide + 24
    size = scene.kinds[scene.kind_index(kind)]
    label = f"Arrays {kind} ({units.matrix(size.rows, size.cols)}) of {scene.program.name}"
    return Drawing(joined(*parts), width, y + tallest, label)


def tile_table(scene: Scene, pictures: Sequence[ArrayPicture]) -> list[dict[str, object]]:
    """Return for each picture what the page says about the array under the pointer.

    `on`: for each array its id and its blocks, [layer, which copy, group, row block, segment, first
    row, first column] each; layers by their place in the plan. `cut`: arrays of a copy, how many
    of them in a row, copies in a row. `steps`: pixels from array to array and from copy to copy.
    """
    grids = {each.layer: each for each in scene.plan.grids}
    found: list[dict[str, object]] = []
    for picture in pictures:
        grid = cells(scene, picture)
        on = [
            [array, *(_described(scene, grids[block.layer], block) for block in blocks)]
            for array, blocks in picture.arrays
        ]
        steps = [[round(each, 3) for each in step] for step in (grid.step, grid.copy_step)]
        cut = [grid.each, grid.columns, grid.across]
        found.append({"kind": picture.kind, "cut": cut, "steps": steps, "on": on})
    return found


def _described(scene: Scene, grid: GridSpec, block: Block) -> list[object]:
    """Return a block as `tile_table` says, with its plane and copy but for the first."""
    plane, replica = grid.plane_of(block.copy)
    named = (plane if plane != grid.planes[0] else "", f"copy {replica}" if replica else "")
    which = ", ".join(filter(None, named))
    return [scene.positions[block.layer], which, block.group, block.row, block.col, *block.at]
