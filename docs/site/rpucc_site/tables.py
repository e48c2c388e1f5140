"""The tables of what there is: targets, devices, cells, keys, passes, read stages, models.

From the tables of the code that the commands of the same names print.
"""

from __future__ import annotations

import inspect

from rpucc.cells import CELLS
from rpucc.models import MODELS
from rpucc.passes import importer
from rpucc.passes.callbacks import IMPORT
from rpucc.passes.pipeline import PASSES
from rpucc.report.keys import as_markdown
from rpucc.report.keys import keys as all_keys
from rpucc.report.units import parameter
from rpucc.runtime.devices import DEVICES, Device
from rpucc.stages import STAGES
from rpucc.target.load import list_presets, read_text
from rpucc_site.docstrings import docstring
from rpucc_site.markup import cell, code, plain, table


def targets() -> str:
    """Every preset with its file."""
    parts = []
    for name, description in list_presets():
        parts += [f"## {name}\n", f"{plain(description)}.\n", code(read_text(name)[0], "toml")]
    return "\n".join(parts)


def devices() -> str:
    """Every device model with its parameters."""
    parts = []
    for name, model in DEVICES.items():
        rows = [
            (f"`{key}`", parameter(value), _allowed(model, key), plain(model.meanings[key]))
            for key, value in model.defaults.items()
        ]
        head = ("parameter", "default", "range", "meaning")
        parts += [
            f"## {name}\n",
            f"{plain(model.summary).capitalize()}.\n",
            *([f"Source: {plain(model.source)}.\n"] if model.source else []),
            table(head, rows) if rows else "It takes no parameters.\n",
        ]
    return "\n".join(parts)


def _allowed(model: type[Device], key: str) -> str:
    default = model.defaults[key]
    if isinstance(default, bool):
        return "true, false"
    if isinstance(default, str):
        return ", ".join(model.choices[key])
    low, high = model.ranges.get(key, (float("-inf"), float("inf")))
    return f"{low:g} to {high:g}" + (" each" if isinstance(default, tuple) else "")


def cells() -> str:
    """Every cell with its planes and keys."""
    parts = []
    for name, model in CELLS.items():
        own = [key for key in all_keys() if key.place == f"cell {name}"]
        planes = ", ".join(f"`{plane}`" for plane in model.all_planes())
        parts += [
            f"## {name}\n",
            f"{plain(model.summary).capitalize()}.\n",
            *([f"Source: {plain(model.source)}.\n"] if model.source else []),
            f"Planes: {planes}.\n",
            as_markdown(f"cell {name}") if own else "It has no keys of its own.\n",
            "",
        ]
    return "\n".join(parts)


def keys() -> str:
    """Every key of a target, table by table."""
    places = dict.fromkeys(key.place for key in all_keys())
    return "\n".join(f"## {place}\n\n{as_markdown(place)}\n" for place in places)


def passes() -> str:
    """Every pass in its order, with what its docstring says of it."""
    parts = [f"## {IMPORT}\n", docstring(importer)]
    for row in PASSES:
        only = "Only programs for training have it.\n" if row.training_only else ""
        parts += [f"## {row.name}\n", docstring(row.cls), only]
    return "\n".join(parts)


def stages() -> str:
    """Every stage in the order in which a read passes them, with its source and keys."""
    parts = []
    for stage in STAGES:
        names = [name for name in stage.__annotations__ if name in stage.model_fields]
        rows = [
            (f"`periphery.{key.name}`", cell(key.values), cell(key.text))
            for key in all_keys()
            if key.table == "periphery" and key.name in names
        ]
        module = inspect.getmodule(stage)
        assert module is not None
        parts += [
            f"## {module.__name__.rpartition('.')[2].replace('_', ' ')}\n",
            docstring(module),
            table(("key", "values, default first", "what it does"), rows),
        ]
    return "\n".join(parts)


def models() -> str:
    """Every built-in network."""
    rows = [
        (f"`{name}`", cell(plain(model.description)), cell(plain(model.source)))
        for name, model in MODELS.items()
    ]
    return table(("model", "what it is", "source"), rows)
