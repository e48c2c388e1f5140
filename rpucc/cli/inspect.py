"""`rpucc inspect`: what is in a compiled program, a checkpoint or a run folder."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options
from rpucc.errors import ModelError, one_line

if TYPE_CHECKING:
    from rpucc.plan.plan import LayerPlan
    from rpucc.program import Program
    from rpucc.runs.trained import Trained
    from rpucc.runtime.checkpoint_file import Checkpoint


@click.command("inspect")
@click.argument("program")
@click.option("--layer", default=None, metavar="NAME", help="Show all about one layer.")
@click.option("--cost", is_flag=True, help="Show time, energy and digital work in detail.")
@click.option(
    "--write-plan",
    "plan_file",
    default=None,
    metavar="FILE.toml",
    help="Write what was decided for each layer, to edit for rpucc compile --plan.",
)
@click.option("--html", default=None, metavar="FILE.html", help="Write the plan as one page.")
@click.option("--svg", default=None, metavar="FOLDER", help="Write its drawings as SVG files.")
@click.option(
    "--csv", default=None, metavar="FILE.csv", help="Write the table of layers; - is stdout."
)
@options.program
@options.which_checkpoint
@options.as_json
def inspect_(
    program: str,
    layer: str | None,
    cost: bool,
    plan_file: str | None,
    html: str | None,
    svg: str | None,
    csv: str | None,
    program_path: str | None,
    which: str | None,
    as_json: bool,
) -> None:
    """Show a compiled program, checkpoint or run folder.

    PROGRAM is a file of rpucc compile -o, a run folder of rpucc train, or a checkpoint in one.
    """
    from rpucc.cli.drawings import Files, write_files
    from rpucc.cli.source import load_program, refuse_options, say_untrained
    from rpucc.runs.trained import find_trained

    files = Files(plan=plan_file, html=html, svg=svg, csv=csv)
    if files.wanted:
        shown = [
            flag
            for flag, given in (("--layer", layer), ("--json", as_json), ("--cost", cost))
            if given
        ]
        refuse_options(shown, f"the files of {', '.join(files.flags())}; ask for them on their own")
        files.check(program)
    trained = find_trained(program, program_path, which)
    found = trained.load_program() if trained is not None else load_program(program)
    if trained is None:
        say_untrained(program, found)
    if files.wanted:
        write_files(found, files)
        return
    checkpoint = trained.read_checkpoint(found) if trained is not None else None
    if layer is not None:
        _one_layer(found, _find(found, layer), checkpoint, as_json)
    elif as_json:
        _print_json(found, trained, checkpoint)
    else:
        _show(found, trained, checkpoint, cost)


def _find(program: Program, name: str) -> LayerPlan:
    """Return the layer that goes by this name, or that its file or its weights call so."""
    from rpucc.layer_rules import known_names

    others = program.other_names
    layers = {layer.name: layer for layer in program.plan.layers}
    named = name if name in layers else next((n for n in layers if name in others.get(n, ())), None)
    if named is None:
        hint = known_names(name, {n: others.get(n, ()) for n in layers})
        raise ModelError(f"--layer {one_line(name)}: no such layer; {hint}")
    return layers[named]


# ---------------------------------------------------------------- the whole


def _print_json(program: Program, trained: Trained | None, state: Checkpoint | None) -> None:
    from rpucc.outputs import print_json
    from rpucc.report.text.program import describe
    from rpucc.runtime.memory import state_bytes

    result = {**describe(program), "state_bytes": state_bytes(program)}
    if trained is not None and state is not None:
        result["checkpoint"] = {
            "path": str(trained.checkpoint),
            "seed": state.seed,
            "epochs": state.counters.epoch,
            "samples": state.counters.sample,
            "history": state.history,
            "weights": {
                layer.name: weight_statistics(program, state, layer.name)
                for layer in program.plan.analog_layers
            },
        }
    print_json(result)


def _show(
    program: Program, trained: Trained | None, state: Checkpoint | None, detailed: bool
) -> None:
    from rpucc.cli.compile import show_plan
    from rpucc.report.text import cost, training
    from rpucc.terminal import show

    show_plan(program)
    show("", cost.summary(program.cost, measured_rereads=_measured_rereads(program, state)))
    if detailed:
        show("", cost.details(program.cost))
    if trained is None or state is None:
        return
    from rpucc.report.text.tables import heading
    from rpucc.runtime.metrics import EpochMetrics

    done = training.trained_text(state.counters.epoch, state.counters.done, state.counters.earlier)
    show("", heading(str(trained.checkpoint), f": {done}, seed {state.seed}"))
    if state.history:
        records = [EpochMetrics.from_record(record) for record in state.history]
        validated = any(metrics.validation_loss is not None for metrics in records)
        held = training.held_of("loss", validated=validated)
        rows = [training.epoch_row(m, len(records), held) for m in records]
        show("", "\n".join([training.epoch_header(len(records), held), *rows]))


def _measured_rereads(program: Program, state: Checkpoint | None) -> float | None:
    """Re-reads of a managed read in the last epoch of training; None where there is none."""
    from rpucc.cost.network import measured_rereads
    from rpucc.runtime.metrics import EpochMetrics

    if state is None or not state.history:
        return None
    last = EpochMetrics.from_record(state.history[-1])
    return measured_rereads(program.plan.analog_layers, last.reads, last.rereads)


# ---------------------------------------------------------------- one layer


def _one_layer(program: Program, plan: LayerPlan, state: Checkpoint | None, as_json: bool) -> None:
    from rpucc.report.text.program import layer_details
    from rpucc.report.text.tiles import as_data, tiles
    from rpucc.runtime.memory import bytes_per_weight
    from rpucc.terminal import show

    found = tiles(program.plan, plan.name)
    policy = program.target.for_layer(plan.name)
    each = bytes_per_weight(policy, training=bool(plan.updates)) if plan.analog else None
    weights = weight_statistics(program, state, plan.name) if state is not None else {}
    if not as_json:
        show(layer_details(plan, policy, found, weights, each))
        return
    from rpucc.outputs import print_json

    result: dict[str, Any] = {
        **dataclasses.asdict(plan),
        "periphery": policy.periphery.model_dump(),
        "management": policy.management.model_dump(),
        "bytes_per_weight": each,
        "device": {"model": policy.device.model, **policy.device.parameters},
        "cell_keys": policy.cell.settings.model_dump(),
        "plane_devices": {
            plane: {"model": device.model, **device.parameters}
            for plane, device in policy.plane_devices.items()
        },
        "variations": policy.variations.model_dump(),
        "calibration": policy.calibration.model_dump(),
        "tile_list": as_data(found),
    }
    if weights:
        result["weights"] = weights
    print_json(result)


def weight_statistics(program: Program, state: Checkpoint, layer: str) -> dict[str, float]:
    """Return least, largest, mean and standard deviation of a layer's weights; {} if digital.

    Of a feedback matrix also its angle to the weights of its layer, in degrees.
    """
    import numpy as np

    from rpucc.feedback import angle, ruled_as
    from rpucc.layers import analog_layers

    matrices = {each.name: each for each in analog_layers(program.model)}
    if layer not in matrices:
        return {}
    W = state.weights[str(matrices[layer].weight.name)]
    found = {
        "min": float(W.min()),
        "max": float(W.max()),
        "mean": float(W.mean(dtype=np.float64)),
        "std": float(W.std(dtype=np.float64)),
    }
    if matrices[layer].is_feedback:
        owner = matrices[ruled_as(layer)]
        found["angle"] = angle(state.weights[str(owner.weight.name)], W)
    return found
