"""Statistics of batch norms that were measured again, as text.

Not for the measuring: `rpucc.runtime.recalibration`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

from rpucc.batch_norms import left_text
from rpucc.report import units
from rpucc.report.text.tables import new_table, pairs
from rpucc.report.text.training import reads_text

if TYPE_CHECKING:
    from rpucc.runtime.metrics import Evaluation
    from rpucc.runtime.recalibration import Recalibration


def measured_text(found: Recalibration, data: str) -> str:
    """Return one line about what was measured and what it took; data: what it was measured over."""
    norms = units.counted(sum(len(each.batch_norms) for each in found.batch_norms), "batch norm")
    text = f"{norms} over {units.counted(found.samples, 'sample')} of {data}"
    if not found.reads:
        return text
    cost = units.seconds(found.array_seconds)
    if found.joules:
        cost += f" and {units.si(found.joules, 'J')}"
    reads = reads_text(found.reads, found.saturated_reads, found.rereads)
    return f"{text}: reads {reads}; {cost} on the arrays"


def left_line(found: Recalibration) -> str:
    """Return one line about the batch norms that keep their statistics; "" where there are none."""
    return f"not measured again: {left_text(found.left)}" if found.left else ""


def comparison(
    before: Evaluation, after: Evaluation, found: Recalibration, data: str
) -> RenderableType:
    """Return the evaluations before and after, and what lies between them."""
    lines = [
        ("before", _evaluated(before)),
        ("after", _evaluated(after)),
        ("measured", measured_text(found, data)),
    ]
    if found.left:
        lines.append(("left", left_text(found.left)))
    return pairs(lines)


def _evaluated(result: Evaluation) -> str:
    """Return error and loss; a regression has no share of wrong answers."""
    parts = [] if result.error is None else [f"error {units.percent(result.error)}"]
    if result.top_k_error is not None:
        parts.append(f"top-{result.top_k} error {units.percent(result.top_k_error)}")
    return ", ".join([*parts, f"loss {units.number(result.loss)}"])


def moved_table(found: Recalibration) -> Table:
    """Return a row for each batch norm: how far its statistics have moved."""
    table = new_table(
        "batch norm", "channels", "numbers each", "mean moved by", "deviation", numeric=(1, 2, 3, 4)
    )
    for each in found.batch_norms:
        spread = units.NONE if math.isnan(each.spread) else f"× {each.spread:.3g}"
        moved = f"{each.moved:.3g} σ" if math.isfinite(each.moved) else units.NONE
        table.add_row(
            units.plain(", ".join(each.batch_norms)),
            units.count(each.channels),
            units.count(each.values),
            moved,
            spread,
        )
    return table
