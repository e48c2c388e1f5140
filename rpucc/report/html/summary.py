"""The head of the page: what was compiled for what, and the numbers of the whole network."""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.plan.plan import Plan
from rpucc.report import units
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.svg import CHARACTER, fit
from rpucc.report.html.parts import breakable, fact
from rpucc.report.markup import Markup, tag
from rpucc.report.text.plan import forward_reads, left_out_text, weight_parts
from rpucc.report.text.program import input_text

MOST_NAME = 32 * CHARACTER
"""What a name may take among the facts; the table of layers has it whole."""


def header(scene: Scene) -> Markup:
    """Return the title, the facts and the notes."""
    program, plan = scene.program, scene.plan
    low, high = program.input_range
    what = f"training with {program.loss} loss" if program.training else "inference"
    taken = input_text(program)
    facts = [fact(*words) for words in _facts(scene)]
    notes = [tag("li", note) for note in plan.notes]
    return tag(
        "header",
        tag("h1", program.name, tag("span", f" on {plan.target}")),
        tag(
            "p",
            f"Compiled for {what}; {taken} in {low:g} to {high:g}.",
            class_="lead",
        ),
        tag("dl", *facts, class_="facts"),
        tag("ul", *notes, class_="notes") if notes else None,
    )


def _facts(scene: Scene) -> Iterator[tuple[str, str, str | Markup, str]]:
    """Yield (definition, label, number, what belongs to it): speed and energy, then size."""
    plan = scene.plan
    if plan.bottlenecks:
        yield from _speed(plan)
    run = plan.cost.inference
    if run.energy.total:
        power = f", {units.si(run.watts, 'W')}" if run.watts else ""
        yield "energy", "energy", units.si(run.energy.total, "J"), f"an image{power}"
        efficiency = f"{units.three_digits(plan.tops_per_watt)} TOPS/W"
        yield "tops-per-watt", "efficiency", efficiency, "2 operations a multiply-accumulate"
    yield from _training(plan)
    yield from _size(scene)


def _speed(plan: Plan) -> Iterator[tuple[str, str, str | Markup, str]]:
    rate = units.large(plan.cost.inference.images_per_second)
    yield (
        "images-per-second",
        "images a second",
        rate,
        f"one every {units.seconds(plan.image_seconds)}",
    )
    first, *others = plan.bottlenecks
    more = f"; {units.counted(len(others), 'layer')} as slow" if others else ""
    name = breakable(fit(units.plain(first.name), MOST_NAME))
    yield "bottleneck", "bottleneck", name, forward_reads(first) + more
    yield "latency", "one sample alone", units.seconds(plan.latency_seconds), "array time"


def _training(plan: Plan) -> Iterator[tuple[str, str, str | Markup, str]]:
    serial, pipelined = plan.cost.training_serial, plan.cost.training_pipelined
    if serial is None or pipelined is None or not serial.interval_seconds:
        return
    more = (
        f"images a second one by one, {units.large(pipelined.images_per_second)} pipelined; "
        f"{units.si(serial.energy.total, 'J')} an image"
    )
    yield "images-per-second", "training", units.large(serial.images_per_second), more


def _size(scene: Scene) -> Iterator[tuple[str, str, str | Markup, str]]:
    plan, used = scene.plan, scene.placement.arrays
    kinds = ", ".join(
        f"{units.count(used[kind.name])} {kind.name} ({units.matrix(kind.rows, kind.cols)})"
        for kind in scene.kinds
        if kind.name in used
    )
    yield "arrays", "arrays", units.count(sum(used.values())), kinds or "all layers are digital"
    if left_out := sum(layer.tiles_left_out for layer in plan.layers):
        yield "left-out", "left out", units.counted(left_out, "tile"), left_out_text(plan)
    yield "used", "used", units.significant_percent(scene.placement.utilisation()), "of crosspoints"
    _, *others = weight_parts(plan)
    where = ", ".join(["on arrays", *others])
    yield "weights", "weights", units.large(plan.weights), where
    yield "macs", "work", units.large(plan.macs), "multiply-accumulates a sample"
