"""The section on cost: throughput, energy and data of each layer, digital work, what is modelled.

Not for deriving numbers: those are rpucc/cost.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.cost.layer import LayerCost
from rpucc.cost.network import MODELLED, NOT_MODELLED, NetworkCost, Throughput
from rpucc.report import units
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.html.parts import breakable, fact, scrolling, section, table, term
from rpucc.report.markup import Markup, tag


def cost(scene: Scene) -> Markup:
    """Return the section."""
    found = scene.cost
    facts = [fact(*words) for words in _facts(found)]
    return section(
        "cost",
        "Cost",
        "Throughput, energy and data, from the plan's reads and updates and the target's [cost] "
        "table.",
        tag("dl", *facts, class_="facts"),
        scrolling(_layers(scene, found), "Cost of layers"),
        tag("details", tag("summary", "Digital work by operation"), _digital(found)),
        tag("details", tag("summary", "What is modelled and what is not"), _modelled()),
    )


def _facts(found: NetworkCost) -> Iterator[tuple[str, str, str, str]]:
    yield from _throughput("inference", found.inference)
    if found.training_serial is not None:
        yield from _throughput("training, one by one", found.training_serial)
    if found.training_pipelined is not None:
        yield from _throughput("training, pipelined", found.training_pipelined)
    work = sum(each.operations.total for each in found.digital)
    yield "digital-operations", "digital work", units.large(work), "operations a sample"


def _throughput(label: str, run: Throughput) -> Iterator[tuple[str, str, str, str]]:
    if not run.interval_seconds:
        return
    energy = f"images/s; {units.si(run.energy.total, 'J')} each, {units.si(run.watts, 'W')}"
    yield "images-per-second", label, units.large(run.images_per_second), energy


def _layers(scene: Scene, found: NetworkCost) -> Markup:
    """One row a layer: the energy of its cycles, conversions and data."""
    training = found.training_serial is not None
    headings = [tag("th", term("layer", "layer"), scope="col")]
    labels = [("energy", "energy, fwd"), *([("energy", "with training")] if training else [])]
    labels += [("conversions", "DAC"), ("conversions", "ADC"), ("moved", "moved")]
    labels += [("rereads", "re-reads")]
    headings += [tag("th", term(*label), scope="col", class_="num") for label in labels]
    return table(headings, [_layer(scene, layer, training) for layer in found.layers])


def _layer(scene: Scene, layer: LayerCost, training: bool) -> Markup:
    every = [each.cycle for each in layer.cycles]
    cells = [units.si(layer.energy("forward").total, "J")]
    if training:
        cells.append(units.si(layer.energy(*every).total, "J"))
    sums = [
        sum(each.dac_conversions for each in layer.cycles),
        sum(each.adc_conversions for each in layer.cycles),
    ]
    cells += [units.large(total) if total else units.NONE for total in sums]
    cells.append(units.size(round(sum(each.moved_bytes for each in layer.cycles))))
    rereads = sum(each.rereads for each in layer.cycles)
    cells.append(units.large(rereads) if rereads else units.NONE)
    return tag(
        "tr",
        tag("th", breakable(layer.name), scope="row"),
        *(tag("td", cell, class_="num") for cell in cells),
        data_layer=scene.positions[layer.name],
    )


def _digital(found: NetworkCost) -> Markup:
    headings = [tag("th", "op", scope="col"), tag("th", "cycle", scope="col")]
    headings += [
        tag("th", label, scope="col", class_="num")
        for label in ("nodes", "additions", "multiplications", "functions")
    ]
    rows = []
    for work in found.digital:
        counts = (work.operations.adds, work.operations.multiplies, work.operations.functions)
        cells = [units.count(work.nodes), *(units.large(n) if n else units.NONE for n in counts)]
        texts = [tag("td", work.cycle), *(tag("td", cell, class_="num") for cell in cells)]
        rows.append(tag("tr", tag("th", work.op, scope="row"), *texts))
    uncounted = f"Not counted: {', '.join(found.uncounted)}." if found.uncounted else None
    note = tag("p", uncounted) if uncounted else None
    return tag("div", scrolling(table(headings, rows), "Digital work"), note)


def _modelled() -> Markup:
    lists = [
        tag("div", tag("dt", label), *(tag("dd", text) for text in texts))
        for label, texts in (("modelled", MODELLED), ("not modelled", NOT_MODELLED))
    ]
    return tag("dl", *lists, class_="terms")
