"""Functions that take CompileOptions, or their fields as keyword arguments.

`rpucc.compile` and `rpucc.check` are such. Not for the options themselves: `options.py`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from rpucc import arguments
from rpucc.compiler.options import DEFAULT_TARGET, CompileOptions
from rpucc.errors import ArgumentError

if TYPE_CHECKING:
    from rpucc.passes.frontend.source import Source
    from rpucc.target.target import TargetSource

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class TakesOptions(Protocol[P, R_co]):
    """A function of a model, a target and CompileOptions, or their fields as keywords."""

    def __call__(
        self,
        model: Source,
        target: TargetSource = DEFAULT_TARGET,
        options: CompileOptions | None = None,
        *changes: P.args,
        **keywords: P.kwargs,
    ) -> R_co:
        """Call it; keywords change single fields of the options."""


def takes_options(
    options: Callable[P, CompileOptions],
) -> Callable[[Callable[[Source, TargetSource, CompileOptions], R_co]], TakesOptions[P, R_co]]:
    """Let a function's callers write the fields of `options` as keyword arguments.

    The function's signature gets them, and its docstring what CompileOptions says about each, in
    place of its line "{options}".
    """

    def decorate(
        function: Callable[[Source, TargetSource, CompileOptions], R_co],
    ) -> TakesOptions[P, R_co]:
        @functools.wraps(function)
        def called(
            model: Source,
            target: TargetSource = DEFAULT_TARGET,
            options: CompileOptions | None = None,
            **keywords: Any,
        ) -> R_co:
            return function(model, target, _chosen(options, keywords))

        called.__signature__ = _signature(called)  # type: ignore[attr-defined]
        called.__doc__ = inspect.cleandoc(function.__doc__ or "").replace("{options}", _described())
        return called  # type: ignore[return-value]  # *changes are none: the fields are keywords

    return decorate


def _chosen(options: CompileOptions | None, keywords: dict[str, Any]) -> CompileOptions:
    """Return the options with the fields that keywords name changed."""
    known = [each.name for each in fields(CompileOptions)]
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"allowed: options, {', '.join(known)}"
            raise ArgumentError(f"{name}: no such argument; {hint}")
    if options is None:
        return CompileOptions(**keywords)
    allowed = "a rpucc.CompileOptions, or its fields as keyword arguments"
    return replace(arguments.instance("options", options, CompileOptions, allowed), **keywords)


def _signature(function: Callable[..., object]) -> inspect.Signature:
    """The signature with the fields in place of `**keywords`."""
    found = inspect.signature(function, follow_wrapped=False)
    model, target, options, _ = found.parameters.values()
    keywords = [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
        )
        for each in fields(CompileOptions)
    ]
    options = options.replace(annotation="CompileOptions | None")
    return found.replace(parameters=[model, target, options, *keywords])


def _described() -> str:
    """The paragraphs of CompileOptions's docstring, one a field."""
    text = inspect.cleandoc(CompileOptions.__doc__ or "")
    return text[text.index("overrides: ") : text.index("\n\nRaises ")]
