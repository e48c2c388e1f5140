"""Writing nodes into a program: unique names, metadata, types and shapes of the new values.

Not for reading or matching graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir

from rpucc import opset
from rpucc.passes.graph_reader import known_shape


class Emitter:
    """Appends nodes to a model's graph, or inserts them before the node `before`.

    `scope` starts the names of what it emits; `metadata` goes onto each node. Both may be set
    anew at any time.
    """

    def __init__(self, model: ir.Model, *, before: ir.Node | None = None, scope: str = "") -> None:
        opset.register_schemas()
        self.model = model
        self.graph = model.graph
        self.before = before
        self.scope = scope
        self.metadata: dict[str, str] = {}
        self._names, self._node_names = _taken_names(self.graph)
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], ir.Value] = {}
        for value in self.graph.initializers.values():
            # Ours from an earlier pass; whole numbers only, so that no weight is taken for one.
            if (value.name or "").startswith("const.") and value.dtype == ir.DataType.INT64:
                assert value.const_value is not None
                self._constants[_key(value.const_value.numpy())] = value

    def unique(self, name: str) -> str:
        """Return the value name `name`, or `name_2`, `name_3`, … where that is taken."""
        return self._names.unique(name)

    def initializer(self, name: str, array: np.ndarray) -> ir.Value:
        """Add a weight: an initializer called `name` (made unique)."""
        unique = self.unique(name)
        value = ir.val(unique, const_value=ir.tensor(array, name=unique))
        self.graph.register_initializer(value)
        return value

    def constant(self, data: object, dtype: ir.DataType = ir.DataType.INT64) -> ir.Value:
        """Return an initializer that holds `data`; equal constants are shared."""
        array = np.asarray(data, dtype=dtype.numpy())
        key = _key(array)
        if key not in self._constants:
            text = "x".join(str(v) for v in array.flatten()[:6].tolist()) or "empty"
            self._constants[key] = self.initializer(f"const.{text}", array)
        return self._constants[key]

    def like(self, value: ir.Value, number: float) -> ir.Value:
        """Return the scalar constant `number` in the type of `value`."""
        return self.constant(number, value.dtype or ir.DataType.FLOAT)

    def ops(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        outputs: Sequence[str],
        name: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> tuple[ir.Value, ...]:
        """Emit a node with several outputs called `outputs`; return them with shapes inferred."""
        stem = name or f"{self.scope}.{op_type.lower()}".lstrip(".")
        node = ir.node(
            op_type,
            inputs,
            attributes={key: _attribute(key, value) for key, value in attributes.items()},
            domain=domain,
            num_outputs=len(outputs),
            name=self._node_names.unique(stem),
            metadata_props=dict(self.metadata),
        )
        for value, label in zip(node.outputs, outputs, strict=True):
            value.name = self.unique(label or node.name or "")
        if self.before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self.before, node)
        if domain == opset.DOMAIN:
            self.model.opset_imports[domain] = opset.VERSION
        infer_outputs(node, self.model.opset_imports)
        return tuple(node.outputs)

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        out: str = "",
        shape: ir.Shape | None = None,
        name: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> ir.Value:
        """Emit a node with one output called `out`; `shape` overrides what inference finds."""
        (value,) = self.ops(op_type, *inputs, outputs=[out], name=name, domain=domain, **attributes)
        if shape is not None:
            value.shape = shape.copy()
        return value

    def rpu(self, op_type: str, *inputs: ir.Value, out: str = "", **attributes: Any) -> ir.Value:
        """Emit an op of the rpu domain."""
        return self.op(op_type, *inputs, out=out, domain=opset.DOMAIN, **attributes)

    def reshape(self, x: ir.Value, shape: Sequence[int], out: str = "") -> ir.Value:
        """Reshape to constant numbers (0 keeps, -1 infers a dimension)."""
        return self.op("Reshape", x, self.constant(list(shape)), out=out)

    def reshape_like(self, x: ir.Value, model: ir.Value, out: str = "") -> ir.Value:
        """Reshape to the shape of `model`, whose dimensions may be symbolic."""
        shape = known_shape(model)
        dims = [d if isinstance(d, int) else -1 for d in shape]
        if dims.count(-1) <= 1 and 0 not in dims:
            target = self.constant(dims)
        else:
            target = self.op("Shape", model)
        return self.op("Reshape", x, target, out=out, shape=shape)

    def expand_like(self, x: ir.Value, model: ir.Value) -> ir.Value:
        """Broadcast to the shape of `model`; where that is symbolic, x must have it already."""
        shape = known_shape(model)
        dims = [d if isinstance(d, int) else 1 for d in shape]
        have = list(known_shape(x).dims)
        padded = [1] * (len(dims) - len(have)) + have
        fits = all(
            isinstance(want, int) or had != 1 for want, had in zip(shape, padded, strict=True)
        )
        target = self.constant(dims) if fits else self.op("Shape", model)
        return self.op("Expand", x, target, shape=shape)

    def transpose(self, x: ir.Value, perm: Sequence[int], out: str = "") -> ir.Value:
        """Permute the dimensions; a Transpose that this would undo is looked through."""
        producer = x.producer()
        if producer is not None and producer.op_type == "Transpose" and not out:
            first = producer.attributes.get("perm")
            before = producer.inputs[0]
            if first is not None and before is not None:
                inner = first.as_ints()
                if [inner[i] for i in perm] == list(range(len(perm))):
                    return before
        return self.op("Transpose", x, out=out, perm=list(perm))

    def reduce_sum(
        self, x: ir.Value, axes: Sequence[int], *, keepdims: bool = False, out: str = ""
    ) -> ir.Value:
        """Sum over `axes`."""
        return self.op("ReduceSum", x, self.constant(list(axes)), out=out, keepdims=int(keepdims))

    def take_place(self, old: ir.Node, result: ir.Value) -> ir.Node:
        """Put the node that makes `result` in the place of `old`, which goes away; return it.

        It has the name of `old`; `result` has name, type, shape and uses of the first of its
        results, the only one that may be used.
        """
        node, out = result.producer(), old.outputs[0]
        assert node is not None
        name, shape, kind = out.name, out.shape, out.type
        out.replace_all_uses_with(result, replace_graph_outputs=True)
        self.graph.remove(old, safe=True)
        node.name, result.name, result.shape, result.type = old.name, name, shape, kind
        return node


def graph_input(e: Emitter, name: str, dtype: ir.DataType, shape: ir.Shape) -> ir.Value:
    """Append a graph input called `name` (made unique)."""
    value = ir.val(e.unique(name), dtype, shape.copy())
    e.graph.inputs.append(value)
    return value


def drop_unused_initializers(graph: ir.Graph) -> None:
    """Remove initializers that no node and no graph output uses."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]


def infer_outputs(node: ir.Node, imports: dict[str, int]) -> None:
    """Set type and shape of the node's outputs by onnx's own inference for its op."""
    schema = onnx.defs.get_schema(node.op_type, imports[node.domain], node.domain)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for value in node.inputs:
        if value is None or value.name is None:
            continue
        types[value.name] = ir.serde.serialize_value(value).type
        if value.const_value is not None and value.const_value.size <= 64:
            data[value.name] = ir.serde.serialize_tensor(value.const_value)
    found = onnx.shape_inference.infer_node_outputs(
        schema,
        ir.serde.serialize_node(node),
        types,
        data,
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in imports.items()],
    )
    for value in node.outputs:
        if value.name in found:
            proto = found[value.name]
            value.type = ir.serde.deserialize_type_proto_for_type(proto)
            value.shape = ir.serde.deserialize_type_proto_for_shape(proto)


def _attribute(name: str, value: Any) -> Any:
    """Make the attribute of whole numbers; onnx-ir takes 0.3 ms to guess what a list holds."""
    if isinstance(value, list) and value and all(isinstance(each, int) for each in value):
        return ir.AttrInt64s(name, value)
    return value


def _taken_names(graph: ir.Graph) -> tuple[Names, Names]:
    """Return the names of all values and of all nodes: two name spaces in ONNX."""
    values = {value.name for value in (*graph.inputs, *graph.initializers.values())}
    nodes = set()
    for node in graph.all_nodes():
        nodes.add(node.name)
        values.update(value.name for value in node.outputs)
    return Names(name for name in values if name), Names(name for name in nodes if name)


def _key(array: np.ndarray) -> tuple[str, bytes, tuple[int, ...]]:
    return str(array.dtype), array.tobytes(), array.shape


class Names:
    """Names that are taken, and others for what would be called the same.

    >>> names = Names(["fc"])
    >>> names.unique("fc"), names.unique("fc"), names.unique("conv")
    ('fc_2', 'fc_3', 'conv')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}
        """A name -> the number up to which all of its others are taken: a search goes on there,
        for a thousand nodes of one name would look at half a million otherwise."""

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def unique(self, name: str) -> str:
        """Return name, or name_2, name_3, .. if it is taken; then it is taken as well."""
        candidate, i = name, self._last.get(name, 1)
        while candidate in self._taken:
            i += 1
            candidate = f"{name}_{i}"
        self._last[name] = i
        self._taken.add(candidate)
        return candidate

    def take(self, name: str) -> None:
        """Say that a name is taken."""
        self._taken.add(name)

    def free(self, name: str) -> None:
        """Say that a name is free again."""
        self._taken.discard(name)
        stem, _, number = name.rpartition("_")
        if stem in self._last and number.isdecimal():
            self._last[stem] = min(self._last[stem], int(number) - 1)
