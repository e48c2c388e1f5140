"""Options of `rpucc train` about validation, early stopping, what stays, and curves.

Not for what they do: that is the runtime (runtime/validation.py, runtime/watch.py, runtime/keep.py,
runtime/loggers/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options
from rpucc.errors import RpuccError, UsageError

if TYPE_CHECKING:
    from rpucc.cli.train_arguments import Arguments
    from rpucc.program import Program
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.watch import Watch


def _read(check: Callable[[str], object]) -> Callable[..., Any]:
    """Refuse what a reader of the runtime does not take, before anything is compiled."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None:
            try:
                check(value)
            except RpuccError as error:
                raise click.BadParameter(str(error), ctx, parameter) from None
        return value

    return callback


def _validation(text: str) -> object:
    from rpucc.runtime.validation import parse_validation

    return parse_validation(text)


def _keep(text: str) -> object:
    from rpucc.runtime.keep import parse_keep

    return parse_keep(text)


_OPTIONS = (
    click.option(
        "--validation",
        default=None,
        metavar="SHARE|DATA",
        callback=_read(_validation),
        help="Samples that are not trained on, to stop and to keep the best by: 0.1 or 10% of the "
        "training data, drawn from --seed, or all of a data set.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(1, limits.EPOCHS),
        default=None,
        metavar="EPOCHS",
        help="Stop after so many epochs without a new best of what --monitor watches.",
    ),
    click.option(
        "--min-delta",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        callback=options.finite,
        help="How far below the best a new best is, for --patience and plateau schedules.",
    ),
    click.option(
        "--monitor",
        type=click.Choice(["loss", "error", "train-loss", "train-error"]),
        default="loss",
        show_default=True,
        help="What is watched: loss or error of --validation, or of the training itself.",
    ),
    click.option(
        "--keep",
        default="last",
        show_default=True,
        metavar="WHAT",
        callback=_read(_keep),
        help="Checkpoints that stay beside the last one: best, every:N (of every N-th epoch), or "
        "best,every:N.",
    ),
    click.option(
        "--tensorboard/--no-tensorboard",
        default=False,
        help="Write curves for TensorBoard into the run folder (pip install 'rpucc[tensorboard]').",
    ),
)


def watching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check(ctx: click.Context, arguments: Arguments) -> None:
    """Raise an error for what contradicts each other or lacks a package; reads and writes nothing.

    ctx: None of the options may be without effect that the user gave there.
    """
    watch, watching = watched(arguments)
    watch.check(watching, validated=arguments.validation is not None)
    idle = [options.flag_of(ctx, name) for name in options.given(ctx, "monitor", "min_delta")]
    if idle and not watching:
        raise UsageError(
            f"{', '.join(idle)}: nothing watches it; --patience stops by it, --keep best keeps by "
            "it, --lr-schedule plateau:… lowers the rate by it"
        )
    if arguments.tensorboard:
        from rpucc.runtime.loggers.tensorboard import require

        require()


def watched(arguments: Arguments) -> tuple[Watch, tuple[str, ...]]:
    """Return what a training watches, and what of it does."""
    from rpucc.runtime.keep import parse_keep
    from rpucc.runtime.learning_rate import parse_schedule
    from rpucc.runtime.watch import Watch

    watch = Watch(arguments.monitor, arguments.min_delta, arguments.patience)
    plateau = parse_schedule(arguments.lr_schedule).watches
    return watch, watch.needed(best=parse_keep(arguments.keep).best, plateau=plateau)


def validation_of(arguments: Arguments, program: Program) -> float | Dataset | None:
    """Return what `Trainer.fit` takes for --validation: data are loaded, and checked."""
    from rpucc.runs.data import load_data
    from rpucc.runtime.validation import parse_validation

    if arguments.validation is None:
        return None
    found = parse_validation(arguments.validation)
    if isinstance(found, float):
        return found
    if found == arguments.data:
        raise UsageError(
            f"--validation {found}: is the training data; give others, or a share such as 0.1"
        )
    return load_data(found, arguments.data_dir, program)
