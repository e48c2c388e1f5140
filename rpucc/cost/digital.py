"""The digital operations of a program: counted node by node, from shapes.

One table, standard op -> rule; adding an op is one row. The rule of an rpu op stands with the op
(`rpucc/opset/`). Not for their energy (energy.py), and not for their time: the digital part is
taken to keep up with the arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.cost.operations import Node, Operations, Rule
from rpucc.cost.sizes import batch_of
from rpucc.cost.timing import CYCLES, Cycle
from rpucc.opset import DOMAIN, OPS
from rpucc.step_contract import StepContract


@dataclass(frozen=True)
class DigitalWork:
    """What all nodes of one op do in one cycle, for one sample."""

    op: str
    cycle: Cycle
    nodes: int
    operations: Operations


def _each(adds: float = 0, multiplies: float = 0, functions: float = 0) -> Rule:
    """So many operations an element of the output of an elementwise op."""
    return lambda n: Operations(adds, multiplies, functions) * n.elementwise


def _fold(n: Node) -> Operations:
    """Sum, Max, Min of several inputs."""
    return Operations(adds=(len(n.node.inputs) - 1) * n.output)


def _reduce(n: Node) -> Operations:
    """ReduceSum, ReduceMax: of the inputs of one result, all but the first are added to it."""
    return Operations(adds=max(n.input() - n.output, 0))


def _reduce_mean(n: Node) -> Operations:
    """As ReduceSum, and one multiplication by 1 / count."""
    return _reduce(n) + Operations(multiplies=n.output)


def _max_pool(n: Node) -> Operations:
    """Compare the elements of each window."""
    return Operations(adds=(n.taps() - 1) * n.output)


def _average_pool(n: Node) -> Operations:
    """Add the elements of each window, multiply by 1 / count."""
    return Operations(adds=n.taps() - 1, multiplies=1) * n.output


def _scatter(n: Node) -> Operations:
    """ScatterElements, ScatterND with addition: one addition an update."""
    return Operations(adds=n.input(2))


def _add_inputs(n: Node) -> Operations:
    """Col2Im: every element of every column is added into the image."""
    return Operations(adds=n.input())


def _matmul(n: Node) -> Operations:
    """MatMul, Gemm: each element of A meets every column of B."""
    macs = n.input() * n.dim(1, -2 if n.node.attributes.get_int("transB", 0) else -1)
    return Operations(adds=macs, multiplies=macs)


def _conv(n: Node) -> Operations:
    """Each output is a sum over the kernel [R, C/group, *taps]."""
    macs = n.output * math.prod(n.dim(1, axis) for axis in range(1, _rank(n, 1)))
    return Operations(adds=macs, multiplies=macs)


def _conv_transpose(n: Node) -> Operations:
    """Each input is spread over the kernel [C, R/group, *taps]."""
    macs = n.input() * math.prod(n.dim(1, axis) for axis in range(1, _rank(n, 1)))
    return Operations(adds=macs, multiplies=macs)


def _rank(n: Node, index: int) -> int:
    value = n.node.inputs[index]
    return len(value.shape) if value is not None and value.shape is not None else 0


def _resize(n: Node) -> Operations:
    """Linear interpolation: 2 products a resized axis and output; nearest: none."""
    if n.node.attributes.get_string("mode", "nearest") == "nearest":
        return Operations()
    corners = 2 ** max(_rank(n, 0) - 2, 0)
    return Operations(adds=corners - 1, multiplies=corners) * n.output


def _lrn(n: Node) -> Operations:
    """Square, add up `size` neighbours, raise to a power, divide."""
    size = n.node.attributes.get_int("size", 1)
    return Operations(adds=size, multiplies=2, functions=2) * n.output


def _fold_mean(n: Node) -> Operations:
    """As Sum, and one multiplication by 1 / n."""
    return _fold(n) + Operations(multiplies=n.output)


def _reduce_after(
    adds: float = 0, multiplies: float = 0, functions: float = 0, last: float = 0
) -> Rule:
    """So many operations an element, then their sum, then `last` functions of each sum."""
    each = Operations(adds, multiplies, functions)
    return lambda n: each * n.input() + _reduce(n) + Operations(functions=last) * n.output


def _einsum(n: Node) -> Operations:
    """One multiply-accumulate for each setting of all indices: a product of their sizes."""
    equation = n.node.attributes.get_string("equation", "").replace(" ", "")
    sizes: dict[str, int] = {}
    for i, indices in enumerate(equation.split("->")[0].split(",")):
        if not indices.isalpha():
            raise LookupError("an equation with an ellipsis")
        sizes.update(zip(indices, n.axes(i), strict=True))
    macs = math.prod(sizes.values())
    return Operations(adds=macs, multiplies=macs)


def _of_input(adds: float = 0, multiplies: float = 0, functions: float = 0) -> Rule:
    """So many operations an element of the input."""
    return lambda n: Operations(adds, multiplies, functions) * n.input()


_ADD, _MULTIPLY, _FUNCTION = _each(adds=1), _each(multiplies=1), _each(functions=1)
_NORMALISE = _each(adds=4, multiplies=3)
"""Mean, variance, subtract, scale and shift."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Sub", "Abs", "Neg", "Relu", "ThresholdedRelu"), _ADD),
    **dict.fromkeys(("Where", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _ADD),
    **dict.fromkeys(("Equal", "Sign", "And", "Or", "Not", "Floor", "Ceil", "Round"), _ADD),
    "Mul": _MULTIPLY,
    **dict.fromkeys(("Div", "Pow", "Sqrt", "Exp", "Log", "Reciprocal", "Erf"), _FUNCTION),
    **dict.fromkeys(("Tanh", "Sigmoid", "Softplus", "Softsign", "Sin", "Cos", "Atan"), _FUNCTION),
    "Clip": _each(adds=2),
    "LeakyRelu": _each(adds=1, multiplies=1),
    "PRelu": _each(adds=1, multiplies=1),
    "HardSigmoid": _each(adds=3, multiplies=1),
    "HardSwish": _each(adds=3, multiplies=2),
    **dict.fromkeys(("Elu", "Selu", "Celu"), _each(adds=2, multiplies=2, functions=1)),
    "Gelu": _each(adds=1, multiplies=3, functions=1),
    "Mish": _each(multiplies=1, functions=2),
    # maximum, subtract, add up; exponential, divide
    "Softmax": _each(adds=3, functions=2),
    "LogSoftmax": _each(adds=4, functions=1),
    "SoftmaxCrossEntropyLoss": _of_input(adds=4, functions=1),
    "BatchNormalization": _each(adds=1, multiplies=1),
    "InstanceNormalization": _NORMALISE,
    "LayerNormalization": _NORMALISE,
    "GroupNormalization": _NORMALISE,
    "LpNormalization": _each(adds=1, multiplies=1, functions=1),
    "LRN": _lrn,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _reduce_mean,
    "GlobalMaxPool": _reduce,
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMin"), _reduce),
    "ReduceMean": _reduce_mean,
    **dict.fromkeys(("Sum", "Max", "Min"), _fold),
    "Mean": _fold_mean,
    "ReduceL1": _reduce_after(adds=1),
    "ReduceSumSquare": _reduce_after(multiplies=1),
    "ReduceL2": _reduce_after(multiplies=1, last=1),
    "ReduceLogSum": _reduce_after(last=1),
    "ReduceLogSumExp": _reduce_after(functions=1, last=1),
    "Einsum": _einsum,
    "MatMul": _matmul,
    "Gemm": _matmul,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Resize": _resize,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Col2Im": _add_inputs,
}
"""Standard op -> its rule."""

_MOVING = {
    *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"),
    *("Split", "Concat", "Pad", "Expand", "Tile", "Gather", "GatherElements", "GatherND"),
    *("DepthToSpace", "SpaceToDepth", "Identity", "Dropout", "Cast", "CastLike"),
}
_CONSTANT = {"Shape", "Size", "Constant", "ConstantOfShape", "Range", "OneHot"}
FREE = frozenset(_MOVING | _CONSTANT)
"""Standard ops without digital arithmetic."""


def _rule(node: ir.Node) -> Rule | None:
    """Return what counts a node's operations; None where it has none. Raises LookupError."""
    if node.domain == DOMAIN:
        return OPS[node.op_type].work
    return None if node.op_type in FREE else RULES[node.op_type]


def digital_work(model: ir.Model) -> tuple[tuple[DigitalWork, ...], tuple[str, ...]]:
    """Return the work by op and cycle, in the order of the graph, and the ops left uncounted.

    Uncounted is what no rule knows, and nodes whose shapes are not static. A fixed batch is
    divided out. What follows from constants alone is worked out once, not for each sample.
    """
    batch = batch_of(model)
    samples = batch if isinstance(batch, int) else 1
    step = StepContract.find(model)
    changing = () if step is None else step.state
    fixed = {value for name, value in model.graph.initializers.items() if name not in changing}
    found: dict[tuple[str, Cycle], tuple[int, Operations]] = {}
    uncounted: dict[str, None] = {}
    for node in model.graph:
        if node.inputs and all(value is None or value in fixed for value in node.inputs):
            fixed.update(node.outputs)
            continue
        try:
            rule = _rule(node)
            if rule is None:
                continue
            operations = rule(Node(node, batch)) * (1 / samples)
        except LookupError:  # no rule, or no shape
            uncounted[node.op_type] = None
            continue
        key = node.op_type, cycle_of(node)
        count, sum_ = found.get(key, (0, Operations()))
        found[key] = count + 1, sum_ + operations
    work = (DigitalWork(*key, *value) for key, value in found.items() if value[1].total)
    return tuple(work), tuple(uncounted)


def cycle_of(node: ir.Node) -> Cycle:
    """Return the cycle that a node belongs to."""
    name = node.metadata_props.get("rpucc.cycle", "forward")
    return next((cycle for cycle in CYCLES if cycle == name), "forward")
