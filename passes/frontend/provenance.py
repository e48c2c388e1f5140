"""Which constants of the file the constants of an imported model are, and what uses them there.

The passes go on from here (`rpucc/origins`). Not for which of them have numbers in common: that is
`sharing.py`.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from rpucc.layers import static_shape
from rpucc.origins.notes import note_origin, origin_of
from rpucc.origins.terms import Origin, Term
from rpucc.origins.view import View
from rpucc.passes.frontend.lineage import lineages_of


def note_file_constants(model: ir.Model) -> None:
    """Note of each float32 constant which one of the file it is, or shows in another layout.

    One that the file computes from others comes from the computed value, which has its name.
    """
    for value in model.graph.initializers.values():
        if value.dtype == ir.DataType.FLOAT and list(value.uses()):
            note_origin(value, _origin(value))


def _origin(value: ir.Value) -> Origin:
    lines = lineages_of(value)
    if len(lines) == 1 and lines[0].exact and lines[0].steps:
        view = View.of(lines[0].index())
        if view is not None and view.is_injective:
            return Origin((Term(lines[0].origin, lines[0].shape, view),))
    return Origin.of_constant(str(value.name), static_shape(value))


def note_uses(model: ir.Model) -> None:
    """Note what uses each constant: nodes are known by their results, which keep their names."""
    for value in model.graph.initializers.values():
        origin = origin_of(value)
        if origin is not None:
            uses = tuple((str(node.outputs[0].name), index) for node, index in value.uses())
            note_origin(value, Origin((replace(origin.terms[0], uses=tuple(sorted(uses))),)))
