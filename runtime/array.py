"""A matrix on devices: its planes, its digital buffers, and what a read sees of them.

Not for how devices are fabricated and calibrated: `cells/make.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.cells.base import FLIPPED
from rpucc.runtime import aligned
from rpucc.runtime.kernels.products import add_plane

if TYPE_CHECKING:
    from rpucc.runtime.layout import Layout
    from rpucc.runtime.plane import Plane
    from rpucc.runtime.plane_rest import OnRows
    from rpucc.runtime.spread import Symmetry

FloatArray = NDArray[np.float32]


class Array:
    """The state of one weight matrix [R, C].

    layer: the name of its layer; layout: where it lies, of a read's draws.
    planes: the conductances by name; each has a layout of its own, with other tile ids.
    gains: γ_k of each plane in what a read sees; not given, there is one plane, which is seen.
    buffers: digital state by name, of any shape.
    sides: the planes that weights above 0 and those below are programmed to, where there are two.
    turned: the planes whose γ_k has the other sign while the flag in `buffers` is 1.
    visible: float32 [R, C], what a read sees: the sum of γ_k times plane k. Of one plane with
    γ = 1 it is the plane's own W, else `refresh` brings it up to date.
    """

    def __init__(
        self,
        layer: str,
        layout: Layout,
        planes: Mapping[str, Plane],
        gains: Mapping[str, float] | None = None,
        buffers: Mapping[str, NDArray[Any]] | None = None,
        sides: tuple[str, str] | None = None,
        turned: tuple[str, ...] = (),
    ) -> None:
        self.layer, self.layout, self.sides = layer, layout, sides
        self.planes, self.buffers = dict(planes), dict(buffers or {})
        self._gains = dict.fromkeys(self.planes, 1.0) if gains is None else dict(gains)
        self._turned = turned
        alone = list(self._gains.values()) == [1.0]
        self.visible: FloatArray = (
            self.planes[next(iter(self._gains))].seen
            if alone
            else aligned.empty(layout.shape, np.float32)
        )
        self._seen_directly = alone
        self.refresh()

    @property
    def gains(self) -> dict[str, float]:
        """γ_k of each plane in what a read sees now."""
        if not self._turned or not self.buffers.get(FLIPPED, 0):
            return self._gains
        return {k: -gain if k in self._turned else gain for k, gain in self._gains.items()}

    def program(self, W: FloatArray) -> None:
        """Program the main plane so that a read sees W [R, C], as far as its devices can hold it.

        The other planes stay as they are, but where there are two sides.
        """
        if self.sides is not None:
            for name, sign in zip(self.sides, (1, -1), strict=True):
                self.planes[name].program(np.maximum(sign * W, 0))
            self.refresh()
            return
        name, main = next(iter(self.planes.items()))
        if not self._seen_directly:
            gain = np.float32(self.gains[name])
            W = (W - (self.visible - gain * main.seen)) / gain
        main.program(W)
        self.refresh()

    def refresh(self) -> None:
        """Bring `visible` up to date with the planes; nothing to do where it is one of them."""
        if self._seen_directly:
            return
        for i, (name, gain) in enumerate(self.gains.items()):
            add_plane(self.visible, self.planes[name].seen, np.float32(gain), i > 0)

    @property
    def rests(self) -> bool:
        """Whether devices of it walk or decay in a step, pulsed or not."""
        return any(plane.rests for plane in self.planes.values())

    def resting(self) -> OnRows:
        """What lets the devices of rows a .. b - 1 walk and decay by a step: (a, b, sample).

        What a read sees is not brought up to date.
        """
        rests = [plane.resting() for plane in self.planes.values() if plane.rests]

        def run(a: int, b: int, sample: int) -> None:
            for rest in rests:
                rest(a, b, sample)

        return run

    def pass_time(self, seconds: float) -> bool:
        """Let time pass for all planes; returns whether there were devices that drift."""
        drifting = [plane for plane in self.planes.values() if plane.drifts]
        for plane in drifting:
            plane.drift(seconds)
        self.refresh()
        return bool(drifting)

    def state(self) -> dict[str, NDArray[Any]]:
        """What training changes: "" what a read sees, and planes and buffers by their names.

        A plane that a read sees directly is not there a second time, nor is one that nothing
        pulses. What reads see of a plane, where that differs and is not all that a read sees, and
        what its devices drift from follow its name: `fast.seen`.
        """
        planes: dict[str, NDArray[Any]] = {}
        for name, plane in self.planes.items():
            if not plane.learns:
                continue
            if plane.W is not self.visible:
                planes[name] = plane.W
            if plane.seen is not plane.W and plane.seen is not self.visible:
                planes[f"{name}.seen"] = plane.seen
            planes |= {f"{name}.{key}": held for key, held in plane.rest.state().items()}
        return {"": self.visible, **planes, **self.buffers}

    @property
    def weights(self) -> FloatArray:
        """What a read sees, float32 [R, C]: a view that cannot be written and follows changes."""
        view = self.visible.view()
        view.flags.writeable = False
        return view

    @property
    def main(self) -> Plane:
        """The plane that weights are programmed to, the first."""
        return next(iter(self.planes.values()))

    @property
    def matrices(self) -> FloatArray:
        """What a read sees, by group: [groups, R / groups, C], a view."""
        return self.layout.by_group(self.visible)

    @property
    def size(self) -> int:
        """Weights: R · C."""
        return int(self.visible.size)

    @property
    def clipped(self) -> int:
        """Weights that did not fit their devices when they were programmed."""
        return sum(plane.clipped for plane in self.planes.values())

    @property
    def symmetry(self) -> Symmetry | None:
        """What zero-shifting found and left, of all planes that had it."""
        found = [plane.symmetry for plane in self.planes.values() if plane.symmetry is not None]
        return sum(found[1:], found[0]) if found else None

    def farthest(self, state: Mapping[str, NDArray[Any]]) -> float | None:
        """A weight of a state, as `state` gives one, that its device cannot hold, or None."""
        for name, plane in self.planes.items():
            key = "" if plane.W is self.visible else name
            if (far := plane.farthest(state.get(key, plane.W))) is not None:
                return far
        return None

    @property
    def bytes(self) -> int:
        """Bytes of all planes, of the buffers, and of what a read sees where that is no plane."""
        seen = 0 if self._seen_directly else self.visible.nbytes
        buffers = sum(buffer.nbytes for buffer in self.buffers.values())
        planes = self.planes.values()
        # A reference that is a plane itself is there once.
        twice = sum(a.W.nbytes for a in planes for b in planes if b.reference is a.seen)
        return sum(plane.bytes for plane in planes) - twice + buffers + seen
