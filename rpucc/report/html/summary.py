"""The head of the page: what was compiled for what, and the numbers of the whole network."""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.report import units
from rpucc.report.html.parts import fact
from rpucc.report.markup import Markup, tag
from rpucc.report.plan import forward_reads
from rpucc.report.program import input_shape
from rpucc.report.scene import Scene


def header(scene: Scene) -> Markup:
    """Return the title, the facts and the notes."""
    program, plan = scene.program, scene.plan
    low, high = program.input_range
    shape = " × ".join(map(str, input_shape(program)))
    what = f"training with {program.loss} loss" if program.training else "inference"
    facts = [fact(*words) for words in _facts(scene)]
    notes = [tag("li", note) for note in plan.notes]
    return tag(
        "header",
        tag("h1", program.name, tag("span", f" on {plan.target}")),
        tag("p", f"Compiled for {what}; input {shape} in {low:g} to {high:g}.", class_="lead"),
        tag("dl", *facts, class_="facts"),
        tag("ul", *notes, class_="notes") if notes else None,
    )


def _facts(scene: Scene) -> Iterator[tuple[str, str, str, str]]:
    """Yield (definition, label, number, what belongs to it)."""
    plan = scene.plan
    used = scene.placement.arrays
    kinds = ", ".join(
        f"{units.count(used[kind.name])} {kind.name} ({units.matrix(kind.rows, kind.cols)})"
        for kind in scene.kinds
        if kind.name in used
    )
    yield "arrays", "arrays", units.count(sum(used.values())), kinds or "all layers are digital"
    yield "used", "used", units.significant_percent(scene.placement.utilisation()), "of crosspoints"
    digital = f", {units.count(plan.digital_weights)} digital" if plan.digital_weights else ""
    yield "weights", "weights", units.large(plan.weights), f"on arrays{digital}"
    yield "macs", "work", units.large(plan.macs), "multiply-accumulates a sample"
    slowest = next((layer for layer in plan.layers if layer.is_bottleneck), None)
    if slowest is None:
        return
    yield "bottleneck", "bottleneck", units.plain(slowest.name), forward_reads(slowest)
    yield "pipeline-time", "in the pipeline", units.seconds(plan.image_seconds), "a sample"
    yield "latency", "one sample alone", units.seconds(plan.latency_seconds), "array time"
    if plan.training:
        seconds = units.seconds(plan.training_image_seconds)
        yield "training-time", "training", seconds, "a sample, array time"
