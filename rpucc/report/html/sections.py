"""The sections of the page, each from a scene. Not for drawings: those are the svg_*.py files."""

from __future__ import annotations

from collections.abc import Sequence

from rpucc.report import units
from rpucc.report.definitions import DEFINITIONS
from rpucc.report.drawings.arrays import ArrayPicture, caption, picture_drawing
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.latency import cycle_styles, latency_drawings
from rpucc.report.drawings.network import network_columns
from rpucc.report.drawings.pipeline import pipeline_drawings, training_drawings
from rpucc.report.drawings.svg import DIGITAL, SLOWEST, Drawing
from rpucc.report.html.parts import breakable, kind_legend, legend, scrolling, section
from rpucc.report.html.tables import layer_table, policy_table, stage_table
from rpucc.report.markup import Markup, tag

MOST_SHRUNK = 560.0
"""Pixels up to which a column of the network shrinks to the width of a phone; wider ones scroll."""
ROWS = 36
"""Layers a chart: what a printed page holds; more go into further charts."""


def network(scene: Scene) -> Markup:
    """Return the graph of the forward network, in columns."""
    found = network_columns(scene, links=True)
    fits = " fits" if found.drawings[0].width <= MOST_SHRUNK else ""
    columns = [
        tag("div", drawing.inline(role="group"), class_="scroll") for drawing in found.drawings
    ]
    return section(
        "network",
        "Network",
        "The forward network, top to bottom and column by column: matrix, window, reads a sample "
        "and the shape of what comes out. Digital operations go with the layer before them where "
        "nothing else takes its result.",
        legend([*scene.kind_styles, DIGITAL, SLOWEST]),
        tag("div", *columns, class_=f"columns per-row-{min(found.per_row, len(columns))}{fits}"),
    )


def layers(scene: Scene) -> Markup:
    """Return the table of layers."""
    return section(
        "layers",
        "Layers",
        "One row a layer, in forward order. Counts and times are for one sample.",
        scrolling(layer_table(scene), "Layers"),
    )


def arrays(scene: Scene, pictures: Sequence[ArrayPicture]) -> Markup:
    """Return a picture of every array, layer by layer."""
    figures = []
    for i, picture in enumerate(pictures):
        drawing = picture_drawing(scene, picture)
        positions = " ".join(str(scene.positions[name]) for name in picture.layers)
        names, _, text = caption(scene, picture).rpartition(": ")
        svg = drawing.inline(class_="floor", data_picture=i, tabindex=0)
        what = tag("figcaption", tag("b", breakable(names)), tag("span", text))
        figure = tag("div", svg, class_="scroll")
        figures.append(tag("figure", what, figure, data_layers=positions))
    return section(
        "arrays",
        "Arrays",
        "Every array, with the blocks of the matrices that live on it in place and to scale (a "
        "block takes a pixel or two at least). The arrays of a layer stand as its matrix is cut.",
        kind_legend(scene, digital=False),
        tag("div", *figures, class_="floors"),
    )


def time(scene: Scene) -> Markup:
    """Return the bars of array time."""
    return section(
        "time",
        "Time",
        "Time that a layer's arrays are busy for one sample. The bottleneck of the forward "
        "pipeline, every layer with the longest forward time, is in red. Digital work and "
        "transfers are not in it.",
        legend(cycle_styles(scene.plan)),
        _charts(latency_drawings(scene.plan, ROWS)),
    )


def pipeline(scene: Scene) -> Markup:
    """Return the Gantt charts and the same as a table."""
    period = units.seconds(scene.plan.image_seconds)
    charts = [kind_legend(scene, digital=False), _charts(pipeline_drawings(scene.plan, ROWS))]
    if scene.plan.training:
        charts += [
            tag("h3", "One training image"),
            legend(cycle_styles(scene.plan)),
            _charts(training_drawings(scene.plan, ROWS)),
        ]
    numbers = tag(
        "details", tag("summary", "The stages as a table"), scrolling(stage_table(scene), "Stages")
    )
    return section(
        "pipeline",
        "Pipeline",
        "Each layer is a stage of the forward pipeline and works on one image at a time; shades "
        f"tell consecutive images apart. One comes in every {period}, the bottleneck's time.",
        *charts,
        numbers,
    )


def _charts(drawings: Sequence[Drawing]) -> Markup:
    return tag("div", *(drawing.fluid() for drawing in drawings), class_="chart")


def policies(scene: Scene) -> Markup:
    """Return the policy of each layer; layers with the same policy share a row."""
    return section(
        "policies",
        "Policies",
        "How layers are read, updated and built: the target's sections after all layer rules.",
        scrolling(policy_table(scene), "Policies"),
    )


def terms() -> Markup:
    """Return the glossary."""
    items = [
        tag("div", tag("dt", each.term), tag("dd", each.text), id=f"def-{each.key}")
        for each in DEFINITIONS
    ]
    return section("terms", "Terms", "What the numbers mean.", tag("dl", *items, class_="terms"))


def cuts(scene: Scene) -> list[list[tuple[int, ...]]]:
    """Return [row cuts, column cuts] of each layer of the plan; [] for a digital one."""
    found: list[list[tuple[int, ...]]] = [[] for _ in scene.plan.layers]
    for grid in scene.placement.grids:
        found[scene.positions[grid.layer]] = [grid.row_cuts, grid.col_cuts]
    return found
