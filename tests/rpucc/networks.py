"""The weight matrices of well-known networks: (layer, R, C of one group, groups), bias digital."""

from __future__ import annotations

Shape = tuple[str, int, int, int]


def mobilenet_v2() -> list[Shape]:
    """Width 1.0, 1000 classes (Sandler et al. 2018, table 2)."""
    shapes: list[Shape] = [("stem", 32, 27, 1)]
    channels = 32
    for expansion, out, repeats in [
        (1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)
    ]:  # fmt: skip
        for _ in range(repeats):
            block, hidden = f"block{len(shapes)}", channels * expansion
            if expansion > 1:
                shapes.append((f"{block}.expand", hidden, channels, 1))
            shapes.append((f"{block}.depthwise", 1, 9, hidden))
            shapes.append((f"{block}.project", out, hidden, 1))
            channels = out
    return [*shapes, ("last", 1280, channels, 1), ("classifier", 1000, 1280, 1)]


def resnet(depth: int) -> list[Shape]:
    """ResNet-18 or ResNet-50, 1000 classes (He et al. 2016, table 1)."""
    bottleneck = depth == 50
    repeats = (3, 4, 6, 3) if bottleneck else (2, 2, 2, 2)
    shapes: list[Shape] = [("stem", 64, 147, 1)]
    channels = 64
    for stage, count in enumerate(repeats):
        width = 64 * 2**stage
        out = width * (4 if bottleneck else 1)
        for i in range(count):
            name = f"stage{stage}.{i}"
            if i == 0 and channels != out:
                shapes.append((f"{name}.skip", out, channels, 1))
            if bottleneck:
                shapes.append((f"{name}.1", width, channels, 1))
                shapes.append((f"{name}.2", width, 9 * width, 1))
                shapes.append((f"{name}.3", out, width, 1))
            else:
                shapes.append((f"{name}.1", width, 9 * channels, 1))
                shapes.append((f"{name}.2", width, 9 * width, 1))
            channels = out
    return [*shapes, ("classifier", 1000, channels, 1)]


def vgg19() -> list[Shape]:
    """VGG-19, 1000 classes (Simonyan & Zisserman 2015, table 1)."""
    shapes: list[Shape] = []
    channels = 3
    for out, repeats in [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)]:
        for _ in range(repeats):
            shapes.append((f"conv{len(shapes) + 1}", out, 9 * channels, 1))
            channels = out
    dense = [("fc1", 4096, 49 * channels), ("fc2", 4096, 4096), ("fc3", 1000, 4096)]
    return [*shapes, *((name, R, C, 1) for name, R, C in dense)]
