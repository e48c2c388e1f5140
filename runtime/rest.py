"""The end of a step for devices that walk or decay, as a work beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.runtime.threads import Work, cut

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.builder import Instruction, StepAddress

PIECE_ROWS = 4
OPERATIONS = 100.0
"""Of one device: multiply-adds of a matrix product in the time of a normal and a few products."""


def rest_work(array: Array, address: StepAddress) -> Work:
    """Let all devices of an array walk and decay by the step whose sample `address` names."""

    def job(a: int, b: int) -> Instruction:
        rest = array.resting()
        return lambda: rest(a, b, address.sample)

    def parts(count: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(array.layout.shape[0], PIECE_ROWS, count)]

    return Work(OPERATIONS * array.size, parts, array)
