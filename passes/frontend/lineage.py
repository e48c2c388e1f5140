"""Which weight of the file a folded constant came from, and where each of its numbers stood there.

`fold_constants` notes it; `sharing.py` asks. What is tied in the file (an embedding that is
transposed for the output layer) is known as tied by this alone, however often it was copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.passes.frontend.onnx_tools import evaluate_proto

IndexArray = NDArray[np.int32]
Step = Callable[[IndexArray], IndexArray]

_KEY = "rpucc.lineage"

_LAYOUT = (
    *("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *("Slice", "Split", "Gather", "Expand", "Tile"),
)
"""Ops that move the numbers of their first input and compute nothing."""

_MEASURES = ("Shape", "Size")
"""Ops whose result has nothing to do with the numbers of their input."""


@dataclass(frozen=True)
class Lineage:
    """A constant's descent from one weight of the file."""

    origin: str
    """The weight's name in the file."""
    shape: tuple[int, ...]
    """The weight's shape."""
    steps: tuple[Step, ...] = ()
    exact: bool = True
    """Whether the constant's numbers are the weight's own; else they are computed from them."""

    @property
    def is_matrix(self) -> bool:
        """Whether the weight is a matrix, kernel or the like: no vector and no single number."""
        return len(self.shape) > 1 and int(np.prod(self.shape)) > 1

    def index(self) -> IndexArray:
        """Where each number of the constant stands in the weight, flat; in the constant's shape.

        Of a constant that is computed: all numbers of the weight that it may depend on.
        """
        found = np.arange(int(np.prod(self.shape)), dtype=np.int32).reshape(self.shape)
        for step in self.steps:
            found = step(found)
        return found


def lineages_of(value: ir.Value) -> tuple[Lineage, ...]:
    """Return the float32 constants that a constant descends from: itself, if it is the file's."""
    known: tuple[Lineage, ...] | None = value.meta.get(_KEY)
    if known is not None:
        return known
    tensor = value.const_value
    if tensor is None or value.dtype != ir.DataType.FLOAT:
        return ()
    return (Lineage(str(value.name), tuple(tensor.shape.numpy())),)


def descend(
    node: ir.Node,
    inputs: Sequence[NDArray[np.generic] | None],
    opsets: Mapping[str, int],
) -> list[tuple[Lineage, ...]]:
    """Return the lineages of the (named) results of folding `node`, whose inputs are constants."""
    outputs = [value for value in node.outputs if value.name]
    before = [lineages_of(value) if value is not None else () for value in node.inputs]
    if not any(before) or node.op_type in _MEASURES:
        return [()] * len(outputs)
    if node.op_type not in _LAYOUT:
        computed = (_computed(line) for lines in before for line in lines)
        return [tuple(dict.fromkeys(computed))] * len(outputs)
    proto = ir.to_proto(node)
    others = {
        str(value.name): array
        for value, array in zip(node.inputs[1:], inputs[1:], strict=True)
        if value is not None and array is not None
    }
    return [
        tuple(_moved(line, _step(proto, others, dict(opsets), i)) for line in before[0])
        for i in range(len(outputs))
    ]


def note_lineages(value: ir.Value, lineages: tuple[Lineage, ...]) -> None:
    """Remember what a folded constant descends from."""
    value.meta[_KEY] = lineages


def _computed(line: Lineage) -> Lineage:
    return Lineage(line.origin, line.shape, line.steps, exact=False)


def _moved(line: Lineage, step: Step) -> Lineage:
    steps = (*line.steps, step) if line.exact else line.steps
    return Lineage(line.origin, line.shape, steps, line.exact)


def _step(
    proto: onnx.NodeProto,
    others: Mapping[str, NDArray[np.generic]],
    opsets: Mapping[str, int],
    output: int,
) -> Step:
    """The folding of a node, to be done with indices in the place of its first input."""

    def step(index: IndexArray) -> IndexArray:
        results = evaluate_proto(proto, {proto.input[0]: index, **others}, opsets)
        return results[output].astype(np.int32)

    return step
