"""Writing any ONNX model to a file, whole or not at all; weights that are too large lie beside it.

Not for reading: `program.py` reads programs, the importer the models of users.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx_ir as ir

from rpucc.errors import OutputError
from rpucc.files import temporary_folder

EXTERNAL_DATA_BYTES = 1_900_000_000
"""Above this size weights go to a file of their own: protobuf holds no more than 2 GB."""


def write_model(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write any ONNX model to `path` through a temporary folder beside it, then rename.

    Weights go to `<name>.data` where they exceed EXTERNAL_DATA_BYTES. Raises OutputError.
    """
    path = Path(path)
    size = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )
    external = f"{path.name}.data" if size > EXTERNAL_DATA_BYTES else None
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; give the name of a file to write")
        with temporary_folder(path) as folder:
            temporary = folder / path.name
            ir.save(model, temporary, format="protobuf", external_data=external)
            if external is not None:
                os.replace(folder / external, path.parent / external)
            os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror or error}") from error
