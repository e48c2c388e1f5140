"""Dropouts of a file as the importer leaves them: x alone goes in, what the ratio is stands aside.

A ratio may be an attribute, an input of any floating-point type, or computed; it is no weight. Not
for what becomes of them: `passes/draw_dropouts.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.passes.frontend.constants import constant
from rpucc.passes.frontend.messages import node_text
from rpucc.passes.notes import shortened

RATIO = "rpucc.ratio"
"""Node metadata of a Dropout: its ratio, "computed" where that is no constant."""

DEFAULT = 0.5


def is_dropout(node: ir.Node) -> bool:
    """Whether the node is a standard Dropout."""
    return node.domain in ("", "ai.onnx") and node.op_type == "Dropout"


def dropouts(model: ir.Model) -> list[ir.Node]:
    """Return all of a model's graph, in its order."""
    return [node for node in model.graph if is_dropout(node)]


def note_ratios(model: ir.Model, before: Sequence[ir.Node]) -> list[str]:
    """Put the ratio of each Dropout into its metadata; returns a note for those that are gone.

    before: those that there were before constants were folded.
    """
    for node in dropouts(model):
        node.metadata_props[RATIO] = _ratio(node)
        node.resize_inputs(1)
    gone = [node_text(node) for node in before if node.graph is None]
    if not gone:
        return []
    verb = "acts" if len(gone) == 1 else "act"
    return [f"{shortened(gone)} {verb} on constants: left out, weights are never dropped"]


def ratio_of(node: ir.Node) -> float | None:
    """Return the noted ratio of a Dropout; None where it is computed."""
    found = node.metadata_props[RATIO]
    return None if found == "computed" else float(found)


def _ratio(node: ir.Node) -> str:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return repr(DEFAULT)
    array = constant(node.inputs[1])
    return "computed" if array is None or array.size != 1 else repr(float(array.reshape(-1)[0]))
