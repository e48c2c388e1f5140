"""The update cycle of cells whose gradients add up digitally (mixed precision), as an instruction.

The sum is a matrix product, as an exact update is; whole steps of it are sent to the devices as
exact numbers of pulses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.layers import settings_of, weight_of
from rpucc.runtime.cells.accumulated import compile_sending
from rpucc.runtime.cells.arguments import Sending
from rpucc.runtime.instructions.update import PIECE_ROWS, by_group, check_update, one_after_another
from rpucc.runtime.instructions.update_scratch import device_state, held_of
from rpucc.runtime.kernels.bins import round_to_bins
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.held import HELD_ROWS, subtract_held
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.list_scratch import list_scratch
from rpucc.runtime.kernels.philox import BIN_ERROR, BIN_INPUT
from rpucc.runtime.kernels.update_arguments import Devices, Held
from rpucc.runtime.tallies import PULSES
from rpucc.runtime.threads import Work, cut
from rpucc.target.values import WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.cells.mixed_precision import MixedPrecision
    from rpucc.runtime.builder import Builder, Instruction
    from rpucc.runtime.plane import Plane

MOST_PULSES = 65535
"""Of a device in a transfer: what is beyond stays in the sum until the next one."""
MOST_STEPS = np.float32(2**31 - 128)
"""Of a weight where updates are exact: the largest float32 that an int32 holds."""
SCANNED = 4
"""Multiply-adds in the time in which a number of the sum is looked at."""

FloatArray = NDArray[np.float32]


def build_accumulated_update(executor: Builder, node: ir.Node) -> Instruction | None:
    """Add to a layer's sum and send whole steps of it, after everything else of the step.

    The instruction, if there is one, copies the positions as the sum takes them before, rounded to
    bins where the cell has some.
    """
    array, cell = executor.matrix(weight_of(node)), cast("MixedPrecision", settings_of(node))
    plane = array.main
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    check_update(executor, plane, node, x, d, lr)
    chi: FloatArray = array.buffers["chi"]
    count: NDArray[np.int64] = array.buffers[COUNT]
    changed: tuple[NDArray[Any], ...] = array.visible, chi, count
    for value, buffer in zip(node.outputs, changed, strict=True):
        executor.bind(value, buffer)
    X, D, before = by_group(executor, plane.layout.groups, 1, x, d)
    binned = [
        _binned(executor, plane, values, bins, purpose)
        for values, bins, purpose in ((X, cell.n_x_bins, BIN_INPUT), (D, cell.n_d_bins, BIN_ERROR))
    ]
    X, D = (values for values, _ in binned)
    steps = [before, *(rounding for _, rounding in binned)]
    kernels = compile_sending(plane.device, plane.pulsed)
    blas = blas_routines()
    epsilon, most = _step_of(node, cell, plane)
    layout, where, tallies = plane.layout, executor.address, executor.tallies
    matrix, to = (plane.W, chi), (_devices(plane), plane.ranges, layout.for_kernels)
    held, piece = held_of(plane, X.shape[1]) if plane.masked else None, _piece_rows(plane)
    settle = plane.settling()

    def sending() -> Sending:
        return Sending(int(count) // cell.transfer_every, cell.transfer_rows, epsilon, most)

    def is_due() -> bool:
        return (int(count) + 1) % cell.transfer_every == 0

    def job(a: int, b: int, counts: NDArray[np.int64]) -> Instruction:
        scratch = list_scratch()
        code = machine_code(
            kernels.add_and_send, a, b, *matrix, blas, X, D, np.float32(0), piece, *to, sending(),
            True, 0, *layout.key, scratch,
        )  # fmt: skip

        def run() -> None:
            steps = code(
                a, b, *matrix, blas, X, D, np.float32(lr), piece, *to, sending(), is_due(),
                where.sample, *layout.key, scratch,
            )  # fmt: skip
            counts[PULSES] += steps if plane.pulsed is True else 0
            if settle is not None:
                settle(a, b, where.sample)

        return run

    def held_job(a: int, b: int, counts: NDArray[np.int64], held: Held) -> Instruction:
        """The same where some weights stay what they are: their sums stay 0."""
        scratch = list_scratch()

        def run() -> None:
            subtract_held(a, b, blas, chi, X, D, np.float32(-lr), 0, X.shape[1], held)
            if is_due():
                address = where.sample, *layout.key
                steps = kernels.send(a, b, *matrix, *to, sending(), *address, scratch)
                counts[PULSES] += steps if plane.pulsed is True else 0
                if settle is not None:
                    settle(a, b, where.sample)

        return run

    def parts(threads: int) -> list[Instruction]:
        rows = [(*ends, tallies.line(array.layer)) for ends in cut(len(chi), piece, threads)]
        if held is None:
            return [job(*each) for each in rows]
        return [held_job(*each, held.apart()) for each in rows]

    def finish() -> None:
        count[...] += 1
        array.refresh()

    operations = float(X.shape[1] + SCANNED) * chi.size
    executor.at_end_together(Work(operations, parts, array))
    executor.at_end(finish)
    return one_after_another(*steps)


def _step_of(node: ir.Node, cell: MixedPrecision, plane: Plane) -> tuple[np.float32, np.float32]:
    """ε, and the steps that are sent of a sum at most.

    Where updates are exact no device plays a part, but that the program says what its steps are.
    """
    if plane.pulsed:
        step = cell.granularity or plane.device.granularity
    else:
        step = cell.granularity or node.attributes.get_float("slow_step", plane.device.granularity)
    most = MOST_PULSES if plane.pulsed is True else MOST_STEPS
    return np.float32(step), np.float32(min(cell.transfer_bl or most, most))


def _devices(plane: Plane) -> Any:
    """What `send` takes of the devices."""
    if plane.pulsed in WITHOUT_TRAINS:
        return device_state(plane)
    if not plane.pulsed:
        return ()
    return Devices(plane.codes, plane.ranges, plane.constants, plane.written)


def _piece_rows(plane: Plane) -> int:
    """Rows that are never cut over threads: a product's last bit depends on how many it has."""
    if plane.masked:
        return HELD_ROWS
    return PIECE_ROWS if plane.layout.groups == 1 else plane.matrices.shape[1]


def _binned(
    executor: Builder, plane: Plane, values: FloatArray, bins: int, purpose: int
) -> tuple[FloatArray, Instruction | None]:
    """What the sum takes of vectors [G, M, L], and what makes it, if anything has to."""
    if bins == 0:
        return values, None
    rounded, words = np.empty_like(values), np.empty(values.shape[2] + 128, np.uint32)
    positions, address = values.shape[1] // executor.batch, executor.address
    word = purpose << 24 | int(plane.layout.tiles[0, 0])
    key = plane.layout.key

    def run() -> None:
        round_to_bins(values, rounded, bins, word, address.sample, positions, *key, words)

    return rounded, run
