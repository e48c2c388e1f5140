"""A program in words: what it is, and one of its layers in full. Pure functions of a Program.

Not for the table of all layers: that is plan.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from rpucc.digests import network_digest, other_weights_digest, weight_digests
from rpucc.feedback import ruled_as
from rpucc.report import units
from rpucc.report.text.plan import left_out, update_policy, which_cycles
from rpucc.report.text.policy import (
    as_data,
    bound_management,
    calibration_text,
    cell_text,
    device_text,
    other_settings,
    periphery_text,
)
from rpucc.report.text.tables import heading, pairs
from rpucc.report.text.tiles import Tile, tile_table
from rpucc.trust import is_own

if TYPE_CHECKING:
    from rpucc.plan.plan import LayerPlan
    from rpucc.program import Program
    from rpucc.target.target import LayerPolicy


def input_shapes(program: Program) -> dict[str, tuple[int | str, ...]]:
    """Return each data input with the shape of one sample, without the batch axis."""
    found = {str(value.name): value.shape for value in program.model.graph.inputs}
    return {
        name: tuple(d if isinstance(d, int) else str(d) for d in list(found[name] or ())[1:])
        for name in program.inputs
    }


def input_text(program: Program) -> str:
    """Say what a program takes: "input 1 × 28 × 28", with names where there are several."""
    shapes = {name: " × ".join(map(str, dims)) for name, dims in input_shapes(program).items()}
    if len(shapes) == 1:
        return f"input {next(iter(shapes.values()))}"
    return "inputs " + ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def title(program: Program) -> RenderableType:
    """Return one line: what was compiled for which target, and what for."""
    low, high = program.input_range
    what = f"training with {program.loss} loss" if program.training else "inference"
    text = f" for {program.target.name}: {what}; {input_text(program)} in {low:g} to {high:g}"
    return heading(program.name, text)


def describe(program: Program) -> dict[str, Any]:
    """Return everything that a program carries as plain data, for JSON and `rpucc diff`.

    Its weights and its graph are digests (rpucc/digests.py).
    """
    model, target, plan = program.model, program.target, program.plan
    shapes = {name: list(shape) for name, shape in input_shapes(program).items()}
    return {
        "version": model.metadata_props["rpucc.version"],
        "model": program.name,
        "training": program.training,
        "loss": program.loss,
        "input_shape": shapes if len(shapes) > 1 else next(iter(shapes.values())),
        "input_range": list(program.input_range),
        "fixed_batch": program.fixed_batch,
        "nodes": model.graph.num_nodes(),
        "target": json.loads(target.to_json()),
        "plan": plan.to_dict(),
        "policies": {
            layer.name: as_data(layer, target.for_layer(layer.name)) for layer in plan.analog_layers
        },
        "cost": program.cost.to_dict(),
        "batch_norms": json.loads(model.metadata_props.get("rpucc.batch_norms", "[]")),
        "digests": {
            "network": network_digest(model),
            "weights": weight_digests(model),
            "other_weights": other_weights_digest(model),
        },
    }


# ---------------------------------------------------------------- one layer


def layer_details(
    plan: LayerPlan, policy: LayerPolicy, found: Iterator[Tile], weights: Mapping[str, float],
    bytes_per_weight: int | None,
) -> RenderableType:  # fmt: skip
    """Return everything about one layer.

    found: its tiles. weights: statistics of its weights, if known. bytes_per_weight: None for a
    device of a user's own, which is not imported.
    """
    parts: list[RenderableType] = [heading(plan.name, f" ({plan.op})"), Text()]
    facts = list(_facts(plan, policy))
    if plan.analog:
        own = sorted({d.model for d in policy.plane_devices.values() if is_own(d.model)})
        unknown = f"bytes a weight unknown: {', '.join(own)} not imported"
        known = f"{bytes_per_weight} bytes a weight"
        facts.append(("simulation", unknown if bytes_per_weight is None else known))
    parts.append(pairs(facts))
    if weights:
        parts += [Text(), pairs([("weights", _statistics(weights))])]
    if plan.analog:
        parts += [Text(), *tile_table(found, plan.tiles)]
    return Group(*parts)


def _facts(plan: LayerPlan, policy: LayerPolicy) -> Iterable[tuple[str, str]]:
    matrix = units.matrix(plan.R, plan.C, plan.groups)
    if plan.feedback:
        yield "matrix", f"{matrix} ({units.count(plan.weights)} random numbers, never updated)"
        yield "for", f"the errors of {units.plain(ruled_as(plan.name))}, in place of its weights"
    else:
        yield "matrix", f"{matrix} ({units.count(plan.weights)} weights)"
    yield "work", f"{units.large(plan.macs)} multiply-accumulates a sample, forward"
    if not plan.analog:
        yield "place", "digital"
        return
    size = units.matrix(*plan.array_size)
    yield "grid", f"{plan.grid[0]} × {plan.grid[1]}{' of each' if plan.groups > 1 else ''}"
    yield (
        "arrays",
        f"{units.count(plan.arrays)} {units.plain(plan.array)} of {size}, "
        f"{units.significant_percent(plan.utilisation)} used",
    )
    if plan.fixed:
        share = units.significant_percent(plan.fixed / plan.weights)
        yield "fixed", f"{units.counted(plan.fixed, 'weight')} ({share}), which get no pulses"
    if plan.tiles_left_out:
        yield "left out", left_out(plan)
    if plan.replicas > 1:
        yield "copies", f"{units.count(plan.replicas)}, which share out the reads"
    if plan.devices_per_weight > 1:
        yield "devices", f"{plan.devices_per_weight} a weight, which is their mean"
    yield (
        "a sample",
        f"{units.counted(plan.reads_forward, 'read')} forward, "
        f"{units.count(plan.reads_backward)} backward, {units.counted(plan.updates, 'update')}",
    )
    times = f"{units.seconds(plan.seconds)} forward"
    if plan.feedback:
        times = f"{units.seconds(plan.training_seconds)} backward"
    elif plan.updates:
        times += f", {units.seconds(plan.training_seconds)} with backward and update"
    yield "array time", f"{times}{' (the bottleneck)' if plan.is_bottleneck else ''}"
    joules = f"{units.si(plan.joules, 'J')} forward"
    if plan.feedback:
        joules = f"{units.si(plan.training_joules, 'J')} backward"
    elif plan.updates:
        joules += f", {units.si(plan.training_joules, 'J')} with backward and update"
    yield "energy", joules
    yield "noise management", which_cycles(plan.noise_forward, plan.noise_backward)
    yield "bound management", bound_management(plan, policy)
    yield "update", update_policy(plan)
    if cell := cell_text(policy):
        yield "cell", f"{cell}; {units.count(plan.devices)} devices"
    yield "periphery", periphery_text(policy.periphery)
    yield "device", device_text(policy)
    if settings := other_settings(plan, policy):
        yield "other settings", settings
    if calibration := calibration_text(policy):
        yield "calibration", calibration


def _statistics(weights: Mapping[str, float]) -> str:
    text = (
        f"{weights['min']:.4g} to {weights['max']:.4g}, mean {weights['mean']:.3g}, "
        f"standard deviation {weights['std']:.3g}"
    )
    angle = weights.get("angle")
    return text if angle is None else f"{text}; {angle:.1f}° from those of the layer"
