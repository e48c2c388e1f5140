"""What a target says about a layer, as the attributes of its nodes carry it.

The passes write these, and the check of a program that was read compares with them: one source,
the keys of a layer's tables that are `OnNode`. Not for when a node gets them: that is each pass's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.cells.base import CELL
from rpucc.layers import UPDATES, cycle_of
from rpucc.node_attributes import Value, carried
from rpucc.opset import OPS
from rpucc.target.keys import Section
from rpucc.target.sections import LayerTables

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy

Stamp = dict[str, Value]
"""Attribute name to value."""


def is_transposed(read: ir.Node) -> bool:
    """Tell whether a Read takes the matrix from its rows, as those of the backward cycle do."""
    return bool(read.attributes.get_int("transpose", 0))


def stamp_of(policy: LayerPolicy, node: ir.Node) -> Stamp:
    """Return what a node carries of its layer's policy; a transposed Read the backward cycle's."""
    stamp: Stamp = {}
    for op in OPS[node.op_type].carries:
        for table in LayerTables.model_fields:
            section: Section = getattr(policy, table)
            keys = carried(type(section), op)
            if keys and is_transposed(node):
                section = section.backward
            stamp |= {each.attribute.name: each.of_section(section) for each in keys}
    if node.op_type in UPDATES:
        cell = policy.cell.settings
        keys = carried(type(cell), CELL)
        stamp |= {each.attribute.name: each.of_section(cell) for each in keys}
        stamp |= {cell.slots: policy.update.bl} if cell.slots else {}
    return stamp


def is_to_be_bounded(policy: LayerPolicy, read: ir.Node) -> bool:
    """Tell whether a Read is to be a BoundedRead: a Read without a bound cannot saturate."""
    management = policy.management
    backward = cycle_of(read) == "backward"
    wanted = management.bound_backward if backward else management.bound_forward
    return wanted and bool(stamp_of(policy, read)["bound"])


def set_attributes(node: ir.Node, stamp: Mapping[str, Value]) -> None:
    """Write a stamp onto a node, each attribute in the type that its op has it in."""
    for key, value in stamp.items():
        kind = OPS[node.op_type].attributes[key].kind
        node.attributes[key] = ir.Attr(key, ir.AttributeType[kind], value)
