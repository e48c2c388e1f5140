"""Notes of a compilation: lines that plans, `rpucc check` and `rpucc compile` show to the user."""

from __future__ import annotations

import json
from collections.abc import Iterable

import onnx_ir as ir

from rpucc.passes.frontend.batch import NOTES_KEY

NAMES_IN_A_NOTE = 3
"""Names that a note lists before it only counts the rest."""


def add_notes(model: ir.Model, lines: Iterable[str]) -> None:
    """Append lines to the model's notes."""
    notes = [*json.loads(model.metadata_props.get(NOTES_KEY, "[]")), *lines]
    if notes:
        model.metadata_props[NOTES_KEY] = json.dumps(notes)


def listed(names: Iterable[str]) -> str:
    """Return names for a note: 'a', 'b', 'c' and 4 more.

    >>> listed(["conv1", "conv2", "fc1", "fc2"])
    "'conv1', 'conv2', 'fc1' and 1 more"
    """
    return shortened(repr(name) for name in names)


def shortened(texts: Iterable[str]) -> str:
    """Return the first few texts of a list, and how many more there are."""
    texts = list(texts)
    more = len(texts) - NAMES_IN_A_NOTE
    return ", ".join(texts[:NAMES_IN_A_NOTE]) + (f" and {more} more" if more > 0 else "")
