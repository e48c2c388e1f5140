"""The constant weights of a model: which numbers of which nodes they are, and what becomes of them.

The one place that tells weights from the constants of a formula. Not for matrices on arrays: those
are `layers.py`'s. Not for what is trained: a program's step contract says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from rpucc.layers import LAYER_OPS, NO_LAYER, OF_LOSS, static_shape
from rpucc.step_contract import StepContract

NORMALISES = "rpucc.normalises"
"""Node metadata: of a constant that normalises the data, and so is no weight of the network."""
INITIAL_WEIGHTS = "rpucc.initial_weights"
"""Model metadata: the weights are initial values, not trained ones, as those of the zoo are.

There is nothing to keep then, and "auto" leaves them: scales would make every pulse larger and
every read noisier, which an untrained network pays for without getting anything."""

LEARNED_INPUTS = {
    **dict.fromkeys(LAYER_OPS, (0, 1, 2)),
    "Einsum": (0, 1),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), (1, 2)),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), (1, 2)),
    "PRelu": (1,),
    "Gather": (0,),
}
"""Op -> the inputs that hold weights where they are constant: matrices, scales, slopes, tables.

Statistics of a batch norm are measured, not learned.
"""

ELEMENTWISE = ("Add", "Mul")
"""Ops whose constant is a weight where it has several numbers: a bias, a scale, a position code.

A single number is part of a formula; so are masks (0 and 1, or beyond `LARGEST`).
"""

LARGEST = 1e4
"""Above this magnitude an entry of a constant stands for infinity: what is added masks."""


@dataclass(frozen=True)
class DigitalWeights:
    """Constant weights of one node that are not on arrays."""

    node: str
    op: str
    count: int
    trained: bool
    """Whether a training step changes them."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return asdict(self)


def weights_of(node: ir.Node) -> list[ir.Value]:
    """Return the initializers that hold constant weights of a node outside the arrays.

    In a program a digital layer has its matrix transposed, and by group.
    """
    if node.domain not in ("", "ai.onnx"):
        return []
    found = []
    for index, value in enumerate(node.inputs):
        source = _source(value)
        if source is not None and _is_weight(node, index, source):
            found.append(source)
    return found


def _source(value: ir.Value | None) -> ir.Value | None:
    """Return the floating-point initializer that a value is, or shows in another layout."""
    while value is not None and not value.is_initializer():
        producer = value.producer()
        if producer is None or producer.op_type not in ("Transpose", "Reshape"):
            return None
        value = producer.inputs[0]
    if value is None or value.const_value is None or value.dtype is None:
        return None
    return value if value.dtype.is_floating_point() else None


def _is_weight(node: ir.Node, index: int, value: ir.Value) -> bool:
    if node.op_type in LEARNED_INPUTS:
        return index in LEARNED_INPUTS[node.op_type]
    if node.op_type not in ELEMENTWISE:
        return False
    if "rpucc.layer" in node.metadata_props:  # a layer's own: its bias, or the scale of its output
        return node.op_type == "Add"
    if all(dim == 1 for dim in static_shape(value)):
        return False
    assert value.const_value is not None
    return not _is_mask(value.const_value.numpy(), node.op_type)


def _is_mask(array: np.ndarray, op: str) -> bool:
    numbers = array.astype(np.float64)
    if not np.all(np.abs(numbers) < LARGEST):  # also where one is infinite, or no number
        return True
    return op == "Mul" and bool(np.all((numbers == 0) | (numbers == 1)) and np.any(numbers == 0))


def digital_weights(model: ir.Model) -> tuple[DigitalWeights, ...]:
    """Return the constant weights outside the arrays, node by node; each number counts once."""
    step = StepContract.find(model)
    return tuple(_of_nodes(model.graph, set() if step is None else set(step.state)))


def _of_nodes(nodes: Iterable[ir.Node], trained: set[str]) -> Iterator[DigitalWeights]:
    seen: set[ir.Value] = set()
    for node in nodes:
        if node.metadata_props.get("rpucc.cycle", "forward") != "forward":
            continue
        if node.metadata_props.get(NO_LAYER) == OF_LOSS:
            continue
        counts = {True: 0, False: 0}
        for value in weights_of(node):
            if value not in seen:
                seen.add(value)
                counts[value.name in trained] += count_of(value)
        name = node.metadata_props.get("rpucc.layer") or node.name or ""
        op = node.metadata_props.get("rpucc.op") or node.op_type
        yield from (DigitalWeights(name, op, n, learns) for learns, n in counts.items() if n)


def count_of(value: ir.Value) -> int:
    """Return how many numbers an initializer holds."""
    return int(np.prod(static_shape(value), dtype=np.int64))


def by_op(weights: Iterable[DigitalWeights]) -> dict[str, int]:
    """Return the number of weights by op, the ops in the order of the graph.

    >>> by_op([DigitalWeights("a", "PRelu", 8, False), DigitalWeights("b", "PRelu", 4, False)])
    {'PRelu': 12}
    """
    found: dict[str, int] = {}
    for each in weights:
        found[each.op] = found.get(each.op, 0) + each.count
    return found
