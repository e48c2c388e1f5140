"""The model's metadata, key by key.

Not for the metadata of nodes, which belong to layers (`layers.py`), nor for the values of the graph
that the step contract names (`step.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir
from pydantic import TypeAdapter, ValidationError

from rpucc import limits
from rpucc.batch_norms import BATCH_NORMS, Decision
from rpucc.checked import Name, Names, parsed, said
from rpucc.layers import OTHER_NAMES
from rpucc.origins.notes import ORIGINS, read_origins
from rpucc.origins.source import SOURCE, read_source
from rpucc.step_contract import STEP, StepContract

REQUIRED = ("rpucc.version", "rpucc.target", STEP, "rpucc.input_range")


def note_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the metadata, one line each."""
    notes = model.metadata_props
    for key in REQUIRED:
        if key not in notes:
            yield f"its metadata lack {key}"
            return
    for key, test in _RULES.items():
        if key in notes and (problem := test(notes[key])) is not None:
            yield f"metadata {key}: {problem}"
            return
    for key, read in ((ORIGINS, read_origins), (SOURCE, read_source)):
        try:
            read(model)
        except ValueError as error:
            yield f"metadata {key}: {error}"
            return


# ---------------------------------------------------------------- one rule a key


def _range(text: str) -> str | None:
    words = text.split()
    try:
        lo, hi = (float(word) for word in words)
    except ValueError:
        return f"needs two numbers, found {text[:60]!r}"
    return None if math.isfinite(hi - lo) and lo < hi else f"needs a finite range, found {text!r}"


def _batch(text: str) -> str | None:
    whole = text.isascii() and text.isdigit() and len(text) < 10 and not text.startswith("0")
    if whole and int(text) <= limits.BATCH:
        return None
    return f"needs a number of samples from 1 to {limits.BATCH:,}, found {text[:60]!r}"


def _version(text: str) -> str | None:
    return None if text and text.isprintable() and len(text) <= 100 else "is no version"


def _step(text: str) -> str | None:
    try:
        StepContract.from_json(text)
    except ValueError as error:
        return str(error)
    return None


def _json(schema: TypeAdapter[Any]) -> Callable[[str], str | None]:
    def test(text: str) -> str | None:
        try:
            schema.validate_python(parsed(text))
        except ValidationError as error:
            return said(error)
        except ValueError as error:
            return str(error)
        return None

    return test


_RULES: dict[str, Callable[[str], str | None]] = {
    "rpucc.version": _version,
    "rpucc.input_range": _range,
    "rpucc.fixed_batch": _batch,
    STEP: _step,
    "rpucc.import_notes": _json(TypeAdapter(Names)),
    OTHER_NAMES: _json(TypeAdapter(dict[Name, Names])),
    BATCH_NORMS: _json(TypeAdapter(list[Decision])),
}
"""Key -> what is wrong with its text, None for nothing. Keys that are not here are not read."""
