"""Compiles what sends whole steps of a digital sum to the devices of a plane, and keeps it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rpucc.runtime.devices.compiled import compile_move, compile_pulse_listed
from rpucc.runtime.kernels.clipped import move_clipped
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.target.values import MEAN, RANK_1

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.target.values import Pulsed


def compile_sending(device: Device, pulsed: Pulsed) -> ModuleType:
    """What has `send` and `add_and_send` (see the template) for the devices of a plane."""
    kernels: dict[str, Callable[..., Any]] = {}
    if pulsed == MEAN:
        kind, kernels["move"] = "mean", compile_move(device)
    elif pulsed == RANK_1:
        kind, kernels["move_clipped"] = "clipped", move_clipped
    elif pulsed:
        kind, kernels["pulse_listed"] = "pulsed", compile_pulse_listed(device)
    else:
        kind = "exact"
    key = kind, *(each.__module__ for each in kernels.values())
    if key not in _LOADED:
        template = files("rpucc.runtime.cells").joinpath("accumulated_template.py.txt")
        text = fill(template.read_text("utf-8"), {"$SEND": _SEND[kind]})
        source = Path(__file__).read_text(encoding="utf-8")
        _LOADED[key] = generated(f"send_{kind}", text, {}, source, kernels)
    return _LOADED[key]


_LOADED: dict[tuple[str, ...], ModuleType] = {}

_SEND = {
    "pulsed": """pulse_listed(
        W, devices.params, ranges, devices.constants, devices.written, n, 0, word, sample, k0, k1,
        elements, rows, columns, left, noise,
    )""",
    "mean": "for i in range(n): move(W, rows[i], columns[i], left[i], devices, ranges)",
    "clipped": """for i in range(n):
        move_clipped(W, rows[i], columns[i], f32(left[i]) * epsilon, devices)""",
    "exact": "for i in range(n): W[rows[i], columns[i]] += f32(left[i]) * epsilon",
}
"""What becomes of the listed devices."""
