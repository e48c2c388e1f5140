"""Rules about what rpucc accepts: the graph as a whole, the operators, the input, the weights.

Each rule is one small function; the tuples at the end collect them. Not for shapes inside a
layer: that is `layers.py`.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir

from rpucc.opset import DOMAIN, OPSET
from rpucc.passes.frontend.messages import shape_text

_RECURRENT = "recurrent layers are not supported; unroll the steps, or use convolutions"
_CONTROL = "control flow is not supported; export the network with its control flow unrolled"
_QUANTISED = "quantised operators are not supported; export the floating-point (float32) network"
_TRAINING = "rpucc makes the training step itself; export the inference graph"

REFUSED_OPS: dict[str, str] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), _CONTROL),
    **dict.fromkeys(
        (
            "QLinearConv",
            "QLinearMatMul",
            "ConvInteger",
            "MatMulInteger",
            "QuantizeLinear",
            "DequantizeLinear",
            "DynamicQuantizeLinear",
        ),
        _QUANTISED,
    ),
    **dict.fromkeys(("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"), _TRAINING),
}
"""Standard operators that are refused, each with the reason and the way out."""


# --- the graph as a whole -------------------------------------------------------------------


def has_nodes(model: ir.Model) -> str | None:
    """A model needs at least one node."""
    return None if len(model.graph) else "the graph is empty (is this the right file?)"


def has_outputs(model: ir.Model) -> str | None:
    """A model needs at least one output."""
    return None if model.graph.outputs else "the graph has no outputs"


def outputs_are_computed(model: ir.Model) -> str | None:
    """An output is what a node makes of the input."""
    names = {value.name for value in model.graph.inputs} - set(model.graph.initializers)
    same = next((value.name for value in model.graph.outputs if value.name in names), None)
    return None if same is None else f"output {same!r} is the input itself; drop it"


def known_opset(model: ir.Model) -> str | None:
    """The file's operator set must be known to the installed onnx."""
    newest = onnx.defs.onnx_opset_version()
    version = model.graph.opset_imports.get("")
    if version is None:
        return f"the file imports none; export it with opset {OPSET}"
    if version > newest:
        return (
            f"the file uses opset {version}, onnx {onnx.__version__} knows up to {newest}; "
            f"export with opset {OPSET}, or install a newer onnx"
        )
    return None


# --- operators (after model functions are inlined) ------------------------------------------


def known_domain(node: ir.Node) -> str | None:
    """Only standard ONNX operators are supported."""
    if node.domain in ("", DOMAIN):
        return None
    return (
        f"domain {node.domain!r} is not standard, and the file has no function body for the op; "
        "export with standard operators"
    )


def supported_op(node: ir.Node) -> str | None:
    """This operator cannot be compiled."""
    return REFUSED_OPS.get(node.op_type) if node.domain == "" else None


def no_subgraphs(node: ir.Node) -> str | None:
    """Nodes with a graph inside are not supported."""
    inner = [a.name for a in node.attributes.values() if a.type in _GRAPH_TYPES]
    return f"attribute {inner[0]!r} holds a graph; {_CONTROL}" if inner else None


_GRAPH_TYPES = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def dropout_without_mask(node: ir.Node) -> str | None:
    """The mask of a Dropout is its own affair: each step of training draws another one."""
    if node.op_type != "Dropout" or len(node.outputs) < 2:
        return None
    mask = node.outputs[1]
    if mask.uses() or mask.is_graph_output():
        return f"the mask {mask.name!r} is used; export the network without this output"
    return None


def batchnorm_statistics_unused(node: ir.Node) -> str | None:
    """A batch norm is taken as in inference, so it makes no new statistics."""
    if node.op_type != "BatchNormalization":
        return None
    for value in node.outputs[1:]:
        if value.uses() or value.is_graph_output():
            return f"its output {value.name!r} is used; export the network in inference mode"
    return None


# --- the input (initializers are no longer among the inputs) --------------------------------


def some_input(model: ir.Model) -> str | None:
    """A network has an input beside its weights."""
    return None if model.graph.inputs else "it has none"


def one_batch(model: ir.Model) -> str | None:
    """The first dimension of every input is the same batch."""
    inputs = model.graph.inputs
    stated = {dims[0] if isinstance(dims[0], int) else None for dims in map(_dims, inputs)}
    if len(stated) == 1:
        return None
    found = ", ".join(f"{value.name!r} {shape_text(_dims(value))}" for value in inputs)
    return f"the inputs are {found}; export all of them with the same one"


def input_is_float(value: ir.Value) -> str | None:
    """The input must be float32."""
    is_tensor = isinstance(value.type, ir.TensorType)
    if is_tensor and value.dtype == ir.DataType.FLOAT:
        return None
    found = value.dtype.name.lower() if is_tensor and value.dtype is not None else "no tensor"
    return f"input {value.name!r} is {found}; export with a float32 input"


def input_has_shape(value: ir.Value) -> str | None:
    """The input's rank must be known, and its first dimension is the batch."""
    if value.shape is None:
        return f"input {value.name!r} has no shape; export with a static shape"
    if not value.shape.rank():
        return f"input {value.name!r} is a scalar"
    return None


def input_is_static(value: ir.Value) -> str | None:
    """Only the batch dimension may be dynamic."""
    assert value.shape is not None  # input_has_shape comes first
    for index, dim in enumerate(value.shape):
        if index and not isinstance(dim, int):
            name = f" ({dim.value!r})" if dim.value else ""
            alone = value.graph is not None and len(value.graph.inputs) == 1
            option = ", or give them as input_shape (--input-shape)" if alone else ""
            return (
                f"input {value.name!r} {shape_text(_dims(value))} has dynamic dimension "
                f"{index}{name}; export with static channels, height and width{option}"
            )
    return None


def batch_is_sane(value: ir.Value) -> str | None:
    """A batch has no more than 1,048,576 samples."""
    dims = _dims(value)
    return f"input {value.name!r} is {shape_text(dims)}" if _above(dims[0], MOST_SAMPLES) else None


def input_is_sane(value: ir.Value) -> str | None:
    """A sample has no more than 2^31 elements."""
    dims = _dims(value)
    elements = math.prod(dim for dim in dims[1:] if isinstance(dim, int))
    return f"input {value.name!r} is {shape_text(dims)}" if elements > 2**31 else None


def _above(dim: int | str | None, most: int) -> bool:
    return isinstance(dim, int) and dim > most


def input_not_empty(value: ir.Value) -> str | None:
    """No dimension of the input may be zero."""
    dims = _dims(value)
    return f"input {value.name!r} is {shape_text(dims)}" if 0 in dims else None


def _dims(value: ir.Value) -> list[int | str | None]:
    assert value.shape is not None
    return [d if isinstance(d, int) else d.value for d in value.shape]


# --- the weights (constants are folded) -----------------------------------------------------


def weight_is_float32(value: ir.Value) -> str | None:
    """Weights must be float32."""
    dtype = value.dtype
    if dtype is None or not dtype.is_floating_point() or dtype == ir.DataType.FLOAT:
        return None
    return f"weight {value.name!r} is {dtype.name.lower()}; export the network in float32"


def weight_is_finite(value: ir.Value) -> str | None:
    """Weights must be finite numbers.

    A scalar (the limit of a Clip) may be infinite, and a mask that is added or chosen from may
    hold -inf.
    """
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return None
    array = tensor.numpy()
    bad = np.isnan(array) if array.size < 2 else ~np.isfinite(array)
    if all(use.node.op_type in _MASKING_OPS for use in value.uses()):
        bad &= ~np.isneginf(array)
    count = int(np.count_nonzero(bad))
    if not count:
        return None
    first = array.ravel()[int(np.flatnonzero(bad)[0])]
    return f"weight {value.name!r} has {count} of {array.size} that are not, the first is {first}"


def weight_not_empty(value: ir.Value) -> str | None:
    """No dimension of a weight may be zero."""
    tensor = value.const_value
    if tensor is None or tensor.size or len(tensor.shape) < 2:
        return None  # an empty vector stands for an absent input (Resize has such ones)
    return f"weight {value.name!r} is {shape_text(tuple(tensor.shape))}"


MOST_SAMPLES = 2**20
_MASKING_OPS = ("Add", "Max", "Min", "Where")

FILE_RULES = (has_nodes, has_outputs, outputs_are_computed, known_opset)
OP_RULES = (
    known_domain,
    supported_op,
    no_subgraphs,
    dropout_without_mask,
    batchnorm_statistics_unused,
)
INPUT_RULES = (input_is_float, input_has_shape, input_is_static)
INPUT_SIZE_RULES = (input_not_empty, batch_is_sane, input_is_sane)
WEIGHT_TYPE_RULES = (weight_is_float32,)
WEIGHT_RULES = (weight_not_empty, weight_is_finite)
