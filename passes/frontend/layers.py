"""Rules about shapes inside a layer, which neither the ONNX checker nor onnxruntime's load finds.

Each rule looks at one node and the inferred shapes around it; a shape that is not known breaks no
rule here (the inference that follows reports it). `LAYER_RULES` collects them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.batch_norms import variance_problem
from rpucc.layers import CONVOLUTIONS
from rpucc.passes.frontend.constants import constant
from rpucc.passes.frontend.messages import shape_text
from rpucc.passes.frontend.onnx_tools import Inferred

POOLS = ("MaxPool", "AveragePool", "LpPool")
WINDOWED = CONVOLUTIONS + POOLS
AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True)
class Layer:
    """One node and the shapes that are known around it."""

    node: ir.Node
    shapes: Mapping[str, Inferred]

    @property
    def op(self) -> str:
        """The op type; empty for the rpu domain, which no rule here is about."""
        return self.node.op_type if self.node.domain == "" else ""

    def input_name(self, index: int) -> str:
        """The name of input `index`, or an empty string where it is absent."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return str(value.name) if value is not None and value.name else ""

    def dims(self, index: int) -> tuple[int, ...] | None:
        """The static shape of input `index`, or None."""
        known = self.shapes.get(self.input_name(index))
        return known.static if known is not None else None

    def show(self, index: int, role: str = "input") -> str:
        """Input `index` for a message: `weight 'w' [16, 1, 5, 5]`."""
        return f"{role} {self.input_name(index)!r} {shape_text(self.dims(index))}"

    def ints(self, name: str) -> Sequence[int] | None:
        """An integer-list attribute, or None where it is absent."""
        values: Sequence[int] | None = self.node.attributes.get_ints(name)
        return values

    def kernel(self) -> tuple[int, ...] | None:
        """The window's size: the attribute, else the weight's spatial dimensions."""
        given = self.ints("kernel_shape")
        if given is not None:
            return tuple(given)
        weight = self.dims(1) if self.op in CONVOLUTIONS else None
        return weight[2:] if weight else None


def conv_rank(layer: Layer) -> str | None:
    """A convolution's input and weight must have the same rank, 3 or more."""
    if layer.op not in CONVOLUTIONS:
        return None
    x, w = layer.dims(0), layer.dims(1)
    ranks = {len(dims) for dims in (x, w) if dims is not None}
    if len(ranks) < 2 and min(ranks, default=3) >= 3:
        return None
    return f"{layer.show(0)}, {layer.show(1, 'weight')}"


def conv_group(layer: Layer) -> str | None:
    """A convolution's group must be at least 1 and divide its input and output channels."""
    x, w = layer.dims(0), layer.dims(1)
    if layer.op not in CONVOLUTIONS or w is None:
        return None
    group: int = layer.node.attributes.get_int("group", 1)
    per_channel = "output" if layer.op == "Conv" else "input"
    if group < 1 or w[0] % group:
        return f"group {group}, {per_channel} channels {w[0]} ({layer.show(1, 'weight')})"
    if layer.op == "Conv" and x is not None and x[1] % group:
        return f"group {group}, input channels {x[1]} ({layer.show(0)})"
    return None


def conv_channels(layer: Layer) -> str | None:
    """A convolution's weight must have as many input channels as its input."""
    x, w = layer.dims(0), layer.dims(1)
    if layer.op not in CONVOLUTIONS or x is None or w is None:
        return None
    group: int = layer.node.attributes.get_int("group", 1)
    wanted = w[1] * group if layer.op == "Conv" else w[0]
    if x[1] == wanted:
        return None
    grouped = f" with group {group}" if group != 1 else ""
    return (
        f"{layer.show(0)} has {x[1]}, {layer.show(1, 'weight')}{grouped} takes {wanted}; "
        "the weight or the input shape in the file is wrong"
    )


def conv_kernel_shape(layer: Layer) -> str | None:
    """A convolution's kernel_shape must be its weight's."""
    given, w = layer.ints("kernel_shape"), layer.dims(1)
    if layer.op not in CONVOLUTIONS or given is None or w is None or tuple(given) == w[2:]:
        return None
    return f"kernel_shape {shape_text(given)}, {layer.show(1, 'weight')}"


def conv_bias(layer: Layer) -> str | None:
    """A convolution's bias must be a vector with one entry an output channel."""
    bias, w = layer.dims(2), layer.dims(1)
    if layer.op not in CONVOLUTIONS or bias is None or w is None:
        return None
    group: int = layer.node.attributes.get_int("group", 1)
    wanted = w[0] if layer.op == "Conv" else w[1] * group
    return None if bias == (wanted,) else f"{layer.show(2, 'bias')}, expected [{wanted}]"


def window_steps(layer: Layer) -> str | None:
    """Strides and dilations must be positive, one a spatial dimension."""
    x = layer.dims(0)
    if layer.op not in WINDOWED or x is None:
        return None
    for name in ("kernel_shape", "strides", "dilations"):
        values = layer.ints(name)
        if values is not None and (len(values) != len(x) - 2 or min(values, default=1) < 1):
            return f"{name} {shape_text(values)}, {layer.show(0)}"
    return None


def window_pads(layer: Layer) -> str | None:
    """Pads must be non-negative, a begin and an end for each spatial dimension."""
    pads, x = layer.ints("pads"), layer.dims(0)
    if layer.op not in WINDOWED or pads is None or x is None:
        return None
    if len(pads) == 2 * (len(x) - 2) and min(pads, default=0) >= 0:
        return None
    return f"pads {shape_text(pads)}, {layer.show(0)}"


def window_auto_pad(layer: Layer) -> str | None:
    """auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID."""
    found = layer.node.attributes.get_string("auto_pad", "NOTSET")
    return None if layer.op not in WINDOWED or found in AUTO_PADS else f"auto_pad {found!r}"


def pool_same_dilated(layer: Layer) -> str | None:
    """A pool cannot have both auto_pad SAME and dilations: ONNX and onnxruntime differ on it.

    ONNX pads for the dilated kernel, onnxruntime 1.32 for the plain one.
    """
    mode = layer.node.attributes.get_string("auto_pad", "NOTSET")
    dilations = layer.ints("dilations") or [1]
    if layer.op not in POOLS or not mode.startswith("SAME") or max(dilations) == 1:
        return None
    return f"auto_pad {mode!r}, dilations {shape_text(dilations)}; export with explicit pads"


def window_fits(layer: Layer) -> str | None:
    """The kernel must fit into the padded input."""
    x, kernel = layer.dims(0), layer.kernel()
    if layer.op not in WINDOWED or layer.op == "ConvTranspose" or x is None or kernel is None:
        return None
    if layer.node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME"):
        return None
    rank = len(x) - 2
    pads = layer.ints("pads") or [0] * 2 * rank
    dilations = layer.ints("dilations") or [1] * rank
    for k in range(rank):
        room, extent = x[2 + k] + pads[k] + pads[k + rank], (kernel[k] - 1) * dilations[k] + 1
        if extent > room:
            return (
                f"the kernel spans {extent} in spatial dimension {k}, {layer.show(0)} with pads "
                f"has {room}; use a larger input or a smaller kernel"
            )
    return None


def pool_pads(layer: Layer) -> str | None:
    """A pool's pads must be smaller than its kernel."""
    pads, kernel = layer.ints("pads"), layer.kernel()
    if layer.op not in POOLS or pads is None or kernel is None or layer.dims(0) is None:
        return None
    dilations = layer.ints("dilations") or [1] * len(kernel)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if all(pad < extent for pad, extent in zip(pads, extents * 2, strict=True)):
        return None
    return f"pads {shape_text(pads)}, kernel {shape_text(kernel)}"


def gemm_inner(layer: Layer) -> str | None:
    """The inner dimensions of a Gemm must agree."""
    a, b = layer.dims(0), layer.dims(1)
    if layer.op != "Gemm" or a is None or b is None:
        return None
    attributes = layer.node.attributes
    trans_a, trans_b = attributes.get_int("transA", 0), attributes.get_int("transB", 0)
    if len(a) != 2 or len(b) != 2:
        return f"{layer.show(0)} and {layer.show(1, 'weight')} must both be matrices"
    if a[0 if trans_a else 1] == b[1 if trans_b else 0]:
        return None
    return f"{layer.show(0)}, {layer.show(1, 'weight')}, transA {trans_a}, transB {trans_b}"


def gemm_bias(layer: Layer) -> str | None:
    """A Gemm's bias must broadcast to its output."""
    b, c = layer.dims(1), layer.dims(2)
    if layer.op != "Gemm" or b is None or c is None:
        return None
    units = b[0 if layer.node.attributes.get_int("transB", 0) else 1]
    if len(c) <= 2 and (not c or c[-1] in (1, units)):
        return None
    return f"{layer.show(2, 'bias')}, the output has {units} columns"


def matmul_inner(layer: Layer) -> str | None:
    """The inner dimensions of a MatMul must agree."""
    a, b = layer.dims(0), layer.dims(1)
    if layer.op != "MatMul" or not a or not b:
        return None
    if a[-1] == b[-2 if len(b) > 1 else 0]:
        return None
    return f"{layer.show(0)}, {layer.show(1, 'weight')}"


def batchnorm_channels(layer: Layer) -> str | None:
    """A batch norm's parameters must be vectors with one entry a channel."""
    x = layer.dims(0)
    if layer.op != "BatchNormalization" or x is None or len(x) < 2:
        return None
    for index in range(1, 5):
        if layer.dims(index) not in (None, (x[1],)):
            return f"{layer.show(index, 'parameter')}, {layer.show(0)}"
    return None


def batchnorm_variance(layer: Layer) -> str | None:
    """A batch norm's variance must be 0 or more, and above 0 with its epsilon."""
    if layer.op != "BatchNormalization":
        return None
    var, epsilon = constant(layer.node.inputs[4]), layer.node.attributes.get_float("epsilon", 1e-5)
    if var is None:
        return None
    problem = variance_problem(var, epsilon)
    if problem is None:
        return None
    return f"{layer.show(4, 'variance')} {problem}; train or export it again"


def axes_once(layer: Layer) -> str | None:
    """Axes must name each axis once."""
    x = layer.dims(0)
    if x is None or not layer.op.startswith(("Reduce", "Squeeze")):
        return None
    given = layer.ints("axes")
    if given is None and len(layer.node.inputs) > 1:
        array = constant(layer.node.inputs[1])
        given = None if array is None else [int(axis) for axis in array.reshape(-1)]
    axes = [axis % len(x) for axis in given or () if x]
    return f"axes {shape_text(given)} of {layer.show(0)}" if len(set(axes)) < len(axes) else None


def output_not_empty(layer: Layer) -> str | None:
    """No activation may have a dimension of zero."""
    for value in layer.node.outputs:
        known = layer.shapes.get(str(value.name))
        if known is None or known.dims is None or known.dtype != ir.DataType.FLOAT:
            continue
        if len(known.dims) > 1 and any(isinstance(d, int) and d <= 0 for d in known.dims):
            return f"output {value.name!r} is {shape_text(known.dims)}"
    return None


LAYER_RULES = (
    conv_rank,
    conv_group,
    conv_channels,
    conv_kernel_shape,
    conv_bias,
    window_steps,
    window_pads,
    window_auto_pad,
    pool_same_dilated,
    window_fits,
    pool_pads,
    gemm_inner,
    gemm_bias,
    matmul_inner,
    batchnorm_channels,
    batchnorm_variance,
    axes_once,
    output_not_empty,
)
"""In this order: later rules may rely on earlier ones."""
