"""Compiles a cell's update with its rule and its devices' steps, and keeps it on disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.runtime.devices.compiled import compile_update, parameters_at, step_source
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.runtime.kernels.products import subtract_span

if TYPE_CHECKING:
    from rpucc.cells.transferred import Transferred
    from rpucc.runtime.devices import Device


def compile_cell(
    cell: type[Transferred], fast: Device, slow: Device, *, pulsed: bool
) -> Callable[..., int]:
    """The compiled `update` of a cell (see the template for its arguments)."""
    key = cell, pulsed, type(fast), fast.cycle_noise, type(slow), slow.cycle_noise
    if key not in _LOADED:
        rule: Any = cell.transfer
        text = files("rpucc.runtime.cells").joinpath("update_template.py.txt").read_text("utf-8")
        sources = Path(inspect.getfile(rule)).read_text(encoding="utf-8") + step_source(type(slow))
        sources += Path(__file__).read_text(encoding="utf-8")
        module = generated(
            f"cell_{cell.model.replace('-', '_')}",
            fill(text, _fill(slow)),
            {"transfer": rule, "step": type(slow).step},
            sources,
            {"pulse_fast": compile_update(fast) if pulsed else subtract_span},
        )
        _LOADED[key] = module.update
    return _LOADED[key]


_LOADED: dict[tuple[Any, ...], Callable[..., int]] = {}


def _fill(slow: Device) -> dict[str, str]:
    """What the template says of the slow devices."""
    loads, values = parameters_at(type(slow), "r, k")
    noise = "noise[(first & 63) + i]" if slow.cycle_noise else "f32(0)"
    filling = "fill_normals(noise, first, count, index, i64(word), sample, i64(k0), i64(k1))"
    return {
        "$LOADS": "\n    ".join(loads) or "pass",
        "$FILL": filling if slow.cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
        "$PARAMS": "codes" if slow.counted else "params",
    }
