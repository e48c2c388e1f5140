"""Passes of a user's own among the compiler's: where they run, and what is asked of them.

`after` and `before` say where. A pass of a user's own is run like any other, and every error that
it causes names it. Not for the order of the compiler's passes: that is `pipeline.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from rpucc import arguments
from rpucc.errors import ArgumentError, PassError, RpuccError, one_line
from rpucc.opset import add_functions
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import IMPORT
from rpucc.structure import structure_problems


@dataclass(frozen=True)
class Insertion:
    """A pass of a user's own and the pass of the compiler that it runs beside."""

    side: Literal["after", "before"]
    name: str
    each: RpuPass

    def __str__(self) -> str:
        return f"{self.side}({self.name!r}, {self.each.name})"


def after(name: str, own: RpuPass) -> Insertion:
    """Let a pass of your own run right after one of the compiler's: `compile(passes=[…])`.

    name: a pass as `rpucc passes` lists it; "import" for the start. own: an instance of a class
    derived from `rpucc.Pass`. Several after the same pass run in the order of the list.

    Raises ArgumentError for what is neither; an unknown name is refused where the
    options are made, because training has more passes than inference.

    >>> class Nothing(RpuPass):
    ...     name = "nothing"
    ...     def call(self, model):
    ...         return ir.passes.PassResult(model, modified=False)
    >>> str(after("tile", Nothing()))
    "after('tile', nothing)"
    """
    return Insertion("after", _name(name), _pass(own))


def before(name: str, own: RpuPass) -> Insertion:
    """Let a pass of your own run right before one of the compiler's; as `after` otherwise.

    Raises ArgumentError as `after` does.
    """
    return Insertion("before", _name(name), _pass(own))


def _name(name: str) -> str:
    return arguments.instance("the name of a pass", name, str, "a name that rpucc passes lists")


def _pass(own: RpuPass) -> RpuPass:
    if not isinstance(own, RpuPass):
        allowed = "an instance of a class derived from rpucc.Pass"
        raise arguments.wrong("a pass of your own", own, allowed)
    name = own.name
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_][\w.-]{0,99}", name)):
        shown = arguments.found(name)
        raise ArgumentError(
            f"pass {type(own).__name__}: name: found {shown}; allowed: a name of letters, digits, "
            '_, . and -, as in name = "my-pass"'
        )
    return own


def with_insertions(ours: Sequence[RpuPass], own: Sequence[Insertion]) -> list[RpuPass]:
    """Return the compiler's passes with a user's own among them, each guarded."""

    def beside(name: str, side: str) -> list[RpuPass]:
        return [_Own(each.each) for each in own if (each.name, each.side) == (name, side)]

    placed = beside(IMPORT, "after")
    for one in ours:
        placed += [*beside(one.name, "before"), one, *beside(one.name, "after")]
    return list(_guarded(placed))


def check_place(each: Insertion, running: Sequence[str], known: Sequence[str]) -> None:
    """Raise ArgumentError where a pass cannot run at its place.

    running: the names of the compiler's passes that run; known: those of all.
    """
    if each.each.name in (IMPORT, *known):
        raise ArgumentError(
            f"passes: {each}: the compiler has a pass of that name; give yours another"
        )
    if each.name in running or (each.name, each.side) == (IMPORT, "after"):
        return
    if each.name == IMPORT:
        raise ArgumentError(
            f"passes: {each}: nothing runs before the import; change the model instead"
        )
    if each.name in known:
        raise ArgumentError(
            f"passes: {each}: the pass runs only where a model is compiled for training"
        )
    near = difflib.get_close_matches(each.name, [IMPORT, *running], 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the passes are {', '.join(running)}"
    raise ArgumentError(f"passes: {each}: no such pass; {hint}")


# ---------------------------------------------------------------- running them


class _Own(RpuPass):
    """A pass of a user's own, whose every error names it."""

    def __init__(self, own: RpuPass) -> None:
        self.own = own
        self.name = own.name  # type: ignore[misc]  # of this object, not of the class

    def requires(self, model: ir.Model) -> None:
        """Hold what the pass requires."""
        with self._named():
            self.own.requires(model)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass and check the program that it leaves; raises PassError."""
        outputs = [value.name for value in model.graph.outputs]
        with self._named():
            result = self.own.call(model)
        if not isinstance(result, ir.passes.PassResult) or result.model is not model:
            another = isinstance(result, ir.passes.PassResult)
            returned = "another model" if another else arguments.found(result)
            raise PassError(
                f"pass '{self.name}': returns {returned}; it is to change the model that it is "
                "given and return onnx_ir.passes.PassResult(model, modified)"
            )
        broken = f"pass '{self.name}': leaves a broken program"
        try:
            add_functions(model)
            problem = next(_left(model, outputs), None)
        except Exception as error:  # any damage at all may have been done
            raise PassError(f"{broken}: {_shown(error)}") from error
        if problem is not None:
            raise PassError(f"{broken}: {problem}")
        return result

    def ensures(self, model: ir.Model) -> None:
        """Hold what the pass ensures."""
        with self._named():
            self.own.ensures(model)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except RpuccError as error:
            error.args = tuple(f"pass '{self.name}': {text}" for text in error.args)
            raise
        except Exception as error:
            raise PassError(f"pass '{self.name}': raises {_shown(error)}") from error


def _left(model: ir.Model, outputs: Sequence[str | None]) -> Iterator[str]:
    """Yield what is wrong with the program that a user's pass leaves; `outputs` were there."""
    there = {value.name for value in model.graph.outputs}
    yield from (f"output {name!r} is gone" for name in outputs if name not in there)
    yield from structure_problems(model)


class _Behind(RpuPass):
    """A pass of the compiler that gets what a user's pass has left."""

    def __init__(self, ours: RpuPass, own: Sequence[str]) -> None:
        self.ours = ours
        self.own = own
        self.name = ours.name  # type: ignore[misc]  # of this object, not of the class

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass; what it refuses, or cannot even refuse, may be the user's pass's doing."""
        names = ", ".join(f"'{name}'" for name in self.own)
        try:
            self.ours.requires(model)
            result = self.ours.call(model)
            self.ours.ensures(model)
        except RpuccError as error:
            error.args = tuple(f"{text} (pass {names} of yours ran before)" for text in error.args)
            raise
        except Exception as error:
            raise PassError(
                f"pass {names}: leaves a program that pass '{self.name}' of the compiler cannot "
                f"work on: it raises {_shown(error)}"
            ) from error
        return result


def _guarded(passes: Sequence[RpuPass]) -> Iterator[RpuPass]:
    own: list[str] = []
    for each in passes:
        if isinstance(each, _Own):
            own.append(each.name)
            yield each
        else:
            yield _Behind(each, tuple(own)) if own else each


def _shown(error: Exception) -> str:
    if isinstance(error, RpuccError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)}".removesuffix(": ")
