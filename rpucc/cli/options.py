"""Options that several commands share, and the checks of single values.

Those of a compilation are the fields of CompileOptions. Not for what contradicts what: that is
each command's own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rpucc import limits, losses
from rpucc.compiler.option_values import BALANCED, WEIGHTS, class_weights, initial
from rpucc.compiler.options import DEFAULT_TARGET, FLAGS, CompileOptions, Flag
from rpucc.errors import ArgumentError, RpuccError
from rpucc.files import read_whole
from rpucc.portable import ask

F = TypeVar("F", bound=Callable[..., Any])

MOST_TEXT = 2**24
"""Bytes of a text file of numbers."""


def finite(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse nan and inf, which click's ranges let through."""
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise click.BadParameter("must be finite", ctx, parameter)
    return value


@dataclass(frozen=True)
class Limit:
    """A test error that is not to be exceeded; of a regression, a test loss."""

    text: str
    value: float

    @property
    def error(self) -> float:
        """As a fraction: 0.05, 5% and 5 are the same."""
        return self.value / 100 if self.text.endswith("%") or self.value >= 1 else self.value


def _limit(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Read a fraction or a percentage."""
    if value is None:
        return None
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise click.BadParameter("needs an error, as in 0.05 or 5%", ctx, parameter)
    return Limit(value, number)


def sizes(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Read sizes between commas."""
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    plain = all(word.isascii() and word.isdigit() and len(word) < 20 for word in words)
    if not plain or not all(1 <= int(word) <= limits.SIZE for word in words):
        raise click.BadParameter("needs sizes of 1 or more between commas, as in 3,224,224")
    return tuple(int(word) for word in words)


def _numbers(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Read numbers between commas; which they may be is for CompileOptions to say."""
    if value is None:
        return None
    try:
        return tuple(float(word) for word in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"needs numbers between commas, as in 0.485,0.456,0.406; found {value!r}"
        ) from None


def portable(command: F) -> F:
    """Add --portable, which asks for it where nobody has before NumPy was loaded (portable.py)."""

    @functools.wraps(command)
    def asking(*arguments: Any, portable: bool, **options: Any) -> Any:
        if portable:
            ask()
        return command(*arguments, **options)

    option: Callable[[Any], F] = click.option(
        "--portable",
        is_flag=True,
        help="The same bits on every x86-64 processor with AVX2, with the same versions; somewhat "
        "slower.  RPUCC_PORTABLE=1 does it for all.",
    )
    return option(asking)


target = click.option(
    "-t",
    "--target",
    default=DEFAULT_TARGET,
    show_default=True,
    metavar="TARGET",
    help="A preset (rpucc targets) or a TOML file.",
)
trust = click.option(
    "--trust",
    is_flag=True,
    help="Let devices run that only a program, run folder or experiment names: imports modules.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
seed = click.option(
    "--seed",
    type=click.IntRange(0, limits.SEED),
    default=0,
    show_default=True,
    help="Fixes the devices, the noise and the order of the samples.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, limits.THREADS),
    default=1,
    show_default=True,
    help="CPU threads; results do not depend on it.",
)
batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, limits.BATCH),
    default=1,
    show_default=True,
    help="Samples a step; the loss is a mean over them, so a larger batch wants a larger --lr.",
)
eval_batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, limits.BATCH),
    default=None,
    help="Samples computed at once: draws are the same for any number, and float32 sums (the loss) "
    "but for their last digits.  [default: 100, or what fits]",
)
learning_rate = click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    callback=finite,
    help="Learning rate of a step; 0.01 is one for --batch-size 1.",
)


def _schedule(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse what is no schedule before anything is compiled."""
    from rpucc.runtime.learning_rate import parse_schedule

    try:
        parse_schedule(value)
    except RpuccError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    return value


learning_rate_schedule = click.option(
    "--lr-schedule",
    default="constant",
    show_default=True,
    metavar="SCHEDULE",
    callback=_schedule,
    help="How --lr goes on: step:EPOCHS:FACTOR, exponential:FACTOR, cosine:EPOCHS:FLOOR, "
    "linear:EPOCHS:FLOOR, polynomial:EPOCHS:FLOOR:POWER, plateau:EPOCHS:FACTOR[:FLOOR] or "
    "EPOCH=LR,EPOCH=LR,…; warmup:EPOCHS+ before any of them.",
)
epochs = click.option(
    "--epochs",
    type=click.IntRange(1, limits.EPOCHS),
    default=1,
    show_default=True,
    help="Passes over the training data, in total.",
)
fail_above = click.option(
    "--fail-above",
    default=None,
    metavar="ERROR",
    callback=_limit,
    help="Exit with 1 if the last test error is above: 0.05, 5% and 5 are the same.  Of a "
    "regression, a test loss.",
)


def _augment(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse what is no augmentation before anything is compiled."""
    if not value:
        return []
    from rpucc.runtime.augment import named

    try:
        for each in value:
            named(each)
    except RpuccError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    return list(value)


augment = click.option(
    "--augment",
    multiple=True,
    metavar="HOW",
    callback=_augment,
    help="Change the training samples by chance: flip, shift:PIXELS or noise:SIGMA; may be "
    "repeated.",
)
top_k = click.option(
    "--top-k",
    type=click.IntRange(1, limits.SAMPLES),
    default=None,
    metavar="K",
    help="Also count the labels that are not among the K largest outputs.",
)
data_dir = click.option(
    "--data-dir",
    default=None,
    metavar="FOLDER",
    help="Where named data sets are kept.  [default: $RPUCC_DATA, else the user's cache]",
)
which_checkpoint = click.option(
    "--checkpoint",
    "which",
    default=None,
    metavar="WHICH",
    help="The checkpoint of a run folder: last, best, or the number of an epoch that was kept "
    "(train --keep).  [default: last]",
)
program = click.option(
    "--program",
    "program_path",
    default=None,
    metavar="FILE",
    help="The program of a checkpoint.  [default: program.rpu.onnx beside it]",
)


# ---------------------------------------------------------------- compiling


def _loss(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse what is neither the name of a loss nor a file of one."""
    if losses.named(value) is None and not losses.is_file(value):
        raise click.BadParameter(f"{value!r} is not {losses.ALLOWED}", ctx, parameter)
    return value


def _class_weights(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Read weights between commas, or out of a text file; "balanced" stays what it is."""
    if value is None or value == BALANCED:
        return value
    words = value.split(",")
    if not all(is_number(word) for word in words):
        words = _words_of(value, ctx, parameter)
    try:
        return class_weights(value, [float(word) for word in words])
    except ArgumentError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None


def is_number(text: str) -> bool:
    """Tell whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _words_of(path: str, ctx: click.Context, parameter: click.Parameter) -> list[str]:
    """Return the numbers of a text file, between commas or blanks."""
    try:
        text = read_whole(Path(path), MOST_TEXT).decode()
        words = text.replace(",", " ").split()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        found = f"{path}: {reason}; allowed: balanced, numbers between commas, or a file of numbers"
        raise click.BadParameter(found, ctx, parameter) from None
    wrong = next((word for word in words if not is_number(word)), None)
    if wrong is not None or not words:
        found = "is empty" if wrong is None else f"holds {wrong[:40]!r}"
        raise click.BadParameter(f"{path}: {found}; needs {WEIGHTS}", ctx, parameter)
    return words


def _init(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse what is no initialisation; whose seed it has is not known yet."""
    if value is None:
        return None
    try:
        initial("init", value)
    except ArgumentError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None
    return value


_FORMS: dict[str, dict[str, Any]] = {
    "switch": {},
    "text": {},
    "texts": {"multiple": True},
    "loss": {"show_default": True, "callback": _loss},
    "interval": {"nargs": 2, "type": float, "callback": finite},
    "sizes": {"callback": sizes},
    "weights": {"callback": _class_weights},
    "share": {
        "type": click.FloatRange(0, 1, max_open=True),
        "callback": finite,
        "show_default": True,
    },
    "numbers": {"callback": _numbers},
    "init": {"callback": _init},
}
"""Form of a Flag -> what click is told of it."""


def offered(**fixed: object) -> tuple[str, ...]:
    """Return the fields of CompileOptions that a command offers: all but those that it fixes."""
    return tuple(name for name in FLAGS if name not in fixed)


def compiling(**fixed: Any) -> Callable[[F], F]:
    """Give a command the options of a compilation, as one argument `compiling` (CompileOptions).

    fixed: fields that the command decides by itself, and does not offer.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def collected(*positional: Any, **keywords: Any) -> Any:
            chosen = {name: keywords.pop(name) for name in offered(**fixed)}
            if chosen.get("init") is not None:
                chosen["init"] = initial("init", chosen["init"], keywords.get("seed", 0))
            options = CompileOptions(**fixed, **chosen)
            return function(*positional, compiling=options, **keywords)

        for name in reversed(offered(**fixed)):  # as if written one below the other
            collected = _as_option(name, FLAGS[name])(collected)
        return collected  # type: ignore[return-value]  # click calls it by keywords

    return decorate


def _as_option(name: str, flag: Flag) -> Callable[[F], F]:
    details = dict(_FORMS[flag.form])
    if flag.form != "texts":
        details["default"] = getattr(CompileOptions(), name)
    return click.option(flag.names, name, metavar=flag.metavar, help=flag.help, **details)


def given(ctx: click.Context, *names: str) -> list[str]:
    """Return those of the parameters `names` that the user wrote on the command line."""
    from click.core import ParameterSource

    return [n for n in names if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE]


def flag_of(ctx: click.Context, name: str) -> str:
    """Return a parameter as the user writes it: `--batch-size` for batch_size."""
    for parameter in ctx.command.params:
        if parameter.name == name:
            off = parameter.secondary_opts and ctx.params.get(name) is False
            longest = max(parameter.secondary_opts if off else parameter.opts, key=len)
            return longest if longest.startswith("-") else longest.upper()
    return name
