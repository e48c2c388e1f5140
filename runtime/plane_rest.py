"""What happens to a plane's devices besides pulses: noise of writing, random walk, decay, drift.

The keys are those of `rpucc.runtime.devices.rest`, the equations in docs/devices.md. What differs
from device to device is drawn here, with addresses of its own, and kept only where the keys are
set. Not for pulses, which mark what they write: `kernels/written.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime import aligned
from rpucc.runtime.kernels.philox import DRIFT, FABRICATE, WRITE_NOISE
from rpucc.runtime.kernels.rest import rest
from rpucc.runtime.kernels.update_arguments import NOT_KEPT, Resets, Rest, Written
from rpucc.runtime.kernels.written import settle
from rpucc.runtime.plane_normals import normals

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout

FloatArray = NDArray[np.float32]
OnRows = Callable[[int, int, int], None]
"""Does something to rows a .. b - 1, with the draws of a sample: (a, b, sample)."""

# Which quantity of a device is drawn: the model's own are numbered from 0.
OF_LIFETIME, OF_DIFFUSION, OF_RESET, OF_NU = range(1 << 16, (1 << 16) + 4)
PROGRAMMED = 1 << 31
"""The number of the first programming among the draws of write noise; steps have smaller ones."""
JUST_WRITTEN = -1.0
LONGEST = 1e30
"""Seconds, that float32 holds; weights are as good as still by then."""
SMALLEST = 1e-7
"""Of a weight's size, as a share of g0: where ν stops growing."""

_NONE = np.empty((0, 0), np.float32)


@dataclass
class PlaneRest:
    """The state that a plane's devices have beside what pulses move.

    written: marks, and what reads see [R, C]; not kept of planes without write noise and drift.
    origin: what weights that drift were when they were written [R, C]; [0, 0] of others.
    times: how often time has passed, int64 [].
    """

    layout: Layout
    device: Device
    written: Written = NOT_KEPT
    origin: FloatArray = field(default_factory=lambda: _NONE)
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    programmings: int = 0

    @classmethod
    def of(cls, layout: Layout, device: Device, W: FloatArray) -> Self:
        """That of a plane W [R, C] of pulsed devices."""
        keys = device.rest
        if not keys.marks:
            return cls(layout, device)
        marks = np.zeros(layout.shape, np.uint8)
        seen, age, origin = W, _NONE, _NONE
        if keys.write_noise_std:
            seen = aligned.empty(layout.shape, np.float32)
            seen[...] = W
        if keys.drifts:
            age = np.full(layout.shape, JUST_WRITTEN, np.float32)
            origin = np.zeros(layout.shape, np.float32)
        written = Written(marks, seen, np.float32(device.write_noise), age)
        return cls(layout, device, written, origin)

    @property
    def seen_apart(self) -> FloatArray:
        """What reads see where that is not what pulses move [R, C], else [0, 0]."""
        return self.written.seen if self.device.write_noise else _NONE

    def state(self) -> dict[str, NDArray[Any]]:
        """What changes beside the weights, by what is added to a plane's name."""
        if not len(self.origin):
            return {}
        return {"age": self.written.age, "origin": self.origin, "times": self.times}

    def write_all(self, W: FloatArray) -> None:
        """Let every device be one that was just written: W was programmed."""
        if len(self.written.age):
            self.written.age[...] = JUST_WRITTEN
        number, self.programmings = PROGRAMMED + self.programmings, self.programmings + 1
        for rows in self.layout.row_blocks() if len(self.seen_apart) else ():
            drawn = normals(self.layout, rows, WRITE_NOISE, number)
            self.written.seen[rows] = W[rows] + self.written.std * drawn

    def write_some(
        self, W: FloatArray, rows: slice, chosen: NDArray[np.bool_], purpose: int, index: int
    ) -> None:
        """Let the chosen devices of some rows [rows, C] be ones that were just written.

        purpose, index: what their noise is drawn by, as in `fabrication.normals`.
        """
        if len(self.written.age):
            self.written.age[rows][chosen] = JUST_WRITTEN
        if len(self.seen_apart):
            drawn = W[rows] + self.written.std * normals(self.layout, rows, purpose, index)
            self.written.seen[rows][chosen] = drawn[chosen]

    def settling(self, W: FloatArray) -> OnRows | None:
        """What draws the noise of the devices that a step's updates wrote; None without any."""
        if not len(self.written.marks):
            return None
        layout, noise = self.layout.for_kernels, self._scratch()
        return lambda a, b, sample: settle(
            a, b, W, self.written, layout, sample, *self.layout.key, noise
        )

    def resting(self, W: FloatArray, devices: Rest) -> OnRows:
        """What lets the weights W walk and decay by a step; devices: of `rest_of`."""
        layout = self.layout.for_kernels
        noise = np.stack([self._scratch()] * 2)
        return lambda a, b, sample: rest(
            a, b, W, self.seen_apart, self.origin, devices, layout, sample, *self.layout.key, noise
        )

    def rest_of(self, bounds: FloatArray, missing: NDArray[np.bool_] | None) -> Rest:
        """What each device's walk and decay are; bounds [2, R, C]; missing: where there is none."""
        keys = self.device.rest
        diffusion: FloatArray = _NONE
        decay: FloatArray = _NONE
        if keys.diffusion:
            diffusion = np.abs(self._spread(keys.diffusion, keys.diffusion_dtod, OF_DIFFUSION))
        if keys.lifetime:
            times = self._spread(keys.lifetime, keys.lifetime_dtod, OF_LIFETIME)
            decay = np.asarray(1 / np.maximum(times, np.float32(1)), np.float32)
        if missing is not None:
            diffusion, decay = _nothing_at(missing, diffusion), _nothing_at(missing, decay)
        return Rest(diffusion, decay, self._targets() if keys.lifetime else _NONE, bounds)

    def resets_of(self, bounds: FloatArray) -> Resets:
        """Where the devices go that are reset."""
        return Resets(self._targets(), np.float32(self.device.rest.reset_std), bounds)

    def drift(self, W: FloatArray, bounds: FloatArray, seconds: float) -> None:
        """Let time pass: w = w0 (t / t_0)^-ν, t seconds after each device was written, and noise.

        What reads see moves with W; bounds [2, R, C]. See docs/devices.md for ν.
        """
        keys, age, number = self.device.rest, self.written.age, 2 * int(self.times)
        for rows in self.layout.row_blocks():
            fresh = age[rows] < 0
            origin = np.where(fresh, W[rows], self.origin[rows])
            time = np.minimum(np.where(fresh, 0, age[rows]) + seconds, LONGEST)
            nu = np.full(origin.shape, keys.nu)
            if keys.nu_dtod:
                nu += keys.nu * keys.nu_dtod * normals(self.layout, rows, FABRICATE, OF_NU)
            if keys.nu_std:
                nu += keys.nu * keys.nu_std * normals(self.layout, rows, DRIFT, number)
            if keys.nu_k:
                nu -= keys.nu_k * np.log(np.maximum(np.abs(origin) / keys.g0, SMALLEST))
            with np.errstate(over="ignore"):
                share = np.minimum(np.maximum(time / keys.t_0, 1) ** -nu, 1e30)
            new = origin * share
            if keys.w_noise_std:
                new += keys.w_noise_std * normals(self.layout, rows, DRIFT, number + 1)
            new = np.clip(new, *bounds[:, rows]).astype(np.float32)
            if len(self.seen_apart):
                self.written.seen[rows] += new - W[rows]
            W[rows], self.origin[rows], age[rows] = new, origin, time
        self.times += 1

    def _targets(self) -> FloatArray:
        """The weights that devices decay to and are reset to, [R, C] or [1, C]."""
        keys = self.device.rest
        if not keys.reset_dtod:
            return np.full((1, self.layout.shape[1]), keys.reset, np.float32)
        return np.float32(keys.reset) + np.float32(keys.reset_dtod) * self._normals(OF_RESET)

    def _spread(self, mean: float, dtod: float, which: int) -> FloatArray:
        """A quantity that is mean (1 + dtod ζ) of a device, [R, C]; [1, C] without a spread."""
        if not dtod:
            return np.full((1, self.layout.shape[1]), mean, np.float32)
        spread = np.float32(1) + np.float32(dtod) * self._normals(which)
        return np.asarray(np.float32(mean) * spread)

    def _normals(self, which: int) -> FloatArray:
        found = np.empty(self.layout.shape, np.float32)
        for rows in self.layout.row_blocks():
            found[rows] = normals(self.layout, rows, FABRICATE, which)
        return found

    def _scratch(self) -> FloatArray:
        return np.empty(self.layout.longest_segment + 128, np.float32)


def _nothing_at(missing: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """Values [R, C], [1, C] or none, 0 where there is no device."""
    return np.where(missing, np.float32(0), values) if len(values) else values


def rest_bytes(device: Device) -> int:
    """Bytes a pulsed device takes for what happens besides pulses, without bounds."""
    keys = device.rest
    spreads = (
        keys.lifetime and keys.lifetime_dtod,
        keys.diffusion and keys.diffusion_dtod,
        keys.lifetime and keys.reset_dtod,
    )
    kept = 4 * sum(map(bool, spreads)) + 4 * bool(keys.write_noise_std) + 8 * keys.drifts
    return kept + keys.marks
