"""Zero-shifting: weights that count from each device's symmetry point (Kim et al. 2019).

Where up and down steps of a device differ, pulses of both directions that should cancel pull its
weight to the symmetry point, at which they do cancel. Zero-shifting (arXiv 1907.10228) makes that
point zero: up and down pulses in turn bring every device there, a reference array is programmed
to the same values, and the weight is the device minus its reference.

Here weights and device parameters are kept as they look from the reference (`Device.shifted`), so
that reads, updates and bounds need not know of it. Assumed: the reference array stays as it was
programmed, with an error that is normal, and its subtraction is part of a read at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime.devices.compiled import compile_pulses
from rpucc.runtime.devices.symmetry import SymmetryPoints, symmetry_points
from rpucc.runtime.fabrication import draw_devices, normals, row_blocks
from rpucc.runtime.kernels.philox import REFERENCE

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.grid import Grid
    from rpucc.target import Calibration

FloatArray = NDArray[np.float32]


@dataclass
class Spread:
    """Mean and standard deviation of values that come a block at a time."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: FloatArray) -> None:
        """Take these values in."""
        exact = values.astype(np.float64)
        self.count += exact.size
        self.total += float(exact.sum())
        self.squares += float(np.square(exact).sum())

    def __add__(self, other: Spread) -> Spread:
        """Both sets of values as one."""
        count, total = self.count + other.count, self.total + other.total
        return Spread(count, total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Their mean; 0 without any."""
        return self.total / max(self.count, 1)

    @property
    def std(self) -> float:
        """Their standard deviation."""
        return float(np.sqrt(max(self.squares / max(self.count, 1) - self.mean**2, 0.0)))


@dataclass
class Symmetry:
    """The symmetry points of a grid's devices, seen from zero before and after the shift."""

    before: Spread = field(default_factory=Spread)
    after: Spread = field(default_factory=Spread)

    def __add__(self, other: Symmetry) -> Symmetry:
        """The devices of both."""
        return Symmetry(self.before + other.before, self.after + other.after)

    def record(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "devices": self.before.count,
            "mean_before": self.before.mean,
            "std_before": self.before.std,
            "mean_after": self.after.mean,
            "std_after": self.after.std,
        }


def zero_shift(grid: Grid, calibration: Calibration) -> tuple[FloatArray, Symmetry]:
    """What the reference array of a grid comes to hold, float32 [R, C], and how well that fits.

    Symmetry points are the model's own, else searched (`devices/symmetry.py`). Raises TargetError
    where the devices have none, or cannot be shifted.
    """
    device = grid.device
    reference, symmetry = np.empty(grid.W.shape, np.float32), Symmetry()
    for rows in row_blocks(grid, 0, len(grid.W)):
        fabricated = draw_devices(grid, rows)
        shape = rows.stop - rows.start, int(grid.W.shape[1])
        points = symmetry_points(device, fabricated, shape)
        if not points.exists.any():
            raise _refusal(grid, "has no symmetry point: " + _nowhere(device, fabricated, points))
        if np.isnan(points.weights).any():
            raise _refusal(grid, "has devices without a symmetry point, and no bounds to stop them")
        point = points.weights
        found = _alternated(grid, rows, fabricated, calibration.pairs)
        if calibration.reference_std:
            found += np.float32(calibration.reference_std) * normals(grid, rows, REFERENCE, 0)
        try:
            device.shifted(tuple(a[:0] for a in fabricated), found[:0])
        except NotImplementedError:
            raise _refusal(grid, "does not say how it looks shifted (Device.shifted)") from None
        reference[rows] = found
        symmetry.before.add(point)
        symmetry.after.add(point - found)
    return reference, symmetry


def _nowhere(device: Device, fabricated: tuple[FloatArray, ...], points: SymmetryPoints) -> str:
    """Say why up and down pulses cancel at no weight, and how far that was looked for."""
    if not points.searched:
        return "up and down pulses cancel nowhere, its steps do not depend on the weight"
    low, high = (float(np.mean(bound)) for bound in device.weight_range(fabricated))
    between = f" between its bounds ({low:.3g} to {high:.3g} on average)"
    where = between if np.isfinite([low, high]).all() else ""
    return f"an up and a down pulse without noise cancel at no weight{where}"


def _refusal(grid: Grid, why: str) -> TargetError:
    return TargetError(
        f"layer '{grid.layer}': calibration.zero_shift: device '{grid.device.name}' {why}; "
        "soft-bounds and linear-step devices can be shifted"
    )


def _alternated(
    grid: Grid, rows: slice, fabricated: tuple[FloatArray, ...], pairs: int
) -> FloatArray:
    """The weights of devices that start at zero, after so many pairs of an up and a down pulse."""
    low, high = grid.device.weight_range(fabricated)
    w = np.clip(np.zeros((rows.stop - rows.start, grid.W.shape[1]), np.float32), low, high)
    pulse_devices(grid, rows, w, fabricated, np.tile(np.array([1, -1], np.int8), pairs))
    return w


def pulse_devices(
    grid: Grid, rows: slice, w: FloatArray, fabricated: tuple[FloatArray, ...],
    directions: NDArray[np.int8], first: int = 0,
) -> None:  # fmt: skip
    """Give every device of some rows the same pulses; changes w [rows, C] in place.

    directions: +1 or -1 for each pulse; first: the number of the first, which names its noise.
    """
    shape = len(fabricated), *w.shape
    parameters = np.stack(fabricated) if fabricated else np.empty(shape, np.float32)
    scratch = np.empty(int(np.max(np.diff(grid.col_cuts))) + 128, np.float32)
    compile_pulses(grid.device)(
        w, parameters, grid.constants, directions, first, rows.start, grid.row_cuts,
        grid.col_cuts, grid.tiles, *grid.key, scratch,
    )  # fmt: skip
