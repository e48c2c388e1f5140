"""Residual networks of He et al. 2016 (arXiv 1512.03385), with batch norms after convolutions.

Each branch ends in a batch norm scaled by 1/√blocks, so that the sum of all branches stays O(1);
the others have scale 1, and all the statistics 0 and 1 of a network that has seen nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from rpucc.models.network import LINEAR_GAIN, Network

Block = Callable[[Network, str, str, tuple[int, int], int, float], str]
"""(network, name, x, channels in and out, stride, scale of the branch) -> value."""


def build_resnet18(
    seed: int = 0, *, size: int = 32, width: int = 64, classes: int = 10
) -> onnx.ModelProto:
    """Build the ResNet-18 for CIFAR: "x" [N, 3, size, size] -> "logits" [N, classes].

    A 3 × 3 stem without pooling instead of the one for ImageNet; `width` channels in the first
    stage, twice as many in each next one. 11,173,962 parameters at the defaults.
    """
    net = Network("resnet18", seed)
    x = _conv_norm(net, "conv1", "x", (3, width), 3)
    x = net.relu("relu1", x)
    widths = [width << stage for stage in range(4)]
    x = _stages(net, x, width, widths, (2, 2, 2, 2), _basic_block)
    return _classifier(net, x, widths[-1], size, classes)


def build_resnet18_imagenet(seed: int = 0) -> onnx.ModelProto:
    """Build the ResNet-18 for ImageNet: "x" [N, 3, 224, 224] -> "logits" [N, 1000].

    11,689,512 parameters.
    """
    net = Network("resnet18-imagenet", seed)
    x = _stages(net, _large_stem(net), 64, (64, 128, 256, 512), (2, 2, 2, 2), _basic_block)
    return _classifier(net, x, 512, 224, 1000)


def build_resnet50(seed: int = 0, *, size: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """Build the ResNet-50 for ImageNet: "x" [N, 3, size, size] -> "logits" [N, classes].

    The stride of a block is in its 3 × 3 convolution, as in all later versions ("v1.5").
    25,557,032 parameters at the defaults.
    """
    net = Network("resnet50", seed)
    x = _stages(net, _large_stem(net), 64, (256, 512, 1024, 2048), (3, 4, 6, 3), _bottleneck)
    return _classifier(net, x, 2048, size, classes)


def _large_stem(net: Network) -> str:
    """A 7 × 7 convolution and a pool, each of stride 2: 64 channels on a quarter of the side."""
    x = _conv_norm(net, "conv1", "x", (3, 64), 7, stride=2)
    return net.max_pool("pool1", net.relu("relu1", x), 3, 2, 1)


def _stages(
    net: Network, x: str, before: int, widths: Sequence[int], blocks: Sequence[int], block: Block
) -> str:
    """Add the stages: each but the first halves the image in its first block."""
    scale = sum(blocks) ** -0.5
    for stage, (channels, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for k in range(count):
            stride = 2 if stage > 1 and k == 0 else 1
            x = block(net, f"layer{stage}.{k}", x, (before, channels), stride, scale)
            before = channels
    return x


def _basic_block(
    net: Network, name: str, x: str, channels: tuple[int, int], stride: int, scale: float
) -> str:
    """Two 3 × 3 convolutions beside the shortcut."""
    after = channels[1]
    y = _conv_norm(net, f"{name}.conv1", x, channels, 3, stride=stride)
    y = net.relu(f"{name}.relu1", y)
    y = _conv_norm(net, f"{name}.conv2", y, (after, after), 3, scale=scale)
    return _join(net, name, x, y, channels, stride)


def _bottleneck(
    net: Network, name: str, x: str, channels: tuple[int, int], stride: int, scale: float
) -> str:
    """1 × 1, 3 × 3, 1 × 1 convolutions beside the shortcut; a quarter of the channels inside."""
    before, after = channels
    inside = after // 4
    y = net.relu(f"{name}.relu1", _conv_norm(net, f"{name}.conv1", x, (before, inside), 1))
    y = _conv_norm(net, f"{name}.conv2", y, (inside, inside), 3, stride=stride)
    y = net.relu(f"{name}.relu2", y)
    y = _conv_norm(net, f"{name}.conv3", y, (inside, after), 1, scale=scale)
    return _join(net, name, x, y, channels, stride)


def _join(net: Network, name: str, x: str, y: str, channels: tuple[int, int], stride: int) -> str:
    """relu(branch + shortcut); the shortcut is a strided 1 × 1 convolution where shapes change."""
    if stride != 1 or channels[0] != channels[1]:
        layer = f"{name}.shortcut"
        x = _conv_norm(net, layer, x, channels, 1, stride=stride, gain=LINEAR_GAIN)
    return net.relu(f"{name}.relu", net.add(f"{name}.add", y, x))


def _conv_norm(
    net: Network,
    name: str,
    x: str,
    channels: tuple[int, int],
    kernel: int,
    *,
    stride: int = 1,
    scale: float = 1.0,
    gain: float = 2.0,
) -> str:
    x = net.conv(name, x, channels, kernel, stride=stride, gain=gain)
    return net.batch_norm(f"{name}.norm", x, channels[1], scale)


def _classifier(net: Network, x: str, channels: int, size: int, classes: int) -> onnx.ModelProto:
    x = net.dense("fc", net.global_pool("pool", x), (channels, classes), gain=LINEAR_GAIN)
    return net.finish(x, (3, size, size), (classes,))
