"""The tables of the page: layers, pipeline stages, policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from rpucc.plan.plan import LayerPlan
from rpucc.report import units
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.latency import cycle_seconds
from rpucc.report.drawings.svg import kind_style
from rpucc.report.html.parts import breakable, table, term
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.text.plan import (
    clipped,
    fixed,
    is_cell,
    is_scaled,
    update_policy,
    weight_scale,
    which_cycles,
)
from rpucc.report.text.policy import (
    bound_management,
    calibration_text,
    cell_text,
    device_text,
    periphery_text,
)
from rpucc.target.target import LayerPolicy

NAMES_SHOWN = 6
"""Layers that a row of the policies names before it counts the others."""


class Column(NamedTuple):
    """A column of the table of layers: a key of the definitions, a heading, what a cell says."""

    key: str
    heading: str
    cell: Callable[[LayerPlan], str]
    numeric: bool = True
    analog: bool = True
    """Says nothing about a digital layer."""
    group: str = ""
    """A heading above those of neighbours."""


READS, TIME = "reads a sample", "time a sample"


def _columns(scene: Scene) -> Iterable[Column]:
    training = scene.plan.training
    times = cycle_seconds(scene.plan)
    yield Column("op", "op", lambda la: la.op, numeric=False, analog=False)
    yield Column("matrix", "R × C", lambda la: units.matrix(la.R, la.C, la.groups), analog=False)
    yield Column("array", "array", lambda la: la.array or "digital", numeric=False, analog=False)
    yield Column("grid", "grid", lambda la: f"{la.grid[0]} × {la.grid[1]}")
    yield Column("arrays", "arrays", lambda la: units.count(la.arrays))
    if any(layer.replicas > 1 for layer in scene.plan.layers):
        yield Column("copies", "copies", lambda la: units.count(la.replicas))
    if any(layer.devices_per_weight > 1 for layer in scene.plan.layers):
        yield Column("devices-per-weight", "devices", lambda la: str(la.devices_per_weight))
    if any(is_cell(layer) for layer in scene.plan.layers):
        yield Column("cell", "cell", lambda la: la.cell, numeric=False)
    if any(is_scaled(layer) for layer in scene.plan.layers):
        yield Column("scale", "scale", weight_scale)
    if any(layer.clipped for layer in scene.plan.layers):
        yield Column("clipped", "clipped", clipped)
    if any(layer.fixed for layer in scene.plan.layers):
        yield Column("fixed", "fixed", fixed)
    if any(layer.tiles_left_out for layer in scene.plan.layers):
        yield Column("left-out", "left out", lambda la: _count(la.tiles_left_out))
    yield Column("used", "used", lambda la: units.significant_percent(la.utilisation))
    yield Column("macs", "MACs", lambda la: units.large(la.macs), analog=False)
    yield Column("reads-forward", "fwd", lambda la: units.count(la.reads_forward), group=READS)
    if training:
        yield Column("reads-backward", "bwd", lambda la: _count(la.reads_backward), group=READS)
        yield Column("updates", "upd", lambda la: units.count(la.updates), group=READS)
    for i, (key, heading) in enumerate(_TIMES[: 3 if training else 1]):
        yield Column(key, heading, _cycle_time(times, i), group=TIME)
    yield Column(
        "NM", "NM", lambda la: which_cycles(la.noise_forward, la.noise_backward), numeric=False
    )
    yield Column(
        "BM", "BM", lambda la: which_cycles(la.bound_forward, la.bound_backward), numeric=False
    )
    if training:
        yield Column("update", "update", update_policy, numeric=False)


_TIMES = (("forward-time", "fwd"), ("backward-time", "bwd"), ("update-time", "upd"))


def _count(n: int) -> str:
    return units.count(n) if n else units.NONE


def _cycle_time(times: Mapping[str, Sequence[float]], cycle: int) -> Callable[[LayerPlan], str]:
    return lambda layer: _time(times[layer.name][cycle])


def _time(value: float) -> str:
    return units.seconds(value) if value else units.NONE


def layer_table(scene: Scene) -> Markup:
    """Return one row a layer."""
    columns = list(_columns(scene))
    above = [tag("td")]
    for group, members in groupby(columns, key=lambda column: column.group):
        span = len(list(members))
        above.append(
            tag("th", group, colspan=span, scope="colgroup") if group else tag("td", colspan=span)
        )
    headings = [tag("th", term("layer", "layer"), scope="col")]
    headings += [
        tag("th", term(column.key, column.heading), scope="col", class_=_class(column))
        for column in columns
    ]
    rows = [_layer_row(scene, i, layer, columns) for i, layer in enumerate(scene.plan.layers)]
    return table(headings, rows, above=above)


def _layer_row(scene: Scene, index: int, layer: LayerPlan, columns: Sequence[Column]) -> Markup:
    swatch = kind_style(scene.kind_index(layer.array)) if layer.analog else "digital"
    mark = tag("em", "bottleneck") if layer.is_bottleneck else None
    label = breakable(layer.name)
    name = tag("th", tag("i", class_=f"swatch {swatch}"), label, " ", mark, scope="row")
    cells = [tag("td", _cell(column, layer), class_=_class(column)) for column in columns]
    classes = "slow" if layer.is_bottleneck else None
    return tag(
        "tr", name, *cells, id=f"layer-{index}", data_layer=index, class_=classes, tabindex=-1
    )


def _cell(column: Column, layer: LayerPlan) -> str:
    return column.cell(layer) if layer.analog or not column.analog else units.NONE


def _class(column: Column) -> str | None:
    return "num" if column.numeric else None


def stage_table(scene: Scene) -> Markup:
    """Return when each stage of one image begins and ends."""
    headings = [tag("th", label, scope="col") for label in ("stage", "cycle")]
    headings += [
        tag("th", label, scope="col", class_="num") for label in ("begins", "ends", "takes")
    ]
    rows = []
    for stage in scene.plan.stages:
        times = (stage.start, stage.end, stage.seconds)
        cells = [tag("td", units.seconds(time), class_="num") for time in times]
        name = tag("th", breakable(stage.layer), scope="row")
        position = scene.positions[stage.layer]
        rows.append(tag("tr", name, tag("td", stage.cycle), *cells, data_layer=position))
    return table(headings, rows)


POLICIES = ("NM", "BM", "update", "device", "periphery")
"""What makes a policy, by its definitions."""


def policy_table(scene: Scene) -> Markup:
    """Return one row for each different policy, with the layers that have it."""
    groups: dict[tuple[str, ...], list[LayerPlan]] = {}
    for layer in scene.plan.analog_layers:
        policy = scene.program.target.for_layer(layer.name)
        groups.setdefault(_policy(layer, policy), []).append(layer)
    headings = [tag("th", term("layer", "layers"), scope="col")]
    headings += [tag("th", term(key, key), scope="col") for key in POLICIES]
    rows = [
        tag(
            "tr",
            tag("th", _names(members), scope="row"),
            *(tag("td", text) for text in texts),
            data_layers=" ".join(str(scene.positions[la.name]) for la in members),
        )
        for texts, members in groups.items()
    ]
    return table(headings, rows, "prose")


def _policy(layer: LayerPlan, policy: LayerPolicy) -> tuple[str, ...]:
    return (
        which_cycles(layer.noise_forward, layer.noise_backward),
        bound_management(layer, policy),
        update_policy(layer),
        "; ".join(filter(None, (cell_text(policy), device_text(policy), calibration_text(policy)))),
        periphery_text(policy.periphery),
    )


def _names(members: Sequence[LayerPlan]) -> Markup:
    shown = joined(*(breakable(layer.name) for layer in members[:NAMES_SHOWN]), separator=", ")
    more = len(members) - NAMES_SHOWN
    return joined(shown, f" and {units.count(more)} more" if more > 0 else None)
