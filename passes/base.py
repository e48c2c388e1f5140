"""The convention every pass follows.

A pass is a small class: `name` is how the command line and the dumps call it, its fields (of a
frozen dataclass) are its options, and its docstring says what it requires, what it leaves behind
and shows one before/after example. Not a pass manager: `pipeline.py` is the list.
"""

from __future__ import annotations

import abc
import inspect
from typing import ClassVar

import onnx_ir as ir


class RpuPass(ir.passes.InPlacePass):
    """Base class of the passes: one change to a program, in place.

    A program is valid ONNX before and after it. Values keep their names as long as they mean the
    same; a pass that changes what a value means renames it.

    This is `rpucc.Pass`. A pass of your own has a `name` and a `call`, and may have `requires` and
    `ensures`, which raise where the model that it gets, or leaves, is not as it must be.
    """

    name: ClassVar[str] = ""
    """What dumps and messages call it: letters, digits, _, . and -."""

    @abc.abstractmethod
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change `model` and return PassResult(model, modified); bad input raises ModelError."""

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring, for `rpucc passes`."""
        return inspect.getdoc(cls).splitlines()[0] if cls.__doc__ else ""  # type: ignore[union-attr]
