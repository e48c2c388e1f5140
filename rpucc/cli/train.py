"""`rpucc train`: train a model in situ, into a run folder."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import run_files
from rpucc.cli import options, recalibrating, train_resume
from rpucc.cli.recalibrating import Recalibrating
from rpucc.cli.train_arguments import (
    COMPILING,
    RUNS,
    TRAINING,
    Arguments,
    default_folder,
    typed,
)
from rpucc.cli.watching import check, validation_of, watched, watching
from rpucc.errors import RpuccError, UsageError
from rpucc.runs.folder import RunFolder
from rpucc.runs.start import begin, calibration_records, load_program, resume, start

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.verdict import Verdict


@click.command()
@click.argument("model", required=False)
@options.target
@options.compiling(**TRAINING)
@click.option(
    "--data",
    default="mnist-mini",
    show_default=True,
    metavar="DATA",
    help="A name (mnist-mini, mnist, fashion-mnist, cifar-10, cifar-100), an .npz or .safetensors "
    "file, a folder of images by class, of IDX, CIFAR or .npy files, or FILE.csv:COLUMN, "
    "FILE.parquet:COLUMN with the column of the labels.",
)
@options.data_dir
@options.epochs
@options.batch_size
@options.learning_rate
@options.learning_rate_schedule
@options.augment
@options.top_k
@recalibrating.recalibrate
@recalibrating.samples
@options.seed
@options.threads
@options.portable
@watching
@options.trust
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FOLDER",
    help=f"The run folder.  [default: {RUNS}/MODEL-TARGET-seedSEED]",
)
@click.option("--resume", is_flag=True, help="Go on where the run folder's checkpoint stands.")
@click.option(
    "--from",
    "from_run",
    default=None,
    metavar="RUN",
    help="Start from a run's weights and devices, in a new folder (-o); --lr, --data and the like "
    "as given, else as there.",
)
@click.option("--force", is_flag=True, help="Replace a training that the run folder holds.")
@options.fail_above
@options.as_json
@click.pass_context
def train(ctx: click.Context, /, **arguments: Any) -> None:
    """Train a model in situ on simulated arrays.

    MODEL is an ONNX, .pt2 (PyTorch) or .keras file, the name of a built-in model, a program of
    rpucc compile, or (with --resume) a run folder; --from needs none. The run folder gets the
    program as it was before training, the metrics of every epoch, and a checkpoint (the trained
    weights) after every epoch and on Ctrl-C.
    """
    _train(ctx, Arguments(**arguments))


def _train(ctx: click.Context, arguments: Arguments) -> None:
    from rpucc.cli import training

    if arguments.resume and arguments.force:
        raise UsageError("--resume and --force: give one of them, they contradict each other")
    if arguments.samples is not None and arguments.recalibrate is None and not arguments.resume:
        raise UsageError("--samples: how many --recalibrate measures over; give both")
    measured: Recalibrating | None = None
    if arguments.from_run is not None:
        from rpucc.cli.train_from import prepare

        check(ctx, arguments)
        run, arguments, machine = prepare(ctx, arguments)
        data = _data(arguments, machine.program)
        held = validation_of(arguments, machine.program)
        measured = _recalibrating(arguments, machine.program)
        ctx.with_resource(run.held())
        if measured is not None:
            measured.prepare(machine, arguments.threads)
        begin(run, machine, arguments.record(), data, command=typed())
    elif arguments.model is None:
        raise UsageError("which model? name one, or a run to start from (--from)")
    elif arguments.resume:
        run, arguments = train_resume.prepare(ctx, arguments)
        check(ctx, arguments)
        program = load_program(run)
        data = _data(arguments, program)
        held = validation_of(arguments, program)
        ctx.with_resource(run.held())
        machine = resume(
            run,
            program,
            arguments.record(),
            data,
            command=typed(),
            trusted=arguments.trust,
            named=train_resume.named(ctx, arguments),
        )
    else:
        check(ctx, arguments)
        program, run = _prepare(ctx, arguments)
        _say_rate(ctx, arguments)
        _say_statistics(program, arguments.batch_size)
        data = _data(arguments, program)
        held = validation_of(arguments, program)
        measured = _recalibrating(arguments, program)
        ctx.with_resource(run.held())
        machine = start(
            run,
            program,
            arguments.record(),
            data,
            command=typed(),
            trusted=arguments.trust,
            prepare=None
            if measured is None
            else partial(measured.prepare, threads=arguments.threads),
        )
    if measured is not None:
        measured.note(run)
    settings = training.Settings.of(arguments)
    verdict = training.train_into(run, machine, data, settings, held)
    _conclude(run, machine, arguments, verdict, measured)
    if arguments.fail_above is not None:
        _check_limit(verdict, arguments.fail_above)


def _data(arguments: Arguments, program: Program) -> Dataset:
    """Load the data, and hold that the training can be done on them; writes nothing."""
    from rpucc.runs.data import load_data
    from rpucc.runtime.augment import Augmentation
    from rpucc.runtime.feed import Feed
    from rpucc.runtime.training import check_objective

    data = load_data(arguments.data, arguments.data_dir, program)
    check_objective(program, data.y_train, arguments.batch_size, arguments.top_k)
    Augmentation(arguments.augment, program, Feed(program), data.y_train)
    return data


def _recalibrating(arguments: Arguments, program: Program) -> Recalibrating | None:
    """Load what statistics are to be measured over before the first step, if they are."""
    if arguments.recalibrate is None:
        return None
    return Recalibrating.of(arguments.recalibrate, arguments.samples, arguments.data_dir, program)


# ---------------------------------------------------------------- a new training


def _prepare(ctx: click.Context, arguments: Arguments) -> tuple[Program, RunFolder]:
    """Compile the model (or load the program) and choose the folder; writes nothing."""
    from rpucc.cli.source import load_compiled, refuse_options, say_notes, say_untrained

    if RunFolder(Path(arguments.model)).exists():
        raise UsageError(
            f"{arguments.model}: is a run folder; --resume continues its training, --from starts "
            "another from it"
        )
    if arguments.output is not None:
        RunFolder(Path(arguments.output)).check(force=arguments.force)
    program = load_compiled(arguments.model)
    if program is not None:
        flags = [options.flag_of(ctx, name) for name in options.given(ctx, *COMPILING)]
        refuse_options(flags, f"{arguments.model}, which is compiled already")
        if not program.training:
            raise UsageError(
                f"{arguments.model}: was compiled for inference; compile it without --inference"
            )
        say_untrained(arguments.model, program)
        target = program.target.name
    else:
        target = arguments.compiling.applied_to(arguments.target).name
    run = RunFolder(Path(arguments.output or default_folder(arguments, target)))
    run.check(force=arguments.force)
    if program is None:
        program = _compiled(arguments)
    say_notes(program)
    return program, run


def _say_rate(ctx: click.Context, arguments: Arguments) -> None:
    """Say that the default rate is one for single samples, where the user thought of none."""
    from rpucc.terminal import say

    size, lr = arguments.batch_size, arguments.lr
    if size > 1 and not options.given(ctx, "lr"):
        say(
            f"lr {lr:g} is for single samples: a batch of {size} takes their mean, 1/{size} as "
            f"far; --lr {lr * size:g} makes up for it"
        )


def _say_statistics(program: Program, size: int) -> None:
    """Say that the statistics of batch norms are those of single samples, where they are."""
    from rpucc.terminal import say

    if size == 1 and any(node.op_type == "BatchNorm" for node in program.model.graph):
        say(
            "batch norms have the statistics of one sample each, as --batch-size is 1; those of "
            "16 or more, at a rate to suit, train better"
        )


def _compiled(arguments: Arguments) -> Program:
    from rpucc.cli.source import shape_from
    from rpucc.compiler.compile import compile_model
    from rpucc.compiler.option_values import BALANCED
    from rpucc.runtime.data import load_dataset
    from rpucc.runtime.data.balanced import balanced_weights
    from rpucc.runtime.data.sizes import Sizes, filled
    from rpucc.terminal import say

    def data() -> Dataset:
        folder = Path(arguments.data_dir) if arguments.data_dir is not None else None
        return load_dataset(arguments.data, folder)

    def of_data(stated: Sizes) -> tuple[int, ...] | None:
        shape = data().sample_shape
        return filled(stated, shape) if isinstance(shape, tuple) else None

    compiling = arguments.compiling
    if compiling.class_weights == BALANCED:
        compiling = replace(compiling, class_weights=balanced_weights(data()))
    shape = shape_from(compiling.input_shape, of_data)
    program = compile_model(
        arguments.model, arguments.target, replace(compiling, input_shape=shape)
    )
    if program.verification and not program.verified:
        say(f"verified: {program.verification}")
    return program


# ---------------------------------------------------------------- the end


def _check_limit(verdict: Verdict, limit: options.Limit) -> None:
    """Raise RpuccError where the last test error (of a regression, its loss) is above a limit."""
    from rpucc.report.units import number, percent

    error = verdict.measure == "error"
    allowed, show = (limit.error, percent) if error else (limit.value, number)
    if not verdict.found <= allowed:
        what = f"test {verdict.measure} {show(verdict.found)}"
        raise RpuccError(f"--fail-above {limit.text}: the {what} is above {show(allowed)}")


def _stopped(machine: Machine, arguments: Arguments) -> dict[str, Any] | None:
    """Return why training ended before its last epoch, as data."""
    watch, _ = watched(arguments)
    stopped = watch.stopped(machine.history)
    if stopped is None or machine.counters.epoch >= arguments.epochs:
        return None
    found = {"monitor": watch.monitor, "patience": watch.patience, "min_delta": watch.min_delta}
    return {"epoch": stopped.epoch, "best_epoch": stopped.best, "best": stopped.value, **found}


def _conclude(
    run: RunFolder,
    machine: Machine,
    arguments: Arguments,
    verdict: Verdict,
    measured: Recalibrating | None,
) -> None:
    """Say what there is now and what to do with it."""
    if arguments.as_json:
        from rpucc.outputs import print_json

        print_json(
            {
                "run": str(run.path),
                "program": str(run.program),
                "checkpoint": str(run.checkpoint),
                "metrics": str(run.metrics),
                "target": machine.program.target.name,
                "seed": machine.seed,
                "weights": machine.weights,
                "clipped_weights": machine.clipped,
                "bytes_per_weight": machine.bytes_per_weight,
                "calibration": calibration_records(machine),
                "epochs": machine.history,
                "kept": [str(path) for path in run.kept],
                "stopped_early": _stopped(machine, arguments),
                "verdict": verdict.to_dict(),
                **({} if measured is None else measured.to_dict()),
            }
        )
        return
    from rpucc.runs.admission import trust_flag
    from rpucc.terminal import say

    folder, flag = shlex.quote(str(run.path)), trust_flag(machine.program)
    say(
        f"run folder: {folder} (see it: rpucc report {folder}{flag}; test it: rpucc eval "
        f"{folder}{flag})"
    )
    say(
        f"its {run.program.name} holds the weights before training, {run.checkpoint.name} the "
        "trained ones"
    )
    best = run_files.best_of(run.checkpoint)
    if best in run.kept:
        say(f"the best is in {best.name}: rpucc eval {folder} --checkpoint best{flag}")
