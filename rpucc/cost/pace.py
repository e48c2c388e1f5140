"""What a layer's nodes and the target say about how fast its arrays work.

Not for the times that follow: those are timing.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.cost.timing import Pace
from rpucc.cost.transfers import transfers_of
from rpucc.cost.writes import writes_of
from rpucc.layers import ARRAY_KIND, LR_SCALE, AnalogLayer
from rpucc.node_attributes import Value, carried
from rpucc.target.sections import Update

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind, Target


def pace_of(layer: AnalogLayer, target: Target) -> Pace:
    """Return how fast a layer's arrays work. Raises ValueError where the array kind is unknown."""
    kind = kind_of(layer.first, target)
    again = target.cost.expected_rereads
    update = layer.updates[0] if layer.updates else None
    writes = None if update is None else writes_of(update)
    return Pace(
        t_read=kind.t_read,
        t_pulse=kind.t_pulse,
        bl=0 if update is None or writes is not None else update.attributes.get_int("bl", 0),
        rereads_forward=again if is_bound_managed(layer.forward) else 0.0,
        rereads_backward=again if is_bound_managed(layer.backward) else 0.0,
        replicas=layer.replicas,
        shared_updates=layer.learners == 1,
        transfers=None if update is None else transfers_of(update),
        writes=writes,
    )


def kind_of(read: ir.Node, target: Target) -> ArrayKind:
    """Return the kind of array that a Read works on. Raises ValueError where it is unknown."""
    name = read.metadata_props.get(ARRAY_KIND)
    for kind in target.arrays:
        if kind.name == name:
            return kind
    raise ValueError(f"node {read.name!r}: the target has no array kind {name!r}")


def update_policy(layer: AnalogLayer) -> dict[str, Value]:
    """Return what the Update carries, the learning rate's scale too; empty where there is none."""
    if not layer.updates:
        return {}
    node = layer.updates[0]
    policy = {each.key: each.of_node(node) for each in carried(Update, "Update")}
    return {**policy, "lr_scale": float(node.metadata_props.get(LR_SCALE, 1))}


def is_bound_managed(reads: Sequence[ir.Node]) -> bool:
    """Tell whether any of these reads is repeated where it saturates."""
    return any(node.op_type == "BoundedRead" for node in reads)
