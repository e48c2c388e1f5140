"""Value-range analysis: an interval for every value of the forward pass.

It lets `manage_noise` leave noise management out where |x| <= 1 is proved. Intervals hold for
every input within the program's input range and for every weight that training may reach:
a trained parameter has no known range. Not for statistics: an interval is a proof, so an op
without a rule gives (-inf, inf).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from rpucc.layers import READS
from rpucc.op_spec import Interval, IntervalRule, with_zero
from rpucc.opset import OPS
from rpucc.step_contract import StepContract

UNKNOWN: Interval = (-math.inf, math.inf)

_FOLDABLE_ELEMENTS = 1 << 24
"""Constants above this size are taken as unknown instead of being scanned."""

_ROUNDING = 1e-6
"""How far an interval may pass ±1: intervals ignore float32 rounding, and a DAC clips the rest."""


def value_ranges(model: ir.Model) -> dict[str, Interval]:
    """Give the interval (lo, hi) of every value in the model's graph.

    The data inputs of the step contract start from `rpucc.input_range`; other inputs are unknown.
    Constant initializers start from their own extremes; trained ones (the contract's state) and the
    second input of a Read are unknown.
    """
    step = StepContract.find(model)
    data = () if step is None else step.inputs
    trained = _trained_names(model, step)
    ranges: dict[str, Interval] = {}
    declared = input_interval(model)
    for value in model.graph.inputs:
        ranges[value.name or ""] = declared if value.name in data else UNKNOWN
    for name, value in model.graph.initializers.items():
        ranges[name] = UNKNOWN if name in trained else _constant_interval(value)
    for node in model.graph:
        interval = node_interval(node, ranges)
        for index, output in enumerate(node.outputs):
            known = index == 0 or node.op_type == "Split"
            ranges[output.name or ""] = interval if known else UNKNOWN
    return ranges


def node_interval(node: ir.Node, ranges: Mapping[str, Interval]) -> Interval:
    """Give the interval of the first output of `node`; UNKNOWN without a rule or with a NaN."""
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx", "rpu") else None
    if rule is None:
        return UNKNOWN
    inputs = [ranges.get(v.name or "", UNKNOWN) if v is not None else UNKNOWN for v in node.inputs]
    lo, hi = rule(node, inputs)
    return UNKNOWN if math.isnan(lo) or math.isnan(hi) else (lo, hi)


def input_interval(model: ir.Model) -> Interval:
    """Read the model's `rpucc.input_range` ("lo hi"); UNKNOWN when it is absent."""
    text = model.metadata_props.get("rpucc.input_range")
    if not text:
        return UNKNOWN
    lo, hi = (float(word) for word in text.split())
    return lo, hi


def within_unit(interval: Interval) -> bool:
    """Tell whether every value of the interval fits a DAC's [-1, 1]."""
    return interval[0] >= -1.0 - _ROUNDING and interval[1] <= 1.0 + _ROUNDING


def _trained_names(model: ir.Model, step: StepContract | None) -> set[str]:
    """Names of the initializers that an update cycle changes, or may change once compiled."""
    names = set() if step is None else set(step.state)
    for node in model.graph:
        if node.domain == "rpu" and len(node.inputs) > 1 and node.op_type in READS:
            weight = node.inputs[1]
            names.add((weight.name or "") if weight is not None else "")
    return names


def _constant_interval(value: ir.Value) -> Interval:
    tensor = value.const_value
    if tensor is None or tensor.size == 0 or tensor.size > _FOLDABLE_ELEMENTS:
        return UNKNOWN
    array = tensor.numpy()
    if array.dtype.kind not in "fiub":
        return UNKNOWN
    return float(np.min(array)), float(np.max(array))


# ---------------------------------------------------------------- rules


def _bounded(lo: float, hi: float) -> IntervalRule:
    return lambda node, inputs: (lo, hi)


def _first(node: ir.Node, inputs: list[Interval]) -> Interval:
    """Layout, selection and averaging keep the input's interval."""
    return inputs[0]


def _union(*intervals: Interval) -> Interval:
    return min(i[0] for i in intervals), max(i[1] for i in intervals)


def _join(node: ir.Node, inputs: list[Interval]) -> Interval:
    return _union(*inputs)


def _monotone(function: Callable[[float], float]) -> IntervalRule:
    """Rule of a function that never falls: it maps the ends."""
    return lambda node, inputs: (function(inputs[0][0]), function(inputs[0][1]))


def _add(node: ir.Node, inputs: list[Interval]) -> Interval:
    return sum(i[0] for i in inputs), sum(i[1] for i in inputs)


def _sub(node: ir.Node, inputs: list[Interval]) -> Interval:
    (a, b), (c, d) = inputs
    return a - d, b - c


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0.0 or b == 0.0 else a * b


def _mul(node: ir.Node, inputs: list[Interval]) -> Interval:
    left, right = inputs
    ends = [_product(a, b) for a in left for b in right]
    return min(ends), max(ends)


def _div(node: ir.Node, inputs: list[Interval]) -> Interval:
    left, (lo, hi) = inputs
    if lo <= 0.0 <= hi or not _is_float(node):
        return UNKNOWN
    ends = [_product(a, 1.0 / b) for a in left for b in (lo, hi)]
    return min(ends), max(ends)


def _is_float(node: ir.Node) -> bool:
    dtype = node.outputs[0].dtype
    return dtype is None or dtype.is_floating_point()


def _neg(node: ir.Node, inputs: list[Interval]) -> Interval:
    return -inputs[0][1], -inputs[0][0]


def _abs(node: ir.Node, inputs: list[Interval]) -> Interval:
    lo, hi = inputs[0]
    return (0.0 if lo <= 0.0 <= hi else min(abs(lo), abs(hi))), max(abs(lo), abs(hi))


def _min(node: ir.Node, inputs: list[Interval]) -> Interval:
    return min(i[0] for i in inputs), min(i[1] for i in inputs)


def _max(node: ir.Node, inputs: list[Interval]) -> Interval:
    return max(i[0] for i in inputs), max(i[1] for i in inputs)


def _clip(node: ir.Node, inputs: list[Interval]) -> Interval:
    low = _clip_bound(node, inputs, 1, "min", -math.inf)
    high = _clip_bound(node, inputs, 2, "max", math.inf)
    return _min(node, [_max(node, [inputs[0], low]), high])


def _clip_bound(
    node: ir.Node, inputs: list[Interval], index: int, attribute: str, absent: float
) -> Interval:
    """A bound of Clip: an input since opset 11, an attribute before."""
    if len(node.inputs) > index and node.inputs[index] is not None:
        return inputs[index]
    value = node.attributes.get_float(attribute, absent)
    return value, value


def _leaky_relu(node: ir.Node, inputs: list[Interval]) -> Interval:
    alpha = node.attributes.get_float("alpha", 0.01)
    if alpha < 0.0:
        return UNKNOWN
    lo, hi = inputs[0]
    return (lo if lo > 0 else _product(alpha, lo)), (hi if hi > 0 else _product(alpha, hi))


def _average_pool(node: ir.Node, inputs: list[Interval]) -> Interval:
    return with_zero(node, inputs) if _is_padded(node) else inputs[0]


def _is_padded(node: ir.Node) -> bool:
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    pads = node.attributes.get_ints("pads", ())
    return any(pads) or auto not in ("NOTSET", "VALID")


def _pad(node: ir.Node, inputs: list[Interval]) -> Interval:
    if node.attributes.get_string("mode", "constant") != "constant":
        return inputs[0]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return _union(inputs[0], inputs[2])
    return with_zero(node, inputs)


def _where(node: ir.Node, inputs: list[Interval]) -> Interval:
    return _union(inputs[1], inputs[2])


def _constant(node: ir.Node, inputs: list[Interval]) -> Interval:
    tensor = node.attributes.get("value")
    if tensor is not None:
        array = tensor.as_tensor().numpy()
        if array.size and array.dtype.kind in "fiub":
            return float(array.min()), float(array.max())
    if "value_float" in node.attributes:
        value = node.attributes["value_float"].as_float()
        return value, value
    return UNKNOWN


def _cast(node: ir.Node, inputs: list[Interval]) -> Interval:
    """Casts to a narrower type may round outwards or wrap; float32 and double keep the ends."""
    keeps = node.attributes.get_int("to", 0) in (ir.DataType.FLOAT, ir.DataType.DOUBLE)
    return inputs[0] if keeps else UNKNOWN


RULES: dict[str, IntervalRule] = {
    **{name: spec.interval for name, spec in OPS.items() if spec.interval is not None},
    # activations
    "Tanh": _bounded(-1.0, 1.0),
    "Sigmoid": _bounded(0.0, 1.0),
    "HardSigmoid": _bounded(0.0, 1.0),
    "Softmax": _bounded(0.0, 1.0),
    "Softsign": _bounded(-1.0, 1.0),
    "Erf": _bounded(-1.0, 1.0),
    "Sin": _bounded(-1.0, 1.0),
    "Cos": _bounded(-1.0, 1.0),
    "Sign": _bounded(-1.0, 1.0),
    "LogSoftmax": _bounded(-math.inf, 0.0),
    "Relu": _monotone(lambda x: max(x, 0.0)),
    "LeakyRelu": _leaky_relu,
    "Clip": _clip,
    # layout and selection
    "Identity": _first,
    "Dropout": _first,
    "Reshape": _first,
    "Flatten": _first,
    "Transpose": _first,
    "Squeeze": _first,
    "Unsqueeze": _first,
    "Slice": _first,
    "Split": _first,
    "Gather": _first,
    "GatherElements": _first,
    "GatherND": _first,
    "Expand": _first,
    "Tile": _first,
    "DepthToSpace": _first,
    "SpaceToDepth": _first,
    "Cast": _cast,
    "Pad": _pad,
    "Concat": _join,
    "Where": _where,
    "Constant": _constant,
    # pooling and reduction
    "MaxPool": _first,
    "GlobalMaxPool": _first,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _first,
    "ReduceMean": _first,
    "ReduceMax": _first,
    "ReduceMin": _first,
    # arithmetic
    "Add": _add,
    "Sum": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Neg": _neg,
    "Abs": _abs,
    "Min": _min,
    "Max": _max,
    "Floor": _monotone(lambda x: math.floor(x) if math.isfinite(x) else x),
    "Ceil": _monotone(lambda x: math.ceil(x) if math.isfinite(x) else x),
    "Sqrt": _monotone(lambda x: math.sqrt(x) if x >= 0 else math.nan),
}
"""Op name to the rule of its first output; other outputs (a pool's indices) are unknown. The rules
of rpu ops stand with them (`OpSpec.interval`)."""
