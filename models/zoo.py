"""The table of models that rpucc can build, and the functions that build and write them.

Adding a model is one file with a builder and one row in `MODELS`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx

from rpucc.errors import ModelError, OutputError
from rpucc.files import write_whole
from rpucc.models.alexnet import build_alexnet
from rpucc.models.lenet import build_lenet
from rpucc.models.mlp import build_mlp
from rpucc.models.mobilenet import build_mobilenet_v2, build_mobilenet_v2_cifar
from rpucc.models.output_scales import build_lenet_scaled, build_mlp_scaled
from rpucc.models.resnet import build_resnet18, build_resnet18_imagenet, build_resnet50
from rpucc.models.unet import build_unet
from rpucc.models.vgg import build_vgg19


class ZooModel(NamedTuple):
    """One row of the zoo; `builder` takes the seed of the initial weights.

    weights: how many parameters the model has, biases and scales of batch norms included, their
    statistics not. Stated here because a listing cannot wait for a hundred million random numbers.
    """

    builder: Callable[[int], onnx.ModelProto]
    description: str
    input_shape: tuple[int | str, ...]
    output_shape: tuple[int | str, ...]
    weights: int
    source: str


MODELS: dict[str, ZooModel] = {
    "lenet": ZooModel(
        build_lenet,
        "LeNet: two 5×5 convolutions with tanh and max pooling, 512-128-10",
        ("N", 1, 28, 28),
        ("N", 10),
        80_202,
        "Gokmen, Onen & Haensch 2017, arXiv 1705.08014",
    ),
    "mlp": ZooModel(
        build_mlp,
        "fully connected 784-256-128-10, sigmoid hidden units",
        ("N", 1, 28, 28),
        ("N", 10),
        235_146,
        "Gokmen & Vlasov 2016, arXiv 1603.07341",
    ),
    "lenet-scaled": ZooModel(
        build_lenet_scaled,
        "lenet with learned digital scales behind its layers, as batch norms of 0 and 1",
        ("N", 1, 28, 28),
        ("N", 10),
        80_388,
        "Wu et al. 2024, arXiv 2406.12774",
    ),
    "mlp-scaled": ZooModel(
        build_mlp_scaled,
        "mlp with learned digital scales behind its layers, as batch norms of 0 and 1",
        ("N", 1, 28, 28),
        ("N", 10),
        235_540,
        "Wu et al. 2024, arXiv 2406.12774",
    ),
    "alexnet": ZooModel(
        build_alexnet,
        "AlexNet, ungrouped and without biases, as mapped on arrays in 2017",
        ("N", 3, 227, 227),
        ("N", 1000),
        62_367_776,
        "Gokmen, Onen & Haensch 2017, arXiv 1705.08014",
    ),
    "vgg19": ZooModel(
        build_vgg19,
        "VGG-19: sixteen 3×3 convolutions, 25088-4096-4096-1000",
        ("N", 3, 224, 224),
        ("N", 1000),
        143_667_240,
        "Simonyan & Zisserman 2015, arXiv 1409.1556",
    ),
    "resnet18": ZooModel(
        build_resnet18,
        "ResNet-18 for 32×32 images: eight blocks of two 3×3 convolutions",
        ("N", 3, 32, 32),
        ("N", 10),
        11_173_962,
        "He et al. 2016, arXiv 1512.03385",
    ),
    "resnet18-imagenet": ZooModel(
        build_resnet18_imagenet,
        "ResNet-18: eight blocks of two 3×3 convolutions",
        ("N", 3, 224, 224),
        ("N", 1000),
        11_689_512,
        "He et al. 2016, arXiv 1512.03385",
    ),
    "resnet50": ZooModel(
        build_resnet50,
        "ResNet-50: sixteen bottleneck blocks",
        ("N", 3, 224, 224),
        ("N", 1000),
        25_557_032,
        "He et al. 2016, arXiv 1512.03385",
    ),
    "mobilenet-v2": ZooModel(
        build_mobilenet_v2,
        "MobileNetV2: inverted residuals with depthwise convolutions",
        ("N", 3, 224, 224),
        ("N", 1000),
        3_504_872,
        "Sandler et al. 2018, arXiv 1801.04381",
    ),
    "mobilenet-v2-cifar": ZooModel(
        build_mobilenet_v2_cifar,
        "MobileNetV2 for 32×32 images: its first two strides are 1",
        ("N", 3, 32, 32),
        ("N", 10),
        2_236_682,
        "Sandler et al. 2018, arXiv 1801.04381",
    ),
    "unet": ZooModel(
        build_unet,
        "small U-Net: skip connections, up-convolutions, a class for every pixel",
        ("N", 1, 64, 64),
        ("N", 2, 64, 64),
        116_770,
        "Ronneberger, Fischer & Brox 2015, arXiv 1505.04597",
    ),
}


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """Build a model of the zoo; the same seed gives the same weights, bit for bit.

    Raises ModelError for a name that `MODELS` does not have.

    >>> [node.op_type for node in build("mlp").graph.node]
    ['Flatten', 'Gemm', 'Sigmoid', 'Gemm', 'Sigmoid', 'Gemm']
    """
    if name not in MODELS:
        raise ModelError(
            f"no model {name!r} in the zoo (it has {', '.join(MODELS)}){suggestion(name)}"
        )
    return MODELS[name].builder(seed)


def suggestion(name: str) -> str:
    """Return the end of a message about a name that is none: the nearest one, if any is near.

    >>> suggestion("resnet-50")
    "; did you mean 'resnet50'?"
    """
    near = difflib.get_close_matches(name, MODELS, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def write(name: str, path: str | os.PathLike[str], seed: int = 0) -> Path:
    """Build a model and write it as an ONNX file; returns the path.

    The file appears whole or not at all. Raises ModelError (name) or OutputError (path).
    """
    return save(build(name, seed), path, name)


def save(model: onnx.ModelProto, path: str | os.PathLike[str], name: str) -> Path:
    """Write a model, called `name`, as `write` does; raises OutputError."""
    content = model.SerializeToString(deterministic=True)
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "is a folder")
        write_whole(target, lambda stream: stream.write(content))
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{target}: cannot write the model {name!r}: {reason}") from error
    return target
