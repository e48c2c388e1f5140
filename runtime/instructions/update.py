"""The update cycle as an instruction: stochastic pulses, their mean, or the exact outer product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.layers import weight_of
from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.fits import require
from rpucc.runtime.instructions.pulsing import (
    check_pulses,
    pulse_kernel,
    pulse_policy,
    pulse_scratch,
    pulse_state,
    trains_of,
    without_chance,
)
from rpucc.runtime.instructions.update_scratch import held_of
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.held import HELD_ROWS, subtract_held
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.products import subtract_outer, subtract_outers
from rpucc.runtime.kernels.update_arguments import Address, Span
from rpucc.runtime.rates import update_reach
from rpucc.runtime.tallies import PULSES
from rpucc.runtime.threads import Work, cut
from rpucc.target.values import PULSED

if TYPE_CHECKING:
    from rpucc.runtime.plane import Plane

# BL at most (`target_sections.Update`): what the working arrays are planned for.
MOST_SLOTS = 255
PIECE_ROWS = 16
# Any split of the rows gives the same bits; a thread should have a few of them to itself.
PULSED_PIECE_ROWS = 4
# Multiply-adds of a matrix product (what Threads.split counts) in the time of one nanosecond.
PER_NANOSECOND = 66.0


def build_update(executor: Builder, node: ir.Node) -> Instruction | None:
    """Change the layer's weights in place, after everything else of the step.

    The instruction, if there is one, copies the positions as the update takes them before.
    """
    array = executor.matrix(weight_of(node))
    plane = array.main
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    check_update(executor, plane, node, x, d, lr)
    executor.bind(node.outputs[0], array.visible)
    before = None
    if plane.pulsed:
        trains = trains_of(node)
        X, D, before = by_group(executor, plane.layout.groups, trains, x, d)
        work = _pulsed(executor, array.layer, plane, node, X, D, lr)
    elif plane.masked:
        work = _exact_held(plane, x, d, lr)
    elif plane.layout.groups > 1:
        work = _exact_groups(plane, x, d, lr)
    else:
        X, D = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
        work = _exact(plane, X, D, lr)
    executor.at_end_together(work)
    if array.visible is not plane.W:
        executor.at_end(array.refresh)
    return before


def check_update(
    executor: Builder, plane: Plane, node: ir.Node, x: NDArray[Any], d: NDArray[Any],
    lr: NDArray[Any],
) -> None:  # fmt: skip
    """Refuse what the kernels could not work on, before one of them does."""
    grouped = plane.layout.groups > 1
    fits = x.dtype == d.dtype == lr.dtype == np.float32 and lr.shape == ()
    fits = fits and x.shape[:-1] == d.shape[:-1] and x[..., 0].size % executor.batch == 0
    fits = fits and (x.shape[1] == plane.layout.groups if grouped and x.ndim == 4 else not grouped)
    lines = d.shape[-1], x.shape[-1]
    require(node, fits and x.ndim >= 2 and lines == plane.matrices.shape[1:],
            f"its x {list(x.shape)} and d {list(d.shape)} do not fit its matrix")  # fmt: skip
    pulsed, bl = node.attributes.get_int("pulsed", 0), node.attributes.get_int("bl", 0)
    alike = PULSED.index(plane.pulsed) == pulsed and (pulsed != 1 or 1 <= bl <= MOST_SLOTS)
    require(node, alike, f"pulsed = {pulsed} and bl = {bl} are not what its devices can do")


def by_group(
    executor: Builder, groups: int, trains: int, x: NDArray[Any], d: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], Instruction | None]:
    """All positions of all samples by group: [N, G, P, C] as [G, N·P·trains, C].

    Every position is there once for each of its pulse trains. Views and no instruction where
    values lie so already, else copies and what makes them.
    """
    if trains == 1 and (groups == 1 or executor.batch == 1):
        return x.reshape(groups, -1, x.shape[-1]), d.reshape(groups, -1, d.shape[-1]), None
    by_sample = [a.reshape(executor.batch, groups, -1, 1, a.shape[-1]) for a in (x, d)]
    sources = [a.transpose(1, 0, 2, 3, 4) for a in by_sample]
    shapes = [(*source.shape[:3], trains, source.shape[-1]) for source in sources]
    X, D = (np.empty(shape, np.float32) for shape in shapes)

    def copy() -> None:
        np.copyto(X, sources[0])
        np.copyto(D, sources[1])

    return X.reshape(groups, -1, x.shape[-1]), D.reshape(groups, -1, d.shape[-1]), copy


def one_after_another(*given: Instruction | None) -> Instruction | None:
    """Return what runs these, of which some may not be there, one behind the other."""
    steps = [each for each in given if each is not None]
    if len(steps) < 2:
        return steps[0] if steps else None

    def run() -> None:
        for step in steps:
            step()

    return run


def _exact_groups(plane: Plane, x: NDArray[Any], d: NDArray[Any], lr: NDArray[Any]) -> Work:
    X, D = (a.reshape(-1, *a.shape[-2:]) for a in (x, d))
    blas, W = blas_routines(), plane.matrices

    def job(a: int, b: int) -> Instruction:
        return lambda: subtract_outers(a, b, blas, W, X, D, np.float32(lr))

    def parts(count: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(plane.layout.groups, 1, count)]

    return Work(X.size * W.shape[1], parts, plane)


def _exact_held(plane: Plane, x: NDArray[Any], d: NDArray[Any], lr: NDArray[Any]) -> Work:
    """Where some weights stay what they are, of one matrix or of several."""
    grouped = plane.layout.groups > 1
    X, D = (a.reshape(-1, *(a.shape[-2:] if grouped else (a[..., 0].size, a.shape[-1])))
            for a in (x, d))  # fmt: skip
    blas, count = blas_routines(), X.shape[1]
    held = held_of(plane, len(X) * count // plane.layout.groups)

    def job(a: int, b: int) -> Instruction:
        own = held.apart()
        return lambda: subtract_held(a, b, blas, plane.W, X, D, np.float32(lr), 0, count, own)

    def parts(threads: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(len(plane.W), HELD_ROWS, threads)]

    return Work(X.size * D.shape[-1], parts, plane)


def _exact(plane: Plane, X: NDArray[Any], D: NDArray[Any], lr: NDArray[Any]) -> Work:
    blas = blas_routines()

    def job(a: int, b: int) -> Instruction:
        def run() -> None:
            rate = np.float32(lr)
            for r in range(a, b, PIECE_ROWS):
                subtract_outer(r, min(r + PIECE_ROWS, b), blas, plane.W, X, D, rate)

        return run

    def parts(count: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(len(plane.W), PIECE_ROWS, count)]

    return Work(X.size * len(plane.W), parts, plane)


def _pulsed(
    executor: Builder, layer: str, plane: Plane, node: ir.Node, X: NDArray[Any], D: NDArray[Any],
    lr: NDArray[Any],
) -> Work:  # fmt: skip
    kernel = pulse_kernel(node, plane)
    total = X.shape[1]
    positions = total // executor.batch
    policy = pulse_policy(node, plane.device.granularity)
    reach = update_reach(layer, plane, policy.bl_max)
    layout = plane.layout.for_kernels
    address = Address(positions, *executor.address.key)
    numbered = without_chance(node)
    check_pulses(layer, plane, total, positions, policy.bl_max, numbered=numbered)
    step, tallies = executor.address, executor.tallies
    W, devices = plane.W, pulse_state(node, plane)

    def job(a: int, b: int, counts: NDArray[np.int64]) -> Instruction:
        scratch = pulse_scratch(node, plane, total, positions, b - a)
        matrix = W, devices, X, D
        bound = policy, layout, address
        example = np.float32(0), *bound, Span(0, 0, total, 0, 0), scratch
        code = machine_code(kernel, a, b, *matrix, *example)
        settle = plane.settling()

        def run() -> None:
            rate = float(lr)
            if rate != 0:
                reach.check(rate)
            span = Span(step.sample, 0, total, step.sample, 0)
            counts[PULSES] += code(a, b, *matrix, np.float32(rate), *bound, span, scratch)
            if settle is not None:
                settle(a, b, step.sample)

        return run

    def parts(count: int) -> list[Instruction]:
        rows = cut(len(W), PULSED_PIECE_ROWS, count)
        return [job(a, b, tallies.line(layer)) for a, b in rows]

    return Work(operations(total, *W.shape), parts, plane)


def operations(positions: int, rows: int, columns: int) -> float:
    """Roughly what a pulsed update costs; measured, because its pulses are not known yet."""
    lines = positions * (1.5 * rows + 0.5 * columns)
    coincidences = positions * rows * columns
    return PER_NANOSECOND * (lines + 0.02 * coincidences + rows * columns)
