"""Which learning rates the updates of a program can work with: what float32 holds of them.

A rate is multiplied by a layer's own, divided by the step of its devices and by the slots of its
pulse trains. What becomes 0 or infinity on the way trains nothing, or anything. Not for what
follows from the data (a gain from the largest error): kernels clamp that (`scalars/floats.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from rpucc.cells.buffered import Buffered
from rpucc.errors import RpuccError
from rpucc.layers import UPDATES, settings_of, weight_of
from rpucc.target.values import RANK_1

if TYPE_CHECKING:
    from rpucc.cells.transferred import Transferred
    from rpucc.runtime.array import Array
    from rpucc.runtime.devices import Device
    from rpucc.runtime.learning_rate import Schedule
    from rpucc.runtime.machine_state import MachineState
    from rpucc.runtime.plane import Plane

SMALLEST = float(np.finfo(np.float32).tiny)
"""The smallest float32 with all of its digits; what is below becomes 0, or loses them."""
LARGEST = float(np.finfo(np.float32).max)
LARGEST_GAIN = 1e37
"""What a rate divided by a granularity may come to: probabilities of pulses are multiples of it."""


@dataclass(frozen=True)
class Reach:
    """The rates of training that one update can work with, from `least` to `most`."""

    what: str
    """Whose they are."""
    least: float
    most: float
    given: tuple[str, ...] = ()
    """What the rate works with, as in "dw_min 0.001"."""

    def times(self, scale: float, named: str) -> Reach:
        """Return the same for a rate that is multiplied by a scale before; at 0 any will do."""
        if scale == 0:
            return Reach(self.what, SMALLEST, LARGEST)
        given = self.given if scale == 1 else (*self.given, f"{named} {scale:g}")
        return Reach(self.what, self.least / scale, self.most / scale, given)

    def check(self, lr: float, when: str = "") -> None:
        """Raise RpuccError for a rate beyond them. when: in which epoch it would come."""
        if not self.least <= lr <= self.most:
            wanted = "smaller" if lr > self.most else "larger"
            raise RpuccError(
                f"{self.what}learning rate {lr:g}{when}{self._with} is beyond float32; a {wanted} "
                "--lr is needed"
            )

    @property
    def _with(self) -> str:
        text = ", ".join((*self.given[:-2], " and ".join(self.given[-2:])))
        return f" with {text}" if text else ""


def check_rate(lr: float, when: str = "") -> None:
    """Refuse a rate that float32 cannot hold: it would become 0 or infinity, or lose its digits."""
    if not SMALLEST <= lr <= LARGEST:
        raise RpuccError(
            f"learning rate {lr:g}{when}: lies beyond float32 ({SMALLEST:.2g} to {LARGEST:.2g})"
        )


def update_reach(layer: str, plane: Plane, bl: int, *, of: str = "") -> Reach:
    """Return the rates that the updates of a plane can work with; bl: slots of a train.

    of: the name of the plane, where a weight has several that learn.
    """
    name = f"layer '{layer}'{of}: "
    if not plane.pulsed or plane.pulsed == RANK_1:
        return Reach(name, SMALLEST, LARGEST)
    step = float(np.float32(plane.device.granularity))
    given = (_step_of(plane.device), f"BL {bl}")
    if not SMALLEST <= step <= LARGEST:
        return Reach(name, LARGEST, SMALLEST, given)  # there are none
    return Reach(name, SMALLEST * max(bl * step, 1.0), min(LARGEST_GAIN * step, LARGEST), given)


def _step_of(device: Device) -> str:
    """The step that rates are divided by, by the name that a user may change it by."""
    name = "dw_min" if device.granularity == device.dw_min else "granularity"
    return f"{name} {device.granularity:g}"


def update_reaches(layer: str, array: Array, node: ir.Node) -> list[Reach]:
    """Return those of the planes that an update op changes, of the op's own rate."""
    bl, cell = node.attributes.get_int("bl", 1), settings_of(node)
    if cell.kind == "accumulated":  # digital
        return [Reach(f"layer '{layer}': ", SMALLEST, LARGEST)]
    if not cell.state or cell.kind == "one-sided":
        return [update_reach(layer, array.main, bl)]
    if isinstance(cell, Buffered):
        return _buffered_reaches(layer, array, node.attributes.get_int(cell.slots, bl), cell)
    return _cell_reaches(layer, array, bl, cast("Transferred", cell))


def _cell_reaches(layer: str, array: Array, bl: int, cell: Transferred) -> list[Reach]:
    slow = [(link.slow, cell.transfer_bl, link.rate, "transfer_lr") for link in cell.links]
    fast = (cell.pulsed, bl, cell.fast_lr, "fast_lr")
    return [
        update_reach(layer, array.planes[name], slots, of=f" ({name})").times(scale, key)
        for name, slots, scale, key in (fast, *(slow if cell.scaled else ()))
    ]


def _buffered_reaches(layer: str, array: Array, slots: int, cell: Buffered) -> list[Reach]:
    """Those of the rates that follow the layer's: each may be on its own."""
    slow, fast = (array.planes[name].device.granularity for name in cell.planes)
    found = []
    if cell.scale_fast_lr:
        reach = update_reach(layer, array.planes["fast"], slots, of=" (fast)")
        scale = cell.fast_lr * (slots * fast if cell.auto_scale else 1.0)
        found.append(reach.times(scale, "fast_lr"))
    if cell.scale_transfer_lr:
        unit = cell.grain(slow, fast)
        memory = Reach(f"layer '{layer}' (buffer): ", SMALLEST, LARGEST_GAIN)
        found.append(memory.times(cell.transfer_lr / unit, "transfer_lr per pulse"))
    return found


class Rates:
    """The rates that everything can work with which a step of a machine changes."""

    def __init__(self, machine: MachineState) -> None:
        self.reaches = [
            reach for name in machine.program.step.rates for reach in _reaches(machine, name)
        ]

    def check(self, lr: float, when: str = "") -> None:
        """Raise RpuccError, one line with the numbers, for a rate that one of them cannot."""
        check_rate(lr, when)
        for reach in self.reaches:
            reach.check(lr, when)

    def check_all(self, schedule: Schedule, lr: float, first: int, epochs: int) -> None:
        """The same for the rates of a schedule from epoch `first` (of 0) on to the last one.

        Those of a plateau are known when their epochs come.
        """
        for epoch in schedule.extremes(first, epochs):
            rate = schedule(lr, epoch)
            self.check(rate, "" if rate == lr else f" in epoch {epoch + 1}")


def _reaches(machine: MachineState, name: str) -> list[Reach]:
    """Those of what follows from the graph input of a rate, directly or scaled."""
    graph = machine.program.model.graph
    rate = next(value for value in graph.inputs if value.name == name)
    found, left = [], [(rate, 1.0)]
    while left:
        value, scale = left.pop()
        for use in value.uses():
            other = _scale(use.node, value)
            if other is not None:
                left.append((use.node.outputs[0], other))
            elif use.node.op_type in UPDATES:
                array = machine.arrays[str(weight_of(use.node).name)]
                for reach in update_reaches(array.layer, array, use.node):
                    found.append(reach.times(scale, "lr_scale"))
            else:
                digital = Reach("", SMALLEST, LARGEST)
                found.append(digital.times(scale, "lr_scale"))
    return found


def _scale(node: ir.Node, rate: ir.Value) -> float | None:
    """The constant that a node multiplies a rate by; None where it does something else."""
    if node.op_type != "Mul":
        return None
    other = node.inputs[1] if node.inputs[0] is rate else node.inputs[0]
    tensor = None if other is None else ir.convenience.get_const_tensor(other)
    return None if tensor is None or tensor.size != 1 else float(tensor.numpy().reshape(()))


def check_schedule(machine: MachineState, schedule: Schedule, lr: float, epochs: int) -> None:
    """Hold before the first step that float32 holds the rates of all epochs that are left."""
    Rates(machine).check_all(schedule, lr, machine.counters.epoch, epochs)
