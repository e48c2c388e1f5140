"""Memory of a simulation, known before anything is made: state a weight, values a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.cells import COUNT
from rpucc.cost.sizes import batch_of, elements
from rpucc.layers import analog_layers
from rpucc.runtime.cells.make import seen_directly
from rpucc.runtime.devices import device_of
from rpucc.runtime.plane import training_bytes
from rpucc.runtime.plane_rest import rest_bytes
from rpucc.trust import is_own

if TYPE_CHECKING:
    from rpucc.cells import Cell
    from rpucc.program import Program
    from rpucc.runtime.devices import Device
    from rpucc.target.target import LayerPolicy
    from rpucc.target.values import Pulsed

WEIGHT_BYTES = 4
VALUE_BYTES = 4

EVALUATED_TOGETHER = 100
"""Samples that are evaluated at once, where their values fit in VALUES_BYTES."""
VALUES_BYTES = 1 << 28

COUNT_BYTES = 8
BUFFER_BYTES = 4
"""A number of a cell's digital memory, float32."""
REFERENCE_BYTES = 4
"""What a zero-shifted weight is counted from, float32."""


def device_bytes(device: Device, *, pulsed: Pulsed, learns: bool = True) -> int:
    """Bytes a device of a layer takes: its float32 weight and what is stored of it.

    Where updates are exact no device property plays a part and none is stored.
    """
    stored = len(device.per_device) * (2 if device.packed else 4)
    stored += rest_bytes(device) + (training_bytes(device, pulsed) if learns else 0)
    return WEIGHT_BYTES + (stored if pulsed else 0)


def bytes_per_weight(policy: LayerPolicy, *, training: bool) -> int | None:
    """The same for a weight of a layer: planes and digital memory of its cell, and what planes are
    counted from.

    training: without it only the planes that a read sees are there. None for a user's own device,
    which is not imported.
    """
    cell, pulsed = policy.cell.settings, policy.update.pulsed
    planes = cell.arrays(training=training)
    if any(is_own(policy.plane_devices[plane].model) for plane in planes):
        return None
    devices = {plane: device_of(policy, plane=plane) for plane in planes}
    total = sum(
        device_bytes(device, pulsed=pulsed, learns=plane != cell.reference)
        for plane, device in devices.items()
    )
    shifted = {*cell.shifted, *([cell.planes[0]] if policy.calibration.zero_shift else [])}
    if pulsed and not cell.reference:
        total += REFERENCE_BYTES * len(shifted & devices.keys())
    total += BUFFER_BYTES * len(cell.buffers) if training else 0
    return total + (0 if seen_directly(cell, devices, pulsed=pulsed) else WEIGHT_BYTES)


def state_bytes(program: Program) -> int | None:
    """Bytes of the weights on arrays, their devices and what cells count in a simulation.

    Each tile's few ranges of packed parameters are not counted. None where a layer has a device of
    a user's own: what looks at a program imports nothing.
    """
    total = 0
    for layer in analog_layers(program.model):
        policy, training = program.target.for_layer(layer.name), bool(layer.updates)
        each = bytes_per_weight(policy, training=training)
        if each is None or layer.weight.shape is None:
            return None
        rows, columns = (int(d) for d in layer.weight.shape)  # type: ignore[arg-type]
        total += each * rows * columns
        total += shared_bytes(policy.cell.settings, columns) if training else 0
    return total


def shared_bytes(cell: Cell, columns: int) -> int:
    """Bytes of what the cells of a matrix keep together: counts, flags, means."""
    counts = COUNT_BYTES if COUNT in cell.state else 0
    flags = columns * len(cell.column_flags) + len(set(cell.flags) & set(cell.state))
    return counts + BUFFER_BYTES * (flags + 2 * len(cell.means))


def evaluation_batch(program: Program, most: int = EVALUATED_TOGETHER) -> int:
    """How many samples are evaluated at once: fewer where the network's values are large.

    No draw depends on it: each is addressed by the number of its sample. Sums of float32 do, in
    their last digits.
    """
    if program.fixed_batch is not None:
        return program.fixed_batch
    each = VALUE_BYTES * _forward_elements(program)
    return max(1, min(most, VALUES_BYTES // max(each, 1)))


def _forward_elements(program: Program) -> int:
    """Elements of all values of the forward cycle for one sample."""
    batch = batch_of(program.model)
    return sum(
        elements(value, batch) or 0
        for node in program.model.graph
        if node.metadata_props.get("rpucc.cycle", "forward") == "forward"
        for value in node.outputs
    )
