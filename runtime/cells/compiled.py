"""Compiles a cell's update with its rule and its devices' steps, and keeps it on disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.runtime.devices.compiled import (
    compile_mean,
    compile_move,
    compile_update,
    parameters_at,
    step_source,
)
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.runtime.kernels.held import subtract_span_held
from rpucc.runtime.kernels.products import subtract_span
from rpucc.target.values import MEAN

if TYPE_CHECKING:
    from rpucc.cells.transferred import Transferred
    from rpucc.runtime.devices import Device
    from rpucc.target.values import Pulsed


def compile_cell(
    cell: type[Transferred], fast: Device, slow: Device, *, pulsed: Pulsed, masked: bool = False
) -> Callable[..., int]:
    """The compiled `update` of a cell (see the template for its arguments).

    masked: for planes of which some devices get no pulses. Cells of one rule share it.
    """
    rule: Any = cell.transfer
    key = rule, pulsed, masked, type(fast), fast.cycle_noise, type(slow), slow.cycle_noise
    if key not in _LOADED:
        text = files("rpucc.runtime.cells").joinpath("update_template.py.txt").read_text("utf-8")
        sources = Path(inspect.getfile(rule)).read_text(encoding="utf-8") + step_source(type(slow))
        sources += Path(__file__).read_text(encoding="utf-8")
        module = generated(
            f"cell_{rule.__module__.rpartition('.')[2]}",
            fill(text, _fill(slow, pulsed, masked)),
            {"transfer": rule, "step": type(slow).step},
            sources,
            _kernels(fast, slow, pulsed, masked),
        )
        _LOADED[key] = module.update
    return _LOADED[key]


EXACT = "W[o0 + r, k] += wanted * rates.slow_dw_min"
"""What becomes of a slow device where the update of the fast one is exact."""
_LOADED: dict[tuple[Any, ...], Callable[..., int]] = {}


def _kernels(
    fast: Device, slow: Device, pulsed: Pulsed, masked: bool
) -> dict[str, Callable[..., Any]]:
    """What the template calls: the update of the fast devices, and of a slow one on average."""
    if pulsed == MEAN:
        return {"pulse_fast": compile_mean(fast, masked=masked), "move_slow": compile_move(slow)}
    exact = subtract_span_held if masked else subtract_span
    return {"pulse_fast": compile_update(fast, masked=masked) if pulsed else exact}


def _fill(slow: Device, pulsed: Pulsed, masked: bool) -> dict[str, str]:
    """What the template says of the slow devices."""
    moved = "move_slow(W, o0 + r, k, wanted, slow, ranges)"
    loads, values = parameters_at(type(slow), "r, k")
    noise = "noise[(first & 63) + i]" if slow.cycle_noise else "f32(0)"
    filling = "fill_normals(noise, first, count, index, i64(word), sample, i64(k0), i64(k1))"
    return {
        "$LOADS": "\n    ".join(loads) or "pass",
        "$FILL": filling if slow.cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
        "$PARAMS": "codes" if slow.counted and pulsed != MEAN and not masked else "params",
        "$MOVE": moved if pulsed == MEAN else EXACT,
        "$SKIP": "if slow.kept[o0 + r, k] == 0: continue" if masked else "pass",
    }
