"""Compiles the update of a cell with digital memory, with its rule and its devices' steps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.runtime.cells.compiled import fast_kernel, in_turn
from rpucc.runtime.devices.compiled import (
    compile_move,
    compile_update_between,
    parameters_at,
    step_source,
)
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.target.values import MEAN, RANK_1, WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.cells.buffered import Buffered
    from rpucc.runtime.devices import Device
    from rpucc.target.values import Pulsed


def compile_buffered(
    cell: type[Buffered],
    fast: Device,
    slow: Device,
    *,
    pulsed: Pulsed,
    masked: bool = False,
    numbered: bool = False,
) -> Callable[..., int]:
    """The compiled `update` of a cell (see the template for its arguments).

    masked: for planes of which some devices get no pulses; numbered: where the pulses of x and d
    have no chance. Cells of one rule share it. Where `in_turn` says so it is that of the fast
    devices, with transfers between pulses.
    """
    rule: Any = cell.transfer
    kinds = ((type(each), each.counted, each.cycle_noise) for each in (fast, slow))
    key = rule, pulsed, masked, numbered, *kinds
    if key not in _LOADED:
        text = files("rpucc.runtime.cells").joinpath("buffered_template.py.txt").read_text("utf-8")
        head, windows, turns = _PARTS.split(text)
        between = in_turn(fast, pulsed=pulsed, numbered=numbered)
        filling = _fill(len(cell.buffers), slow, pulsed, masked)
        sources = Path(inspect.getfile(rule)).read_text(encoding="utf-8") + step_source(type(slow))
        module = generated(
            f"cell_{rule.__module__.rpartition('.')[2]}",
            fill(head + (turns if between else windows), filling),
            {"rule": rule, "step": type(slow).step},
            sources + Path(__file__).read_text(encoding="utf-8"),
            {} if between else _kernels(fast, slow, pulsed, masked, numbered),
        )
        _LOADED[key] = (
            compile_update_between(fast, module, masked=masked) if between else module.update
        )
    return _LOADED[key]


_PARTS = re.compile(r"# in windows\n|# in turn\n")
"""Where the template says how columns are read: between windows of vectors, or pulses."""


_LOADED: dict[tuple[Any, ...], Callable[..., int]] = {}

_WRITES = {
    True: "_write(W, r, c, count, direction, slow.$PARAMS, ranges, slow.constants, slow.written, "
    "number * rows + r - row0, noise_word, sample, k0, k1, pulse_noise); pulses += count",
    False: "W[r, c] += direction * f32(count) * rates.slow_step",
    MEAN: "move_slow(W, r, c, direction * f32(count), slow, ranges)",
    RANK_1: "move_clipped(W, r, c, direction * f32(count) * rates.slow_step, slow)",
}
"""What a write of `count` pulses does: pulses, exactly, what they do on average, or to bounds."""


def _kernels(
    fast: Device, slow: Device, pulsed: Pulsed, masked: bool, numbered: bool
) -> dict[str, Callable[..., Any]]:
    """What the template calls: the update of the fast devices, and of a slow one on average."""
    moves = {"move_slow": compile_move(slow)} if pulsed == MEAN else {}
    return {**fast_kernel(fast, pulsed, masked, numbered), **moves}


def _fill(buffers: int, slow: Device, pulsed: Pulsed, masked: bool) -> dict[str, str]:
    """What the template says of the slow devices and of the cell's memory."""
    loads, values = parameters_at(type(slow), "r, k")
    draw = "_draw(noise, element, first, word, sample, k0, k1)"
    noise = "noise[i]" if slow.cycle_noise else "f32(0)"
    plain = masked or pulsed in WITHOUT_TRAINS
    params = "codes" if slow.counted and not plain else "params"
    numbers = range(buffers)
    stored = [f"buffers[{i}][r, c] = f32(n{i})" for i in numbers]
    if masked:
        stored = [f"if kept: {each}" for each in stored]
    return {
        "$LOADS": "\n    ".join(loads) or "pass",
        "$DRAW": draw if slow.cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
        "$RESULTS": ", ".join(f"n{i}" for i in numbers),
        "$VALUES": ", ".join(f"buffers[{i}][r, c]" for i in numbers),
        "$KEPT": _KEPT if masked else "pass",
        "$STORE": "\n    ".join(stored),
        "$WRITE": _WRITES[pulsed].replace("$PARAMS", params),
        "$RESET": f"{_HELD if masked else ''}{_RESET}",
    }


_KEPT = """kept = slow.kept[r, c] != 0
    pulse = pulse if kept else f32(0)"""
_HELD = "if slow.kept[r, c] != 0: "
_RESET = (
    "reset_device(A, resets, written, r, c, row0, c0, width, fast_tile, number, sample, k0, k1)"
)
