"""What devices are like where algorithms differ: states, asymmetry, symmetry points, noise.

Measured on a seeded sample of devices, as the simulator fabricates and pulses them. Not for which
algorithm bears what: `rpucc/advice/`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime.calibration import nearest_to_zero, pulse_devices, zero_shift
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.symmetry import QuietSteps, symmetry_points
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.target.sections import Calibration

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Spread:
    """A mean over devices with its standard deviation."""

    mean: float
    std: float

    @property
    def rms(self) -> float:
        """The root of the mean square: how far from zero, whichever way."""
        return math.hypot(self.mean, self.std)


@dataclass(frozen=True)
class DeviceTraits:
    """A sample of devices in numbers, all about weight 0; weights have no unit."""

    devices: int
    lowest: float
    """Mean lower bound of the weight; -inf where there is none."""
    highest: float
    granularity: float
    """What a pulse changes on average, which pulse probabilities are made for."""
    asymmetry: Spread
    """(up - down) / (up + down) of the steps at weight 0, -1 to 1, of devices that move there."""
    noise: float
    """Standard deviation of a pulse from pulse to pulse, as a multiple of the granularity."""
    immovable: int
    """Devices that no pulse moves at weight 0."""
    symmetry: Spread | None
    """The weights at which up and down pulses cancel; None where no device has one."""
    without: int
    """Devices that have no such weight between their bounds."""
    shifted: Spread | None
    """Where these weights lie when the devices were zero-shifted; None where they cannot be."""
    pairs: int
    """Pairs of an up and a down pulse that the shift took."""

    @property
    def reach(self) -> float:
        """Half of the mean range of weights."""
        return (self.highest - self.lowest) / 2

    @property
    def above_zero(self) -> bool:
        """Whether no weight lies below 0 on average: devices of a pair, only pulsed up."""
        return self.lowest >= 0

    @property
    def states(self) -> float:
        """Pulses of the granularity from the lowest to the highest weight; inf without bounds."""
        return 2 * self.reach / self.granularity

    @property
    def offset(self) -> float | None:
        """How far symmetry points lie from zero (rms) as a part of the reach."""
        return None if self.symmetry is None else self.symmetry.rms / self.reach

    @property
    def shifted_offset(self) -> float | None:
        """The same after a zero shift."""
        return None if self.shifted is None else self.shifted.rms / self.reach


def device_traits(device: Device, devices: int, pairs: int, seed: int = 0) -> DeviceTraits:
    """Measure so many devices, pulsed and counted as a program's are.

    pairs: of an up and a down pulse by which they are zero-shifted.
    """
    layout, row, shape = Layout.of((0, 1), (0, devices), seed_key(seed)), slice(0, 1), (1, devices)
    fabricated = draw_devices(layout, device, row)
    low, high = (np.broadcast_to(each, shape) for each in device.weight_range(fabricated))
    zero = nearest_to_zero(device, fabricated, shape)
    steps = QuietSteps(device, fabricated)
    up, down = steps.step(zero, 1), -steps.step(zero, -1)
    moves = (up + down) > 0
    part = ((up - down) / np.where(moves, up + down, 1))[moves]
    noisy = zero.copy()
    pulse_devices(layout, device, row, noisy, fabricated, np.ones(1, np.int8))
    points = symmetry_points(device, fabricated, shape)
    return DeviceTraits(
        devices=devices,
        lowest=float(low.mean(dtype=np.float64)),
        highest=float(high.mean(dtype=np.float64)),
        granularity=device.granularity,
        asymmetry=_spread(part),
        noise=float(np.std(noisy - zero - up, dtype=np.float64)) / device.granularity,
        immovable=int(np.count_nonzero(~moves)),
        symmetry=_spread(points.known) if points.exists.any() else None,
        without=int(np.count_nonzero(~points.exists)),
        shifted=_shifted(device, layout, pairs),
        pairs=pairs,
    )


def _shifted(device: Device, layout: Layout, pairs: int) -> Spread | None:
    """Where symmetry points lie after a zero shift of the same devices."""
    calibration = Calibration(zero_shift=True, pairs=pairs)
    try:
        left = zero_shift("", layout, device, calibration)[1].after
    except TargetError:
        return None
    return Spread(left.mean, left.std)


def _spread(values: NDArray[np.floating[Any]]) -> Spread:
    if not values.size:
        return Spread(0.0, 0.0)
    return Spread(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)))
