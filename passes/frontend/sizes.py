"""Sizes below zero: a window larger than what it slides over, seen before onnx goes on past it.

onnx's shape inference takes such a size as it comes, and its rule for Slice ends the process at
one. So a graph with Slices is looked at piece by piece: what lies behind a Slice is inferred only
when all sizes before it are known to be sizes.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx
import onnx.shape_inference
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.frontend.messages import label_of, node_text, shape_text
from rpucc.without_weights import proto_without_weights


def refuse_negative_sizes(model: ir.Model) -> None:
    """Raise UnsupportedError for the first node whose result would have a size below zero."""
    waiting = {str(n.outputs[0].name): n for n in model.graph if n.op_type == "Slice"}
    makers = {value.name: node for node in model.graph for value in node.outputs}
    while waiting:
        proto = proto_without_weights(model)
        open_values = _cut_off(proto, waiting)
        known = _inferred(proto)
        for name, dims in known.items():
            node = makers.get(name)
            if node is not None and any(isinstance(dim, int) and dim < 0 for dim in dims):
                raise UnsupportedError(
                    f"{label_of(model)}: {node_text(node)}: its result would be "
                    f"{shape_text(dims)}: its window is larger than its input "
                    f"{shape_text(_dims_of(node.inputs[0], known))}; use a larger image or pads"
                )
        behind = {
            name: node
            for name, node in waiting.items()
            if open_values & {str(value.name) for value in node.inputs if value is not None}
        }
        if len(behind) == len(waiting):
            return
        waiting = behind


def _cut_off(proto: onnx.ModelProto, waiting: Collection[str]) -> set[str]:
    """Remove the Slices that wait and all that needs them; return the values that are gone."""
    gone: set[str] = set()
    kept = []
    for node in proto.graph.node:
        if gone & set(node.input) or any(name in waiting for name in node.output):
            gone |= set(node.output)
        else:
            kept.append(node)
    outputs = [value for value in proto.graph.output if value.name not in gone]
    del proto.graph.node[:], proto.graph.output[:], proto.graph.value_info[:]
    proto.graph.node.extend(kept)
    proto.graph.output.extend(outputs)
    return gone - {""}


def _inferred(proto: onnx.ModelProto) -> dict[str, list[int | str | None]]:
    """Return the shapes of all values that inference finds."""
    for info in proto.graph.output:
        info.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    return {
        info.name: [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in dims]
        for info in (*graph.input, *graph.value_info, *graph.output)
        for dims in [info.type.tensor_type.shape.dim]
    }


def _dims_of(
    value: ir.Value | None, known: dict[str, list[int | str | None]]
) -> list[int | str | None] | None:
    return known.get(str(value.name)) if value is not None else None
