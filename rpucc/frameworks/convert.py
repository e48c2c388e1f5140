"""The process that converts a file of another framework: `main`, started by `files.converted`.

Its arguments: what the file is, its path, the ONNX file to write. An error is a line of JSON,
[class, message], the last on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rpucc.errors import ModelError

if TYPE_CHECKING:
    import onnx

BACKENDS = ("torch", "jax", "tensorflow")
"""Keras's backends in the order in which one is taken, unless KERAS_BACKEND names one."""


def main() -> NoReturn:
    """Convert and leave: 0 where the ONNX file is written."""
    kind, source, result = sys.argv[1:]
    try:
        _write(convert(kind, Path(source)), Path(result))
    except ModelError as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)
        os._exit(1)  # no time for what frameworks do at the end
    os._exit(0)


def convert(kind: str, path: Path) -> onnx.ModelProto:
    """Return the network of a file as an ONNX model that is called as the file.

    Raises ModelError where the framework is not installed, or does not read or export it.
    """
    model = _torch(path) if kind == "pt2" else _keras(path)
    model.graph.name = path.stem
    return model


def _write(model: onnx.ModelProto, path: Path) -> None:
    """Write it with its weights in a file beside it, which may have any size."""
    import onnx

    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=1024)


def _torch(path: Path) -> onnx.ModelProto:
    from rpucc.frameworks import torch_archive, torch_export

    torch_export.require(f"{path}: a PyTorch program")
    return torch_export.export_program(torch_archive.read_program(path), str(path))


def _keras(path: Path) -> onnx.ModelProto:
    """With a backend that is installed."""
    from rpucc.frameworks.keras_export import INSTALL, from_keras, read_keras

    backends = [name for name in BACKENDS if find_spec(name) is not None]
    if find_spec("keras") is None or not backends:
        missing = "keras" if find_spec("keras") is None else "one of " + ", ".join(BACKENDS)
        raise ModelError(f"{path}: a Keras model: needs {missing}: {INSTALL}")
    os.environ.setdefault("KERAS_BACKEND", backends[0])
    return from_keras(read_keras(path))
