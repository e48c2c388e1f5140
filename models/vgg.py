"""VGG-19 of Simonyan & Zisserman 2015 (arXiv 1409.1556): 143,667,240 weights and biases."""

from __future__ import annotations

import onnx

from rpucc.models.network import LINEAR_GAIN, Network

SIZE = 224
CLASSES = 1000
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""(channels, 3 × 3 convolutions) between two poolings."""


def build_vgg19(seed: int = 0) -> onnx.ModelProto:
    """Build VGG-19 with seeded weights; "x" [N, 3, 224, 224] -> "logits" [N, 1000]."""
    net = Network("vgg19", seed)
    x, before = "x", 3
    for stage, (channels, convolutions) in enumerate(STAGES, start=1):
        for k in range(1, convolutions + 1):
            x = net.conv(f"conv{stage}_{k}", x, (before, channels), 3, bias=True)
            x, before = net.relu(f"relu{stage}_{k}", x), channels
        x = net.max_pool(f"pool{stage}", x, 2, 2)
    x = net.flatten("flatten", x)
    x = net.relu("relu6", net.dense("fc6", x, (before * 7 * 7, 4096)))
    x = net.relu("relu7", net.dense("fc7", x, (4096, 4096)))
    x = net.dense("fc8", x, (4096, CLASSES), gain=LINEAR_GAIN)
    return net.finish(x, (3, SIZE, SIZE), (CLASSES,))
