"""Making a plane: its devices fabricated, and calibrated if the policy asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.runtime.calibration import ZERO_SHIFT, zero_shift
from rpucc.runtime.fabrication import fabricate

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.runtime.plane import Plane
    from rpucc.target.target import Calibration
    from rpucc.target.values import Pulsed


def make_plane(
    layer: str, layout: Layout, device: Device, *, pulsed: Pulsed,
    calibration: Calibration | None = None, key: str = ZERO_SHIFT,
) -> Plane:  # fmt: skip
    """Fabricated devices, zero-shifted where the calibration says so; all weights are 0.

    layer, key: named where the devices cannot be shifted. Raises TargetError.
    """
    if not pulsed or calibration is None or not calibration.zero_shift:
        return fabricate(layout, device, pulsed=pulsed)
    reference, symmetry = zero_shift(layer, layout, device, calibration, key)
    plane = fabricate(layout, device, pulsed=pulsed, reference=reference)
    plane.symmetry = symmetry
    return plane
