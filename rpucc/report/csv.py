"""Comma-separated values, for spreadsheets and pandas: any table, and the table of layers.

Its columns are named as in the JSON of a plan (docs/plan.md); counts and times are for one sample,
times in seconds. Not for people: that is text/plan.py.
"""

from __future__ import annotations

import csv
import functools
import io
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units

if TYPE_CHECKING:
    from rpucc.plan.plan import LayerPlan, Plan

_Cell = Callable[["LayerPlan"], object]


_MATRIX: dict[str, _Cell] = {
    "name": lambda la: la.name,
    "op": lambda la: la.op,
    "analog": lambda la: int(la.analog),
    "R": lambda la: la.R,
    "C": lambda la: la.C,
    "groups": lambda la: la.groups,
    "replicas": lambda la: la.replicas,
    "devices_per_weight": lambda la: la.devices_per_weight,
    "cell": lambda la: la.cell,
    "planes": lambda la: len(la.planes),
    "devices": lambda la: la.devices,
    "grid_rows": lambda la: la.grid[0],
    "grid_columns": lambda la: la.grid[1],
    "array": lambda la: la.array,
    "array_rows": lambda la: la.array_size[0],
    "array_columns": lambda la: la.array_size[1],
    "tiles": lambda la: la.tiles,
    "arrays": lambda la: la.arrays,
    "utilisation": lambda la: la.utilisation,
    "weights": lambda la: la.weights,
    "scale_min": lambda la: la.weight_scale[0],
    "scale_max": lambda la: la.weight_scale[1],
    "clipped": lambda la: la.clipped,
    "fixed": lambda la: la.fixed,
    "tiles_left_out": lambda la: la.tiles_left_out,
    "arrays_saved": lambda la: la.arrays_saved,
    "reads_saved": lambda la: la.reads_saved,
    "macs": lambda la: la.macs,
    "reads_forward": lambda la: la.reads_forward,
    "reads_backward": lambda la: la.reads_backward,
    "updates": lambda la: la.updates,
    "noise_forward": lambda la: int(la.noise_forward),
    "noise_backward": lambda la: int(la.noise_backward),
    "bound_forward": lambda la: int(la.bound_forward),
    "bound_backward": lambda la: int(la.bound_backward),
}
_COST: dict[str, _Cell] = {
    "lr_scale": lambda la: _update(la, "lr_scale"),
    "seconds": lambda la: la.seconds,
    "training_seconds": lambda la: la.training_seconds,
    "images_per_second": lambda la: la.images_per_second,
    "joules": lambda la: la.joules,
    "training_joules": lambda la: la.training_joules,
    "tops_per_watt": lambda la: la.tops_per_watt,
    "is_bottleneck": lambda la: int(la.is_bottleneck),
}
"""Column -> its cell: what is true or false is 1 or 0."""

_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes a cell for a formula by."""


def as_csv(plan: Plan) -> str:
    """Return a line of headings and one line a layer."""
    found = columns()
    return table_csv(found, ([cell(la) for cell in found.values()] for la in plan.layers))


def columns() -> dict[str, _Cell]:
    """Return the columns in order; those of the update policy are the keys that Updates carry."""
    from rpucc.node_attributes import carried
    from rpucc.target.sections import Update

    keys = [each.key for each in carried(Update, "Update")]
    names = [key if key.startswith("update_") else f"update_{key}" for key in keys]
    update = {n: functools.partial(_update, key=k) for n, k in zip(names, keys, strict=True)}
    return {**_MATRIX, **update, **_COST}


def table_csv(headings: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a line of headings and one a row; numbers as they are.

    Of text, characters that are not printable become "?", as in a terminal, and what a spreadsheet
    would run as a formula gets an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_safe, headings))
    writer.writerows(map(_safe, row) for row in rows)
    return text.getvalue()


def records_csv(records: Sequence[Mapping[str, object]]) -> str:
    """Return records as a table, a column for each key that any of them has; nothing for none.

    >>> records_csv([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "lr": 0.1}])
    'epoch,loss,lr\\n1,0.5,\\n2,0.25,0.1\\n'
    """
    headings = list(dict.fromkeys(key for record in records for key in record))
    rows = ([record.get(key, "") for key in headings] for record in records)
    return table_csv(headings, rows) if records else ""


def _update(layer: LayerPlan, key: str) -> object:
    """A key of the update policy; nothing where the layer is not updated."""
    value = layer.update.get(key, "")
    return int(value) if isinstance(value, bool) else value


def _safe(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = units.plain(value)
    # Some spreadsheets take the wide forms of these characters, and what comes after spaces, too.
    formula = unicodedata.normalize("NFKC", text.lstrip()[:1]).startswith(_FORMULA)
    return f"'{text}" if formula else text
