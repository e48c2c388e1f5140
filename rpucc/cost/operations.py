"""Digital operations, and a node as the rules see it that count them.

Not for the rules: those of standard ops are in `digital.py`, those of rpu ops with their op.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.cost.sizes import elements, size


@dataclass(frozen=True)
class Operations:
    """Digital operations by what they cost."""

    adds: float = 0
    """Additions, subtractions and comparisons."""
    multiplies: float = 0
    functions: float = 0
    """Divisions, roots, exponentials and the like."""

    @property
    def total(self) -> float:
        """All of them, each as one."""
        return self.adds + self.multiplies + self.functions

    def __add__(self, other: Operations) -> Operations:
        return Operations(
            self.adds + other.adds,
            self.multiplies + other.multiplies,
            self.functions + other.functions,
        )

    def __mul__(self, times: float) -> Operations:
        return Operations(self.adds * times, self.multiplies * times, self.functions * times)


@dataclass(frozen=True)
class Node:
    """A node as the rules see it: sizes are elements a sample."""

    node: ir.Node
    batch: int | str | None

    def input(self, index: int = 0) -> int:
        """Elements of an input; raises LookupError where they are not known."""
        return _known(elements(self.node.inputs[index], self.batch))

    @property
    def output(self) -> int:
        """Elements of the first output; raises LookupError where they are not known."""
        return self.output_of(0)

    def output_of(self, index: int) -> int:
        """Elements of an output; raises LookupError where they are not known."""
        return _known(elements(self.node.outputs[index], self.batch))

    @property
    def elementwise(self) -> int:
        """Elements of an elementwise result: where its shape is lost, of the largest operand."""
        found = elements(self.node.outputs[0], self.batch)
        if found is None:
            found = max(self.input(i) for i in range(len(self.node.inputs)))
        return found

    def dim(self, index: int, axis: int) -> int:
        """Return a static dimension of an input; raises LookupError where it is none."""
        value = self.node.inputs[index]
        shape = value.shape if value is not None else None
        dim = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
        return _known(dim if isinstance(dim, int) else None)

    def axes(self, index: int) -> list[int]:
        """Return all dimensions of an input; raises LookupError where they are not known."""
        value = self.node.inputs[index]
        shape = value.shape if value is not None else None
        return [_known(size(dim, self.batch)) for dim in shape or ()]

    def taps(self) -> int:
        """Elements of the kernel window."""
        return math.prod(self.node.attributes.get_ints("kernel_shape", ()))


def _known(size: int | None) -> int:
    if size is None:
        raise LookupError("a shape is not static")
    return size


Rule = Callable[[Node], Operations]
