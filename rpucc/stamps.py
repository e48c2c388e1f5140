"""What a target says about a layer, as the attributes of its nodes carry it.

The passes write these, and the check of a program that was read compares with them: one source.
Not for when a node gets them: that is each pass's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.layers import cycle_of

if TYPE_CHECKING:
    from rpucc.target import LayerPolicy

Stamp = dict[str, int | float]
"""Attribute name to value."""


def is_transposed(read: ir.Node) -> bool:
    """Tell whether a Read takes the matrix from its rows, as those of the backward cycle do."""
    return bool(read.attributes.get_int("transpose", 0))


def periphery_stamp(policy: LayerPolicy, read: ir.Node) -> Stamp:
    """Return what a Read carries of the converters, the noise and the bound of its direction."""
    periphery = policy.periphery.backward if is_transposed(read) else policy.periphery
    return {
        "noise": float(periphery.read_noise),
        "bound": float(periphery.bound),
        "dac_bits": periphery.dac_bits,
        "dac_stochastic": int(periphery.dac_stochastic and periphery.dac_bits > 0),
        "adc_bits": periphery.adc_bits,
    }


def bounds_stamp(policy: LayerPolicy, read: ir.Node) -> Stamp | None:
    """Return what makes a Read a BoundedRead in its cycle; None where it stays a Read.

    A Read without a bound cannot saturate. In the worst-case mode assumed_w_max is there too.
    """
    management = policy.management
    backward = cycle_of(read) == "backward"
    wanted = management.bound_backward if backward else management.bound_forward
    if not wanted or not periphery_stamp(policy, read)["bound"]:
        return None
    stamp: Stamp = {"max_halvings": management.max_halvings}
    if management.bound_mode == "worst-case":
        stamp["assumed_w_max"] = float(management.assumed_w_max)
    return stamp


def update_stamp(policy: LayerPolicy) -> Stamp:
    """Return what an Update carries of its policy; where it is exact nothing reads the rest."""
    update = policy.update
    return {
        "pulsed": int(update.pulsed),
        "bl": update.bl if update.pulsed else 0,
        "update_management": int(update.pulsed and update.update_management),
        "update_bl_management": int(update.pulsed and update.update_bl_management),
    }


def set_attributes(node: ir.Node, stamp: Mapping[str, int | float]) -> None:
    """Write a stamp onto a node: integers as INT, numbers as FLOAT."""
    for key, value in stamp.items():
        if isinstance(value, int):
            node.attributes[key] = ir.AttrInt64(key, value)
        else:
            node.attributes[key] = ir.AttrFloat32(key, value)
