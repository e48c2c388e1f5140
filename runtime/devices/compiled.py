"""Compiles the kernels that pulse devices together with a device's `step`, and keeps them on disk.

Templates are filled in here; how modules are made of them: `rpucc.runtime.kernels.generated`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from rpucc.errors import TargetError
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.step_check import check_step
from rpucc.runtime.kernels.coincidences.update import update as counted_update
from rpucc.runtime.kernels.generated import fill, generated
from rpucc.runtime.kernels.jit import compiled_for
from rpucc.target.values import MEAN, Pulsed


def compile_update(device: Device, *, masked: bool = False) -> Callable[..., int]:
    """The compiled `update` kernel (see the template for its arguments) of a device model.

    masked: for planes of which some devices get no pulses.
    """
    if device.counted:
        return counted_update
    return _compiled("masked_update" if masked else "update", device, device.cycle_noise)


def compile_update_between(
    device: Device, transfers: ModuleType, *, masked: bool = False
) -> Callable[..., int]:
    """The compiled `update` of devices that are pulsed one by one, with transfers between pulses.

    transfers: a generated module with `begin`, `due` and `transfer`; what they know of transfers is
    the kernel's last argument, `between`.
    """
    _check(device)
    kind = "masked_update" if masked else "update"
    key = f"{kind} {transfers.__name__}", type(device), device.cycle_noise
    if key not in _LOADED:
        filling = {**_FILLS[kind](*key[1:]), **_between()}
        kernels = {name: getattr(transfers, name) for name in ("begin", "due", "transfer")}
        _LOADED[key] = _module(kind, type(device), filling, kernels).update
    return _LOADED[key]


def compile_pulses(device: Device) -> Callable[..., None]:
    """The compiled `pulses` kernel (see the template for its arguments) of a device model."""
    return _compiled("pulses", device, device.cycle_noise)


def compile_quiet_pulses(device: Device) -> Callable[..., None]:
    """The same, with a step that gets 0 in place of its noise."""
    return _compiled("pulses", device, cycle_noise=False)


def compile_side(
    device: Device, side: int, pulsed: Pulsed, *, masked: bool = False
) -> Callable[..., int]:
    """The compiled `update`, of pulses or of their mean, of devices that are only pulsed up.

    side: 1 or -1, the sign of the moves that they are for; all others leave them what they are.
    """
    _check(device)
    model, kernel = type(device), f"{MASKED}update" if masked else "update"
    if pulsed == MEAN:
        filling, kernel = _fill_mean(model, masked=masked), kernel.replace("update", "mean")
    else:
        filling = _FILLS[kernel](model, device.cycle_noise)
    sign = ">" if side > 0 else "<"
    here = f"f32(signs[o + c]) * flip {sign} f32(0): "
    marked = f"if kept[r, c0 + c] and {here}" if masked else f"if {here}"
    compiled: Callable[..., int] = _module(
        kernel,
        model,
        {
            **filling,
            "$WRAPPER": _one_sided(model, side),
            "step(": "step_up(",
            "$IF_TRAINED": marked,
            "u8(x[m, c0 + c] != f32(0))": f"u8(rate * f64(x[m, c0 + c]) {sign} f64(0))",
        },
    ).update
    return compiled


def compile_numbered_side(device: Device, side: int, *, masked: bool = False) -> Callable[..., int]:
    """`compile_numbered` of devices that are only pulsed up; side: as in `compile_side`."""
    _check(device)
    filling = _fill_pulse_counts(type(device), device.cycle_noise, masked=masked)
    other = f"((x[m, c] > f32(0)) == falls) == {side > 0}"
    held = " or devices.kept[r, c] == 0" if masked else ""
    filling |= {
        "$WRAPPER": _one_sided(type(device), side),
        "step(": "step_up(",
        "$SKIP": f"if {other}{held}: continue",
    }
    compiled: Callable[..., int] = _module("pulse_counts", type(device), filling).update
    return compiled


def _one_sided(model: type[Device], side: int) -> str:
    """What stands in the place of `step` for devices that are only pulsed up."""
    own = "".join(f", a{i}" for i in range(len(model.per_device) + len(model.constants)))
    own += ", table" * model.tabulated
    return _ONE_SIDED.format(own=own, sign=">" if side > 0 else "<")


_ONE_SIDED = """

@inlined
def step_up(w, direction, noise{own}):
    return step(w, abs(direction), noise{own}) if direction {sign} 0 else w
"""


def compile_mean(device: Device, *, masked: bool = False) -> Callable[..., int]:
    """The compiled `update` kernel of mean_template.py.txt of a device model: pulses on average.

    masked: for planes of which some devices stay.
    """
    kernel: Callable[..., int] = _mean_module(device, masked=masked).update
    return kernel


def compile_move(device: Device) -> Callable[..., None]:
    """The compiled `move` kernel of mean_template.py.txt of a device model: of one device."""
    kernel: Callable[..., None] = _mean_module(device).move
    return kernel


def compile_pulse_counts(device: Device) -> Callable[..., int]:
    """The compiled `pulse_counts` kernel (see the template for its arguments) of a device model."""
    return _compiled("pulse_counts", device, device.cycle_noise)


def compile_pulse_listed(device: Device) -> Callable[..., None]:
    """The compiled `pulse_listed` kernel of that template: whole pulses of devices in a list."""
    listed: Callable[..., None] = sys.modules[compile_pulse_counts(device).__module__].pulse_listed
    return listed


def compile_numbered(device: Device, *, masked: bool = False) -> Callable[..., int]:
    """The compiled `update` kernel of pulse_counts_template.py.txt: numbers of pulses, no chance.

    masked: for planes of which some devices get no pulses.
    """
    _check(device)
    key = f"{MASKED if masked else ''}numbered", type(device), device.cycle_noise
    if key not in _LOADED:
        filling = _fill_pulse_counts(*key[1:], masked=masked)
        _LOADED[key] = _module("pulse_counts", type(device), filling).update
    return _LOADED[key]


def _compiled(kernel: str, device: Device, cycle_noise: bool) -> Callable[..., Any]:
    key = kernel, type(device), cycle_noise
    _check(device)
    if key not in _LOADED:
        _LOADED[key] = _load(*key)
    return _LOADED[key]


MASKED = "masked_"
"""What the name of a kernel begins with that is compiled for planes with a mask."""

_LOADED: dict[tuple[str, type[Device], bool], Callable[..., Any]] = {}
_CHECKED: set[tuple[type[Device], tuple[tuple[str, Any], ...]]] = set()


def _check(device: Device) -> None:
    """Try out the step of a device that is none of rpucc's own, once for its parameters."""
    model = type(device)
    if model.__module__.startswith("rpucc."):
        return
    key = model, tuple(sorted(device.parameters.items()))
    if key not in _CHECKED:
        check_step(device)
        _CHECKED.add(key)


def _load(kernel: str, model: type[Device], cycle_noise: bool) -> Callable[..., Any]:
    module = _module(kernel, model, _FILLS[kernel](model, cycle_noise))
    compiled: Callable[..., Any] = getattr(module, kernel.removeprefix(MASKED))
    return compiled


def _module(
    kernel: str, model: type[Device], filling: dict[str, str],
    kernels: Mapping[str, Callable[..., Any]] | None = None,
) -> ModuleType:  # fmt: skip
    text = filled(f"{kernel.removeprefix(MASKED)}_template.py.txt", filling)
    name = f"{kernel}_{model.name.replace('-', '_').replace(':', '_')}"
    return generated(name, text, {"step": model.step}, step_source(model) + _own_source(), kernels)


def _mean_module(device: Device, *, masked: bool = False) -> ModuleType:
    _check(device)
    filling = _fill_mean(type(device), masked=masked)
    return _module(f"{MASKED if masked else ''}mean", type(device), filling)


def filled(template: str, replacements: dict[str, str]) -> str:
    """The text of a template of this folder with what a device model fills in."""
    return fill(files("rpucc.runtime.devices").joinpath(template).read_text("utf-8"), replacements)


def _own_source() -> str:
    """This file: how a template is filled in is part of what comes out."""
    return Path(__file__).read_text(encoding="utf-8")


def step_source(model: type[Device]) -> str:
    """The source of the module that defines `step`, with all that the step may use in it."""
    try:
        return Path(inspect.getfile(model.step)).read_text(encoding="utf-8")
    except (OSError, TypeError) as error:
        raise TargetError(
            f"device '{model.name}': the source of its step function cannot be read ({error}); "
            "define the class in a file"
        ) from error


def _fill_pulses(model: type[Device], cycle_noise: bool) -> dict[str, str]:
    count, shared = len(model.per_device), len(model.constants)
    loads = [f"p{i} = params[{i}, r, c0:c1]" for i in range(count)]
    loads += [f"s{i} = constants[{i}]" for i in range(shared)] + _table(model)
    noise = "noise[at + c]" if cycle_noise else "f32(0)"
    values = [f"p{i}[c]" for i in range(count)] + [f"s{i}" for i in range(shared)]
    values += ["table"] * model.tabulated
    fill = "fill_normals(noise, element, c1 - c0, u32(first + i), word, u32(0), k0, k1)"
    return {
        "$LOADS": "\n                ".join(loads) or "pass",
        "$FILL": fill if cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
    }


def parameters_at(model: type[Device], place: str) -> tuple[list[str], list[str]]:
    """(statements, names) of the parameters of the device at a place, as in "r, c"."""
    count, shared = len(model.per_device), len(model.constants)
    load = f"f32(params[{{0}}, {place}])"
    if model.packed:
        load += " * ranges[{0}, 1] + ranges[{0}, 0]"
    loads = [f"p{i} = {load.format(i)}" for i in range(count)]
    loads += [f"s{i} = constants[{i}]" for i in range(shared)] + _table(model)
    names = [f"p{i}" for i in range(count)] + [f"s{i}" for i in range(shared)]
    return loads, names + ["table"] * model.tabulated


def _table(model: type[Device]) -> list[str]:
    """The statement that takes the table of a model that is tabulated from its constants."""
    return [f"table = constants[{len(model.constants)}:]"] * model.tabulated


def _fill_pulse_counts(
    model: type[Device], cycle_noise: bool, *, masked: bool = False
) -> dict[str, str]:
    loads, values = parameters_at(model, "r, c")
    draw = "_draw(n, elements, first, word, sample, k0, k1, noise)"
    return {
        "$LOADS": "\n            ".join(loads) or "pass",
        "$DRAW": draw if cycle_noise else "pass",
        "$WRAPPER": "",
        "$SKIP": "if devices.kept[r, c] == 0: continue" if masked else "pass",
        "$ARGUMENTS": ", ".join(["noise[i, k]" if cycle_noise else "f32(0)", *values]),
    }


def _fill_mean(model: type[Device], *, masked: bool = False) -> dict[str, str]:
    count, shared = len(model.per_device), len(model.constants)
    constants = [f"constants[{i}]" for i in range(shared)]
    load = "f64(params[{0}, r, c0 + c])"
    if model.packed:
        load += " * f64(ranges[{0}, 1]) + f64(ranges[{0}, 0])"
    at = load.replace("c0 + c", "k")
    unpack = [f"for c in range(n): row[{3 + i}, c] = {load.format(i)}" for i in range(count)]
    loads = [f"p{i} = row[{3 + i}]" for i in range(count)]
    loads += [f"s{i} = {constant}" for i, constant in enumerate(constants)] + _table(model)
    table = ["table"] * model.tabulated
    return {
        "$WRAPPER": "",
        "$TRAINED": "if devices.kept[r, c0 + c] != 0: " if masked else "",
        "$UNPACK": "\n    ".join(unpack) or "pass",
        "$LOADS": "\n    ".join(loads) or "pass",
        "$ARGUMENTS": ", ".join(
            [*(f"p{i}[c]" for i in range(count)), *(f"s{i}" for i in range(shared)), *table]
        ),
        "$AT": "\n    ".join([*(f"p{i} = {at.format(i)}" for i in range(count)), *_table(model)])
        or "pass",
        "$ARGUMENTS_AT": ", ".join([*(f"p{i}" for i in range(count)), *constants, *table]),
    }


def _fill_update(model: type[Device], cycle_noise: bool) -> dict[str, str]:
    count = len(model.per_device)
    loads = [f"p{i} = params[{i}, r, c0:c1]" for i in range(count)]
    values = [f"p{i}[c]" for i in range(count)]
    if model.packed:
        loads += [f"low{i}, scale{i} = ranges[{i}, 0], ranges[{i}, 1]" for i in range(count)]
        values = [f"f32({value}) * scale{i} + low{i}" for i, value in enumerate(values)]
    unpack = [
        line
        for i, value in enumerate(values)
        for line in (f"u{i} = unpacked[{i + 1}]", f"for c in range(c1 - c0): u{i}[c] = {value}")
    ]
    unpacked_loads = [f"u{i} = unpacked[{i + 1}]" for i in range(count)]
    shared = [f"k{i} = constants[{i}]" for i in range(len(model.constants))] + _table(model)
    constants = [f"k{i}" for i in range(len(model.constants))] + ["table"] * model.tabulated
    fill = (
        "fill_normals(noise, first, total, r - row_cuts[b], u32(u32(PULSE_NOISE << 24) | tile), "
        "sample, k0, k1)"
    )
    noise = "row[c]" if cycle_noise else "f32(0)"
    listed = "noise[at + q]" if cycle_noise else "f32(0)"
    return {
        "$LOADS": "\n    ".join(loads + shared) or "pass",
        "$LISTED": ", ".join([listed, *values, *constants]),
        "$DENSE": ", ".join([noise, *values, *constants]),
        "$UNPACKED_LOADS": "\n    ".join(unpacked_loads + shared) or "pass",
        "$UNPACKED": ", ".join([noise, *(f"u{i}[c]" for i in range(count)), *constants]),
        "$UNPACK": "\n    ".join(loads + unpack) or "pass",
        "$SPREAD": (_EXPAND if _has_expand() else _SCATTER) if cycle_noise else "pass",
        "$FILL": fill if cycle_noise else "pass",
        "$WRAPPER": "",
        **_UNMASKED,
        **_ALONE,
    }


def _fill_masked_update(model: type[Device], cycle_noise: bool) -> dict[str, str]:
    return {**_fill_update(model, cycle_noise), **_MASKED}


_ALONE = {
    "$MORE": "",
    "$ONE_MORE": "",
    "$NO_PULSES": "continue",
    **dict.fromkeys(("$TILE", "$CHUNK", "$ROW", "$EVENT"), "pass"),
}
"""What an update has between pulses: nothing."""
_TRANSFER = """limit = m + (i64(u32(lines[order[k]]) >> u32(16)) if k < last_event else length)
while done < ended and due(between, s, done) < limit:
    pulses += transfer(
        between, W, written, r, b, s, done, begun, c0, c1 - c0, row_cuts[b], tile_rows, tile,
        sample, k0, k1, unpacked, unpack,
    )
    done += 1
if k == last_event:
    break"""
_CHUNK = """begun = ended
ended, length = begin(
    between, begun, m, length, b, s, tile_rows, tile, sample, k0, k1
)"""


def _between() -> dict[str, str]:
    """Transfers: each when the last pulse before it was made.

    Row by row, because what becomes of a device depends on no other row.
    """
    return {
        "$MORE": ", between",
        "$TILE": "ended = 0",
        "$CHUNK": _indented(_CHUNK, 16),
        "$NO_PULSES": "first_event = last_event",
        "$ROW": "done = begun",
        "$ONE_MORE": " + 1",
        "$EVENT": _indented(_TRANSFER, 24),
    }


def _indented(text: str, depth: int) -> str:
    """The lines behind the first so much further right."""
    return text.replace("\n", "\n" + " " * depth)


_UNMASKED = {
    "$DEVICES": "params, ranges, constants, written",
    "$KEPT": "()",
    "$KEPT_ROW": "pass",
    "$SKIP": "pass",
    "$PULSED_HERE": "signs[c] != 0",
    "$UNPACK_KEPT": "pass",
    "$KEPT_UNPACKED": "pass",
    "$COUNT_HELD": "pass",
    "$IF_TRAINED": "",
}
_MASKED = {
    "$DEVICES": "params, ranges, constants, kept, written",
    "$KEPT": "kept",
    "$KEPT_ROW": "trained = kept[r, c0:c1]",
    "$SKIP": "if trained[c] == 0: continue",
    "$PULSED_HERE": "(signs[c] != 0) & (trained[c] != 0)",
    "$UNPACK_KEPT": "for c in range(c1 - c0): unpacked[-1, c] = f32(kept[r, c0 + c])",
    "$KEPT_UNPACKED": "trained = unpacked[-1]",
    "$COUNT_HELD": "for c in columns[o : o + n]: pulses -= 0 if kept[r, c0 + c] else 1",
    "$IF_TRAINED": "if kept[r, c0 + c]: ",
}
"""What the template says of devices that get no pulses: in a kernel of its own, where there are."""

_FILLS = {
    "update": _fill_update,
    "masked_update": _fill_masked_update,
    "pulses": _fill_pulses,
    "pulse_counts": _fill_pulse_counts,
}

# Pulses' noise to their columns: whole vectors where the processor can, else one by one (stores
# that narrow delay the vector loads that follow).
_EXPAND = """for a in range(0, signs.shape[0], 16):
        at += expand16(noise, at, signs, a, row)"""
_SCATTER = """for q in range(n):
        row[columns[q]] = noise[at + q]"""


def _has_expand() -> bool:
    _, features = compiled_for()
    return "avx512f" in features
