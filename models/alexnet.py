"""AlexNet as Gokmen, Onen & Haensch 2017 map it: ungrouped, biases left out.

Matrices: K1 96 × 363, K2 256 × 2,400, K3 384 × 2,304, K4 384 × 3,456, K5 256 × 3,456,
W6 4,096 × 9,216, W7 4,096 × 4,096, W8 1,000 × 4,096: 62,367,776 weights. Reads an image: 3,025,
729, 169, 169, 169, 1, 1, 1.

Local response normalisation and dropout of the original (Krizhevsky, Sutskever & Hinton 2012) are
left out: neither has weights, and later versions of the network do without the first.
"""

from __future__ import annotations

import onnx

from rpucc.models.network import LINEAR_GAIN, Network

SIZE = 227
CLASSES = 1000
CONVOLUTIONS = (
    # name, (in, out), kernel, stride, pad, pooled after
    ("K1", (3, 96), 11, 4, 0, True),
    ("K2", (96, 256), 5, 1, 2, True),
    ("K3", (256, 384), 3, 1, 1, False),
    ("K4", (384, 384), 3, 1, 1, False),
    ("K5", (384, 256), 3, 1, 1, True),
)


def build_alexnet(seed: int = 0) -> onnx.ModelProto:
    """Build AlexNet with seeded weights; "x" [N, 3, 227, 227] -> "logits" [N, 1000]."""
    net = Network("alexnet", seed)
    x = "x"
    for name, channels, kernel, stride, pad, pooled in CONVOLUTIONS:
        x = net.conv(name, x, channels, kernel, stride=stride, pad=pad)
        x = net.relu(f"relu{name[1]}", x)
        if pooled:
            x = net.max_pool(f"pool{name[1]}", x, 3, 2)
    x = net.flatten("flatten", x)
    for name, units in (("W6", (256 * 6 * 6, 4096)), ("W7", (4096, 4096))):
        x = net.relu(f"relu{name[1]}", net.dense(name, x, units, bias=False))
    x = net.dense("W8", x, (4096, CLASSES), bias=False, gain=LINEAR_GAIN)
    return net.finish(x, (3, SIZE, SIZE), (CLASSES,))
