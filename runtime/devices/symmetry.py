"""Symmetry points: the weights at which an up and a down pulse of a device cancel on average.

A model that knows them says so (`Device.symmetry_point`). Of any other they are searched: the sum
of an up and a down step without noise is followed from zero outwards until it pushes inwards from
both sides, then halved down to the weight between. Not for shifting weights there: calibration.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.compiled import compile_quiet_pulses

FloatArray = NDArray[np.float32]

OUTWARDS = 24
"""Doublings of a step in the search: 16 million steps to either side of zero."""
HALVINGS = 30
CANCEL = np.float32(1e-3)
"""An up and a down step cancel if less than this part of them is left."""
SMOOTH = np.float32(0.5)
"""The same a step away from where they cancel: there little more may be left."""


@dataclass(frozen=True)
class SymmetryPoints:
    """Where the pulses of some devices lead when up and down come in turn."""

    weights: FloatArray
    """Each device's symmetry point; without one, the bound that it is driven to (nan without)."""
    exists: NDArray[np.bool_]
    """Whether it has a symmetry point, between its bounds."""
    searched: bool
    """Whether it was searched, and not declared by the model."""

    @property
    def known(self) -> FloatArray:
        """The symmetry points of those devices that have one, in a row."""
        return self.weights[self.exists]


def symmetry_points(
    device: Device, fabricated: tuple[FloatArray, ...], shape: tuple[int, int]
) -> SymmetryPoints:
    """Find the symmetry points of devices [rows, C] with these parameters.

    A stable point is meant: pulses of both directions in turn lead there from either side. That
    pulses end at a bound does not make one of it.
    """
    if _declares(type(device)):
        declared = device.symmetry_point(fabricated)
        points = np.asarray(np.nan if declared is None else declared, np.float32)
        points = np.broadcast_to(points, shape)
        exists = np.isfinite(points)
        if exists.any() and not exists.all():  # the others are driven to a bound
            low, high = (np.broadcast_to(b, shape) for b in device.weight_range(fabricated))
            points = np.where(exists, points, _driven(QuietSteps(device, fabricated), low, high))
        return SymmetryPoints(points, exists, searched=False)
    low, high = (np.broadcast_to(b, shape) for b in device.weight_range(fabricated))
    return _searched(QuietSteps(device, fabricated), np.float32(device.granularity), low, high)


def _driven(steps: QuietSteps, low: FloatArray, high: FloatArray) -> FloatArray:
    """The bounds that devices at zero are driven to by pulses in turn; nan where there is none."""
    drift = steps.drift(np.clip(np.zeros(low.shape, np.float32), low, high))
    bound = np.where(drift > 0, high, np.where(drift < 0, low, np.float32(np.nan)))
    return np.asarray(np.where(np.isfinite(bound), bound, np.float32(np.nan)))


def _declares(model: type[Device]) -> bool:
    """Tell whether a model says which symmetry points its step has.

    Not if it leaves that to `Device`, nor if its step is newer than what it says.
    """
    step, point = (
        next(i for i, each in enumerate(model.__mro__) if name in vars(each))
        for name in ("step", "symmetry_point")
    )
    return point <= step


class QuietSteps:
    """What pulses without noise do to devices [rows, C] with these parameters."""

    def __init__(self, device: Device, fabricated: tuple[FloatArray, ...]) -> None:
        self._pulse: Callable[..., None] = compile_quiet_pulses(device)
        self._parameters = fabricated
        self._constants = device.all_constants()

    def __call__(self, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (sum, size) of both steps from the weights w [rows, C]."""
        up, down = self.step(w, 1), self.step(w, -1)
        return up + down, np.abs(up) + np.abs(down)

    def drift(self, w: FloatArray, cancel: np.float32 = CANCEL) -> NDArray[np.int8]:
        """Return where both steps together lead from w: up, down or nowhere.

        cancel: the part of them that counts as nothing, beside what rounding makes.
        """
        net, size = self(w)
        rest = cancel * size + 4 * np.spacing(np.abs(w) + size)
        return np.asarray((net > rest).astype(np.int8) - (net < -rest))

    def step(self, w: FloatArray, direction: int) -> FloatArray:
        """Return what a pulse up (1) or down (-1) adds to the weights w [rows, C]."""
        moved, (rows, columns) = w.copy(), w.shape
        shape = len(self._parameters), rows, columns
        none = np.empty(shape, np.float32)
        parameters = np.stack(self._parameters) if self._parameters else none
        cuts = (np.array([0, extent], np.int64) for extent in (rows, columns))
        key, noise = (np.uint32(0), np.uint32(0)), np.empty(columns + 128, np.float32)
        directions, tiles = np.array([direction], np.int8), np.zeros((1, 1), np.int64)
        self._pulse(
            moved, parameters, self._constants, directions, 0, 0, *cuts, tiles, *key, noise
        )  # fmt: skip
        return moved - w


def _searched(
    steps: QuietSteps, step: np.float32, low: FloatArray, high: FloatArray
) -> SymmetryPoints:
    """Widen an interval around zero until its ends are pushed inwards, then halve it."""
    zero = np.clip(np.zeros(low.shape, np.float32), low, high)
    left, right, exists = zero.copy(), zero.copy(), np.zeros(low.shape, bool)
    for doubling in range(OUTWARDS):
        reach = step * np.float32(2**doubling)
        below, above = np.clip(zero - reach, low, None), np.clip(zero + reach, None, high)
        inwards = steps.drift(below) > 0
        inwards &= steps.drift(above) < 0
        new = inwards & ~exists
        left[new], right[new] = below[new], above[new]
        exists |= new
        if bool(np.all(exists | ((below <= low) & (above >= high)))):
            break
    ends = left, right
    for _ in range(HALVINGS):
        middle = np.asarray((left + right) / np.float32(2))
        up = steps(middle)[0] > 0
        left, right = np.where(up, middle, left), np.where(up, right, middle)
    points = np.asarray((left + right) / np.float32(2))
    exists &= _is_smooth(steps, points) & _is_pushed(steps, points, *ends)
    found = np.where(exists, points, _driven(steps, low, high))
    return SymmetryPoints(found, exists, searched=True)


def _is_pushed(
    steps: QuietSteps, points: FloatArray, left: FloatArray, right: FloatArray
) -> NDArray[np.bool_]:
    """Tell where weights half way to the ends are pushed to the points, and not the ends alone.

    Where steps are even at every weight it is the bounds that push.
    """
    inner = [np.asarray((points + end) / np.float32(2)) for end in (left, right)]
    up, down = (steps.drift(w, np.float32(0)) for w in inner)
    return np.asarray((up > 0) & (down < 0))


def _is_smooth(steps: QuietSteps, points: FloatArray) -> NDArray[np.bool_]:
    """Tell where steps are about as large a step further on; where a bound cuts them, they are not.

    At a bound an up and a down pulse always seem to cancel.
    """
    step = steps(points)[1] / 2
    smooth = np.ones(points.shape, bool)
    for side in (-1, 1):
        net, size = steps(np.asarray(points + np.float32(side) * step))
        smooth &= np.abs(net) < SMOOTH * size
    return smooth
