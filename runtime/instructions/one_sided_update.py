"""The update cycle of pairs of devices that are only pulsed up, as an instruction.

Both planes get the pulses of the same trains, each those of its own sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.layers import settings_of, weight_of
from rpucc.runtime.addresses import hold_numbers
from rpucc.runtime.cells.arguments import TransferRead
from rpucc.runtime.cells.refresh import MOST_SLOTS, refresh
from rpucc.runtime.instructions.pulsing import (
    check_pulses,
    pulse_policy,
    pulse_scratch,
    side_kernel,
    side_state,
    trains_of,
    without_chance,
)
from rpucc.runtime.instructions.read import read_settings
from rpucc.runtime.instructions.update import (
    PIECE_ROWS,
    PULSED_PIECE_ROWS,
    by_group,
    check_update,
    operations,
)
from rpucc.runtime.instructions.update_scratch import held_of
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.held import HELD_ROWS, subtract_held
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.products import add_outers
from rpucc.runtime.kernels.update_arguments import Address, Span
from rpucc.runtime.rates import update_reaches
from rpucc.runtime.tallies import PULSES
from rpucc.runtime.threads import Work, cut

if TYPE_CHECKING:
    from rpucc.cells.one_sided import OneSided
    from rpucc.runtime.array import Array
    from rpucc.runtime.builder import Builder, Instruction
    from rpucc.runtime.plane import Plane

FloatArray = NDArray[np.float32]
SIDES = (1, -1)
"""Signs of the moves that pulse the planes, in their order."""


def build_one_sided_update(executor: Builder, node: ir.Node) -> Instruction | None:
    """Pulse a layer's pairs up, after everything else of the step, and refresh them.

    The instruction, if there is one, copies the positions as the update takes them before.
    """
    array, cell = executor.matrix(weight_of(node)), cast("OneSided", settings_of(node))
    pair = [array.planes[name] for name in cell.planes]
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    check_update(executor, pair[0], node, x, d, lr)
    count: NDArray[np.int64] = array.buffers[COUNT]
    changed: tuple[NDArray[Any], ...] = array.visible, pair[1].W, count
    for value, buffer in zip(node.outputs, changed, strict=True):
        executor.bind(value, buffer)
    trains = trains_of(node) if pair[0].pulsed else 1
    X, D, before = by_group(executor, pair[0].layout.groups, trains, x, d)
    make = _pulsed if pair[0].pulsed else _exact
    executor.at_end_together(make(executor, array, pair, node, X, D, lr))
    p = read_settings(node, noise_managed=False)
    read = TransferRead(p.noise, p.bound, p.adc_step)
    line = executor.tallies.line(array.layer)
    every = cell.refresh_every if pair[0].pulsed else 0  # exact weights have no bounds

    first = 0  # what the pulses of writing count from, behind those of an update's numbers
    if without_chance(node):
        positions, bl = X.shape[1] // executor.batch, node.attributes.get_int("bl", 1)
        first = positions * -(-bl // 4) * 4
        hold_numbers(array.layer, positions + MOST_SLOTS, bl)

    def finish() -> None:
        count[...] += 1
        if every and int(count) % every == 0:
            sample = executor.address.sample
            line[PULSES] += refresh(pair[0], pair[1], cell, read, sample, first)
        array.refresh()

    executor.at_end(finish)
    return before


def _pulsed(
    executor: Builder, array: Array, pair: list[Plane], node: ir.Node, X: FloatArray,
    D: FloatArray, lr: FloatArray,
) -> Work:  # fmt: skip
    main, total, numbered = pair[0], X.shape[1], without_chance(node)
    positions = total // executor.batch
    policy = pulse_policy(node, pair_granularity(*pair))
    check_pulses(array.layer, main, total, positions, policy.bl_max, numbered=numbered)
    layout, address = main.layout.for_kernels, Address(positions, *executor.address.key)
    reaches, where = update_reaches(array.layer, array, node), executor.address
    sides = list(zip(pair, SIDES, strict=True))
    kernels = [side_kernel(node, plane, side) for plane, side in sides]
    devices = [side_state(node, plane) for plane in pair]

    def job(a: int, b: int, counts: NDArray[np.int64]) -> Instruction:
        calls: list[Callable[[np.float32, Span], int]] = []
        for plane, kernel, state in zip(pair, kernels, devices, strict=True):
            scratch = pulse_scratch(node, plane, total, positions, b - a, one_by_one=True)
            matrix, bound = (plane.W, state, X, D), (policy, layout, address)
            code = machine_code(
                kernel, a, b, *matrix, np.float32(0), *bound, Span(0, 0, total, 0, 0), scratch
            )
            calls.append(_bound(code, a, b, matrix, bound, scratch))

        settles = [settle for plane in pair if (settle := plane.settling()) is not None]

        def run() -> None:
            rate = float(lr)
            if rate != 0:
                for reach in reaches:
                    reach.check(rate)
            span = Span(where.sample, 0, total, where.sample, 0)
            pulses = [call(np.float32(rate), span) for call in calls]
            # Along trains each walks through the coincidences of both signs.
            counts[PULSES] += sum(pulses) if numbered else pulses[0]
            for settle in settles:
                settle(a, b, where.sample)

        return run

    def parts(threads: int) -> list[Instruction]:
        rows = cut(len(main.W), PULSED_PIECE_ROWS, threads)
        return [job(a, b, executor.tallies.line(array.layer)) for a, b in rows]

    return Work(2 * operations(total, *main.W.shape), parts, array)


def _bound(
    code: Callable[..., int], a: int, b: int, matrix: tuple[Any, ...], bound: tuple[Any, ...],
    scratch: Any,
) -> Callable[[np.float32, Span], int]:  # fmt: skip
    return lambda rate, span: code(a, b, *matrix, rate, *bound, span, scratch)


def pair_granularity(positive: Plane, negative: Plane) -> float:
    """What a pulse up does on average to the devices of a pair, which pulses are counted by."""
    return (positive.device.up_granularity + negative.device.up_granularity) / 2


def _exact(
    executor: Builder, array: Array, pair: list[Plane], node: ir.Node, X: FloatArray,
    D: FloatArray, lr: FloatArray,
) -> Work:  # fmt: skip
    """What a minibatch moves each weight by goes to one of its devices."""
    main, other = pair
    blas, moves, rows = blas_routines(), np.zeros_like(main.W), main.matrices.shape[1]
    held = held_of(main, X.shape[1]) if main.masked else None
    piece = HELD_ROWS if main.masked else PIECE_ROWS if len(X) == 1 else rows

    def job(a: int, b: int) -> Instruction:
        own = None if held is None else held.apart()

        def run() -> None:
            move = moves[a:b]
            move[...] = 0
            rate = np.float32(lr)
            if own is None:
                add_outers(a, b, blas, moves, X, D, rate, piece)
            else:
                subtract_held(a, b, blas, moves, X, D, -rate, 0, X.shape[1], own)
            main.W[a:b] += np.maximum(-move, 0)
            other.W[a:b] += np.maximum(move, 0)

        return run

    def parts(threads: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(len(moves), piece, threads)]

    return Work(float(X.shape[1]) * moves.size, parts, array)
