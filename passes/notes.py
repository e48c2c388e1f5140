"""Notes of a compilation: lines that plans, `rpucc check` and `rpucc compile` show to the user."""

from __future__ import annotations

import json
from collections.abc import Iterable

import onnx_ir as ir

from rpucc.listed import listed, shortened
from rpucc.passes.frontend.batch import NOTES_KEY

__all__ = ["add_notes", "listed", "shortened"]


def add_notes(model: ir.Model, lines: Iterable[str]) -> None:
    """Append lines to the model's notes."""
    notes = [*json.loads(model.metadata_props.get(NOTES_KEY, "[]")), *lines]
    if notes:
        model.metadata_props[NOTES_KEY] = json.dumps(notes)
