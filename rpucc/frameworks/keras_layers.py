"""What becomes of each Keras layer in ONNX: one function a kind, one row of LAYERS each.

Not for walking a model: `keras_export.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rpucc.errors import UnsupportedError
from rpucc.frameworks.keras_graph import Array, Graph, Value, onnx_shape, same_pads
from rpucc.frameworks.keras_weights import Place

ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
}
"""Name of a Keras activation -> operator and attributes."""


@dataclass(frozen=True)
class Call:
    """One use of a layer."""

    graph: Graph
    layer: Any
    places: Mapping[int, Place]
    """Variable's id -> where it is in ONNX."""
    label: str
    """Where the layer is, for messages."""

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node that is called as the layer, or `name`."""
        return self.graph.op(kind, inputs, name or self.name, **attributes)

    def weight(self, variable: Any) -> str:
        """The variable as an ONNX weight."""
        place = self.places[id(variable)]
        return self.graph.weight(place.name, place.to_onnx(_array(variable)))

    def constant(self, suffix: str, values: object, dtype: type = np.int64) -> str:
        """Numbers as a constant of the layer."""
        return self.graph.constant(f"{self.name}/{suffix}", np.asarray(values, dtype))

    def refuse(self, what: str) -> UnsupportedError:
        """The error for a layer that is not taken as it is."""
        return UnsupportedError(f"{self.label}: {what}")

    def channels(self, value: Value) -> Value:
        """The value as the layer's ONNX operator wants it: its channels first."""
        if getattr(self.layer, "data_format", "channels_last") == "channels_first":
            return self.graph.as_last(value)  # Keras's own order has them first
        return self.graph.as_first(value)

    def result(self, name: str, like: Value, shape: Sequence[int | None]) -> Value:
        """The layer's result in the layout of what it was computed from."""
        return Value(name, tuple(shape), like.first)


Lowering = Callable[..., Value]


def _array(variable: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable.value))


# ---------------------------------------------------------------- layers with weights


def dense(call: Call, value: Value) -> Value:
    """Gemm, or MatMul and Add where there are more axes than batch and features."""
    layer, value = call.layer, call.graph.as_last(value)
    shape = (*value.shape[:-1], layer.units)
    kernel = call.weight(layer.kernel)
    if value.rank == 2:
        bias = [call.weight(layer.bias)] if layer.use_bias else []
        name = call.op("Gemm", value.name, kernel, *bias)
    else:
        name = call.op("MatMul", value.name, kernel)
        if layer.use_bias:
            name = call.op("Add", name, call.weight(layer.bias), name=f"{call.name}/bias")
    return activated(call, Value(name, shape), layer.activation)


def convolution(call: Call, value: Value) -> Value:
    """Conv with the kernel's axes in ONNX's order."""
    layer = call.layer
    x = call.channels(value)
    kernel = call.weight(layer.kernel)
    bias = [call.weight(layer.bias)] if layer.use_bias else []
    windows = _windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    name = call.op("Conv", x.name, kernel, *bias, group=layer.groups, **windows)
    return activated(call, _output(call, x, name, value), layer.activation)


def depthwise(call: Call, value: Value) -> Value:
    """Conv of as many groups as channels."""
    layer = call.layer
    x = call.channels(value)
    weights = [call.weight(layer.kernel), *([call.weight(layer.bias)] if layer.use_bias else [])]
    windows = _windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    group = onnx_shape(x)[0]
    name = call.op("Conv", x.name, *weights, group=group, **windows)
    return activated(call, _output(call, x, name, value), layer.activation)


def separable(call: Call, value: Value) -> Value:
    """A depthwise Conv and one of single points behind it."""
    layer = call.layer
    x = call.channels(value)
    windows = _windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    group = onnx_shape(x)[0]
    kernel = call.weight(layer.depthwise_kernel)
    middle = call.op(
        "Conv", x.name, kernel, name=f"{call.name}/depthwise", group=group, **windows
    )
    bias = [call.weight(layer.bias)] if layer.use_bias else []
    name = call.op("Conv", middle, call.weight(layer.pointwise_kernel), *bias)
    return activated(call, _output(call, x, name, value), layer.activation)


def transposed(call: Call, value: Value) -> Value:
    """ConvTranspose; "same" gives inputs times stride results."""
    layer = call.layer
    x = call.channels(value)
    weights = [call.weight(layer.kernel), *([call.weight(layer.bias)] if layer.use_bias else [])]
    size, strides, dilations = layer.kernel_size, layer.strides, layer.dilation_rate
    if layer.output_padding is not None:
        raise call.refuse("output_padding is not taken")
    begins, ends, extra = [], [], []
    for k, stride, dilation in zip(size, strides, dilations, strict=True):
        whole = (k - 1) * dilation + 1
        over = whole - stride if layer.padding == "same" else min(whole - stride, 0)
        begins.append(max(over, 0) // 2)
        ends.append(max(over, 0) - max(over, 0) // 2)
        extra.append(max(-over, 0))
    name = call.op(
        "ConvTranspose", x.name, *weights, strides=list(strides), dilations=list(dilations),
        pads=[*begins, *ends], output_padding=extra,
    )  # fmt: skip
    return activated(call, _output(call, x, name, value), layer.activation)


def batch_norm(call: Call, value: Value) -> Value:
    """BatchNormalization over the last axis, in inference: mean and variance are the layer's."""
    layer = call.layer
    last = layer.axis in (-1, value.rank - 1)
    if not last and layer.axis != 1:
        raise call.refuse(f"axis={layer.axis}: only the channels' axis is taken")
    x = call.graph.as_first(value) if last else call.graph.as_last(value)
    channels = layer.moving_mean.shape[0]
    scale = (
        call.weight(layer.gamma) if layer.scale
        else call.constant("ones", np.ones(channels), np.float32)
    )  # fmt: skip
    shift = (
        call.weight(layer.beta) if layer.center
        else call.constant("zeros", np.zeros(channels), np.float32)
    )  # fmt: skip
    statistics = [call.weight(layer.moving_mean), call.weight(layer.moving_variance)]
    name = call.op(
        "BatchNormalization", x.name, scale, shift, *statistics, epsilon=float(layer.epsilon)
    )
    return replace(x, name=name)


def layer_norm(call: Call, value: Value) -> Value:
    """LayerNormalization over the last axis."""
    layer, x = call.layer, call.graph.as_last(value)
    axis = layer.axis if isinstance(layer.axis, int) else (*layer.axis, None)[0]
    one = isinstance(layer.axis, int) or len(layer.axis) == 1
    if not one or axis not in (-1, value.rank - 1) or not layer.scale:
        raise call.refuse("only a norm over the last axis, with a scale, is taken")
    shift = [call.weight(layer.beta)] if layer.center else []
    name = call.op(
        "LayerNormalization", x.name, call.weight(layer.gamma), *shift, axis=-1,
        epsilon=float(layer.epsilon),
    )  # fmt: skip
    return replace(x, name=name)


def _windows(
    call: Call, x: Value, size: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> dict[str, Any]:
    """Strides, dilations and pads; of sizes that are not known ONNX works out "same" itself."""
    found: dict[str, Any] = {"kernel_shape": list(size), "strides": list(strides)}
    found["dilations"] = list(dilations)
    sizes = onnx_shape(x)[1:]
    padding = call.layer.padding
    if padding == "causal":
        found["pads"] = [(size[0] - 1) * dilations[0], 0]
    elif padding == "same":
        known = [each for each in sizes if each is not None]
        if len(known) == len(sizes):
            found["pads"] = same_pads(known, size, strides, dilations)
        else:
            found["auto_pad"] = "SAME_UPPER"
    return found


def _output(call: Call, x: Value, name: str, value: Value) -> Value:
    """The layer's result, its shape as Keras works it out."""
    shape = call.layer.compute_output_shape((None, *value.shape))
    return call.result(name, x, shape[1:])


# ---------------------------------------------------------------- activations


def activated(call: Call, value: Value, function: Any, name: str = "") -> Value:
    """The value behind a layer's activation, which is a function of Keras or its name."""
    from keras import activations

    said = function if isinstance(function, str) else activations.serialize(function)
    kind = said if isinstance(said, str) else ""
    kind = {"swish": "silu", "hard_swish": "hard_silu"}.get(kind, kind)
    name = name or f"{call.name}/{kind}"
    if kind == "linear":
        return value
    if kind == "silu":
        gate = call.op("Sigmoid", value.name, name=f"{name}/sigmoid")
        return replace(value, name=call.op("Mul", value.name, gate, name=name))
    if kind == "relu6":
        return _clipped(call, value, 6.0, name)
    if kind not in ACTIVATIONS:
        raise call.refuse(
            f"activation {kind or 'of your own'!r} is not taken; those taken: "
            f"{', '.join(sorted([*ACTIVATIONS, 'silu', 'relu6', 'linear']))}"
        )
    operator, attributes = ACTIVATIONS[kind]
    if operator in ("Softmax", "LogSoftmax"):
        attributes = {"axis": 1 if value.first else -1}
    return replace(value, name=call.op(operator, value.name, name=name, **attributes))


def activation(call: Call, value: Value) -> Value:
    """The layer Activation."""
    return activated(call, value, call.layer.activation, call.name)


def softmax(call: Call, value: Value) -> Value:
    """The layer Softmax, over the last axis."""
    if call.layer.axis not in (-1, value.rank - 1):
        raise call.refuse(f"axis={call.layer.axis}: only the last is taken")
    return activated(call, value, "softmax", call.name)


def relu(call: Call, value: Value) -> Value:
    """The layer ReLU with a slope or a bound."""
    layer = call.layer
    slope, most = float(layer.negative_slope), layer.max_value
    if layer.threshold or (slope and most is not None):
        raise call.refuse("a threshold, or a slope beside a bound, is not taken")
    if most is not None:
        return _clipped(call, value, float(most), call.name)
    if slope:
        return replace(value, name=call.op("LeakyRelu", value.name, alpha=slope))
    return replace(value, name=call.op("Relu", value.name))


def leaky_relu(call: Call, value: Value) -> Value:
    """The layer LeakyReLU."""
    slope = float(call.layer.negative_slope)
    return replace(value, name=call.op("LeakyRelu", value.name, alpha=slope))


def elu(call: Call, value: Value) -> Value:
    """The layer ELU."""
    return replace(value, name=call.op("Elu", value.name, alpha=float(call.layer.alpha)))


def _clipped(call: Call, value: Value, most: float, name: str) -> Value:
    bounds = [call.constant(word, bound, np.float32) for word, bound in (("low", 0), ("high", most))]
    return replace(value, name=call.op("Clip", value.name, *bounds, name=name))


# ---------------------------------------------------------------- pools, shapes, sums


def pool(kind: str) -> Lowering:
    """Return the lowering of a pool."""

    def lower(call: Call, value: Value) -> Value:
        layer, x = call.layer, call.channels(value)
        ones = [1] * len(layer.pool_size)
        windows = _windows(call, x, layer.pool_size, layer.strides, ones)
        del windows["dilations"]
        name = call.op(kind, x.name, **windows)
        return _output(call, x, name, value)

    return lower


def global_pool(kind: str) -> Lowering:
    """Return the lowering of a pool over all positions."""

    def lower(call: Call, value: Value) -> Value:
        x = call.channels(value)
        if call.layer.keepdims:
            return _output(call, x, call.op(kind, x.name), value)
        whole = call.op(kind, x.name, name=f"{call.name}/pool")
        name = call.op("Flatten", whole, axis=1)
        return Value(name, (onnx_shape(x)[0],))

    return lower


def flatten(call: Call, value: Value) -> Value:
    """Flatten in Keras's order, which the weights behind it are in."""
    shape = call.layer.compute_output_shape((None, *value.shape))
    if value.rank == 2:
        return value
    x = call.graph.as_last(value)
    return Value(call.op("Flatten", x.name, axis=1), shape[1:])


def reshape(call: Call, value: Value) -> Value:
    """Reshape in Keras's order."""
    x = call.graph.as_last(value)
    shape = call.layer.compute_output_shape((None, *value.shape))[1:]
    target = call.constant("shape", [0, *(-1 if size is None else size for size in shape)])
    return Value(call.op("Reshape", x.name, target), shape)


def permute(call: Call, value: Value) -> Value:
    """Another order of the axes, of which Keras counts the first behind the batch as 1."""
    x, axes = call.graph.as_last(value), [int(axis) for axis in call.layer.dims]
    shape = tuple(value.shape[axis - 1] for axis in axes)
    return Value(call.op("Transpose", x.name, perm=[0, *axes]), shape)


def zero_padding(call: Call, value: Value) -> Value:
    """Zeros around the positions."""
    x, sides = call.channels(value), call.layer.padding
    pairs = [sides] if isinstance(sides[0], int) else sides
    begins, ends = zip(*pairs, strict=True)
    pads = call.constant("pads", [0, 0, *begins, 0, 0, *ends])
    return _output(call, x, call.op("Pad", x.name, pads), value)


def upsampling(call: Call, value: Value) -> Value:
    """Resize: each position several times, or linear between them."""
    layer, x = call.layer, call.channels(value)
    size = layer.size if isinstance(layer.size, list | tuple) else [layer.size]
    how = getattr(layer, "interpolation", "nearest")
    if how not in ("nearest", "bilinear"):
        raise call.refuse(f"interpolation={how!r}: only nearest and bilinear are taken")
    scales = call.constant("scales", [1, 1, *size], np.float32)
    mode: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if how == "nearest":
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        mode["nearest_mode"] = "floor"
    return _output(call, x, call.op("Resize", x.name, "", scales, **mode), value)


def merge(kind: str) -> Lowering:
    """Return the lowering of a sum, product or the like of several values."""

    def lower(call: Call, *values: Value) -> Value:
        shapes = {len(value.shape) for value in values}
        if len(shapes) > 1:
            raise call.refuse("values with different numbers of axes are not taken")
        turned = call.graph.as_first if any(v.first for v in values) else call.graph.as_last
        same = [turned(value) for value in values]
        total = same[0]
        for i, each in enumerate(same[1:], 2):
            name = call.name if i == len(same) else f"{call.name}/{i - 1}"
            pairs = zip(total.shape, each.shape, strict=True)
            shape = tuple(b if a == 1 else a for a, b in pairs)
            total = replace(total, name=call.op(kind, total.name, each.name, name=name), shape=shape)
        return total

    return lower


def concatenate(call: Call, *values: Value) -> Value:
    """Several values one behind the other."""
    turned = call.graph.as_first if any(v.first for v in values) else call.graph.as_last
    same = [turned(value) for value in values]
    axis = call.layer.axis % same[0].rank
    where = axis
    if same[0].first:
        where = 1 if axis == same[0].rank - 1 else axis + 1
    shape = list(values[0].shape)
    sizes = [value.shape[axis - 1] for value in values]
    shape[axis - 1] = None if None in sizes else sum(size for size in sizes if size is not None)
    name = call.op("Concat", *(each.name for each in same), axis=where)
    return replace(same[0], name=name, shape=tuple(shape))


def rescaling(call: Call, value: Value) -> Value:
    """Rescaling: scale · x + offset, numbers or one a channel."""
    return _affine(call, value, call.layer.scale, call.layer.offset)


def normalization(call: Call, value: Value) -> Value:
    """Normalization: (x - mean) / deviation, one a channel."""
    layer = call.layer
    if layer.invert or getattr(layer, "_keep_axis", ()) not in ((value.rank - 1,), ()):
        raise call.refuse("only statistics of the last axis are taken, and no inversion")
    mean, variance = (_numbers(each) for each in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return _affine(call, value, 1 / deviation, -mean / deviation)


def _affine(call: Call, value: Value, scale: Any, offset: Any) -> Value:
    name = value.name
    for kind, numbers in (("Mul", scale), ("Add", offset)):
        array = _numbers(numbers)
        if array.size == 1:
            array = array.reshape(())
        elif value.first:
            array = array.reshape(-1, *[1] * (value.rank - 2))
        else:
            array = array.reshape(-1)
        constant = call.constant(kind.lower(), array, np.float32)
        name = call.op(kind, name, constant, name=f"{call.name}/{kind.lower()}")
    return replace(value, name=name)


def _numbers(values: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(values), np.float64)


def nothing(call: Call, value: Value) -> Value:
    """What does nothing in inference."""
    return value


def _each_rank(name: str, lowering: Lowering, *ranks: int) -> dict[str, Lowering]:
    return {name.format(rank): lowering for rank in ranks or (1, 2, 3)}


LAYERS: Mapping[str, Lowering] = {
    "Dense": dense,
    **_each_rank("Conv{}D", convolution),
    **_each_rank("DepthwiseConv{}D", depthwise, 1, 2),
    **_each_rank("SeparableConv{}D", separable, 1, 2),
    **_each_rank("Conv{}DTranspose", transposed),
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "Activation": activation,
    "Softmax": softmax,
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    **_each_rank("MaxPooling{}D", pool("MaxPool")),
    **_each_rank("AveragePooling{}D", pool("AveragePool")),
    **_each_rank("GlobalMaxPooling{}D", global_pool("GlobalMaxPool")),
    **_each_rank("GlobalAveragePooling{}D", global_pool("GlobalAveragePool")),
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    **_each_rank("ZeroPadding{}D", zero_padding),
    **_each_rank("UpSampling{}D", upsampling),
    "Add": merge("Add"),
    "Subtract": merge("Sub"),
    "Multiply": merge("Mul"),
    "Maximum": merge("Max"),
    "Minimum": merge("Min"),
    "Concatenate": concatenate,
    "Rescaling": rescaling,
    "Normalization": normalization,
    "InputLayer": nothing,
    "Identity": nothing,
    "Dropout": nothing,
    **_each_rank("SpatialDropout{}D", nothing),
    "AlphaDropout": nothing,
    "GaussianDropout": nothing,
    "GaussianNoise": nothing,
    "ActivityRegularization": nothing,
}
"""Class of a Keras layer -> what becomes of it."""
