"""The update cycle as an instruction: stochastic pulses, or the exact outer product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.layers import weight_of
from rpucc.runtime.devices.compiled import compile_update
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.read import subtract_outer

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction
    from rpucc.runtime.grid import Grid

# Most columns, over all slots, of a chunk of positions; each takes about 10 bytes of scratch.
CHUNK_ENTRIES = 262144
PIECE_ROWS = 16
# Any split of the rows gives the same bits; a thread should have a few of them to itself.
PULSED_PIECE_ROWS = 4
# Multiply-adds of a matrix product (what Threads.split counts) in the time of one nanosecond.
PER_NANOSECOND = 66.0


def build_update(executor: Executor, node: ir.Node) -> None:
    """Change the layer's weights in place, after everything else of the step."""
    grid = executor.machine.grids[str(weight_of(node).name)]
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    X, D = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    executor.bind(node.outputs[0], grid.W)
    if node.attributes.get_int("pulsed", 0):
        executor.at_end(_pulsed(executor, grid, node, X, D, lr))
    else:
        executor.at_end(_exact(executor, grid, X, D, lr))


def _exact(
    executor: Executor, grid: Grid, X: NDArray[Any], D: NDArray[Any], lr: NDArray[Any]
) -> Instruction:
    blas = blas_routines()
    rows = len(grid.W)
    parts = executor.threads.split(rows, PIECE_ROWS, X.size * rows)

    def job(a: int, b: int) -> Instruction:
        def run() -> None:
            rate = np.float32(lr)
            for r in range(a, b, PIECE_ROWS):
                subtract_outer(r, min(r + PIECE_ROWS, b), blas, grid.W, X, D, rate)

        return run

    jobs = [job(a, b) for a, b in parts]
    return jobs[0] if len(jobs) == 1 else lambda: executor.threads.run(jobs)


def _pulsed(
    executor: Executor, grid: Grid, node: ir.Node, X: NDArray[Any], D: NDArray[Any],
    lr: NDArray[Any],
) -> Instruction:  # fmt: skip
    attributes = node.attributes
    bl = attributes.get_int("bl", 1)
    managed = bool(attributes.get_int("update_management", 0))
    bl_managed = bool(attributes.get_int("update_bl_management", 0))
    kernel = compile_update(grid.device)
    positions = len(X) // executor.batch
    dw_min = np.float32(grid.device.dw_min)
    state, (k0, k1) = executor.run_state, executor.machine.key
    W, g = grid.W, grid
    parts = executor.threads.split(len(W), PULSED_PIECE_ROWS, _operations(len(X), *W.shape))

    def job(a: int, b: int) -> Instruction:
        scratch = update_scratch(grid, positions, bl, b - a)

        def run() -> None:
            run.pulses = kernel(  # type: ignore[attr-defined]
                a, b, W, g.codes, g.ranges, g.constants, X, D, np.float32(lr), dw_min, bl, managed,
                bl_managed, g.row_cuts, g.col_cuts, g.tiles, positions, state.sample, k0, k1,
                *scratch,
            )  # fmt: skip

        return run

    jobs = [job(a, b) for a, b in parts]

    def run_all() -> None:
        executor.threads.run(jobs)
        for job in jobs:
            state.pulses += job.pulses  # type: ignore[attr-defined]

    return run_all


def _operations(positions: int, rows: int, columns: int) -> float:
    """Roughly what a pulsed update costs; measured, because its pulses are not known yet."""
    lines = positions * (1.5 * rows + 0.5 * columns)
    return PER_NANOSECOND * (lines + 0.3 * rows * columns)


def update_scratch(grid: Grid, positions: int, bl: int, rows: int) -> tuple[Any, ...]:
    """The kernel's working arrays, in the order of its arguments."""
    columns = int(np.max(np.diff(grid.col_cuts)))
    width = -(-columns // 16) * 16
    chunk = max(1, min(positions, CHUNK_ENTRIES // (bl * width)))
    # Vectors of 16 are written whole: hence the 16 entries behind the last one of some arrays.
    lines, pairs = chunk * rows + 32, chunk * bl
    return (
        chunk,
        np.empty((2, chunk), np.float32),  # gains
        np.empty(chunk, np.int32),  # lengths
        np.empty(lines, np.int32),  # numbers
        np.empty(lines, np.int32),  # lines
        np.empty(lines, np.int32),  # levels
        np.empty(lines, np.uint32),  # fired
        np.empty(lines, np.uint32),  # tied
        np.empty((4, lines), np.uint32),  # draws
        np.empty(lines, np.int32),  # groups
        np.empty((chunk, bl), np.int32),  # pairs
        np.empty(pairs, np.int32),  # pair_lines
        np.empty(pairs, np.uint32),  # pair_slots
        np.empty(pairs, np.int32),  # pair_counts
        np.empty((2, pairs * width // 16), np.uint32),  # counters
        np.empty(pairs * width // 4, np.uint32),  # words
        np.empty(pairs * width, np.int8),  # signs
        np.empty((2, width), np.int8),  # column_marks
        np.empty(width, np.int32),  # column_levels
        np.empty(pairs * width + 16, np.int32),  # columns
        np.empty(lines, np.int32),  # order
        np.empty(rows + 2, np.int32),  # row_starts
        np.zeros(len(grid.W), np.int64),  # counts
        np.empty(pairs * columns + 128, np.float32),  # noise
        np.zeros(width, np.float32),  # row_noise
        np.zeros((1 + len(grid.codes), width), np.float32),  # unpacked
    )
