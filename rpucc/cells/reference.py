"""A device and a reference device: W = A - R, of which only A learns."""

from __future__ import annotations

from typing import ClassVar

from rpucc.cells.base import Cell


class Reference(Cell):
    """A weight is the difference of a device and its reference, which stays as programmed.

    With `calibration.zero_shift` the reference holds the device's symmetry point (Kim et al. 2019,
    arXiv 1907.10228), as far as its own devices reach, else zero.
    """

    model: ClassVar[str] = "reference"
    summary: ClassVar[str] = "a device minus a constant reference, which has an array of its own"
    source: ClassVar[str] = "Kim et al. 2019, arXiv 1907.10228"
    planes: ClassVar[tuple[str, ...]] = ("weight", "reference")
    pulsed: ClassVar[str] = "weight"
    reference: ClassVar[str] = "reference"

    @property
    def gains(self) -> dict[str, float]:
        """The reference is subtracted."""
        return {"weight": 1.0, "reference": -1.0}
