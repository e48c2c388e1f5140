"""The rpu operator domain, version 1: what the array machine can do, stated in ONNX.

Each op has a registered schema (attributes, arity, shapes, so that `onnx.checker` can refuse a
malformed node) and a function body that states its ideal semantics in standard operators (so that
a program runs on any ONNX runtime). Not for the analog semantics: those are in `rpucc.runtime`.

| op | signature |
|---|---|
| `Im2Col(X) -> cols` | [N, C, *space] -> [N, P, C*K] |
| `AppendOne(x) -> x1` | [.., C] -> [.., C+1] |
| `Assign(x) -> shares` | [N, P, C] -> [N, n, Q, C], n = `copies`, Q = ceil(P/n) |
| `Collect(shares) -> y` | [N, n, Q, R] -> [N, P, R] |
| `NoiseManage(x) -> (xs, s)` | x [.., C] -> xs [.., C], s [.., S] |
| `Read(x, W) -> y` | x [.., C], W [R, C] -> y [.., S, R]; transpose: x [.., R] -> y [.., S, C] |
| `BoundedRead(x, W) -> y` | as Read |
| `Rescale(y, s) -> rescaled` | y [.., S, R], s [.., S] -> [.., S, R] |
| `Update(W, x, d, lr) -> W2` | W [R, C], x [.., C], d [.., R], lr [] -> [R, C] |

N is the batch, C the columns (inputs) and R the rows (outputs) of a weight matrix, P the positions
of a kernel, K its size, S the column (for `transpose`, row) segments of a grid.

With `groups` = G a Read, BoundedRead or Update works on G independent matrices of one shape, the
diagonal blocks of a grouped convolution: W [G*R, C] holds them one below the other, x, d and y have
an axis for them before the positions (x [N, G, P, C] -> y [N, G, P, S, R]), and the cuts are those
of one of them. Where `copies` = n > 1, n of the G are copies of one matrix that learn on their own,
each from its share of the positions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx
import onnx.defs
import onnx.helper
import onnx.parser
import onnx.shape_inference
import onnx_ir as ir
from onnx.defs import OpSchema

from rpucc.errors import ModelError
from rpucc.opset_bodies import BODIES
from rpucc.opset_shapes import SHAPES, Dim

if TYPE_CHECKING:
    from onnx.shape_inference import InferenceContext

DOMAIN = "rpu"
"""The operator domain's name."""

VERSION = 1
"""The operator domain's version."""

OPSET = 21
"""The "" opset version of programs; a model that comes with a newer one keeps it."""

IR_VERSION = 10
"""The IR version of programs: the first with metadata on nodes."""

_TYPES = ["tensor(float)", "tensor(double)"]
_INTS = OpSchema.AttrType.INTS
_CUTS = "cuts between segments, from 0 to the number of lines"


@dataclass(frozen=True)
class OpSpec:
    """One op of the domain: its doc, its formal inputs and outputs, its attributes."""

    doc: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    required: dict[str, str] = field(default_factory=dict)
    """Name to description of the INTS attributes without a default."""
    optional: dict[str, object] = field(default_factory=dict)
    """Name to default value."""


_GRID = {"row_cuts": _CUTS, "col_cuts": _CUTS}
_READ: dict[str, object] = {
    "transpose": 0,
    "groups": 1,
    "copies": 1,
    "first_tile": 0,
    "noise": 0.0,
    "bound": 0.0,
    "dac_bits": 0,
    "dac_stochastic": 0,
    "adc_bits": 0,
}

OPS: dict[str, OpSpec] = {
    "Im2Col": OpSpec(
        "Lay each kernel window of X out as one row: [N, C, *space] -> [N, P, C*K], channels "
        "major, kernel taps minor, the order of ONNX Col2Im.",
        ("X",),
        ("cols",),
        required={
            "kernel_shape": "taps an axis",
            "strides": "step an axis",
            "pads": "zeros before each axis, then after each axis",
            "dilations": "distance between taps an axis",
        },
    ),
    "AppendOne": OpSpec(
        "Append an input line that is always 1, for a bias kept on the array.", ("x",), ("x1",)
    ),
    "Assign": OpSpec(
        "Share the positions of each sample out among copies of a layer; zeros fill the last "
        "shares. Here in order; on the machine at random, anew for every sample.",
        ("x",),
        ("shares",),
        required={"copies": "one number: the copies"},
        optional={"layer": 0},
    ),
    "Collect": OpSpec(
        "Undo Assign: bring what the copies did back into the order of the positions.",
        ("shares",),
        ("y",),
        required={"positions": "one number: P"},
        optional={"layer": 0},
    ),
    "NoiseManage": OpSpec(
        "Scale each column segment of x to a largest magnitude of 1; s is what it was divided by. "
        "A segment of zeros stays so, with s = 0.",
        ("x",),
        ("xs", "s"),
        required={"cuts": _CUTS},
        optional={"mode": "abs-max"},
    ),
    "Read": OpSpec(
        "The array operation: one partial sum of W x a column segment, or with transpose = 1 of "
        "W^T x a row segment.",
        ("x", "W"),
        ("y",),
        required=_GRID,
        optional=_READ,
    ),
    "BoundedRead": OpSpec(
        "Read under bound management: halve the input and read again while the output saturates, "
        "max_halvings times at most. With assumed_w_max above 0 read again once, with the input "
        "scaled so that weights of that size cannot saturate.",
        ("x", "W"),
        ("y",),
        required=_GRID,
        optional={**_READ, "max_halvings": 0, "assumed_w_max": 0.0},
    ),
    "Rescale": OpSpec(
        "Multiply the partial sums y by their segment's s.", ("y", "s"), ("rescaled",)
    ),
    "Update": OpSpec(
        "The update cycle: W - lr * d^T x, summed over all leading dimensions.",
        ("W", "x", "d", "lr"),
        ("W2",),
        optional={
            "pulsed": 0,
            "bl": 0,
            "update_management": 0,
            "update_bl_management": 0,
            "row_cuts": [],
            "col_cuts": [],
            "groups": 1,
            "copies": 1,
            "first_tile": 0,
        },
    ),
}
"""Every op of the domain; schemas and documentation come from this table."""


_BODY_OF = "rpucc.body_of"
"""Key in ir.Function.meta, never saved: the opset that our own body was made for."""


@functools.cache
def _function(name: str, opset_version: int) -> onnx.FunctionProto:
    text = BODIES[name].replace("$opset", str(opset_version))
    function = onnx.parser.parse_function(text)
    function.doc_string = OPS[name].doc
    return function


def functions(opset_version: int = OPSET) -> list[onnx.FunctionProto]:
    """Return the ideal bodies of all ops, written against "" opset `opset_version` (>= 18).

    >>> [f.name for f in functions(21)][:3]
    ['Im2Col', 'AppendOne', 'NoiseManage']
    """
    copies = []
    for name in OPS:
        copy = onnx.FunctionProto()
        copy.CopyFrom(_function(name, opset_version))
        copies.append(copy)
    return copies


def add_functions(model: ir.Model) -> None:
    """Give `model` the bodies of exactly the rpu ops it uses, and import the domain.

    Bodies of rpu ops that are no longer used go away; other functions stay.
    """
    used = {
        node.op_type
        for graph in (model.graph, *(f.graph for f in model.functions.values()))
        for node in graph.all_nodes()
        if node.domain == DOMAIN
    }
    unknown = sorted(used - OPS.keys())
    if unknown:
        raise ModelError(
            f"the rpu domain has no op {unknown[0]!r}; version {VERSION} knows {', '.join(OPS)}"
        )
    there = {key: f for key, f in model.functions.items() if key[0] == DOMAIN}
    for identifier in there:
        del model.functions[identifier]
    if not used:
        model.opset_imports.pop(DOMAIN, None)
        return
    model.opset_imports[DOMAIN] = VERSION
    opset_version = model.opset_imports.get("", OPSET)
    for name in OPS:
        if name in used:
            function = there.get((DOMAIN, name, ""))
            if function is None or function.meta.get(_BODY_OF) != opset_version:
                function = ir.serde.deserialize_function(_function(name, opset_version))
                function.meta[_BODY_OF] = opset_version
            model.functions[function.identifier()] = function


def register_schemas() -> None:
    """Tell onnx's checker and shape inference about the rpu ops; safe to call repeatedly.

    onnx's schema registry is global to the process. Without registration a program is still
    valid: its ops are then known by their function bodies alone.
    """
    for name, spec in OPS.items():
        if not onnx.defs.has(name, VERSION, DOMAIN):
            onnx.defs.register_schema(_schema(name, spec))


def _schema(name: str, spec: OpSpec) -> OpSchema:
    """Build the onnx schema of one op."""
    parameter = OpSchema.FormalParameter
    attributes = [OpSchema.Attribute(key, _INTS, text) for key, text in spec.required.items()]
    attributes += [_optional(key, value) for key, value in spec.optional.items()]
    schema = OpSchema(
        name,
        DOMAIN,
        VERSION,
        spec.doc,
        inputs=[parameter(each, "T") for each in spec.inputs],
        outputs=[parameter(each, "T") for each in spec.outputs],
        type_constraints=[("T", _TYPES, "real numbers")],
        attributes=attributes,
    )
    schema.set_type_and_shape_inference_function(_inference(name, spec))
    return schema


def _optional(name: str, default: object) -> OpSchema.Attribute:
    kind = {
        int: onnx.AttributeProto.INT,
        float: onnx.AttributeProto.FLOAT,
        str: onnx.AttributeProto.STRING,
        list: onnx.AttributeProto.INTS,
    }[type(default)]
    value = onnx.helper.make_attribute(name, default, attr_type=kind)
    return OpSchema.Attribute(name, value)


def _inference(name: str, spec: OpSpec) -> Callable[[InferenceContext], None]:
    """Wrap an op's shape rule for onnx's inference; its errors name the op."""

    def infer(context: InferenceContext) -> None:
        types = [context.get_input_type(i).tensor_type for i in range(len(spec.inputs))]
        if not all(t.HasField("shape") for t in types):
            return
        attributes = {}
        for key in (*spec.required, *spec.optional):
            if (attribute := context.get_attribute(key)) is not None:
                value = onnx.helper.get_attribute_value(attribute)
                attributes[key] = value.decode() if isinstance(value, bytes) else value
        shapes = [[_dim(d) for d in t.shape.dim] for t in types]
        try:
            outputs = SHAPES[name](attributes, shapes)
        except ValueError as error:
            raise onnx.shape_inference.InferenceError(f"rpu.{name}: {error}") from error
        for i, shape in enumerate(outputs):
            typed = onnx.helper.make_tensor_type_proto(types[0].elem_type, shape)
            context.set_output_type(i, typed)

    return infer


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dim.dim_param or None
