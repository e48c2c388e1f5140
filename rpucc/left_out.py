"""What a network of another framework draws in training and its ONNX model cannot say.

`rpucc.from_torch` and `from_keras` write it into the model's metadata; a compilation for training
says it in its notes. Not for what is in the model: that is honoured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpucc.errors import one_line

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

LEFT_OUT = "rpucc.left_out"
"""Model metadata: JSON list of layers, each its name with its class in brackets."""


def note_left_out(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Write into a model's metadata which layers are left out."""
    if names:
        model.metadata_props.add(key=LEFT_OUT, value=json.dumps(list(dict.fromkeys(names))))


def left_out_of(model: ir.Model) -> list[str]:
    """Return what `note_left_out` wrote; nothing of what anyone else may have."""
    try:
        found = json.loads(model.metadata_props.get(LEFT_OUT, "[]"))
    except (ValueError, RecursionError):
        return []
    names = found if isinstance(found, list) else []
    return [one_line(each)[:100] for each in names if isinstance(each, str)]
