"""The table of models that rpucc can build, and the functions that build and write them.

Adding a model is one file with a builder and one row in `MODELS`.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx

from rpucc.errors import ModelError, OutputError
from rpucc.models.lenet import build_lenet
from rpucc.models.mlp import build_mlp


class ZooModel(NamedTuple):
    """One row of the zoo; `builder` takes the seed of the initial weights."""

    builder: Callable[[int], onnx.ModelProto]
    description: str
    input_shape: tuple[int | str, ...]
    source: str


MODELS: dict[str, ZooModel] = {
    "lenet": ZooModel(
        build_lenet,
        "LeNet: two 5×5 convolutions with tanh and max pooling, 512-128-10",
        ("N", 1, 28, 28),
        "Gokmen, Onen & Haensch 2017, arXiv 1705.08014",
    ),
    "mlp": ZooModel(
        build_mlp,
        "fully connected 784-256-128-10, sigmoid hidden units",
        ("N", 1, 28, 28),
        "Gokmen & Vlasov 2016, arXiv 1603.07341",
    ),
}


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """Build a model of the zoo; the same seed gives the same weights, bit for bit.

    Raises ModelError for a name that `MODELS` does not have.

    >>> [node.op_type for node in build("mlp").graph.node]
    ['Flatten', 'Gemm', 'Sigmoid', 'Gemm', 'Sigmoid', 'Gemm']
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"no model {name!r} in the zoo (it has {', '.join(MODELS)}){hint}")
    return MODELS[name].builder(seed)


def write(name: str, path: str | os.PathLike[str], seed: int = 0) -> Path:
    """Build a model and write it as an ONNX file; returns the path.

    The file appears whole or not at all. Raises ModelError (name) or OutputError (path).
    """
    content = build(name, seed).SerializeToString(deterministic=True)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "is a folder")
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = error.strerror or str(error)
        raise OutputError(f"{target}: cannot write the model {name!r}: {reason}") from error
    return target
