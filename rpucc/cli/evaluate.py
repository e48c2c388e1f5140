"""`rpucc eval`: the error of a trained network on the test part of a data set."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options, recalibrating
from rpucc.cli.by_layer import FIXED, LAYERS_ONLY, Arguments, run_by_layer
from rpucc.errors import ModelError

if TYPE_CHECKING:
    from rpucc.compiler.options import CompileOptions
    from rpucc.runtime.metrics import Evaluation


@click.command("eval")
@click.argument("run", metavar="RUN")
@options.program
@options.which_checkpoint
@click.option(
    "--data",
    default=None,
    metavar="DATA",
    help="What --data of rpucc train takes.  [default: the data it was trained on]",
)
@options.data_dir
@click.option(
    "--ideal",
    is_flag=True,
    help="Read the weights as they are, without noise, bounds and converters: what rpucc export "
    "writes computes the same.",
)
@click.option(
    "--at",
    type=click.FloatRange(0, 1e12, min_open=True),
    default=None,
    metavar="SECONDS",
    help="So many seconds later: devices drift from what was last written, by device.nu and the "
    "like.  RUN stays as it is.",
)
@click.option(
    "--by-layer",
    is_flag=True,
    help="Each layer alone on the target while all others are ideal, and all but each: which one "
    "costs accuracy, and why.  RUN may be a program or a model then, too.",
)
@click.option(
    "--choose",
    type=click.IntRange(1, limits.LAYERS),
    default=None,
    metavar="N",
    help="With --by-layer: the N layers to keep digital, one by one by the measured error.",
)
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE.toml|FOLDER",
    help="With --choose: write the target with the rules that keep them digital.  With "
    "--recalibrate: keep the machine with what was measured, as a new run folder.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, limits.SAMPLES),
    default=None,
    metavar="N",
    help="With --by-layer: the first N of the test samples.  [default: all]  With --recalibrate: N "
    "of the training samples, drawn by the seed.  [default: 512]",
)
@click.option(
    "--csv",
    default=None,
    metavar="FILE.csv",
    help="With --by-layer: write the table; - is stdout.",
)
@recalibrating.recalibrate
@options.target
@options.compiling(**FIXED)
@options.seed
@options.eval_batch_size
@options.top_k
@options.threads
@options.portable
@options.trust
@options.as_json
@click.pass_context
def evaluate(
    ctx: click.Context,
    run: str,
    program_path: str | None,
    which: str | None,
    data: str | None,
    data_dir: str | None,
    ideal: bool,
    at: float | None,
    by_layer: bool,
    choose: int | None,
    output: str | None,
    samples: int | None,
    csv: str | None,
    recalibrate: str | None,
    target: str,
    compiling: CompileOptions,
    seed: int,
    batch_size: int | None,
    top_k: int | None,
    threads: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Measure a trained network's error on test data.

    RUN is a run folder of rpucc train, or a checkpoint in one. With --by-layer it may be a program
    or a model as well, whose weights are programmed onto the target's arrays as they are. With
    --recalibrate it is measured before and after the statistics of its batch norms were measured
    again; RUN stays as it is.
    """
    from rpucc.cli.source import refuse_options
    from rpucc.runs.data import data_of, load_for
    from rpucc.runs.trained import trained_run
    from rpucc.runs.trainer import make_trainer

    if by_layer:
        wrong = options.given(ctx, "ideal", "at", "top_k", "recalibrate")
        refuse_options([options.flag_of(ctx, name) for name in wrong], "eval --by-layer")
        own = ctx.params | {"model": run, "compiling": compiling, "choose": choose or 0}
        known = (each.name for each in fields(Arguments))
        run_by_layer(ctx, Arguments(**{name: own[name] for name in known}))
        return
    mine = () if recalibrate is None else ("samples", "output")
    wrong = [name for name in options.given(ctx, *LAYERS_ONLY) if name not in mine]
    kinds = "--by-layer or --recalibrate" if {*wrong} & {"samples", "output"} else "--by-layer"
    refuse_options([options.flag_of(ctx, name) for name in wrong], f"eval without {kinds}")

    trained = trained_run(run, program_path, which)
    program = trained.load_program()
    if not program.training:
        raise ModelError(
            f"{trained.program}: was compiled for inference and has no loss to measure"
        )
    folder_kept = None if output is None else recalibrating.new_folder(output, trained)
    spec, folder = data_of(trained, data, data_dir)
    found = load_for(trained, spec, folder, program)
    again = None
    if recalibrate is not None:
        again = recalibrating.Recalibrating.of(recalibrate, samples, data_dir or folder, program)
    machine = trained.load_machine(program, trusted=trust)
    if at is not None:
        machine.drift(at)
    trainer = make_trainer(machine, threads)
    result = trainer.evaluate(found, batch_size=batch_size, ideal=ideal, top_k=top_k)
    before = result
    if again is not None:
        again.measure(trainer)
        result = trainer.evaluate(found, batch_size=batch_size, ideal=ideal, top_k=top_k)
    counters = machine.counters
    if folder_kept is not None:
        assert again is not None
        from rpucc.cli.train_arguments import typed

        recalibrating.keep(folder_kept, machine, again, trained, spec, folder, found, typed())
    if as_json:
        from rpucc.outputs import print_json

        checkpoint = str(trained.checkpoint)
        where = {"checkpoint": checkpoint, "data": spec, "epochs": counters.epoch, "ideal": ideal}
        more: dict[str, Any] = {} if at is None else {"at": at}
        if again is not None:
            more |= {"before": _figures(before), **again.to_dict(), "run": output}
        print_json({**where, **_figures(result), **more})
        return
    from rpucc.report.text import recalibration, training
    from rpucc.report.text.tables import heading
    from rpucc.terminal import say, show

    state = training.trained_text(counters.epoch, counters.done, counters.earlier)
    read = ", ideal reads" if ideal else ""
    later = "" if at is None else f", {at:,g} s later"
    title = f" on {found.name}: {result.samples:,} test samples, {state}{read}{later}"
    show(heading(program.name, title), "")
    if again is None:
        show(training.evaluation(result))
        return
    assert again.found is not None
    show(
        recalibration.comparison(before, result, again.found, again.data.name),
        "",
        recalibration.moved_table(again.found),
    )
    if folder_kept is not None:
        say(f"run folder: {output} (train it on: rpucc train {output} --resume)")


def _figures(result: Evaluation) -> dict[str, Any]:
    """Return an evaluation as data; of what was not asked for there is nothing."""
    figures = asdict(result)
    if result.top_k is None:
        del figures["top_k"], figures["top_k_error"]
    return figures
