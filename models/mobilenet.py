"""MobileNetV2 of Sandler et al. 2018 (arXiv 1801.04381): inverted residuals, depthwise kernels."""

from __future__ import annotations

import onnx

from rpucc.models.network import LINEAR_GAIN, RELU_GAIN, Network

BLOCKS = (
    # expansion, channels, repeats, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 of the paper."""

STEM, HEAD = 32, 1280


def build_mobilenet_v2(seed: int = 0) -> onnx.ModelProto:
    """Build the network for ImageNet: "x" [N, 3, 224, 224] -> "logits" [N, 1000].

    3,504,872 parameters.
    """
    return _build(Network("mobilenet-v2", seed), 224, 1000, reduced=0, width=1.0)


def build_mobilenet_v2_cifar(
    seed: int = 0, *, width: float = 1.0, classes: int = 10
) -> onnx.ModelProto:
    """Build the network for CIFAR: "x" [N, 3, 32, 32] -> "logits" [N, classes].

    The first two strides of 2 are 1, so the last images are 4 × 4. width: the paper's multiplier
    of all channels, at most 1. 2,236,682 parameters at the defaults.
    """
    return _build(Network("mobilenet-v2-cifar", seed), 32, classes, reduced=2, width=width)


def _build(net: Network, size: int, classes: int, *, reduced: int, width: float) -> onnx.ModelProto:
    """Build the network with the first `reduced` strides of 2 replaced by 1."""
    strides = [2, *(stride for *_, stride in BLOCKS)]
    for i in [i for i, stride in enumerate(strides) if stride == 2][:reduced]:
        strides[i] = 1
    before = _scaled(STEM, width)
    x = _conv_norm(net, "stem", "x", (3, before), 3, stride=strides[0])
    block = 0
    for (expansion, full, repeats, _), first in zip(BLOCKS, strides[1:], strict=True):
        channels = _scaled(full, width)
        for k in range(repeats):
            block += 1
            stride = first if k == 0 else 1
            x = _block(net, f"block{block}", x, (before, channels), expansion, stride)
            before = channels
    x = _conv_norm(net, "head", x, (before, HEAD), 1)
    x = net.dense("fc", net.global_pool("pool", x), (HEAD, classes), gain=LINEAR_GAIN)
    return net.finish(x, (3, size, size), (classes,))


def _scaled(channels: int, width: float) -> int:
    """Return a multiple of 8 near channels · width, at least 8."""
    return max(8, round(channels * width / 8) * 8)


def _block(
    net: Network, name: str, x: str, channels: tuple[int, int], expansion: int, stride: int
) -> str:
    """Expand by 1 × 1, filter each channel by 3 × 3, project by 1 × 1 without an activation."""
    before, after = channels
    inside = expansion * before
    y = x
    if expansion != 1:
        y = _conv_norm(net, f"{name}.expand", y, (before, inside), 1)
    y = _conv_norm(net, f"{name}.depthwise", y, (inside, inside), 3, stride=stride, group=inside)
    y = net.conv(f"{name}.project", y, (inside, after), 1, gain=LINEAR_GAIN)
    residual = stride == 1 and before == after
    # A block adds to its input: half the variance, so that the sum of a few of them stays O(1).
    y = net.batch_norm(f"{name}.project.norm", y, after, 0.5**0.5 if residual else 1.0)
    return net.add(f"{name}.add", x, y) if residual else y


def _conv_norm(
    net: Network,
    name: str,
    x: str,
    channels: tuple[int, int],
    kernel: int,
    *,
    stride: int = 1,
    group: int = 1,
) -> str:
    """Convolution, batch norm, ReLU6."""
    x = net.conv(name, x, channels, kernel, stride=stride, group=group, gain=RELU_GAIN)
    return net.relu6(f"{name}.relu", net.batch_norm(f"{name}.norm", x, channels[1]))
