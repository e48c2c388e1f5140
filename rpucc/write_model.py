"""Writing any ONNX model to a file, whole or not at all; weights that are too large lie beside it.

Not for reading: `program.py` reads programs, the importer the models of users.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx_ir as ir

from rpucc.errors import OutputError
from rpucc.files import is_stream, place_of, temporary_folder, write_whole

EXTERNAL_DATA_BYTES = 1_900_000_000
"""Above this size weights go to a file of their own: protobuf holds no more than 2 GB."""


def write_model(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write any ONNX model to `path` through a temporary folder beside it, then rename.

    A pipe or a device is written to as it is. Weights go to `<name>.data` where they exceed
    EXTERNAL_DATA_BYTES. Raises OutputError.
    """
    path = Path(path)
    size = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )
    external = f"{place_of(path).name}.data" if size > EXTERNAL_DATA_BYTES else None
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; give the name of a file to write")
        if is_stream(path):
            _write_through(model, path, external)
            return
        place = place_of(path)
        with temporary_folder(place) as folder:
            temporary = folder / place.name
            ir.save(model, temporary, format="protobuf", external_data=external)
            if external is not None:
                os.replace(folder / external, place.parent / external)
            os.replace(temporary, place)
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror or error}") from error


def _write_through(model: ir.Model, path: Path, external: str | None) -> None:
    if external is not None:
        raise OutputError(
            f"{path}: cannot write: it takes one file, and weights of more than "
            f"{EXTERNAL_DATA_BYTES / 1e9:g} GB need a second one beside it"
        )
    write_whole(path, lambda stream: stream.write(ir.to_proto(model).SerializeToString()))
