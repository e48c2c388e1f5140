"""One device a weight: plain pulsed SGD."""

from __future__ import annotations

from typing import ClassVar

from rpucc.cells.base import Cell


class Plain(Cell):
    """A weight is one device (or the mean of `mapping.devices_per_weight`)."""

    model: ClassVar[str] = "plain"
    summary: ClassVar[str] = "one device a weight; pulses of x and d go to it"
    planes: ClassVar[tuple[str, ...]] = ("weight",)
    pulsed: ClassVar[str] = "weight"
