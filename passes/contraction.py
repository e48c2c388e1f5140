"""Products of an activation and a constant as sums over indices, and whether that is a dense layer.

Pure algebra of axes. Not for the nodes that compute them: `normalise_products.py` writes those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import onnx_ir as ir

from rpucc.passes.graph_reader import constant_of, known_shape

Dim = int | ir.SymbolicDim


@dataclass(frozen=True)
class Contraction:
    """out = Σ x · weight: indices, one an axis, as in an Einsum.

    What stands in the weight and the result alone are outputs, in the activation and the result
    alone positions, in both operands alone inputs, and in all three groups: each has a matrix of
    its own.
    """

    x: tuple[str, ...]
    weight: tuple[str, ...]
    out: tuple[str, ...]
    dims: dict[str, Dim]
    """The size of each index."""
    dropped: tuple[int, ...] = ()
    """Axes of the activation, of size 1, that are left out first."""
    operand: int = 1
    """Which input of the node is the weight."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Indices of the rows, in the weight's order."""
        return tuple(i for i in self.weight if i in self.out and i not in self.x)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Indices of the columns, in the activation's order."""
        return tuple(i for i in self.x if i in self.weight and i not in self.out)

    @property
    def groups(self) -> tuple[str, ...]:
        """Indices that both operands and the result have, in the weight's order."""
        return tuple(i for i in self.weight if i in self.x and i in self.out)

    @property
    def samples(self) -> str | None:
        """The index of the batch: that of open size, else the first axis."""
        opened = [i for i in self.x if not isinstance(self.dims[i], int)]
        return opened[0] if opened else next(iter(self.x), None)

    @property
    def positions(self) -> tuple[str, ...]:
        """Indices that the activation and the result alone have, that of the samples first."""
        kept = [i for i in self.x if i in self.out and i not in self.weight]
        return tuple(sorted(kept, key=lambda i: i != self.samples))

    def size(self, indices: Sequence[str]) -> int:
        """Return the product of the sizes of indices, which must be numbers."""
        product = 1
        for index in indices:
            dim = self.dims[index]
            assert isinstance(dim, int)
            product *= dim
        return product

    def why_no_layer(self) -> str | None:
        """Return why this is no dense layer, one matrix or one a group; None where it is."""
        if any(len(set(term)) < len(term) for term in (self.x, self.weight, self.out)):
            return "an index stands twice in one operand"
        if self.samples in self.weight:
            return "its weights differ from sample to sample"
        if self.samples not in self.out:
            return "it sums over the samples"
        if any(i not in self.weight and i not in self.out for i in self.x):
            return "it sums over an index that only the activation has"
        if any(i not in self.x and i not in self.out for i in self.weight):
            return "it sums over an index that only the weights have"
        if not self.inputs:
            return "it sums over nothing: each weight meets one number"
        return None


def contraction_of(node: ir.Node) -> Contraction | str | None:
    """Read an Einsum or MatMul of an activation and a constant; None for any other node.

    A text says why a product with a constant cannot be read.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("Einsum", "MatMul"):
        return None
    constants = [i for i, value in enumerate(node.inputs) if constant_of(value) is not None]
    if not constants or len(constants) == len(node.inputs):
        return None
    if len(node.inputs) != 2:
        return "a product of more than two operands"
    read = _read_einsum if node.op_type == "Einsum" else _read_matmul
    return read(node, constants[0])


def _shapes(node: ir.Node) -> list[list[Dim]]:
    return [list(known_shape(value).dims) for value in node.inputs if value is not None]


def _read_einsum(node: ir.Node, operand: int) -> Contraction | str:
    text = node.attributes.get_string("equation", "").replace(" ", "")
    shapes = _shapes(node)
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not arrow:  # the indices that stand once, in alphabetical order, behind the ellipsis
        letters = left.replace(",", "").replace(".", "")
        once = "".join(sorted(i for i in set(letters) if letters.count(i) == 1))
        right = ("..." if "..." in left else "") + once
    if "..." in terms[operand]:
        return "an ellipsis stands for axes of its weights"
    x_term = terms[1 - operand]
    hidden = len(shapes[1 - operand]) - len(x_term.replace("...", ""))
    spread = tuple(f".{i}" for i in range(hidden))

    def indices(term: str) -> tuple[str, ...]:
        before, dots, after = term.partition("...")
        return (*before, *(spread if dots else ()), *after)

    x, weight = indices(x_term), indices(terms[operand])
    dims = dict(zip(x, shapes[1 - operand], strict=True))
    dims.update(zip(weight, shapes[operand], strict=True))
    return Contraction(x, weight, indices(right), dims, operand=operand)


def _read_matmul(node: ir.Node, operand: int) -> Contraction | str:
    shapes = _shapes(node)
    x, weight = shapes[1 - operand], shapes[operand]
    if len(weight) < 2 or len(x) < 2:
        return "a product with a vector"
    names = (f"{i}" for i in count())
    lead = _Lead.of(x[:-2], weight[:-2], names)
    row, inner, column = next(names), next(names), next(names)
    terms = [(row, inner), (inner, column)]
    found = Contraction(
        (*lead.x, *terms[1 - operand]),
        (*lead.weight, *terms[operand]),
        (*lead.out, row, column),
        {},
        dropped=lead.dropped,
        operand=operand,
    )
    kept = [dim for i, dim in enumerate(x) if i not in lead.dropped]
    held = [dim for i, dim in enumerate(weight) if i not in lead.idle]
    found.dims.update(zip(found.x, kept, strict=True))
    found.dims.update(zip(found.weight, held, strict=True))
    return found


@dataclass(frozen=True)
class _Lead:
    """The axes of a MatMul before the last two, which broadcast."""

    x: tuple[str, ...]
    weight: tuple[str, ...]
    out: tuple[str, ...]
    dropped: tuple[int, ...]
    """Axes of x of size 1 that the weight's size takes the place of."""
    idle: tuple[int, ...]
    """Axes of the weight of size 1 beside one of x."""

    @classmethod
    def of(cls, x: Sequence[Dim], weight: Sequence[Dim], names: Iterator[str]) -> _Lead:
        rank = max(len(x), len(weight))
        x_axes, w_axes, out = [], [], []
        dropped, idle = [], []
        for axis in range(rank):
            a, b = axis - (rank - len(x)), axis - (rank - len(weight))
            name = next(names)
            out.append(name)
            if b < 0 or (weight[b] == 1 and a >= 0):
                x_axes.append(name)
                idle += [b] if b >= 0 else []
            elif a < 0 or x[a] == 1:
                w_axes.append(name)
                dropped += [a] if a >= 0 else []
            else:
                x_axes.append(name)
                w_axes.append(name)
        return cls(tuple(x_axes), tuple(w_axes), tuple(out), tuple(dropped), tuple(idle))
