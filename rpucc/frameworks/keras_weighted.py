"""Keras's layers with weights as ONNX operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rpucc.frameworks.keras_activations import activated
from rpucc.frameworks.keras_call import Call, output, windows
from rpucc.frameworks.keras_graph import Value, onnx_shape


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
    how = windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    name = call.op("Conv", x.name, kernel, *bias, group=layer.groups, **how)
    return activated(call, output(call, x, name, value), layer.activation)


def depthwise(call: Call, value: Value) -> Value:
    """Conv of as many groups as channels."""
    layer = call.layer
    x = call.channels(value)
    weights = [call.weight(layer.kernel), *([call.weight(layer.bias)] if layer.use_bias else [])]
    how = windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    group = onnx_shape(x)[0]
    name = call.op("Conv", x.name, *weights, group=group, **how)
    return activated(call, output(call, x, name, value), layer.activation)


def separable(call: Call, value: Value) -> Value:
    """A depthwise Conv and one of single points behind it."""
    layer = call.layer
    x = call.channels(value)
    how = windows(call, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    group = onnx_shape(x)[0]
    kernel = call.weight(layer.depthwise_kernel)
    middle = call.op("Conv", x.name, kernel, name=f"{call.name}/depthwise", group=group, **how)
    bias = [call.weight(layer.bias)] if layer.use_bias else []
    name = call.op("Conv", middle, call.weight(layer.pointwise_kernel), *bias)
    return activated(call, output(call, x, name, value), layer.activation)


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
    return activated(call, output(call, x, name, value), layer.activation)


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
        else call.graph.formula(f"{call.name}/ones", np.ones(channels, np.float32))
    )  # fmt: skip
    shift = (
        call.weight(layer.beta) if layer.center
        else call.graph.formula(f"{call.name}/zeros", np.zeros(channels, np.float32))
    )  # fmt: skip
    statistics = [call.weight(layer.moving_mean), call.weight(layer.moving_variance)]
    name = call.op(
        "BatchNormalization", x.name, scale, shift, *statistics, epsilon=float(layer.epsilon),
        momentum=float(layer.momentum),
    )  # fmt: skip
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
