"""What a gradient rule is, and what it writes with.

Not the rules (one module a kind of op), not the sweep that calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import UnsupportedError
from rpucc.passes.graph_reader import constant_of, known_shape
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.learning.outer_product import OuterProduct

Through: TypeAlias = tuple[ir.Value, Mapping[str, str]]
"""A matrix on arrays that errors go back through, and metadata of the Read that does it."""


class GradientEmitter(Emitter):
    """An emitter that knows which values need a gradient, and collects the outer products."""

    def __init__(self, model: ir.Model) -> None:
        super().__init__(model)
        self.through: Callable[[ir.Node], Through] = own_weights
        """What the errors of a Read go back through."""
        self.wanted: set[ir.Value] = set()
        self.products: list[OuterProduct] = []
        """Of the matrices on arrays, in the order of the backward cycle."""

    def wants(self, node: ir.Node, index: int) -> bool:
        """Whether input `index` of `node` is there and needs a gradient."""
        return index < len(node.inputs) and node.inputs[index] in self.wanted

    def times(self, x: ir.Value, factor: float) -> ir.Value:
        """Multiply by a number."""
        return self.op("Mul", x, self.like(x, factor))

    def plus(self, x: ir.Value, term: float) -> ir.Value:
        """Add a number."""
        return self.op("Add", x, self.like(x, term))

    def unbroadcast(self, g: ir.Value, value: ir.Value) -> ir.Value:
        """Sum g over the axes along which `value` was broadcast to g's shape."""
        want, have = list(known_shape(value)), list(known_shape(g))
        extra = len(have) - len(want)
        axes = list(range(extra))
        axes += [extra + i for i, dim in enumerate(want) if dim == 1 and have[extra + i] != 1]
        if not axes:
            return g
        summed = self.reduce_sum(g, axes, keepdims=extra == 0)
        return self.reshape_like(summed, value) if extra else summed


def own_weights(read: ir.Node) -> Through:
    """The matrix of the Read itself: then what goes back is the gradient."""
    return input_of(read, 1), {}


Found: TypeAlias = Sequence[ir.Value | None]
"""The gradients of a node's outputs."""

Gradients: TypeAlias = list[ir.Value | None]
"""The gradients of a node's inputs."""

Rule: TypeAlias = Callable[[GradientEmitter, ir.Node, Found], Sequence[ir.Value | None]]
"""rule(emitter, node, gradients of its outputs) -> gradients of its inputs.

None stands for an output that nothing depends on, and for an input that needs no gradient; a rule
may leave out trailing inputs. Each gradient has its value's shape.
"""


def the(g: Sequence[ir.Value | None]) -> ir.Value:
    """Return the gradient of an op's only output."""
    assert g[0] is not None
    return g[0]


def input_of(node: ir.Node, index: int = 0) -> ir.Value:
    """Return an input that the op cannot be without."""
    value = node.inputs[index]
    assert value is not None
    return value


def rank_of(value: ir.Value) -> int:
    """Return the number of dimensions."""
    return known_shape(value).rank()


def float_of(node: ir.Node, name: str, default: float) -> float:
    """Return a FLOAT attribute of `node`, or `default` where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def text_of(node: ir.Node, name: str, default: str) -> str:
    """Return a STRING attribute of `node`, or `default` where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def constant_ints(node: ir.Node, index: int) -> list[int] | None:
    """Return a constant integer input as a list, None where it is absent."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return None
    array = constant_of(node.inputs[index])
    if array is None:
        refuse(node, f"its input {node.inputs[index].name!r} is computed, not constant")  # type: ignore[union-attr]
    return [int(v) for v in array.flatten()]


def times_matrix(
    e: GradientEmitter, g: ir.Value, matrix: NDArray[np.generic], axis: int
) -> ir.Value:
    """Multiply `axis` of g by a constant matrix [size of g's axis, size of the result's].

    The gradient of an op y = x Aᵀ along an axis is dx = g A.
    """
    order = [i for i in range(rank_of(g)) if i != axis] + [axis]
    factor = e.constant(matrix, g.dtype or ir.DataType.FLOAT)
    product = e.op("MatMul", e.transpose(g, order), factor)
    return e.transpose(product, [order.index(i) for i in range(len(order))])


def refuse(node: ir.Node, found: str) -> NoReturn:
    """Raise the error for a node that the gradient rules do not cover."""
    raise UnsupportedError(
        f"node {node.name!r} ({node.op_type}): no gradient, {found}; compile with --inference, or "
        "change the model there"
    )
