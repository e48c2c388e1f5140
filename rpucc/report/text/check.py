"""A check as text: nodes by fate, problems and notes in full, and the verdict.

Pure functions of a Check. Not for finding out: that is `rpucc/compiler/check.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.report import units
from rpucc.report.text.tables import heading, new_table, pairs

if TYPE_CHECKING:
    from rpucc.compiler.check import Check
    from rpucc.compiler.check_trail import NodeFate

ORDER = ("refused", "array", "digital", "folded", "removed", "constant", "undecided")
"""Fates as they are listed: what needs attention first."""

EXAMPLES = 3
"""Names shown for a row of the summary."""


def report(
    check: Check, inference: Check | None = None, *, every: bool = False
) -> Iterator[RenderableType]:
    """Yield a check's tables; `inference` is the second check of what cannot be trained."""
    yield heading(check.model, f" on {check.target}: {units.counted(len(check.nodes), 'node')}")
    yield Text()
    yield _all_nodes(check) if every else _summary(check)
    if check.problems:
        yield Text()
        yield pairs([("refused", units.plain(problem)) for problem in check.problems])
    if check.notes:
        yield Text()
        yield pairs([("note", units.plain(note)) for note in check.notes])
    yield Text()
    yield verdict(check, inference)


def verdict(check: Check, inference: Check | None = None) -> Text:
    """Return the line that says whether the model would compile."""
    purpose = "training" if check.training else "inference"
    if check.compiles:
        layers = sum(node.fate == "array" for node in check.nodes)
        text = f"would compile for {purpose}, {units.counted(layers, 'layer')} on arrays"
        return Text(text, style="bold")
    text = f"would not compile for {purpose}: {units.counted(len(check.problems), 'problem')}"
    if inference is not None:
        text += "; would compile" if inference.compiles else "; nor"
        text += " for inference (--inference)" if inference.compiles else " for inference"
    return Text(text, style="bold")


def _summary(check: Check) -> Table:
    table = new_table("fate", "nodes", "op", "which", "why", numeric=(1,), folds=(3, 4))
    groups: dict[tuple[str, str, str, str], list[NodeFate]] = {}
    for node in check.nodes:
        groups.setdefault((node.fate, node.op, node.runs, node.why), []).append(node)
    last = ""
    for key in sorted(groups, key=lambda key: (ORDER.index(key[0]), -len(groups[key]), key)):
        fate, op, runs, why = key
        names = [_name(node) for node in groups[key]]
        more = f", … {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
        table.add_row(
            fate if fate != last else "",
            units.count(len(names)),
            op,
            units.plain(", ".join(names[:EXAMPLES]) + more),
            units.plain(_reason(why, runs)),
        )
        last = fate
    return table


def _all_nodes(check: Check) -> Table:
    table = new_table("node", "op", "fate", "why", folds=(0, 3))
    for node in check.nodes:
        name = _name(node)
        if node.node and node.node != name:
            name += f" = {node.node}"
        why = f"{node.why} {node.into}" if node.into else node.why
        table.add_row(units.plain(name), node.op, node.fate, units.plain(_reason(why, node.runs)))
    return table


def _name(node: NodeFate) -> str:
    """Return the name that plans and rules know, else the file's, else the value that it makes."""
    return node.layer or node.node or f"→ {node.output}"


def _reason(why: str, runs: str) -> str:
    return f"{why}; {runs}" if runs else why
