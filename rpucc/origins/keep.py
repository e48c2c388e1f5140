"""What a program keeps of the model that it was compiled from, at the end of a compilation.

Not for how it is written (`notes.py`, `source.py`) nor for how it is used (`restore.py`).
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.origins.notes import write_origins
from rpucc.origins.restore import recoverable
from rpucc.origins.source import write_source


def keep_source(program: ir.Model, source: ir.Model) -> None:
    """Write into a program's metadata where its constants come from, and its source.

    source: the model as the user gave it.
    """
    origins = write_origins(program)
    if origins:
        write_source(program, source, recoverable(program, origins, source))
