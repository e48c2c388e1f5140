"""Bytes of simulation state a weight, known before anything is fabricated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.errors import TargetError
from rpucc.layers import analog_layers
from rpucc.runtime.devices import make_device

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.devices import Device
    from rpucc.target import LayerPolicy

WEIGHT_BYTES = 4
REFERENCE_BYTES = 4
"""What a zero-shifted weight is counted from, float32."""


def device_bytes(device: Device, pulsed: bool) -> int:
    """Bytes a device of a layer takes: its float32 weight and what is stored of it.

    Where updates are exact no device property plays a part and none is stored.
    """
    stored = len(device.per_device) * (2 if device.packed else 4)
    stored += 1 if device.counted else 0  # `Grid.limits`
    return WEIGHT_BYTES + (stored if pulsed else 0)


def bytes_per_weight(policy: LayerPolicy) -> int | None:
    """The same for a layer of a target; None where its device model cannot be loaded."""
    try:
        device = make_device(policy.device.model, policy.device.parameters)
    except TargetError:
        return None
    shifted = policy.calibration.zero_shift and policy.update.pulsed
    return device_bytes(device, policy.update.pulsed) + (REFERENCE_BYTES if shifted else 0)


def state_bytes(program: Program) -> int | None:
    """Bytes of the weights on arrays and their devices in a simulation of the program.

    Each tile's few ranges of packed parameters are not counted. None where a device model cannot
    be loaded.
    """
    total = 0
    for layer in analog_layers(program.model):
        each = bytes_per_weight(program.target.for_layer(layer.name))
        if each is None or layer.weight.shape is None:
            return None
        rows, columns = (int(d) for d in layer.weight.shape)  # type: ignore[arg-type]
        total += each * rows * columns
    return total
