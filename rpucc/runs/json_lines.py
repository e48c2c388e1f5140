"""Logs of one JSON object a line, to which lines are only added.

Not for what the lines say: events.py, step_log.py. layers.jsonl is stricter: layer_record.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rpucc import limits
from rpucc.checked import parsed
from rpucc.files import read_whole

Line = TypeVar("Line", bound=BaseModel)


def read_lines(path: Path, schema: type[Line]) -> list[Line]:
    """Return the lines that fit; what is none, as the end that a killed writer left, is left out.

    None for a file that is not there, or cannot be read.
    """
    try:
        text = read_whole(path, limits.JSON_BYTES).decode(errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            found.append(schema.model_validate(parsed(line)))
        except (ValidationError, ValueError):
            continue
    return found
