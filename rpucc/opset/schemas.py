"""onnx's view of the rpu ops: a schema each, with our shape rule as its inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx
import onnx.defs
import onnx.helper
import onnx.shape_inference
from onnx.defs import OpSchema

from rpucc.node_attributes import Attribute
from rpucc.op_shapes import Dim
from rpucc.op_spec import DOMAIN, OpSpec

if TYPE_CHECKING:
    from onnx.shape_inference import InferenceContext

_TYPES = ["tensor(float)", "tensor(double)"]


def register(spec: OpSpec, version: int) -> None:
    """Put one op into onnx's registry, unless it is there."""
    if not onnx.defs.has(spec.name, version, DOMAIN):
        onnx.defs.register_schema(_schema(spec, version))


def _schema(spec: OpSpec, version: int) -> OpSchema:
    parameter = OpSchema.FormalParameter
    schema = OpSchema(
        spec.name,
        DOMAIN,
        version,
        spec.doc,
        inputs=[parameter(each, _type(spec, each)) for each in spec.inputs],
        outputs=[parameter(each, _type(spec, each)) for each in spec.outputs],
        type_constraints=[("T", _TYPES, "real numbers")],
        attributes=[_attribute(each) for each in spec.attributes.values()],
    )
    schema.set_type_and_shape_inference_function(_inference(spec))
    return schema


def _type(spec: OpSpec, name: str) -> str:
    if name in spec.flags:
        return "tensor(bool)"
    return "tensor(int64)" if spec.is_integer(name) else "T"


def _attribute(attribute: Attribute) -> OpSchema.Attribute:
    if attribute.default is None:
        return OpSchema.Attribute(
            attribute.name, getattr(OpSchema.AttrType, attribute.kind), attribute.doc
        )
    kind = getattr(onnx.AttributeProto, attribute.kind)
    value = onnx.helper.make_attribute(attribute.name, attribute.default, attr_type=kind)
    return OpSchema.Attribute(attribute.name, value, attribute.doc)


def _inference(spec: OpSpec) -> Callable[[InferenceContext], None]:
    """Wrap an op's shape rule for onnx's inference; its errors name the op."""

    def infer(context: InferenceContext) -> None:
        types = [context.get_input_type(i).tensor_type for i in range(len(spec.inputs))]
        if not all(t.HasField("shape") for t in types):
            return
        attributes = {}
        for key in spec.attributes:
            if (attribute := context.get_attribute(key)) is not None:
                value = onnx.helper.get_attribute_value(attribute)
                attributes[key] = value.decode() if isinstance(value, bytes) else value
        shapes = [[_dim(d) for d in t.shape.dim] for t in types]
        try:
            outputs = spec.shapes(attributes, shapes)
        except ValueError as error:
            raise onnx.shape_inference.InferenceError(f"{DOMAIN}.{spec.name}: {error}") from error
        for i, shape in enumerate(outputs):
            whole = _type(spec, spec.outputs[i]) != "T"
            kind = onnx.TensorProto.INT64 if whole else types[0].elem_type
            typed = onnx.helper.make_tensor_type_proto(kind, shape)
            context.set_output_type(i, typed)

    return infer


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dim.dim_param or None
