"""The update cycle of cells whose transfers go through digital memory, as an instruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.layers import settings_of, weight_of
from rpucc.runtime.addresses import hold_transfer
from rpucc.runtime.cells.arguments import TransferRead
from rpucc.runtime.cells.buffered import compile_buffered
from rpucc.runtime.cells.buffered_arguments import (
    Between,
    BufferedRates,
    BufferedScratch,
    Chopping,
    FloatArray,
    Prepared,
    Reads,
    Signs,
    Turns,
)
from rpucc.runtime.cells.compiled import in_turn
from rpucc.runtime.instructions.cell_update import cell_job, fast_plane_state, piece_rows
from rpucc.runtime.instructions.pulsing import (
    check_pulses,
    pulse_policy,
    pulse_scratch,
    trains_of,
    without_chance,
)
from rpucc.runtime.instructions.read import read_settings
from rpucc.runtime.instructions.update import by_group, check_update, operations
from rpucc.runtime.instructions.update_scratch import (
    counted_chunk,
    device_state,
    plain_state,
)
from rpucc.runtime.kernels.column_turns import list_reads
from rpucc.runtime.kernels.column_windows import prepare
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.pulses import TRAIN_SLOTS
from rpucc.runtime.kernels.update_arguments import Address, Span
from rpucc.runtime.rates import update_reaches
from rpucc.runtime.threads import Work, cut
from rpucc.target.values import WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.cells.buffered import Buffered
    from rpucc.runtime.array import Array
    from rpucc.runtime.builder import Builder, Instruction
    from rpucc.runtime.plane import Plane

# Values of columns that are read together: their noise, 4 bytes each, stays in L1.
READ_TOGETHER = 8192


def build_buffered_update(executor: Builder, node: ir.Node) -> Instruction | None:
    """Change the planes and the memory of a layer's cells in place, after all else of the step.

    The instruction gives vectors the signs and sizes that the update takes them with.
    """
    array = executor.matrix(weight_of(node))
    cell = cast("Buffered", settings_of(node))
    slow, fast = (array.planes[name] for name in cell.planes)
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    check_update(executor, slow, node, x, d, lr)
    memory = {name: array.buffers[name] for name in cell.state if name in array.buffers}
    held = array.state()
    for value, name in zip(node.outputs, ("", *cell.state), strict=True):
        executor.bind(value, held[name])
    bl, trains = node.attributes.get_int("bl", 1), trains_of(node)
    X, D, gather = by_group(executor, slow.layout.groups, trains, x, d)
    total = X.shape[1]
    each = total // executor.batch
    slots = node.attributes.get_int(cell.slots, bl)
    steps = step_of(slow), step_of(fast)
    scales = Scales(cell, slow, *steps, slots, total // trains)
    fast_pulse = steps[1] if fast.pulsed else 1.0
    numbered = without_chance(node)
    if fast.pulsed is True:
        chunks = 2 * each // trains
        chunks += -(-total // counted_chunk(fast, total, min(bl, TRAIN_SLOTS)))
        check_pulses(array.layer, fast, total, each, bl, before=chunks, numbered=numbered)
    _hold_draws(array.layer, cell, slow, each // trains)
    kernel = compile_buffered(
        type(cell), fast.device, slow.device, pulsed=slow.pulsed, masked=slow.masked,
        numbered=numbered,
    )  # fmt: skip
    pulse = pulse_policy(node, fast_pulse)
    reaches = update_reaches(array.layer, array, node)
    p = read_settings(node, noise_managed=False)
    read = TransferRead(p.noise, p.bound, p.adc_step)
    address = Address(each, *executor.address.key)
    tiles = slow.layout.for_kernels, fast.layout.for_kernels
    plain = slow.masked and slow.pulsed not in WITHOUT_TRAINS
    slow_state = plain_state(slow) if plain else device_state(slow)
    fast_state = fast_plane_state(node, fast, total)
    listed = in_turn(fast.device, pulsed=slow.pulsed, numbered=numbered)
    prepared = prepared_for(cell, array, X, D, trains, listed=listed, padded=bool(fast.pulsed))
    signs, chopping = _signs(cell, memory, array), chopping_of(cell, fast)
    where, tallies, count = executor.address, executor.tallies, memory[COUNT]
    key = executor.address.key

    always = turns_of(cell, slow, 0, trains, each // trains)._replace(across=not numbered)

    def turns() -> Turns:
        return always._replace(before=int(count))

    reads = reads_for(cell, slow, total // trains) if listed else None
    lists = () if reads is None else (reads,)
    code = machine_code(
        prepare if reads is None else list_reads, X, D, cell.auto_scale, chopping, turns(), 0,
        tiles[0].col_cuts, *key, prepared, *lists,
    )  # fmt: skip

    def before() -> None:
        if gather is not None:
            gather()
        prepared.signs.chopped[...] = signs.chopped
        prepared.signs.switched[...] = signs.switched
        for name in cell.means:
            prepared.sizes[...] = memory[name]
        code(
            X, D, cell.auto_scale, chopping, turns(), where.sample, tiles[0].col_cuts, *key,
            prepared, *lists,
        )  # fmt: skip

    def listed_update(a: int, b: int, reads: Reads) -> Callable[[float], int]:
        buffers = tuple(memory[name] for name in cell.buffers)
        matrix = fast.W, fast_state(), prepared.before, prepared.errors
        most, normals = _drawn_together(cell, slow, total // trains)
        between = Between(
            slow.W, buffers, slow_state, slow.layout.ids, scales.at(0.0), read, fast.resets, reads,
            most, normals, np.empty(4, np.float32),
        )  # fmt: skip
        pulsing = pulse_scratch(node, fast, total, each, b - a)
        fixed = pulse, tiles[1], address
        span = Span(0, 0, total, 0, 0)
        rest = pulsing, between
        compiled = machine_code(kernel, a, b, *matrix, np.float32(0), *fixed, span, *rest)

        def update(rate: float) -> int:
            now = scales.at(rate)
            pulses: int = compiled(
                a, b, *matrix, now.fast_lr, *fixed, span._replace(sample0=where.sample), pulsing,
                between._replace(rates=now),
            )  # fmt: skip
            return pulses

        return update

    def windowed_update(a: int, b: int) -> Callable[[float], int]:
        pulsing = pulse_scratch(node, fast, total, each, b - a) if fast.pulsed else ()
        buffers = tuple(memory[name] for name in cell.buffers)
        matrix = slow.W, fast.W, buffers, slow_state, fast_state()
        vectors = prepared.before, prepared.after, prepared.errors, prepared.products, signs
        scratch = scratch_for(slow, chunk_of(pulsing, total))
        fixed = pulse, *tiles, address
        rest = read, fast.written, fast.resets, pulsing, scratch
        kinds = scales.at(0.0), *fixed, turns(), chopping, 0
        compiled = machine_code(kernel, a, b, *matrix, *vectors, *kinds, *rest)

        def update(rate: float) -> int:
            pulses: int = compiled(
                a, b, *matrix, *vectors, scales.at(rate), *fixed, turns(), chopping, where.sample,
                *rest,
            )  # fmt: skip
            return pulses

        return update

    def job(a: int, b: int) -> Instruction:
        update = windowed_update(a, b) if reads is None else listed_update(a, b, reads)
        line = tallies.line(array.layer)
        return cell_job(update, (a, b), lr, reaches, (slow, fast), line, where)

    def parts(threads: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(len(slow.W), piece_rows(fast), threads)]

    def finish() -> None:
        count[...] += 1 if cell.transfer_by_minibatch else total // trains
        for name in cell.column_flags:
            memory[name][...] = getattr(prepared.signs, name)
        for name in cell.means:
            memory[name][...] = prepared.sizes
        array.refresh()

    executor.at_end_together(Work(operations(total, *slow.W.shape), parts, array))
    executor.at_end(finish)
    return before


def step_of(plane: Plane) -> float:
    """What a pulse of a plane's devices does on average, also where none are made."""
    return plane.device.granularity


class Scales:
    """The rates of a cell's planes and memory at a rate of its layer.

    slow_step, fast_step: of the devices; slots: of a train of x and d; vectors: of a step.
    """

    def __init__(
        self, cell: Buffered, slow: Plane, slow_step: float, fast_step: float, slots: int,
        vectors: int,
    ) -> None:  # fmt: skip
        self._cell, self._slow_step = cell, np.float32(slow_step)
        self._aim = cell.fast_lr * (slots * fast_step if cell.auto_scale else 1.0)
        self._ratio = fast_step / slow_step
        widths = np.diff(slow.layout.col_cuts)
        at_once = np.minimum(widths, cell.transfer_columns)
        every = cell.transfer_every * (vectors if cell.transfer_by_minibatch else 1)
        unit = np.full(len(widths), cell.grain(slow_step, fast_step))
        if cell.auto_granularity > 0:
            unit *= cell.auto_granularity * at_once / (every * widths)
        self._gains = cell.transfer_lr / unit
        self._scales = np.empty(len(widths), np.float32)
        self._most = np.float32(cell.transfer_bl)
        self._keys = tuple(map(np.float32, cell.rule_keys))

    def at(self, rate: float) -> BufferedRates:
        """At a rate of the layer; the scales are the same array every time."""
        cell = self._cell
        fast = self._aim * (rate if cell.scale_fast_lr else 1.0)
        slow = rate if cell.scale_transfer_lr else 1.0
        if cell.correct_gradient_magnitudes:
            slow *= self._ratio / fast if fast > 0 else 0.0
        self._scales[...] = self._gains * slow
        return BufferedRates(
            np.float32(fast), self._scales, cell.correct_gradient_magnitudes, self._most,
            self._slow_step, cell.reset_fast, self._keys,
        )  # fmt: skip


def turns_of(cell: Buffered, slow: Plane, before: int, trains: int, each: int) -> Turns:
    """When columns are read. before: vectors or minibatches so far; each: vectors of a sample."""
    widths = np.diff(slow.layout.col_cuts)
    most = int(np.min(widths // np.minimum(widths, cell.transfer_columns)))
    return Turns(
        before, cell.transfer_every, cell.transfer_columns, cell.transfer_by_minibatch, trains,
        each, most, across=True,
    )  # fmt: skip


def chopping_of(cell: Buffered, fast: Plane) -> Chopping:
    """How signs of columns change."""
    level = int(2**24 * np.float32(cell.chop_chance)) if cell.chop_chance else -1
    held = cell.held_passes if cell.held_passes else -1
    return Chopping(cell.period, level, held, int(fast.layout.tiles.flat[0]))


def prepared_for(
    cell: Buffered, array: Array, X: NDArray[Any], D: NDArray[Any], trains: int, *, listed: bool,
    padded: bool,
) -> Prepared:  # fmt: skip
    """Room for the vectors of a step.

    listed: for `list_reads`; else padded: with the largest input behind the last column.
    """
    columns = X.shape[2]
    if listed:
        before, after = np.zeros_like(X) if cell.period else X, np.empty((0, 0, 0), np.float32)
    else:
        before, after = (np.zeros((*X.shape[:2], columns + padded), np.float32) for _ in range(2))
    return Prepared(
        before, after, np.empty_like(D) if cell.auto_scale else D,
        np.ones(X.shape[1] // trains, np.float32),
        Signs(np.zeros(columns, np.float32), np.zeros(columns, np.float32)),
        np.zeros(2, np.float32), np.empty(columns, np.int32), np.empty(columns, np.float32),
        np.empty(columns, np.float32),
    )  # fmt: skip


def reads_for(cell: Buffered, slow: Plane, vectors: int) -> Reads:
    """Room for a list of the columns that are read in a step of so many vectors."""
    segments = len(slow.layout.col_cuts) - 1
    most = _events(cell, vectors) * min(cell.transfer_columns, slow.layout.longest_segment)
    whole, exact = (
        np.zeros((4, segments, most), np.int32),
        np.zeros((3, segments, most), np.float32),
    )
    after, column, place, warming = whole
    chopped, switched, size = exact
    number = np.zeros(segments, np.int32)
    return Reads(number, after, column, place, chopped, switched, warming, size)


def _events(cell: Buffered, vectors: int) -> int:
    """The most transfers in so many vectors."""
    return 1 if cell.transfer_by_minibatch else -(-vectors // cell.transfer_every)


def _drawn_together(
    cell: Buffered, slow: Plane, vectors: int
) -> tuple[NDArray[np.int64], FloatArray]:
    """(reads of each column segment whose noise is drawn together, room for it)."""
    rows, widths = int(np.max(np.diff(slow.layout.row_cuts))), np.diff(slow.layout.col_cuts)
    at_once = np.minimum(widths, cell.transfer_columns)
    events = np.clip(READ_TOGETHER // (rows * at_once), 1, _events(cell, vectors))
    most = events * at_once
    return most, np.empty(int(np.max(most)) * rows + 128, np.float32)


def chunk_of(pulsing: Any, total: int) -> int:
    """Rows of X that an update with this scratch counts at once; `total` where it counts none."""
    return int(getattr(pulsing, "chunk", total))


def scratch_for(slow: Plane, chunk: int) -> BufferedScratch:
    """For one thread; chunk: rows of X that the fast plane's update counts at once."""
    rows, columns = int(np.max(np.diff(slow.layout.row_cuts))), slow.layout.shape[1]
    block = max(1, min(slow.layout.longest_segment, READ_TOGETHER // rows))
    signs = Signs(np.zeros(columns, np.float32), np.zeros(columns, np.float32))
    values, noises, scales = (np.empty(block, np.float32) for _ in range(3))
    normals = np.empty(block * rows + 128, np.float32)
    return BufferedScratch(
        chunk, block, signs, values, noises, scales, normals, np.empty(4, np.float32)
    )  # fmt: skip


def _signs(cell: Buffered, memory: dict[str, NDArray[Any]], array: Array) -> Signs:
    """The signs that a cell keeps; those that it does not are never changed."""
    none = np.zeros(array.layout.shape[1], np.float32)
    return Signs(*(memory.get(name, none) for name in Signs._fields))


def _hold_draws(layer: str, cell: Buffered, slow: Plane, each: int) -> None:
    """Hold that reads of a sample and their writes have draws; each: vectors of a sample."""
    reads = _events(cell, each) * min(cell.transfer_columns, slow.layout.longest_segment)
    hold_transfer(layer, reads, int(np.max(np.diff(slow.layout.row_cuts))), 1)
