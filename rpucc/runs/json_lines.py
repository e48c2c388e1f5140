"""Logs of one JSON object a line, to which lines are only added.

Not for what the lines say: events.py, step_log.py. layers.jsonl is stricter: layer_record.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_lines(path: Path, fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return the objects that fit; what is none, as the end that a killed writer left, is left out.

    None for a file that is not there, or cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and fits(entry):
            found.append(entry)
    return found
