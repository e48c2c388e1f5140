"""What callers of an array that is used by itself hand in, checked; not for its tables' keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import ArgumentError
from rpucc.runtime.devices import DEVICES, Device
from rpucc.target.keys import Section

FloatArray = NDArray[np.float32]
Table = Mapping[str, Any] | Section | None
"""A table of a target: a dictionary with its keys, or the section itself; None is empty."""

MOST_PULSES = 10**9

DEVICE = (
    "a device model's name (rpucc devices), a Device, or the dictionary of a [device] table, "
    'as {"model": "soft-bounds", "dw_min": 0.01}'
)
TABLES = "a dictionary with keys of that table, as docs/policies.md lists them"


def table_of(name: str, table: object) -> dict[str, Any]:
    """The keys of a table that is given."""
    if table is None:
        return {}
    if isinstance(table, Section):
        return table.model_dump(exclude_unset=True)
    if isinstance(table, Mapping):
        return dict(table)
    raise arguments.wrong(name, table, TABLES)


def device_table(device: object) -> dict[str, Any]:
    """The [device] table of what is given; of no account for a Device of someone's own."""
    if isinstance(device, Device):
        table = {"model": device.name, **device.parameters}
        return table if is_built_in(device) else {"model": "ideal"}
    if isinstance(device, str):
        return {"model": device}
    if isinstance(device, Mapping):
        return dict(device)
    raise arguments.wrong("device", device, DEVICE)


def is_built_in(device: Device) -> bool:
    """Whether a device is of one of rpucc's models, which its table makes again."""
    model = DEVICES.get(device.name)
    return model is not None and type(device) is model.form(device.parameters)


def cuts_of(name: str, cuts: object, lines: int) -> tuple[int, ...]:
    """The borders of tiles; without any there is one tile."""
    allowed = f"None, or rising integers from 0 to {lines}"
    if cuts is None:
        return 0, lines
    found = arguments.integers(name, cuts, 0, allowed)
    if found[:1] != (0,) or found[-1] != lines or list(found) != sorted(set(found)):
        raise arguments.wrong(name, found, allowed)
    return found


def vectors(name: str, values: object, lines: int) -> FloatArray:
    """Vectors as float32 [N, lines] or [N, P, lines]."""
    shapes = [(lines,), ("N", lines), ("N", "P", lines)]
    found = numbers(name, values, shapes)
    return found[None] if found.ndim == 1 else found


def numbers(name: str, values: object, shapes: Sequence[Sequence[int | str]]) -> FloatArray:
    """Finite numbers of one of these shapes, in which a letter is any length from 1 up."""
    allowed = f"finite float32 numbers, {_or(shapes)}"
    found = _as_array(name, values, allowed, "fiu", shapes)
    with np.errstate(over="ignore"):
        result: FloatArray = found.astype(np.float32, copy=False)
    _refuse_some(name, found, ~np.isfinite(result), allowed)
    return result


def whole_numbers(name: str, values: object, shape: Sequence[int]) -> NDArray[np.int64]:
    """Integers of this shape, also where they come as floats."""
    allowed = f"whole numbers up to {MOST_PULSES:,}, {_or([shape])}"
    found = _as_array(name, values, allowed, "fiu", [shape])
    wrong = ~((found >= -MOST_PULSES) & (found <= MOST_PULSES)) | (found != np.trunc(found))
    _refuse_some(name, found, wrong, allowed)
    return found.astype(np.int64)


def _as_array(
    name: str, values: object, allowed: str, kinds: str, shapes: Sequence[Sequence[int | str]]
) -> NDArray[Any]:
    try:
        found = np.asarray(values)
    except (TypeError, ValueError):
        raise arguments.wrong(name, values, allowed) from None
    if found.dtype.kind not in kinds:
        raise arguments.wrong(name, values, allowed)
    if not any(_is_of(found.shape, shape) for shape in shapes):
        raise ArgumentError(f"{name}: found the shape {list(found.shape)}; allowed: {allowed}")
    return found


def _is_of(found: Sequence[int], shape: Sequence[int | str]) -> bool:
    return len(found) == len(shape) and all(
        a > 0 if isinstance(b, str) else a == b for a, b in zip(found, shape, strict=True)
    )


def _or(shapes: Sequence[Sequence[int | str]]) -> str:
    return " or ".join(f"[{', '.join(map(str, shape))}]" for shape in shapes)


def _refuse_some(name: str, found: NDArray[Any], wrong: NDArray[np.bool_], allowed: str) -> None:
    """Refuse an array with elements that are wrong, by the first of them."""
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = ", ".join(map(str, at))
        raise ArgumentError(f"{name}[{place}]: found {found[at]}; allowed: {allowed}")
