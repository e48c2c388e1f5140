"""A small U-Net (Ronneberger, Fischer & Brox 2015, arXiv 1505.04597): one logit a class and pixel.

Padded convolutions keep the image's size, so that skipped values fit without cropping.
"""

from __future__ import annotations

import onnx

from rpucc.models.network import LINEAR_GAIN, Network

LEVELS = 3


def build_unet(
    seed: int = 0, *, size: int = 64, width: int = 16, classes: int = 2
) -> onnx.ModelProto:
    """Build the network: "x" [N, 1, size, size] -> "logits" [N, classes, size, size].

    size: a multiple of 4. width: channels at full size, twice as many on each level below.
    """
    net = Network("unet", seed)
    skipped: list[tuple[str, int]] = []
    x, before = "x", 1
    for level in range(1, LEVELS):
        channels = width << (level - 1)
        x = _block(net, f"down{level}", x, (before, channels))
        skipped.append((x, channels))
        x, before = net.max_pool(f"pool{level}", x, 2, 2), channels
    x = _block(net, "bottom", x, (before, 2 * before))
    before *= 2
    for level in range(LEVELS - 1, 0, -1):
        skip, channels = skipped.pop()
        x = net.up_conv(f"up{level}", x, (before, channels))
        x = net.concat(f"skip{level}", skip, x)
        x = _block(net, f"merge{level}", x, (2 * channels, channels))
        before = channels
    x = net.conv("classes", x, (before, classes), 1, bias=True, gain=LINEAR_GAIN)
    return net.finish(x, (1, size, size), (classes, size, size))


def _block(net: Network, name: str, x: str, channels: tuple[int, int]) -> str:
    """Two 3 × 3 convolutions with ReLU."""
    for k, (before, after) in enumerate((channels, (channels[1], channels[1])), start=1):
        x = net.conv(f"{name}.conv{k}", x, (before, after), 3, bias=True)
        x = net.relu(f"{name}.relu{k}", x)
    return x
