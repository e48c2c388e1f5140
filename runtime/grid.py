"""One layer's weight matrix on its arrays: the weights, the devices and where the tiles lie.

State is one contiguous float32 array per quantity, [R, C]; tiles are index ranges on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime import aligned
from rpucc.runtime.calibration import Symmetry, zero_shift
from rpucc.runtime.devices import Device
from rpucc.runtime.fabrication import fabricate, row_blocks
from rpucc.runtime.kernels.counted.rows import tightest

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

if TYPE_CHECKING:
    from rpucc.target import Calibration


@dataclass
class Grid:
    """The state of one weight matrix.

    W: float32 [R, C], changed in place by the update cycle. row_cuts [B + 1], col_cuts [S + 1]:
    the tile borders; tiles int64 [B, S]: tile ids, unique in the program, that address the draws.
    Of a grouped layer W holds `groups` matrices of one shape, cut alike, one below the other.
    codes: the devices' parameters [number of them, R, C]; float32, or if the device is `packed`
    uint16, where ranges float32 [B, S, number of them, 2] hold each tile's lowest value and step.
    reference: of a zero-shifted grid, what the reference array holds [R, C]; W and the devices'
    parameters count from there, so that a device's conductance is W + reference.
    """

    layer: str
    W: FloatArray
    row_cuts: IntArray
    col_cuts: IntArray
    tiles: IntArray
    device: Device
    pulsed: bool
    key: tuple[np.uint32, np.uint32]
    groups: int = 1
    calibration: Calibration | None = None
    """How to zero-shift the devices; None leaves them as they are."""
    reference: FloatArray | None = field(init=False, default=None)
    symmetry: Symmetry | None = field(init=False, default=None)
    """What zero-shifting found and left."""
    codes: NDArray[np.uint16] | FloatArray = field(init=False)
    ranges: FloatArray = field(init=False)
    constants: FloatArray = field(init=False)
    clipped: int = field(init=False, default=0)
    """Weights that did not fit their device's bounds when they were programmed."""

    def __post_init__(self) -> None:
        """Fabricate the devices and program the weights, clipped to each device's range."""
        if len(self.device.constant_values()) != len(self.device.constants):
            raise TargetError(
                f"device '{self.device.name}': constant_values must return "
                f"{len(self.device.constants)} numbers ({', '.join(self.device.constants)})"
            )
        self.constants = np.asarray(self.device.constant_values(), np.float32)
        if self.calibration is not None and self.pulsed:
            self.reference, self.symmetry = zero_shift(self, self.calibration)
        fabricate(self)

    @property
    def group_cuts(self) -> IntArray:
        """The row borders of one group's matrix."""
        return self.row_cuts[: (len(self.row_cuts) - 1) // self.groups + 1]

    @property
    def group_tiles(self) -> IntArray:
        """The tile ids by group: [groups, row blocks of a group, column segments]."""
        return self.tiles.reshape(self.groups, -1, self.tiles.shape[1])

    @property
    def matrices(self) -> FloatArray:
        """The weights by group: [groups, R / groups, C], a view."""
        return self.W.reshape(self.groups, -1, self.W.shape[1])

    @cached_property
    def limits(self) -> NDArray[np.uint8]:
        """How large a weight of each device may safely be, for updates that count pulses [R, C].

        See `rpucc.runtime.kernels.counted.rows.tightest`; made when a training first asks.
        """
        limits = aligned.empty(self.W.shape, np.uint8, spare=16)
        tightest(self.codes, self.ranges, self.row_cuts, self.col_cuts, limits)
        return limits

    @property
    def parameters(self) -> FloatArray:
        """Every device's parameters, float32 [number of them, R, C], as the update uses them."""
        return self.parameters_of(slice(0, len(self.W)))

    def parameters_of(self, rows: slice) -> FloatArray:
        """The parameters of the devices of some rows, float32 [number of them, rows, C]."""
        values = self.codes[:, rows].astype(np.float32)
        if self.device.packed:
            for i, parameter in enumerate(values):
                low, step = self.ranges_of(rows, i)
                parameter *= step
                parameter += low
        return values

    def farthest(self) -> float | None:
        """A weight that its device cannot hold, None where there is none.

        Kernels and this may round a bound in other ways: a thousandth of the range is let pass.
        """
        for rows in row_blocks(self, 0, len(self.W)) if self.pulsed else ():
            low, high = self.device.weight_range(tuple(self.parameters_of(rows)))
            slack = np.float32(1e-3) * np.maximum(np.abs(low), np.abs(high))
            beyond = np.abs(self.W[rows] - np.clip(self.W[rows], low, high)) > slack
            if beyond.any():
                return float(self.W[rows][beyond][0])
        return None

    def ranges_of(self, rows: slice, i: int) -> tuple[FloatArray, FloatArray]:
        """(lowest value, step) of parameter i of the tile that each device is in, [rows, C]."""
        row_blocks = np.searchsorted(self.row_cuts, np.arange(rows.start, rows.stop), "right") - 1
        segments = np.searchsorted(self.col_cuts, np.arange(self.W.shape[1]), "right") - 1
        both = self.ranges[:, :, i][row_blocks][:, segments]
        return both[..., 0], both[..., 1]

    @property
    def bytes(self) -> int:
        """Bytes of weights and device parameters, with the limits that a training needs."""
        counted = self.W.size if self.pulsed and self.device.counted else 0
        reference = 0 if self.reference is None else self.reference.nbytes
        return self.W.nbytes + self.codes.nbytes + self.ranges.nbytes + counted + reference
