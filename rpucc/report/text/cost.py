"""The cost of a program as text and tables. Pure functions of a NetworkCost.

Not for deriving numbers: those are rpucc/cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.cost.energy import Energy
from rpucc.cost.layer import CycleCost
from rpucc.cost.network import MODELLED, NOT_MODELLED, NetworkCost, Throughput
from rpucc.cost.timing import Cycle
from rpucc.report import units
from rpucc.report.text.tables import heading, new_table, pairs

PARTS = {
    "arrays": "arrays",
    "dac": "DAC",
    "adc": "ADC",
    "pulses": "pulse lines",
    "digital": "digital",
    "movement": "movement",
}
"""Field of Energy -> what people call it."""


def summary(cost: NetworkCost, *, measured_rereads: float | None = None) -> RenderableType:
    """Return the section for `rpucc inspect`: throughput, energy, and what the numbers leave out.

    measured_rereads: re-reads of a read under bound management in a training run, where known.
    """
    return Group(heading("cost", " of one sample"), pairs(_lines(cost, measured_rereads)))


def _lines(cost: NetworkCost, measured_rereads: float | None) -> Iterator[tuple[str, str]]:
    alone = f"; one alone {units.seconds(cost.latency_seconds)}"
    yield "inference", _throughput(cost.inference) + alone
    if cost.training_pipelined is not None and cost.training_serial is not None:
        yield "training", f"one by one: {_throughput(cost.training_serial)}"
        yield "", f"pipelined, updates delayed: {_throughput(cost.training_pipelined)}"
    yield "energy", _energy("forward", cost.inference.energy)
    if cost.training_serial is not None:
        yield "", _energy("with training", cost.training_serial.energy)
    yield "digital", _digital(cost)
    yield "moved", _moved(cost)
    yield "re-reads", _rereads(cost, measured_rereads)
    columns = sum(each.transfers for layer in cost.layers for each in layer.cycles)
    if columns:
        text = (
            f"{columns:.4g} columns read, into slow arrays or to refresh, with minibatches of one"
        )
        yield "transfers", text
    rows = sum(each.writes for layer in cost.layers for each in layer.cycles)
    if rows:
        yield "written", f"{rows:.4g} rows of whole steps of digital sums, with minibatches of one"
    if kept := sum(layer.memory_bytes for layer in cost.layers):
        used = sum(each.memory_bytes for layer in cost.layers for each in layer.cycles)
        yield (
            "cell memory",
            f"{units.size(round(kept))} kept, {units.size(round(used))} read and written",
        )
    for i, text in enumerate(MODELLED):
        yield ("modelled" if i == 0 else ""), text
    for i, text in enumerate(NOT_MODELLED):
        yield ("not modelled" if i == 0 else ""), text


def _throughput(run: Throughput) -> str:
    if not run.interval_seconds:
        return "no layer on arrays, so no array time"
    bound = f", bounded by {units.plain(run.bottleneck)}" if run.bottleneck is not None else ""
    return (
        f"{units.large(run.images_per_second)} images/s "
        f"({units.seconds(run.interval_seconds)} each{bound}), {units.si(run.watts, 'W')}"
    )


def _energy(label: str, energy: Energy) -> str:
    total = energy.total
    shares = ((PARTS[key], value) for key, value in dataclasses.asdict(energy).items() if value)
    parts = ", ".join(f"{name} {units.significant_percent(each / total)}" for name, each in shares)
    return f"{label} {units.si(total, 'J')}{f': {parts}' if parts else ''}"


def _digital(cost: NetworkCost) -> str:
    counts: dict[Cycle, float] = {}
    for work in cost.digital:
        counts[work.cycle] = counts.get(work.cycle, 0.0) + work.operations.total
    parts = [f"{units.large(count)} {cycle}" for cycle, count in counts.items()]
    text = f"{', '.join(parts)} operations" if parts else "no operations"
    if cost.uncounted:
        text += f"; not counted: {', '.join(cost.uncounted)}"
    return text


def _moved(cost: NetworkCost) -> str:
    moved: dict[Cycle, float] = {}
    for layer in cost.layers:
        for each in layer.cycles:
            if each.moved_bytes:
                moved[each.cycle] = moved.get(each.cycle, 0.0) + each.moved_bytes
    parts = [f"{units.size(round(count))} {cycle}" for cycle, count in moved.items()]
    return f"{', '.join(parts)} between arrays" if parts else "nothing between arrays"


def _rereads(cost: NetworkCost, measured: float | None) -> str:
    if not any(each.rereads for layer in cost.layers for each in layer.cycles):
        text = "none assumed"
    else:
        text = f"{cost.table.expected_rereads:g} a read under bound management assumed"
    if measured is None:
        return f"{text} (cost.expected_rereads)"
    return f"{text}; the last epoch had {measured:.3g}: cost.expected_rereads={measured:.3g}"


# ---------------------------------------------------------------- in detail


def details(cost: NetworkCost) -> RenderableType:
    """Return the tables for `rpucc inspect --cost`: cycles of layers, digital work, cost table."""
    parts: list[RenderableType] = [layer_table(cost), Text(), energy_table(cost)]
    if cost.digital:
        parts += [Text(), digital_table(cost)]
    parts += [Text(), pairs([("slowest path", " → ".join(map(units.plain, cost.critical_path)))])]
    return Group(*parts, Text(), heading("[cost]"), assumptions(cost))


def _cycles(cost: NetworkCost) -> Iterator[tuple[str, CycleCost]]:
    for layer in cost.layers:
        for i, cycle in enumerate(layer.cycles):
            yield (units.plain(layer.name) if i == 0 else ""), cycle


def layer_table(cost: NetworkCost) -> Table:
    """Return what each layer does in each cycle, and for how long."""
    all_cycles = [each for layer in cost.layers for each in layer.cycles]
    more = [key for key in ("transfers", "writes") if any(getattr(c, key) for c in all_cycles)]
    headings = ["layer", "cycle", "reads or\nupdates", *more, "array\ntime", "DAC", "ADC", "moved"]
    table = new_table(*headings, numeric=range(2, len(headings)))
    for name, each in _cycles(cost):
        table.add_row(
            name,
            each.cycle,
            units.count(each.count),
            *(f"{value:.4g}" if (value := getattr(each, key)) else units.NONE for key in more),
            units.seconds(each.seconds),
            units.large(each.dac_conversions) if each.dac_conversions else units.NONE,
            units.large(each.adc_conversions) if each.adc_conversions else units.NONE,
            units.size(round(each.moved_bytes)) if each.moved_bytes else units.NONE,
        )
    return table


def energy_table(cost: NetworkCost) -> Table:
    """Return the energy of each layer's cycles by what takes it; digital work is not in it."""
    keys = [key for key in PARTS if key != "digital"]
    headers = [PARTS[key] for key in keys]
    table = new_table("layer", "cycle", *headers, "energy", numeric=range(2, 3 + len(keys)))
    for name, each in _cycles(cost):
        values = dataclasses.asdict(each.energy)
        cells = (units.si(values[key], "J") if values[key] else units.NONE for key in keys)
        table.add_row(name, each.cycle, *cells, units.si(each.energy.total, "J"))
    return table


def digital_table(cost: NetworkCost) -> Table:
    """Return the digital operations by op and cycle."""
    table = new_table(
        "digital op", "cycle", "nodes", "adds", "multiplies", "functions", numeric=(2, 3, 4, 5)
    )
    for work in cost.digital:
        counts = dataclasses.astuple(work.operations)
        cells = (units.large(count) if count else units.NONE for count in counts)
        table.add_row(units.plain(work.op), work.cycle, str(work.nodes), *cells)
    return table


def assumptions(cost: NetworkCost) -> Table:
    """Return the cost table in use; docs/cost.md has the sources."""
    return pairs((key, _with_unit(key, value)) for key, value in cost.table.model_dump().items())


def _with_unit(key: str, value: float) -> str:
    unit = {"power": "W", "energy": "J"}.get(key.rpartition("_")[2])
    return f"{value:g}" if unit is None else units.si(value, unit)
