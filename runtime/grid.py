"""One layer's weight matrix on its arrays: the weights, the devices and where the tiles lie.

State is one contiguous float32 array per quantity, [R, C]; tiles are index ranges on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime.devices import Device
from rpucc.runtime.kernels.fabricate import grid_normals

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
CODES = 65535
"""The largest code of a packed parameter."""


@dataclass
class Grid:
    """The state of one weight matrix.

    W: float32 [R, C], changed in place by the update cycle. row_cuts [B + 1], col_cuts [S + 1]:
    the tile borders; tiles int64 [B, S]: tile ids, unique in the program, that address the draws.
    codes: the devices' parameters [number of them, R, C]; float32, or if the device is `packed`
    uint16, where ranges float32 [B, S, number of them, 2] hold each tile's lowest value and step.
    """

    layer: str
    W: FloatArray
    row_cuts: IntArray
    col_cuts: IntArray
    tiles: IntArray
    device: Device
    pulsed: bool
    key: tuple[np.uint32, np.uint32]
    codes: NDArray[np.uint16] | FloatArray = field(init=False)
    ranges: FloatArray = field(init=False)
    constants: FloatArray = field(init=False)
    clipped: int = field(init=False, default=0)
    """Weights that did not fit their device's bounds when they were programmed."""

    def __post_init__(self) -> None:
        """Fabricate the devices and program the weights, clipped to each device's range."""
        # Where updates are exact no device property plays a part.
        fabricated = self.device.fabricate(self._normals()) if self.pulsed else ()
        needed = len(self.device.per_device) if self.pulsed else 0
        if len(fabricated) != needed or any(a.shape != self.W.shape for a in fabricated):
            raise TargetError(
                f"device '{self.device.name}': fabricate must return {needed} arrays of shape "
                f"{list(self.W.shape)} (per_device = {', '.join(self.device.per_device) or '()'}), "
                f"it returned {[list(np.shape(a)) for a in fabricated]}"
            )
        if len(self.device.constant_values()) != len(self.device.constants):
            raise TargetError(
                f"device '{self.device.name}': constant_values must return "
                f"{len(self.device.constants)} numbers ({', '.join(self.device.constants)})"
            )
        self._store(fabricated)
        self.constants = np.asarray(self.device.constant_values(), np.float32)
        if self.pulsed:
            low, high = self.device.weight_range(tuple(self.parameters))
            programmed = np.clip(self.W, low, high)
            self.clipped = int(np.count_nonzero(programmed != self.W))
            self.W[:] = programmed

    def _tiles(self) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """(row block, column segment, place in W) of every tile."""
        for b, rows in enumerate(pairwise(self.row_cuts.tolist())):
            for s, columns in enumerate(pairwise(self.col_cuts.tolist())):
                yield b, s, (slice(*rows), slice(*columns))

    def _store(self, fabricated: tuple[FloatArray, ...]) -> None:
        count = len(fabricated)
        self.ranges = np.zeros((*self.tiles.shape, count, 2), np.float32)
        shape = (count, *self.W.shape)
        # Kernels read codes 16 at a time, up to 15 behind the last.
        spare = np.empty(count * self.W.size + 16, np.uint16 if self.device.packed else np.float32)
        self.codes = spare[:-16].reshape(shape)
        for i, values in enumerate(fabricated):
            if not self.device.packed:
                self.codes[i] = values
                continue
            for b, s, place in self._tiles():
                low, high = values[place].min(), values[place].max()
                scale = np.float32(high - low) / np.float32(CODES) if high > low else np.float32(1)
                self.ranges[b, s, i] = low, scale
                self.codes[i][place] = np.rint((values[place] - low) / scale)

    @property
    def parameters(self) -> FloatArray:
        """Every device's parameters, float32 [number of them, R, C], as the update uses them."""
        values = self.codes.astype(np.float32)
        if self.device.packed:
            for b, s, place in self._tiles():
                low, scale = self.ranges[b, s].T[..., None, None]
                values[:, *place] = values[:, *place] * scale + low
        return values

    def _normals(self) -> Callable[[], FloatArray]:
        """The function that gives a device model the next normals of the grid."""
        drawn = 0

        def normal() -> FloatArray:
            nonlocal drawn
            out = np.empty(self.W.shape, np.float32)
            scratch = np.empty(int(np.max(np.diff(self.col_cuts))) + 128, np.float32)
            grid_normals(out, self.row_cuts, self.col_cuts, self.tiles, drawn, *self.key, scratch)
            drawn += 1
            return out

        return normal

    @property
    def bytes(self) -> int:
        """Bytes of weights and device parameters."""
        return self.W.nbytes + self.codes.nbytes + self.ranges.nbytes
