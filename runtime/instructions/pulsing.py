"""How the pulses of an update node are made: policy, kernel, devices and scratch of each way.

Not for the instruction around them: `update.py`, and `cell_update.py` of cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from rpucc.runtime.addresses import hold_numbers, hold_update
from rpucc.runtime.devices.compiled import (
    compile_mean,
    compile_numbered,
    compile_numbered_side,
    compile_side,
    compile_update,
)
from rpucc.runtime.instructions.update_scratch import (
    counted_chunk,
    device_state,
    number_scratch,
    plain_state,
    update_scratch,
)
from rpucc.runtime.kernels.clipped import clipped_falls, clipped_rises, clipped_update
from rpucc.runtime.kernels.pulses import TRAIN_SLOTS
from rpucc.runtime.kernels.update_arguments import PulsePolicy
from rpucc.target.values import IMPLICIT, MEAN, PULSES, RANK_1, WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.runtime.plane import Plane

FINEST = 1 << 24
"""Steps of a probability where it is not rounded: the resolution of trains."""


def without_chance(node: ir.Node) -> bool:
    """Whether the numbers of an update's pulses follow from its vectors."""
    return node.attributes.get_int("pulses", 0) > 0


def trains_of(node: ir.Node) -> int:
    """How many trains the slots of one position make; without any, it is there once."""
    if without_chance(node):
        return 1
    return max(1, -(-node.attributes.get_int("bl", 1) // TRAIN_SLOTS))


def pulse_policy(node: ir.Node, step: float) -> PulsePolicy:
    """How many pulses there are; step: the weight change that a pulse stands for."""
    attributes = node.attributes
    levels = [0, 0]
    if PULSES[attributes.get_int("pulses", 0)] == IMPLICIT:
        found = (attributes.get_float(f"{line}_res_implicit", 0.0) for line in "xd")
        levels = [min(FINEST, round(1 / each)) if each else FINEST for each in found]
    return PulsePolicy(
        np.float32(step),
        attributes.get_int("bl", 1),
        attributes.get_int("update_management", 0) * (1 + attributes.get_int("overflow", 0)),
        bool(attributes.get_int("update_bl_management", 0)),
        *levels,
    )


def pulse_kernel(node: ir.Node, plane: Plane) -> Callable[..., int]:
    """The kernel of the updates of pulsed devices."""
    if without_chance(node):
        return compile_numbered(plane.device, masked=plane.masked)
    if plane.pulsed == RANK_1:
        return clipped_update
    compiled = compile_mean if plane.pulsed == MEAN else compile_update
    return compiled(plane.device, masked=plane.masked)


def side_kernel(node: ir.Node, plane: Plane, side: int) -> Callable[..., int]:
    """The kernel of pulsed devices that only go up; side: the sign of the moves they are for."""
    if without_chance(node):
        return compile_numbered_side(plane.device, side, masked=plane.masked)
    if plane.pulsed == RANK_1:
        return clipped_rises if side > 0 else clipped_falls
    return compile_side(plane.device, side, plane.pulsed, masked=plane.masked)


def side_state(node: ir.Node, plane: Plane) -> Any:
    """What that kernel knows of the devices, which it pulses one by one."""
    trains = without_chance(node) or plane.pulsed not in WITHOUT_TRAINS
    return plain_state(plane) if trains else device_state(plane)


def pulse_state(node: ir.Node, plane: Plane) -> Any:
    """What that kernel knows of the devices."""
    return plain_state(plane) if without_chance(node) else device_state(plane)


def pulse_scratch(
    node: ir.Node, plane: Plane, total: int, positions: int, rows: int, *, one_by_one: bool = False
) -> Any:
    """What it works in: `total` positions, `positions` of them a sample, so many rows.

    one_by_one: of `side_kernel`.
    """
    if without_chance(node):
        return number_scratch(plane)
    bl = node.attributes.get_int("bl", 1)
    return update_scratch(plane, total, positions, bl, rows, one_by_one=one_by_one)


def check_pulses(
    layer: str, plane: Plane, total: int, positions: int, bl: int, before: int = 0, *,
    numbered: bool = False,
) -> None:  # fmt: skip
    """Hold that all pulses of a batch have draws of their own.

    total: positions of the batch, of which a sample has `positions`; before: the largest number
    that a chunk may have before those of the batch are counted; numbered: `without_chance`.
    """
    if plane.pulsed in WITHOUT_TRAINS:
        return
    if numbered:
        hold_numbers(layer, positions, bl)
        return
    slots, chunks = min(bl, TRAIN_SLOTS), None
    if plane.device.counted:
        chunks = before + -(-total // counted_chunk(plane, total, slots))
    hold_update(layer, plane.layout, positions, slots, chunks)
