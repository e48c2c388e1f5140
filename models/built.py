"""Networks built from a line: fully connected ones by their sizes, CNNs by a specification.

What is built as the networks of the papers are (lenet.py, mlp.py) is the same, name by name and
bit by bit. Not for reading the line: `specification.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from rpucc.errors import UsageError
from rpucc.models.activations import activate, checked_activation
from rpucc.models.initial import checked_init, draw
from rpucc.models.layers import IMAGE
from rpucc.models.network import Network
from rpucc.models.specification import MAX_SIZE, Item, parse, shapes

IMAGE_SIZE = math.prod(IMAGE)


def build_cnn(
    spec: str,
    seed: int = 0,
    *,
    input_shape: Sequence[int] = IMAGE,
    activation: str = "relu",
    batch_norm: bool = False,
    init: str | None = None,
) -> onnx.ModelProto:
    """Build a network from a specification; "x" [N, *input_shape] -> "logits" [N, ...].

    spec: items between blanks or commas: c16k5 is a convolution with 16 channels and kernel 5 (s2:
        stride, p2: padding on both sides, g16: groups), p2 and a2 are the largest and the mean of 2
        places an axis (p3s2: of 3, every 2), g is the mean of all positions, f128 a dense layer of
        128 units.
    input_shape: [C, *space] with any number of axes of space: of a CIFAR image (3, 32, 32), of a
        signal (channels, length); or [features], for dense layers alone.
    activation: a row of ACTIVATIONS, behind every convolution and dense layer but the last.
    batch_norm: a batch norm (scale 1, bias 0, mean 0, variance 1) between those and their
        activation; they then have no bias of their own.
    init: a row of INITS; by default the activation's.

    Raises UsageError where the specification cannot be read or its sizes cannot be.

    >>> model = build_cnn("c16k5 p2 c32k5 p2 f128 f10", activation="tanh")
    >>> [node.op_type for node in model.graph.node[:4]], len(model.graph.node)
    (['Conv', 'Tanh', 'MaxPool', 'Conv'], 10)
    """
    return _build("cnn", parse(spec), seed, input_shape, activation, batch_norm, init)


def build_layers(
    layers: str | Sequence[int],
    seed: int = 0,
    *,
    input_shape: Sequence[int] | None = None,
    activation: str = "sigmoid",
    batch_norm: bool = False,
    init: str | None = None,
) -> onnx.ModelProto:
    """Build a fully connected network; "x" [N, *input_shape] -> "logits" [N, layers[-1]].

    layers: how many numbers come in, and the units of each layer: "95-16-6" or (95, 16, 6).
    input_shape: by default the images of MNIST where 784 come in, else [layers[0]].

    The rest is as of `build_cnn`. Raises UsageError where sizes contradict each other.

    >>> from rpucc.models import build
    >>> build_layers((784, 256, 128, 10), seed=1) == build("mlp", seed=1)
    True
    """
    text = layers if isinstance(layers, str) else "-".join(map(str, layers))
    words = text.split("-")
    if len(words) < 2 or not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            f"layers {text[:40]!r}: the inputs and the units of each layer are needed, as 95-16-6"
        )
    units = [int(word[:12]) for word in words]
    if not all(0 < size <= MAX_SIZE for size in units):
        raise UsageError(f"layers {text[:40]!r}: sizes are from 1 to {MAX_SIZE:,}")
    first = units[0]
    if input_shape is None:
        input_shape = IMAGE if first == IMAGE_SIZE else (first,)
    if math.prod(input_shape) != first:
        found = " × ".join(map(str, input_shape))
        raise UsageError(
            f"layers {text[:40]!r} begin with {first:,} inputs, but the input shape {found} has "
            f"{math.prod(input_shape):,}"
        )
    items = parse(" ".join(f"f{size}" for size in units[1:]))
    return _build("mlp", items, seed, input_shape, activation, batch_norm, init)


def _build(
    name: str,
    items: Sequence[Item],
    seed: int,
    sample: Sequence[int],
    function: str,
    batch_norm: bool,
    init: str | None,
) -> onnx.ModelProto:
    """Build the items one behind the other; layers are called conv1, fc1, …, in their order."""
    init = checked_init(checked_activation(function).init if init is None else init)
    if not sample or not all(0 < size <= MAX_SIZE for size in sample):
        raise UsageError(f"input shape {tuple(sample)}: sizes are from 1 to {MAX_SIZE:,}")
    sizes = shapes(items, sample)
    net, x = Network(name, seed), "x"
    last = max(i for i, item in enumerate(items) if item.has_weights)
    counts = dict.fromkeys(("conv", "fc", "pool", "activation"), 0)
    for i, item in enumerate(items):
        kind = {"c": "conv", "f": "fc"}.get(item.kind, "pool")
        counts[kind] += 1
        layer, shape = f"{kind}{counts[kind]}", sizes[i]
        if kind == "pool":
            x = _pool(net, item, layer, x, len(shape) - 1)
            continue
        norm = batch_norm and i != last
        if item.kind == "f":
            x = net.flatten("flatten", x) if len(shape) > 1 else x
            weight = [item.count, math.prod(shape)]
        else:
            weight = [item.count, shape[0] // item.groups, *[item.kernel] * (len(shape) - 1)]
        parameters = draw(init, net.rng, layer, weight, item.groups, bias=not norm)
        net.parameters += parameters
        x = _weighted(net, item, layer, x, [each.name for each in parameters], len(shape) - 1)
        if norm:
            x = net.batch_norm(f"{layer}.norm", x, item.count)
        if i != last:
            counts["activation"] += 1
            x = activate(net, function, counts["activation"], x)
    return net.finish(x, sample, sizes[-1])


def _weighted(
    net: Network, item: Item, layer: str, x: str, parameters: Sequence[str], axes: int
) -> str:
    """Add a convolution or a dense layer."""
    if item.kind == "f":
        return net.node("Gemm", layer, x, *parameters, transB=1)
    how: dict[str, object] = {"kernel_shape": [item.kernel] * axes}
    if item.stride > 1:
        how["strides"] = [item.stride] * axes
    if item.padding:
        how["pads"] = [item.padding] * (2 * axes)
    if item.groups > 1:
        how["group"] = item.groups
    return net.node("Conv", layer, x, *parameters, **how)


def _pool(net: Network, item: Item, name: str, x: str, axes: int) -> str:
    """Add a pool over windows, or over all positions, which leaves a vector."""
    if item.kind == "g":
        return net.global_pool(name, x)
    kind = "MaxPool" if item.kind == "p" else "AveragePool"
    window, strides = [item.count] * axes, [item.stride] * axes
    return net.node(kind, name, x, kernel_shape=window, strides=strides)
