"""One matrix of conductances: the weights and the devices that hold them, all of one model.

State is one contiguous array a quantity. Not for how devices are drawn: `fabrication.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime import aligned
from rpucc.runtime.devices.compiled import compile_pulse_counts
from rpucc.runtime.kernels.coincidences.rows import tightest
from rpucc.runtime.kernels.list_scratch import list_scratch
from rpucc.runtime.kernels.update_arguments import (
    TO_ZERO,
    Devices,
    Resets,
    Rest,
    Written,
)
from rpucc.runtime.plane_rest import OnRows, PlaneRest, rest_bytes
from rpucc.target.values import WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.runtime.spread import Symmetry
    from rpucc.target.values import Pulsed

FloatArray = NDArray[np.float32]

BOUNDS_BYTES = 8


@dataclass
class Plane:
    """A matrix of devices.

    W: float32 [R, C], changed in place by the update cycle.
    pulsed: whether its devices are pulsed, or moved by the mean of what pulses do; where updates
    are exact no device property plays a part and none is kept.
    codes: the devices' parameters [number of them, R, C]; float32, or if the device is `packed`
    uint16, where ranges float32 [B, S, number of them, 2] hold each tile's lowest value and step.
    reference: of zero-shifted devices, what the reference array holds [R, C]; W and the devices'
    parameters count from there, so that a device's conductance is W + reference.
    """

    W: FloatArray
    layout: Layout
    device: Device
    pulsed: Pulsed
    codes: NDArray[np.uint16] | FloatArray
    ranges: FloatArray
    constants: FloatArray
    reference: FloatArray | None = None
    learns: bool = True
    """False for one that stays as it was programmed."""
    mask: NDArray[np.bool_] | None = None
    """Of some weights that stay what they are [R, C]: true where the weight is trained."""
    missing: NDArray[np.bool_] | None = None
    """Crosspoints without a device [R, C]: their weight is 0 whatever is programmed."""
    symmetry: Symmetry | None = None
    """What zero-shifting found and left."""
    clipped: int = field(init=False, default=0)
    """Weights that did not fit their device's bounds when they were last programmed."""
    rest: PlaneRest = field(init=False)
    """What happens to its devices besides pulses."""

    def __post_init__(self) -> None:
        self.rest = (
            PlaneRest.of(self.layout, self.device, self.W)
            if self.pulsed
            else PlaneRest(self.layout, self.device)
        )

    @property
    def seen(self) -> FloatArray:
        """What reads see [R, C]: W itself, or W with the noise of writing it."""
        return self.written.seen if len(self.written.marks) else self.W

    @property
    def written(self) -> Written:
        """Which devices were written, for kernels that write them."""
        return self.rest.written

    def program(self, W: FloatArray) -> None:
        """Make the weights these [R, C], clipped to what each device can hold; clips are counted.

        Devices are taken to be programmed until they are right, but for the noise of writing.
        """
        self.clipped = 0
        if not self.pulsed:
            self.W[...] = W
            self.leave_missing(self.W)
            return
        for rows in self.layout.row_blocks():
            wanted = np.asarray(W[rows], np.float32)
            programmed = self._as_held(wanted, rows)
            self.clipped += int(np.count_nonzero(programmed != wanted))
            self.W[rows] = programmed
        self.rest.write_all(self.W)
        self.leave_missing(self.seen)

    def program_some(self, rows: slice, chosen: NDArray[np.bool_], W: FloatArray) -> None:
        """Make the chosen weights of some rows those of W [rows, C], as near as devices hold them.

        As `program`, without counting; what reads see of them stays, until they are written.
        """
        low, high = self.device.weight_range(tuple(self.parameters_of(rows)))
        programmed = np.clip(W, low, high).astype(np.float32, copy=False)
        self.leave_missing(programmed, rows)
        self.W[rows][chosen] = programmed[chosen]

    def write(self, W: FloatArray, sample: int) -> None:
        """The same within a training, of weights that are trained; clips are not counted.

        sample: the first of the step, whose draws the noise of writing is.
        """
        for rows in self.layout.row_blocks():
            new = self._as_held(W[rows], rows) if self.pulsed else W[rows]
            kept = True if self.mask is None else self.mask[rows]
            self.W[rows] = np.where(kept, new, self.W[rows])
            if len(self.written.marks):
                self.written.marks[rows] |= kept
        if (settle := self.settling()) is not None:
            settle(0, len(self.W), sample)

    def _as_held(self, W: FloatArray, rows: slice) -> FloatArray:
        """Weights as the devices of some rows can hold them."""
        low, high = self.device.weight_range(tuple(self.parameters_of(rows)))
        held = np.clip(W, low, high)
        self.leave_missing(held, rows)
        return held

    @property
    def masked(self) -> bool:
        """Whether some of its weights stay what they are."""
        return self.mask is not None

    def leave_missing(self, W: FloatArray, rows: slice = slice(None)) -> None:
        """Make weights W [R, C], or those of some rows, 0 where there is no device."""
        if self.missing is not None:
            W[self.missing[rows]] = 0

    def pulse(self, counts: NDArray[np.integer[Any]], sample: int) -> int:
        """Give every device exactly so many pulses, up where positive; returns how many.

        counts: [R, C]; sample: whose draws the noise of the pulses is. See the kernel,
        `devices/pulse_counts_template.py.txt`. The devices must be pulsed ones.
        """
        rows, columns = self.W.shape
        devices = Devices(self.codes, self.ranges, self.constants, self.written)
        pulses = compile_pulse_counts(self.device)(
            0,
            rows,
            0,
            columns,
            self.W,
            devices,
            counts,
            self.layout.for_kernels,
            0,
            sample,
            *self.layout.key,
            list_scratch(),
        )
        if (settle := self.settling()) is not None:
            settle(0, rows, sample)
        return pulses

    def settling(self) -> OnRows | None:
        """What draws the noise of the devices of rows a .. b - 1 that were written: (a, b, sample).

        Called behind the updates of a step, whose first sample it is. None where there is none.
        """
        return self.rest.settling(self.W)

    @property
    def rests(self) -> bool:
        """Whether its devices walk or decay in a step, pulsed or not."""
        return self.learns and bool(self.pulsed) and self.device.rest.rests

    def resting(self) -> OnRows:
        """What lets the devices of rows a .. b - 1 walk and decay by a step: (a, b, sample)."""
        return self.rest.resting(self.W, self._resting)

    @cached_property
    def _resting(self) -> Rest:
        return self.rest.rest_of(self.bounds, self.missing)

    @cached_property
    def resets(self) -> Resets:
        """Where devices go that a cell resets; made when a training first asks."""
        if not self.pulsed or not self.device.rest.resets:
            return TO_ZERO
        return self.rest.resets_of(self.bounds)

    @property
    def drifts(self) -> bool:
        """Whether its devices change where time passes."""
        return self.learns and bool(self.pulsed) and self.device.rest.drifts

    def drift(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.rest.drift(self.W, self.bounds, seconds)
        self.leave_missing(self.W)
        self.leave_missing(self.seen)

    @property
    def matrices(self) -> FloatArray:
        """The weights by group: [groups, R / groups, C], a view."""
        return self.layout.by_group(self.W)

    @cached_property
    def limits(self) -> NDArray[np.uint8]:
        """How large a weight of each device may safely be, for updates that count pulses [R, C].

        See `rpucc.runtime.kernels.coincidences.rows.tightest`; made when a training first asks.
        """
        limits = aligned.empty(self.W.shape, np.uint8, spare=16)
        layout = self.layout
        tightest(self.codes, self.ranges, layout.row_cuts, layout.col_cuts, limits)
        return limits

    @cached_property
    def kept(self) -> NDArray[np.uint16]:
        """The mask as a bit for each device, for updates that count pulses: `CountedDevices.kept`.

        Made when a training first asks.
        """
        assert self.mask is not None
        cuts, rows = self.layout.col_cuts, len(self.mask)
        width = -(-self.layout.longest_segment // 16) * 16
        kept = np.zeros((rows, len(cuts) - 1, width), bool)
        for s, (first, last) in enumerate(pairwise(cuts)):
            kept[:, s, : last - first] = self.mask[:, first:last]
        return np.packbits(kept.reshape(-1, 16), axis=1, bitorder="little").view("<u2").reshape(-1)

    @cached_property
    def bounds(self) -> FloatArray:
        """Lowest and highest weight of each device, float32 [2, R, C], for the mean of pulses.

        The largest float32 where there is none; made when a training first asks.
        """
        found = np.empty((2, *self.W.shape), np.float32)
        for rows in self.layout.row_blocks():
            found[0, rows], found[1, rows] = self.device.weight_range(
                tuple(self.parameters_of(rows))
            )
        largest = np.finfo(np.float32).max
        return np.clip(found, -largest, largest, out=found)

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

    def ranges_of(self, rows: slice, i: int) -> tuple[FloatArray, FloatArray]:
        """(lowest value, step) of parameter i of the tile that each device is in, [rows, C]."""
        layout = self.layout
        row_blocks = np.searchsorted(layout.row_cuts, np.arange(rows.start, rows.stop), "right") - 1
        segments = np.searchsorted(layout.col_cuts, np.arange(self.W.shape[1]), "right") - 1
        both = self.ranges[:, :, i][row_blocks][:, segments]
        return both[..., 0], both[..., 1]

    def farthest(self, W: FloatArray) -> float | None:
        """One of these weights [R, C] that its device cannot hold, None where there is none.

        Kernels and this may round a bound in other ways: a thousandth of the range is let pass.
        """
        for rows in self.layout.row_blocks() if self.pulsed else ():
            low, high = self.device.weight_range(tuple(self.parameters_of(rows)))
            slack = np.float32(1e-3) * np.maximum(np.abs(low), np.abs(high))
            beyond = np.abs(W[rows] - np.clip(W[rows], low, high)) > slack
            if self.missing is not None:
                beyond &= ~self.missing[rows]
            if beyond.any():
                return float(W[rows][beyond][0])
        if self.missing is not None and W[self.missing].any():
            return float(W[self.missing & (W != 0)][0])
        return None

    @property
    def bytes(self) -> int:
        """Bytes of weights and device parameters, with the limits that a training needs."""
        per_device = training_bytes(self.device, self.pulsed) if self.learns else 0
        reference = 0 if self.reference is None else self.reference.nbytes
        kept = self.W.nbytes + self.codes.nbytes + self.ranges.nbytes + reference
        per_device += rest_bytes(self.device) if self.pulsed else 0
        return kept + per_device * self.W.size


def training_bytes(device: Device, pulsed: Pulsed) -> int:
    """Bytes a device that learns takes beside its parameters: `limits`, or `bounds`."""
    if pulsed in WITHOUT_TRAINS or (pulsed and device.rest.bounded):
        return BOUNDS_BYTES + (1 if pulsed is True and device.counted else 0)
    return 1 if pulsed and device.counted else 0
