"""onnx's own tools (checker, shape inference, version converter) and onnxruntime, on an ir.Model.

The tools work on a serialised model without its weights (rpucc/without_weights.py). Not for rules:
these only ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
import onnx.version_converter
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from rpucc.errors import ModelError
from rpucc.ort_session import open_session
from rpucc.passes.frontend.messages import one_line
from rpucc.without_weights import proto_without_weights

_FOREIGN = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.version_converter.ConvertError,
    ir.passes.PassError,
)
_SHAPE_KEEPING_OPS = ("GroupNormalization",)  # onnx 1.23 infers no shape for it

Dim = int | str | None


@dataclass(frozen=True)
class Inferred:
    """Type and shape of one value; dims is None where even the rank is unknown."""

    dtype: ir.DataType
    dims: tuple[Dim, ...] | None

    @property
    def static(self) -> tuple[int, ...] | None:
        """The shape where every dimension is a number, else None."""
        if self.dims is None:
            return None
        numbers = tuple(d for d in self.dims if isinstance(d, int))
        return numbers if len(numbers) == len(self.dims) else None


@contextlib.contextmanager
def foreign_errors(label: str) -> Iterator[None]:
    """Turn what onnx's tools raise about a model into one line about the file."""
    try:
        yield
    except _FOREIGN as error:
        raise ModelError(f"{label}: onnx cannot work on it: {one_line(error)}") from error


def check(model: ir.Model, *, full: bool = False) -> None:
    """Run onnx.checker; raises onnx.checker.ValidationError or a shape inference error."""
    proto = proto_without_weights(model)
    if not full:
        for info in (*proto.graph.input, *proto.graph.output):
            info.type.tensor_type.shape.SetInParent()  # the checker wants it, nobody needs it
    onnx.checker.check_model(proto, full_check=full)


def infer_shapes(
    model: ir.Model, batch: int | str | None = None, *, strict: bool = True
) -> dict[str, Inferred]:
    """Infer type and shape of every value from the graph inputs and the weights alone.

    batch replaces the first dimension of the model's inputs; shapes that the file states for
    other values are ignored, since they may be stale. With strict, the first contradiction
    raises onnx.shape_inference.InferenceError; without, everything behind it is missing.
    """
    proto = proto_without_weights(model)
    real_inputs = {v.name for v in model.graph.inputs}
    del proto.graph.value_info[:]
    for info in proto.graph.input:
        shape = info.type.tensor_type.shape
        if batch is not None and info.name in real_inputs and shape.dim:
            shape.dim[0].Clear()
            if isinstance(batch, int):
                shape.dim[0].dim_value = batch
            else:
                shape.dim[0].dim_param = batch
    for info in proto.graph.output:
        info.type.tensor_type.ClearField("shape")
    while True:
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=strict, strict_mode=strict, data_prop=True
        )
        graph = inferred.graph
        infos = {i.name: i for i in (*graph.input, *graph.value_info, *graph.output)}
        if not _add_missing_shapes(proto, infos):
            break
    values = {name: _inferred(info) for name, info in infos.items()}
    for name, value in model.graph.initializers.items():
        assert value.const_value is not None
        dims = tuple(int(d) for d in value.const_value.shape.numpy())
        values[name] = Inferred(value.const_value.dtype, dims)
    return values


def _add_missing_shapes(proto: onnx.ModelProto, infos: Mapping[str, onnx.ValueInfoProto]) -> bool:
    """State shapes that onnx could infer but does not; returns whether it found any."""
    outputs = {info.name: info for info in proto.graph.output}
    found = False
    for node in proto.graph.node:
        if node.op_type not in _SHAPE_KEEPING_OPS or node.domain:
            continue
        source, result = infos.get(node.input[0]), infos.get(node.output[0])
        known = source is not None and source.type.tensor_type.HasField("shape")
        done = result is not None and result.type.tensor_type.HasField("shape")
        if source is not None and known and not done:
            target = outputs.get(node.output[0]) or proto.graph.value_info.add(name=node.output[0])
            target.type.CopyFrom(source.type)
            found = True
    return found


def _inferred(info: onnx.ValueInfoProto) -> Inferred:
    tensor = info.type.tensor_type
    dims: tuple[Dim, ...] | None = None
    if tensor.HasField("shape"):
        dims = tuple(
            d.dim_value if d.HasField("dim_value") else d.dim_param or None
            for d in tensor.shape.dim
        )
    return Inferred(ir.DataType(tensor.elem_type), dims)


def convert_version(model: ir.Model, version: int) -> None:
    """Convert the "" opset in place; raises what onnx.version_converter raises."""
    weights = {name: value.const_value for name, value in model.graph.initializers.items()}
    proto = proto_without_weights(model)
    proto = onnx.shape_inference.infer_shapes(proto)  # adapters look at shapes; lenient
    converted = ir.from_proto(onnx.version_converter.convert_version(proto, version))
    graph = converted.graph
    for value in list(graph.inputs):
        if value.name in weights:
            graph.inputs.remove(value)
            value.const_value = weights[value.name]
            graph.register_initializer(value)
    model.graph = graph


def session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a quiet onnxruntime session without graph optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return open_session(proto.SerializeToString(), options)


def evaluate_node(
    node: ir.Node, inputs: Sequence[NDArray[np.generic] | None], opsets: Mapping[str, int]
) -> list[NDArray[np.generic]]:
    """Run one node on onnxruntime; raises what onnxruntime raises."""
    feeds = {
        str(value.name): array
        for value, array in zip(node.inputs, inputs, strict=True)
        if value is not None and array is not None
    }
    return evaluate_proto(ir.to_proto(node), feeds, opsets)


def evaluate_proto(
    node: onnx.NodeProto, feeds: Mapping[str, NDArray[np.generic]], opsets: Mapping[str, int]
) -> list[NDArray[np.generic]]:
    """Run one node on onnxruntime; returns its named outputs, raises what onnxruntime raises."""
    graph = onnx.helper.make_graph(
        [node],
        "one_node",
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    proto = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in opsets.items()],
        ir_version=10,
    )
    results = session(proto).run(None, dict(feeds))
    return [np.asarray(result) for result in results]
