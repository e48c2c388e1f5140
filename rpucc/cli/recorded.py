"""What run.json says of a training, through the same checks as the command line's options.

Not for which of it a resumed training takes over: that is the command's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from rpucc.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from rpucc.cli.run_folder import RunFolder


NEWER = {"lr_schedule": "constant", "input_shape": None, "plan": None, "origin": None}
"""Arguments that earlier versions did not know, as they were without."""


def recorded(run: RunFolder, train: click.Command, names: Iterable[str]) -> dict[str, Any]:
    """Return these arguments of `rpucc train` as run.json has them.

    train: the command, whose options say what is allowed. What older run folders do not have is as
    it was then. Raises CheckpointError, which names the key, what was found and what is allowed.
    """
    found = {**NEWER, **run.arguments()}
    parameters = {str(parameter.name): parameter for parameter in train.params}
    context = click.Context(train)
    for name in names:
        if name not in found:
            raise CheckpointError(f"{run.record}: is damaged: {name!r} is missing")
        if name in _OTHERWISE:
            allowed, test = _OTHERWISE[name]
            problem = None if test(found[name]) else f"allowed: {allowed}"
        else:
            problem = _problem(parameters[name], found[name], context)
        if problem is not None:
            raise CheckpointError(f"{run.record}: {name}: found {_shown(found[name])}, {problem}")
    return {name: found[name] for name in names}


def _problem(parameter: click.Parameter, value: Any, context: click.Context) -> str | None:
    """Say what is wrong with a value of JSON in the place of an option; None for nothing."""
    if value is None:
        optional = parameter.default is None and not parameter.required
        return None if optional else f"allowed: {_allowed(parameter)}"
    several = parameter.multiple if isinstance(parameter, click.Option) else False
    one = [value] if parameter.nargs == 1 and not several else value
    length = None if several else parameter.nargs
    fits = isinstance(one, list) and length in (None, len(one))
    if not fits or not all(_has_type(parameter.type, each) for each in one):
        return f"allowed: {_allowed(parameter)}"
    try:
        parameter.process_value(context, value)
    except click.BadParameter as error:
        return one_line(error.message)
    return None


def _has_type(kind: click.ParamType[Any], value: Any) -> bool:
    """Whether JSON holds the very type: the command line's texts are no numbers here."""
    if isinstance(kind, click.IntRange | click.types.IntParamType):
        return type(value) is int
    if isinstance(kind, click.FloatRange | click.types.FloatParamType):
        return type(value) in (int, float) and abs(value) < math.inf and abs(value) < 2**1000
    return _is_text(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and _encodes(value)


def _are_sizes(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and 0 < len(value) <= 8
        and all(type(size) is int and 0 < size < 2**31 for size in value)
    )


_OTHERWISE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model": ("a text", _is_text),
    "input_shape": ("a list of sizes, or null", _are_sizes),
    "origin": ("an object, or null", lambda value: value is None or isinstance(value, dict)),
}
"""What is no option, or kept in another form than an option has: what it may be."""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair, which no file name and no terminal takes
        return False
    return True


def _allowed(parameter: click.Parameter) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return "one of " + ", ".join(map(str, kind.choices))
    if isinstance(kind, click.IntRange):
        end = f" to {kind.max}" if kind.max is not None else " up"
        return f"a whole number from {kind.min}{end}"
    if isinstance(kind, click.FloatRange | click.types.FloatParamType):
        return "a number" if parameter.nargs == 1 else f"{parameter.nargs} numbers"
    several = isinstance(parameter, click.Option) and parameter.multiple
    return "a list of texts" if several else "a text"


def _shown(value: Any) -> str:
    from rpucc.cli.output import to_json

    text = " ".join(to_json(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
