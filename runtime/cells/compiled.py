"""Compiles a cell's update with its rule and its devices' steps, and keeps it on disk."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.runtime.cells.arguments import Link
from rpucc.runtime.devices.compiled import (
    compile_mean,
    compile_move,
    compile_numbered,
    compile_update,
    compile_update_between,
    parameters_at,
    step_source,
)
from rpucc.runtime.kernels.clipped import clipped_update, move_clipped
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.runtime.kernels.held import subtract_span_held
from rpucc.runtime.kernels.products import subtract_span
from rpucc.target.values import MEAN, RANK_1, WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.cells.transferred import Transferred
    from rpucc.runtime.devices import Device
    from rpucc.target.values import Pulsed


def compile_cell(
    cell: type[Transferred], fast: Device, slow: Sequence[Device], *, pulsed: Pulsed,
    masked: bool = False, numbered: bool = False,
) -> Callable[..., int]:  # fmt: skip
    """The compiled `update` of a cell (see the template for its arguments).

    fast: the devices that pulses of x and d go to; slow: those that each transfer goes to, in the
    order of transfers. masked: for planes of which some devices get no pulses; numbered: where the
    pulses of x and d have no chance. Cells of one rule share it. Where `in_turn` says so it is that
    of the fast devices, with transfers between pulses.
    """
    rule: Any = cell.transfer
    first, *kinds = ((type(each), each.counted, each.cycle_noise) for each in (fast, *slow))
    key = rule, pulsed, masked, numbered, first, *kinds
    if key not in _LOADED:
        models = dict(zip(kinds, slow, strict=True))
        numbers = {kind: number for number, kind in enumerate(models)}
        # One call is part of its caller, which other bits would come of; several would be long.
        called_as = "inlined" if len(slow) == 1 else "kernel"
        between = in_turn(fast, pulsed=pulsed, numbered=numbered)
        called = {} if between else fast_kernel(fast, pulsed, masked, numbered)
        head, each_model, windowed, windows, turns = _PARTS.split(
            files("rpucc.runtime.cells").joinpath("update_template.py.txt").read_text("utf-8")
        )
        functions, text = {"rule": rule}, head
        each_model += "" if between else windowed
        sources = [
            Path(each).read_text(encoding="utf-8") for each in (inspect.getfile(rule), __file__)
        ]
        for kind, device in models.items():
            filling = {"$NUMBER": str(numbers[kind]), "$CALLED": called_as}
            filling |= _fill(device, numbers[kind], pulsed, masked, bool(cell.buffers))
            text += fill(each_model, filling)
            functions[f"step{numbers[kind]}"] = type(device).step
            sources.append(step_source(type(device)))
            if pulsed == MEAN:
                called[f"move{numbers[kind]}"] = compile_move(device)
        links = _fill_links(
            [numbers[kind] for kind in kinds], masked=masked, remembers=bool(cell.buffers)
        )
        text += fill(turns if between else windows, links)
        name = f"cell_{rule.__module__.rpartition('.')[2]}"
        module = generated(name, text, functions, "".join(sources), called)
        _LOADED[key] = (
            compile_update_between(fast, module, masked=masked) if between else module.update
        )
    return _LOADED[key]


def in_turn(fast: Device, *, pulsed: Pulsed, numbered: bool) -> bool:
    """Whether fast devices are pulsed one by one, so that transfers happen between their pulses."""
    return pulsed is True and not numbered and not fast.counted


_PARTS = re.compile(
    r"# for each model of slow devices\n|# in windows: for each model of slow devices\n"
    r"|# in windows\n|# in turn\n"
)
"""Where the template says of what the next part is one; transfers happen between windows of vectors
or between pulses."""
EXACT = "W[r, k] += wanted * slow_dw_min"
"""What becomes of a slow device where the update of the fast one is exact."""
CLIPPED = "move_clipped(W, r, k, f32(wanted * slow_dw_min), slow)"
"""And where it is cut to the bounds of devices."""
WANTED = "wanted = f32(rule(value, slow_lr, slow_dw_min, *rates.keys))"
"""How many pulses a slow device should get."""
REMEMBERED = """mean, new = rule(value, slow_lr, slow_dw_min, rates.memory[r, k], *rates.keys)
    wanted, rates.memory[r, k] = f32(mean), f32(new)"""
"""The same of a cell with digital memory."""
FLIP_IN_WINDOWS = """if rates.signs[at + 1] != rates.signs[at]:
            for r in range(r0, r1):
                for k in range(rates.held.shape[1]):
                    rates.held[r, k] = rates.memory[r, k]"""
"""What is left of that where the sign changes behind a transfer."""
FLIP_IN_TURN = """row = due(between, s, i)
    if rates.signs[row + 1] != rates.signs[row]:
        for k in range(c0, c0 + width):
            rates.held[r, k] = rates.memory[r, k]"""
"""The same of a row of a tile."""
_LOADED: dict[tuple[Any, ...], Callable[..., int]] = {}


_DRAW = """if n % every{i} == 0:
            for turn in range(min(events.columns, tiles{i}.col_cuts[s + 1] - tiles{i}.col_cuts[s])):
                slot = ((i - begun) * {links} + {i}) * between.columns + turn
                _draw_column(
                    scratch.normals[slot], scratch.words[slot], turn * rows, rows, rates.bl,
                    read.noise, fast_ids{i}[b, s], tiles{i}.ids[b, s], position, sample, k0, k1,
                )"""
_TURN = """if n % every{i} == 0:
        for turn in range(min(events.columns, width)):
            k = (({event}) * events.columns + turn) % width
            {skip}
            {pack}
            slot = ((i - begun) * {links} + {i}) * between.columns + turn
            value = _read_one(
                fast{i}, written{i}, r, c0 + k, row0, c0, width, u32(fast_ids{i}[b, s]), position,
                sample, k0, k1, read,
                scratch.normals[slot, ((turn * rows) & 63) + r - row0],
            )
            pulses += _transfer_one{number}(
                value, fast{i}, slow{i}, r, c0 + k, row0, rows, c0, width, turn, devices{i},
                devices{i}.ranges[b, s], rates, rates.slow_lr[{i}]{sign}, dw_min{i}, written{i},
                resets{i},
                scratch.words[slot], ((turn * rows * rates.bl) & 63) + (r - row0) * rates.bl,
                u32(fast_ids{i}[b, s]), u32(tiles{i}.ids[b, s]), position, sample, k0, k1,
                scratch.noise,
            )
            {unpack}"""


def _fill_links(numbers: Sequence[int], *, masked: bool, remembers: bool) -> dict[str, str]:
    """What the template says of the links, one after the other; numbers: of their models.

    remembers: for a cell with digital memory and a sign.
    """
    unpack, transfers, draws, turns = [], [], [], []
    more = "n, r0, r1, rates, timing, read, position, sample, k0, k1, scratch"
    for i, number in enumerate(numbers):
        own = ", ".join(f"{key}{i}" for key in Link._fields)
        unpack.append(f"{own} = links[{i}]")
        sign = " * rates.signs[at]" if remembers else ""
        transfers.append(f"pulses += _transfer{number}({own}, rates.slow_lr[{i}]{sign}, {more})")
        draws.append(_DRAW.format(i=i, links=len(numbers)))
        last = i == len(numbers) - 1
        turns.append(
            _TURN.format(
                i=i,
                links=len(numbers),
                number=number,
                sign=" * rates.signs[due(between, s, i)]" if remembers else "",
                event=f"n // every{i} - 1",
                skip=f"if devices{i}.kept[r, c0 + k] == 0: continue" if masked else "pass",
                # The plane that takes gradients, which may be unpacked, is read by the last link.
                pack=f"if unpack: fast{i}[r, c0 + k] = unpacked[0, k]" if last else "pass",
                unpack=f"if unpack: unpacked[0, k] = fast{i}[r, c0 + k]" if last else "pass",
            )
        )
    transfers += [FLIP_IN_WINDOWS] if remembers else []
    turns += [FLIP_IN_TURN] if remembers else []
    return {
        "$LINKS": "\n    ".join(unpack),
        "$TRANSFERS": "\n        ".join(transfers),
        "$DRAWS": "\n        ".join(draws),
        "$TURNS": "\n    ".join(turns),
    }


def fast_kernel(
    fast: Device, pulsed: Pulsed, masked: bool, numbered: bool
) -> dict[str, Callable[..., Any]]:
    """The update of the fast devices, which the template calls."""
    if pulsed == MEAN:
        return {"pulse_fast": compile_mean(fast, masked=masked)}
    if pulsed == RANK_1:
        return {"pulse_fast": clipped_update, "move_clipped": move_clipped}
    if numbered:
        return {"pulse_fast": compile_numbered(fast, masked=masked)}
    exact = subtract_span_held if masked else subtract_span
    return {"pulse_fast": compile_update(fast, masked=masked) if pulsed else exact}


def _fill(
    slow: Device, number: int, pulsed: Pulsed, masked: bool, remembers: bool
) -> dict[str, str]:
    """What the template says of a model of slow devices."""
    plain = masked or pulsed in WITHOUT_TRAINS
    moved = f"move{number}(W, r, k, wanted, slow, ranges)"
    loads, values = parameters_at(type(slow), "r, k")
    noise = "noise[(first & 63) + i]" if slow.cycle_noise else "f32(0)"
    filling = "_fill_noise(noise, first, count, index, i64(word), sample, i64(k0), i64(k1))"
    return {
        "$LOADS": "\n    ".join(loads) or "pass",
        "$FILL": filling if slow.cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
        "$PARAMS": "codes" if slow.counted and not plain else "params",
        "$MOVE": moved if pulsed == MEAN else CLIPPED if pulsed == RANK_1 else EXACT,
        "$WANTED": REMEMBERED if remembers else WANTED,
        "$SKIP": "if slow.kept[r, k] == 0: continue" if masked else "pass",
    }
