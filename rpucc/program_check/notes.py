"""The model's metadata, key by key, and the graph inputs and outputs that they name.

Not for the metadata of nodes: those belong to layers (`layers.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir

from rpucc.layers import OTHER_NAMES
from rpucc.program_check.values import MOST_AXES, TYPES

LOSSES = ("none", "cross-entropy", "binary-cross-entropy", "mse")
MOST_SAMPLES = 2**20
"""The largest batch that a program may be fixed to: more samples at once are a slip."""

REQUIRED = ("rpucc.version", "rpucc.target", "rpucc.input", "rpucc.output", "rpucc.input_range")
TRAINING = ("rpucc.loss_value", "rpucc.labels", "rpucc.lr")
"""What a program with updates needs besides."""


def note_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the metadata, one line each."""
    notes = model.metadata_props
    for key in REQUIRED:
        if key not in notes:
            yield f"its metadata lack {key}"
            return
    for key, test in _RULES.items():
        if key in notes and (problem := test(notes[key], model)) is not None:
            yield f"metadata {key}: {problem}"
            return
    updates = json.loads(notes.get("rpucc.updates", "{}"))
    for key in TRAINING if updates else ():
        if key not in notes:
            yield f"its metadata lack {key}, which a training program has"
            return
    loss = notes.get("rpucc.loss", "none")
    if (loss == "none") != (not updates):
        has = "with" if updates else "without"
        yield f"metadata rpucc.loss is {loss!r} in a program {has} updates"
        return
    yield from _input_problems(model, training=bool(updates))
    if updates:
        yield from _label_problems(model)
    for name, result in updates.items():
        yield from _update_problems(model, name, result)


def _input_problems(model: ir.Model, *, training: bool) -> Iterator[str]:
    """Exactly the named inputs are there, and the data's first axis is the batch."""
    notes = model.metadata_props
    keys = ("rpucc.input", *(("rpucc.labels", "rpucc.lr") if training else ()))
    found, named = sorted(str(v.name) for v in model.graph.inputs), sorted(notes[k] for k in keys)
    if found != named:
        yield f"has the inputs {', '.join(found)}; its metadata name {', '.join(named)}"
        return
    (data,) = (value for value in model.graph.inputs if value.name == notes["rpucc.input"])
    batch = data.shape[0] if data.shape is not None and len(data.shape) else None
    fixed = notes.get("rpucc.fixed_batch")
    expected = "N" if fixed is None else fixed
    text = str(batch if isinstance(batch, int) else getattr(batch, "value", None))
    if text != expected:
        yield f"input {data.name!r} {data.shape}: its first axis is not the batch, {expected}"


def _label_problems(model: ir.Model) -> Iterator[str]:
    """Labels have the output's shape without its classes, targets have the output's."""
    notes = model.metadata_props
    named = {v.name: v for v in model.graph.inputs}
    named |= {v.name: v for node in model.graph for v in node.outputs}
    labels, output = named[notes["rpucc.labels"]], named[notes["rpucc.output"]]
    found, shape = list(labels.shape or ()), list(output.shape or ())
    classes = notes.get("rpucc.loss") == "cross-entropy"
    wanted = [*shape[:1], *shape[2:]] if classes else shape
    if output.dtype != ir.DataType.FLOAT or len(shape) < 2:
        yield f"output {output.name!r} {output.shape}: training needs one that is FLOAT"
    elif found != wanted or (labels.dtype == ir.DataType.INT64) != classes:
        yield f"input {labels.name!r} {labels.shape}: does not fit the output {output.shape}"


def _update_problems(model: ir.Model, name: str, result: str) -> Iterator[str]:
    """A new value takes the old one's place: both are alike."""
    where = f"metadata rpucc.updates: {name!r}"
    old = model.graph.initializers.get(name)
    new = next((v for v in model.graph.outputs if v.name == result), None)
    if old is None or old.const_value is None:
        yield f"{where} is no initializer"
    elif new is None or new.producer() is None:
        yield f"{where}: {result!r}, its new value, is no graph output that a node makes"
    elif new.shape is None or list(new.shape) != list(old.const_value.shape):
        yield f"{where} {old.const_value.shape}: its new value has the shape {new.shape}"
    elif new.dtype != old.const_value.dtype or new.dtype != ir.DataType.FLOAT:
        yield f"{where}: it and its new value must be FLOAT"


# ---------------------------------------------------------------- one rule a key


def _range(text: str, model: ir.Model) -> str | None:
    words = text.split()
    try:
        lo, hi = (float(word) for word in words)
    except ValueError:
        return f"needs two numbers, found {text[:60]!r}"
    return None if math.isfinite(hi - lo) and lo < hi else f"needs a finite range, found {text!r}"


def _batch(text: str, model: ir.Model) -> str | None:
    whole = text.isascii() and text.isdigit() and len(text) < 10 and not text.startswith("0")
    if whole and int(text) <= MOST_SAMPLES:
        return None
    return f"needs a number of samples from 1 to {MOST_SAMPLES:,}, found {text[:60]!r}"


def _loss(text: str, model: ir.Model) -> str | None:
    return None if text in LOSSES else f"needs one of {', '.join(LOSSES)}, found {text[:60]!r}"


def _version(text: str, model: ir.Model) -> str | None:
    return None if text and text.isprintable() and len(text) <= 100 else "is no version"


def _json(check: Callable[[Any], bool], what: str) -> Callable[[str, ir.Model], str | None]:
    def test(text: str, model: ir.Model) -> str | None:
        try:
            good = check(json.loads(text))
        except (ValueError, RecursionError):
            return "is no valid JSON"
        return None if good else f"needs {what}"

    return test


def _graph_input(
    types: tuple[ir.DataType, ...], ranks: tuple[int, int]
) -> Callable[[str, ir.Model], str | None]:
    def test(text: str, model: ir.Model) -> str | None:
        found = next((v for v in model.graph.inputs if v.name == text), None)
        if found is None:
            return f"names {text[:60]!r}, which is no input of the graph"
        return _kind(found, types, ranks)

    return test


def _computed(
    types: tuple[ir.DataType, ...], ranks: tuple[int, int]
) -> Callable[[str, ir.Model], str | None]:
    def test(text: str, model: ir.Model) -> str | None:
        values = (v for node in model.graph for v in node.outputs)
        found = next((v for v in values if v.name == text), None)
        if found is None or not text:
            return f"names {text[:60]!r}, which no node of the graph makes"
        return _kind(found, types, ranks)

    return test


def _kind(value: ir.Value, types: tuple[ir.DataType, ...], ranks: tuple[int, int]) -> str | None:
    rank = None if value.shape is None else len(value.shape)
    if value.dtype not in types or rank is None or not ranks[0] <= rank <= ranks[1]:
        wanted = " or ".join(each.name for each in types) if len(types) < 3 else "number"
        span = str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]} to {ranks[1]}"
        return f"names {value.name!r}, which is no {wanted} of {span} axes"
    return None


def _are_texts(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(line, str) for line in data)


def _are_names(data: Any) -> bool:
    return isinstance(data, dict) and all(map(_are_texts, data.values()))


def _are_updates(data: Any) -> bool:
    return isinstance(data, dict) and all(isinstance(name, str) for name in data.values())


def _are_norms(data: Any) -> bool:
    return isinstance(data, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("node"), str) for entry in data
    )


_FLOAT = (ir.DataType.FLOAT,)

_RULES: dict[str, Callable[[str, ir.Model], str | None]] = {
    "rpucc.version": _version,
    "rpucc.input_range": _range,
    "rpucc.fixed_batch": _batch,
    "rpucc.input": _graph_input(_FLOAT, (1, MOST_AXES)),
    "rpucc.labels": _graph_input((*_FLOAT, ir.DataType.INT64), (1, MOST_AXES)),
    "rpucc.lr": _graph_input(_FLOAT, (0, 0)),
    "rpucc.output": _computed(TYPES, (0, MOST_AXES)),
    "rpucc.loss_value": _computed(_FLOAT, (0, 0)),
    "rpucc.loss": _loss,
    "rpucc.updates": _json(_are_updates, "names of weights with the names of their new values"),
    "rpucc.import_notes": _json(_are_texts, "a list of lines"),
    OTHER_NAMES: _json(_are_names, "lists of names by layer"),
    "rpucc.batch_norms": _json(_are_norms, "a list of batch norms, each with its node"),
}
"""Key -> what is wrong with its text, None for nothing. Keys that are not here are not read."""
