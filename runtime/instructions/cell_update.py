"""The update cycle of cells whose planes are transferred to others, as an instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.cells.rider import Rider
from rpucc.layers import settings_of, weight_of
from rpucc.runtime.addresses import hold_transfer
from rpucc.runtime.cells.arguments import (
    Events,
    Link,
    Rates,
    SignedRates,
    Timing,
    TransferDraws,
    TransferRead,
    Transfers,
    TransferScratch,
)
from rpucc.runtime.cells.compiled import compile_cell, in_turn
from rpucc.runtime.cells.signed import Signed
from rpucc.runtime.instructions.pulsing import (
    check_pulses,
    pulse_policy,
    pulse_scratch,
    pulse_state,
    trains_of,
    without_chance,
)
from rpucc.runtime.instructions.read import read_settings
from rpucc.runtime.instructions.update import (
    PULSED_PIECE_ROWS,
    by_group,
    check_update,
    one_after_another,
    operations,
)
from rpucc.runtime.instructions.update_scratch import (
    device_state,
    held_of,
    plain_state,
)
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.held import HELD_ROWS
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.update_arguments import Address, Span
from rpucc.runtime.rates import update_reaches
from rpucc.runtime.tallies import PULSES
from rpucc.runtime.threads import Work, cut
from rpucc.target.values import WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.cells.transferred import Transferred
    from rpucc.runtime.builder import Builder, Instruction, StepAddress
    from rpucc.runtime.plane import Plane
    from rpucc.runtime.rates import Reach


# Words of slots that are drawn together, 4 bytes each: they stay in L2.
WORDS_TOGETHER = 131072


def build_cell_update(executor: Builder, node: ir.Node) -> Instruction | None:
    """Change the planes of a layer's cells in place, after everything else of the step.

    The instruction, if there is one, copies the positions as the update takes them before.
    """
    array = executor.matrix(weight_of(node))
    cell = cast("Transferred", settings_of(node))
    fast = array.planes[cell.pulsed]
    x, d, lr = (executor.array(value) for value in node.inputs[1:4])
    check_update(executor, fast, node, x, d, lr)
    held = array.state()
    for value, name in zip(node.outputs, ("", *cell.state), strict=True):
        executor.bind(value, held[name])
    count: NDArray[np.int64] = array.buffers[COUNT]
    bl = node.attributes.get_int("bl", 1)
    trains = trains_of(node)
    X, D, before = by_group(executor, fast.layout.groups, trains, x, d)
    signed = Signed(executor, array, cell, D, trains) if isinstance(cell, Rider) else None
    if signed is not None:
        turn = signed.prepare if signed.flips else None
        D, before = signed.errors, one_after_another(before, turn)
    total = X.shape[1]
    slow = [array.planes[link.slow].device for link in cell.links]
    numbered = without_chance(node)
    kernel = compile_cell(
        type(cell), fast.device, slow, pulsed=fast.pulsed, masked=fast.masked, numbered=numbered
    )
    pulse = pulse_policy(node, fast.device.granularity if fast.pulsed else 1)
    if fast.pulsed:
        each = total // executor.batch
        check_pulses(array.layer, fast, total, each, bl, each - 1, numbered=numbered)
    rows = int(np.max(np.diff(fast.layout.row_cuts)))
    turns = min(cell.transfer_columns, fast.layout.longest_segment)
    hold_transfer(array.layer, turns, rows, cell.transfer_bl)
    reaches = update_reaches(array.layer, array, node)
    p = read_settings(node, noise_managed=False)
    read = TransferRead(p.noise, p.bound, p.adc_step)
    keys = tuple(map(np.float32, cell.rule_keys))
    address = Address(total // executor.batch, *executor.address.key)
    tiles = fast.layout.for_kernels
    links = tuple(
        _link(array.planes[each.fast], array.planes[each.slow], each.every) for each in cell.links
    )
    planes = [array.planes[name] for name in cell.planes]
    fast_state = fast_plane_state(node, fast, total)
    where, tallies = executor.address, executor.tallies

    def rates(rate: float) -> Rates | SignedRates:
        plain = Rates(
            np.float32(rate * cell.fast_lr),
            _transfer_rates(cell, rate),
            cell.transfer_bl if fast.pulsed is True else 0,
            cell.reset_fast,
            keys,
        )
        return plain if signed is None else signed.rates(plain)

    def timing() -> Timing:
        return Timing(
            int(count),
            cell.transfer_every,
            cell.transfer_columns,
            cell.transfer_by_minibatch,
            trains,
        )

    def listed_update(a: int, b: int) -> Callable[[float], int]:
        scratch, most = _draws(fast, cell, total // trains)
        events = events_of(timing(), total, address.positions)
        between = Transfers(events, links, rates(0.0), read, most, turns, scratch)
        pulsing = pulse_scratch(node, fast, total, address.positions, b - a)
        matrix, fixed = (fast.W, fast_state(), X, D), (pulse, tiles, address)
        span = Span(0, 0, total, 0, 0)
        code = machine_code(kernel, a, b, *matrix, np.float32(0), *fixed, span, pulsing, between)

        def update(rate: float) -> int:
            now, events = rates(rate), events_of(timing(), total, address.positions)
            pulses: int = code(
                a, b, *matrix, now.fast_lr, *fixed, span._replace(sample0=where.sample), pulsing,
                between._replace(events=events, rates=now),
            )  # fmt: skip
            return pulses

        return update

    def windowed_update(a: int, b: int) -> Callable[[float], int]:
        pulsing: Any = ()
        if fast.pulsed:
            pulsing = pulse_scratch(node, fast, total, address.positions, b - a)
        matrix = fast.W, fast_state(), X, D
        rest = read, pulsing, links, _scratch(fast, cell.transfer_bl)
        code = machine_code(
            kernel, a, b, *matrix, rates(0.0), pulse, tiles, address, timing(), 0, *rest
        )

        def update(rate: float) -> int:
            pulses: int = code(
                a, b, *matrix, rates(rate), pulse, tiles, address, timing(), where.sample, *rest
            )
            return pulses

        return update

    listed = in_turn(fast.device, pulsed=fast.pulsed, numbered=numbered)
    update_of = listed_update if listed else windowed_update

    def job(a: int, b: int) -> Instruction:
        line = tallies.line(array.layer)
        return cell_job(update_of(a, b), (a, b), lr, reaches, planes, line, where)

    def parts(threads: int) -> list[Instruction]:
        return [job(a, b) for a, b in cut(len(fast.W), piece_rows(fast), threads)]

    def finish() -> None:
        count[...] += 1 if cell.transfer_by_minibatch else total // trains
        if signed is not None:
            signed.finish()
        array.refresh()

    executor.at_end_together(Work(operations(total, *fast.W.shape), parts, array))
    executor.at_end(finish)
    return before


def cell_job(
    update: Callable[[float], int], rows: tuple[int, int], lr: NDArray[np.float32],
    reaches: Sequence[Reach], planes: Sequence[Plane], counts: NDArray[np.int64],
    where: StepAddress,
) -> Instruction:  # fmt: skip
    """The update of some rows of a cell's planes: checked, counted, and what reads see drawn.

    update: changes them at a rate, and returns the pulses.
    """
    settles = [settle for plane in planes if (settle := plane.settling()) is not None]

    def run() -> None:
        rate = float(lr)
        if rate != 0:
            for reach in reaches:
                reach.check(rate)
        counts[PULSES] += update(rate)
        for settle in settles:
            settle(*rows, where.sample)

    return run


def events_of(timing: Timing, total: int, positions: int) -> Events:
    """When transfers happen in a step of `total` rows of X, so many of them a sample."""
    every, trains = timing.every, timing.trains
    if timing.by_minibatch:
        n = timing.before + 1
        return Events(int(n % every == 0), total - 1, 1, n, every, timing.columns, positions)
    n = (timing.before // every + 1) * every
    vector = n - timing.before - 1
    number = max(0, -(-(total // trains - vector) // every))
    return Events(
        number, (vector + 1) * trains - 1, every * trains, n, every, timing.columns, positions
    )


def _draws(plane: Plane, cell: Transferred, vectors: int) -> tuple[TransferDraws, int]:
    """(scratch for draws of events, of how many of them)."""
    rows = int(np.max(np.diff(plane.layout.row_cuts)))
    slots = len(cell.links) * min(cell.transfer_columns, plane.layout.longest_segment)
    events = 1 if cell.transfer_by_minibatch else -(-vectors // cell.transfer_every)
    most = max(1, min(events, WORDS_TOGETHER // (slots * rows * cell.transfer_bl)))
    scratch = TransferDraws(
        normals=np.empty((most * slots, rows + 128), np.float32),
        words=np.empty((most * slots, rows * cell.transfer_bl + 128), np.uint32),
        noise=np.empty(cell.transfer_bl + 128, np.float32),
    )
    return scratch, most


def _link(fast: Plane, slow: Plane, every: int) -> Link:
    """A link as the kernel takes it."""
    return Link(
        fast=fast.W,
        slow=slow.W,
        devices=(
            plain_state(slow)
            if slow.masked and slow.pulsed not in WITHOUT_TRAINS
            else device_state(slow)
        ),
        fast_ids=fast.layout.ids,
        tiles=slow.layout.for_kernels,
        dw_min=np.float32(slow.device.granularity if slow.pulsed else 1),
        every=every,
        written=fast.written,
        resets=fast.resets,
    )


def _transfer_rates(cell: Transferred, rate: float) -> tuple[np.float32, ...]:
    """The rates of the links where the layer's is this; where that is 0 nothing learns."""
    scale = rate if cell.scaled or rate == 0 else 1.0
    return tuple(np.float32(scale * link.rate) for link in cell.links)


def piece_rows(fast: Plane) -> int:
    """Rows that are never cut over threads: a product's last bit depends on how many it has."""
    if fast.pulsed:
        return PULSED_PIECE_ROWS
    return HELD_ROWS if fast.masked else fast.matrices.shape[1]


def fast_plane_state(node: ir.Node, fast: Plane, positions: int) -> Callable[[], Any]:
    """What gives a job what the update of the fast plane knows of it."""
    if fast.pulsed:
        state = pulse_state(node, fast)
        return lambda: state
    if fast.masked:
        held = held_of(fast, positions)
        return lambda: (blas_routines(), held.apart())
    return blas_routines


def _scratch(plane: Plane, bl: int) -> TransferScratch:
    """For one column of one tile."""
    rows = int(np.max(np.diff(plane.layout.row_cuts)))
    return TransferScratch(
        values=np.empty(rows, np.float32),
        normals=np.empty(rows + 128, np.float32),
        words=np.empty(rows * bl + 128, np.uint32),
        noise=np.empty(bl + 128, np.float32),
    )
