"""Sizes that no value can have: below zero, or more numbers than any machine holds.

Found by arithmetic, node by node, before anything is tried: what a node gets has been looked at
before onnx's rule for its operator sees it. Those rules take sizes as they come, and some of them
(Slice, Split, LayerNormalization, GatherND) end the process at one that is none. Not for whether
shapes fit each other: onnx's inference says that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.opset import register_schemas

ABORTING = ("GatherND", "LayerNormalization", "Slice", "Split")
"""Operators whose rules of onnx end the process at a size below zero or an axis beyond all."""

MOST = 2**31
"""Numbers of a value for one sample."""

MOST_CONSTANT = 2**28
"""Numbers of a value that is computed once for all, when the file is read: 1 GB of float32."""

MOST_IN_VECTOR = 2**24
"""Numbers of a value with one dimension, a sample: onnx follows each of them (data propagation)."""

_FEW = 1024
"""Numbers of a constant that may say a shape."""

_DRAWN = ("RandomNormal", "RandomUniform")
"""Operators without inputs whose results are no constants."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Impossible:
    """A node whose result, or attribute, is out of all bounds."""

    node: ir.Node
    problem: str
    shapes: Mapping[str, Sequence[int | None] | None]
    """Of what it gets, by name; None where not even the rank is known."""


def first_impossible(model: ir.Model, batch: int) -> Impossible | None:
    """Return the first node whose result, or attribute, is out of all bounds; None without.

    batch: what the first dimension of an input is taken as where it is open. Behind what onnx has
    no rule for, sizes are unknown.
    """
    register_schemas()
    walk = _Walk(model, batch)
    for node in model.graph:
        problem = walk.step(node)
        if problem is not None:
            names = [str(value.name) for value in node.inputs if value is not None]
            return Impossible(node, problem, {n: _dims(walk.types.get(n)) for n in names})
    return None


class _Walk:
    """What is known of the values so far."""

    def __init__(self, model: ir.Model, batch: int) -> None:
        self.batch = batch
        self.imports = dict(model.graph.opset_imports)
        self.opsets = [onnx.helper.make_opsetid(d, v) for d, v in self.imports.items()]
        self.types: dict[str, onnx.TypeProto] = {}
        self.data: dict[str, Ints] = {}
        """Whole numbers that may say a shape."""
        self.given: dict[str, onnx.TensorProto] = {}
        """Small constants of the file, as they are: the scales of a Resize, say."""
        self.constant: set[str] = set()
        for value in model.graph.inputs:
            if value.name in model.graph.initializers or value.dtype is None:
                continue
            dims = None if value.shape is None else [_static(dim) for dim in value.shape]
            if dims and dims[0] is None:
                dims[0] = batch
            self.types[str(value.name)] = _type(value.dtype, dims)
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None:
                continue
            self.constant.add(name)
            self.types[name] = _type(tensor.dtype, [int(d) for d in tensor.shape.numpy()])
            self._note(name, tensor)

    def step(self, node: ir.Node) -> str | None:
        """Work out the results of a node; return what is wrong with them."""
        names = [str(value.name) for value in node.inputs if value is not None and value.name]
        if node.op_type == "Constant" and "value" in node.attributes:
            tensor = node.attributes["value"].as_tensor()
            self._note(str(node.outputs[0].name), tensor)
        if any(name not in self.types for name in names):
            return None
        known = [_dims(self.types[name]) for name in names]
        if known and known[0] is not None and (odd := _odd_attribute(node, len(known[0]))):
            return odd
        found = self._inferred(node, names)
        constant = not (set(names) - self.constant) and node.op_type not in _DRAWN
        for value in node.outputs:
            proto = found.get(str(value.name))
            if proto is None or not value.name:
                continue
            dims = _dims(proto)
            if dims is not None and (problem := self._wrong(dims, constant, known)):
                return problem
            self.types[value.name] = proto
            if constant:
                self.constant.add(value.name)
        result = str(node.outputs[0].name) if node.outputs else ""
        if result not in self.data and (rule := _RULES.get(node.op_type)) and node.domain == "":
            self._compute(rule, node, result)
        return None

    def _wrong(
        self,
        dims: Sequence[int | None],
        constant: bool,
        inputs: Sequence[Sequence[int | None] | None],
    ) -> str | None:
        if any(dim is not None and dim < 0 for dim in dims):
            first = inputs[0] if inputs else None
            if first is None:
                return f"its result would be {_text(dims)}"
            return (
                f"its result would be {_text(dims)}: its window is larger than its input "
                f"{_text(first)}; use a larger image or pads"
            )
        numbers = math.prod(dim for dim in dims if dim is not None)
        most = MOST_CONSTANT if constant else MOST * self.batch
        if len(dims) == 1:
            most = min(most, MOST_IN_VECTOR * self.batch)
        if numbers <= most:
            return None
        what = "a constant" if constant else "the result of a node"
        return (
            f"its result would be {_text(dims)}, {numbers:,} numbers; {what} has at most {most:,}"
        )

    def _inferred(self, node: ir.Node, names: Sequence[str]) -> Mapping[str, onnx.TypeProto]:
        """Types of the node's results by onnx's rule for its operator; none where it has none."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self.imports[node.domain], node.domain)
            found: dict[str, onnx.TypeProto] = onnx.shape_inference.infer_node_outputs(
                schema,
                ir.serde.serialize_node(node),
                {name: self.types[name] for name in names},
                {name: data for name in names if (data := self._proto(name)) is not None},
                opset_imports=self.opsets,
            )
        except Exception:  # noqa: BLE001  what does not fit is said by the inference of the whole
            return {}
        return found

    def _proto(self, name: str) -> onnx.TensorProto | None:
        if name not in self.given and name in self.data:
            return onnx.numpy_helper.from_array(self.data[name], name)
        return self.given.get(name)

    def _note(self, name: str, tensor: ir.TensorProtocol) -> None:
        if tensor.size <= _FEW:
            self.given[name] = ir.serde.serialize_tensor(tensor)
        if tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32) and tensor.size <= _FEW:
            self.data[name] = np.asarray(tensor.numpy(), np.int64)

    def _compute(self, rule: Callable[..., Any], node: ir.Node, result: str) -> None:
        """Note the numbers of a result that may be a shape."""
        arguments: list[Ints | None] = []
        for value in node.inputs:
            data = None if value is None else self.data.get(str(value.name))
            if value is not None and data is None and node.op_type not in _OF_SHAPES:
                return
            arguments.append(data)
        dims = None
        if node.op_type in _OF_SHAPES:
            value = node.inputs[0]
            dims = None if value is None else _dims(self.types.get(str(value.name)))
            if dims is None or any(dim is None for dim in dims):
                return
            arguments = [np.asarray(dims, np.int64)]
        try:
            with np.errstate(all="ignore"):
                numbers = np.asarray(rule(node, *arguments), np.int64)
        except Exception:  # noqa: BLE001  what does not fit is said by the inference of the whole
            return
        if numbers.size <= _FEW:
            self.data[result] = numbers


def _odd_attribute(node: ir.Node, rank: int) -> str | None:
    """An axis beyond the input's, which some of onnx's rules take for an index."""
    if node.domain != "":
        return None
    lowest = {"axis": -rank - 1, "batch_dims": 0}
    for name, low in lowest.items():
        attribute = node.attributes.get(name)
        if attribute is None or attribute.type != ir.AttributeType.INT:
            continue
        value = attribute.as_int()
        if not low <= value <= rank:
            return f"{name} is {value}; its input has {rank} dimensions"
    return None


def _type(dtype: ir.DataType, shape: Sequence[int | None] | None) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(int(dtype), shape)


def _static(dim: int | ir.SymbolicDim) -> int | None:
    return dim if isinstance(dim, int) else None


def _dims(proto: onnx.TypeProto | None) -> list[int | None] | None:
    if proto is None or not proto.tensor_type.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else None for d in proto.tensor_type.shape.dim]


def _text(dims: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]"


# ---------------------------------------------------------------- numbers that may be shapes


def _shape(node: ir.Node, dims: Ints) -> Ints:
    end = node.attributes.get_int("end", len(dims))
    return dims[node.attributes.get_int("start", 0) : end]


def _gather(node: ir.Node, data: Ints, index: Ints) -> Ints:
    return np.take(data, index, axis=node.attributes.get_int("axis", 0))


def _slice(node: ir.Node, data: Ints, *more: Ints | None) -> Ints:
    given = [*more, *[None] * (4 - len(more))]
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (
        given[i] if given[i] is not None else node.attributes.get_ints(name)
        for i, name in enumerate(names)
    )
    taken = [slice(None)] * data.ndim
    if starts is None or ends is None:
        raise ValueError("no place to begin or end at")
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        step = int(steps[i]) if steps is not None else 1
        if step < 0:
            raise ValueError("backwards")
        taken[int(axes[i]) if axes is not None else i] = slice(int(start), int(end), step)
    return data[tuple(taken)]


def _axes(node: ir.Node, axes: Ints | None) -> tuple[int, ...]:
    given = axes if axes is not None else node.attributes.get_ints("axes", ())
    return tuple(int(axis) for axis in given)


def _squeeze(node: ir.Node, data: Ints, axes: Ints | None = None) -> Ints:
    return np.squeeze(data, _axes(node, axes) or None)


def _divide(node: ir.Node, a: Ints, b: Ints) -> Ints:
    return np.where(b == 0, 0, (a / np.where(b == 0, 1, b)).astype(np.int64))


_OF_SHAPES = ("Shape", "Size")
_RULES: dict[str, Callable[..., Any]] = {
    "Shape": _shape,
    "Size": lambda node, dims: math.prod(dims.tolist()),
    "Gather": _gather,
    "Slice": _slice,
    "Concat": lambda node, *parts: np.concatenate(parts, node.attributes.get_int("axis", 0)),
    "Unsqueeze": lambda node, data, axes=None: np.expand_dims(data, _axes(node, axes)),
    "Squeeze": _squeeze,
    "Cast": lambda node, data: data,
    "Identity": lambda node, data: data,
    "Add": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Div": _divide,
}
"""Operators by which shapes are computed from shapes, on whole numbers."""
