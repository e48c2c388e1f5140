"""Any other operator: a one-op onnxruntime session, of an rpu op with its ideal body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import UnsupportedError
from rpucc.opset import DOMAIN, VERSION, function
from rpucc.ort_session import open_session
from rpucc.runtime.builder import Builder, Instruction

Array = NDArray[Any]


def build_session(builder: Builder, node: ir.Node) -> Instruction:
    """Run the node on onnxruntime (one thread, so that results do not depend on threads).

    A first run at building time shows the outputs' shapes; they must not depend on the data.
    """
    import onnxruntime as ort

    feeds = {v.name: builder.array(v) for v in node.inputs if v is not None and v.name}
    model = _one_op_model(builder, node, feeds)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = open_session(model.SerializeToString(), options)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise _refused(node, error) from error
    try:
        results = session.run(None, feeds)
    except Exception:  # noqa: BLE001 (buffers are still zero, which an integer Div refuses)
        results = _run(session, node, _with_ones(builder, node))
    arrays = []
    for value, result in zip((v for v in node.outputs if v.name), results, strict=True):
        array = builder.new(value, np.shape(result), np.asarray(result).dtype)
        np.copyto(array, result)
        arrays.append(array)

    def run() -> None:
        for array, result in zip(arrays, _run(session, node, feeds), strict=True):
            if result.shape != array.shape:
                raise UnsupportedError(
                    f"node '{node.name}' ({node.op_type}): the shape of its result depends on the "
                    f"data ({list(array.shape)}, then {list(result.shape)}); the runtime needs "
                    "fixed shapes"
                )
            np.copyto(array, result)

    return run


def _run(session: Any, node: ir.Node, feeds: Mapping[str, Array]) -> list[Array]:
    try:
        results: list[Array] = session.run(None, feeds)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise _refused(node, error) from error
    return results


def _refused(node: ir.Node, error: Exception) -> UnsupportedError:
    reason = " ".join(str(error).split())[:300]
    return UnsupportedError(
        f"node '{node.name}' ({node.op_type}): onnxruntime cannot run it: {reason}"
    )


def _with_ones(builder: Builder, node: ir.Node) -> dict[str, Array]:
    """The node's inputs with ones in place of what varies."""
    values = [v for v in node.inputs if v is not None and v.name]
    return {
        str(v.name): builder.array(v)
        if builder.constant(v) is not None
        else np.ones_like(builder.array(v))
        for v in values
    }


def _one_op_model(builder: Builder, node: ir.Node, feeds: Mapping[str, Array]) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=v.name) for v in node.outputs if v.name]
    proto = ir.to_proto(node)
    del proto.metadata_props[:]
    graph = onnx.helper.make_graph([proto], node.name or node.op_type, inputs, outputs)
    opset, rpu = onnx.helper.make_opsetid("", builder.opset), node.domain == DOMAIN
    return onnx.helper.make_model(
        graph,
        opset_imports=[opset, *([onnx.helper.make_opsetid(DOMAIN, VERSION)] if rpu else [])],
        functions=[function(node.op_type, builder.opset)] if rpu else [],
        ir_version=10,
    )
