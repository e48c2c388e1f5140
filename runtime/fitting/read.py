"""Response curves from a CSV file: columns device, pulse, direction, conductance or weight.

A row is a read: `pulse` numbers the pulses of a device in the order in which they were given,
`direction` is that of pulse number `pulse`, and the value is what was read after it. Not for what
becomes of the curves: that is fit.py.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rpucc import limits
from rpucc.errors import DataError, one_line
from rpucc.files import read_whole
from rpucc.runtime.fitting.curves import Curves, DeviceCurve

UNITS = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9, "pS": 1e-12}
"""Units of conductance; µS is uS."""
UP = frozenset({"up", "+1", "1", "+", "potentiation", "ltp", "set"})
DOWN = frozenset({"down", "-1", "-", "depression", "ltd", "reset"})
READ = frozenset({"read", "0", "none"})
"""What the column `direction` may say, in any case."""
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})
"""What stands for a value that was not measured, in any case."""
LARGEST = 1e30
HALF_RANGE = 0.6
"""The weight that the middle of the range lies below the upper bound, unless g_unit says."""


@dataclass(frozen=True)
class _Table:
    """Which columns hold what."""

    device: int | None
    pulse: int
    direction: int
    value: int
    names: list[str]
    unit: str


@dataclass
class _Rows:
    """The reads of a device so far."""

    counts: list[int] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    pulse: int = 0
    direction: int = 0
    pulses: int = 0


def read_curves(
    path: Path, unit: str = "", g_ref: float | None = None, g_unit: float | None = None
) -> Curves:
    """Return the curves in a file. Raises DataError, which names the line and the column.

    unit: of a column `conductance` whose header names none. g_ref, g_unit: the conductance of
    weight 0 and of a weight of 1, in the unit of the column; unless given, the middle of the mean
    range, and what makes the upper end of it 0.6.
    """
    rows = _rows(path)
    table = _columns(path, next(rows, (0, []))[1], unit)
    devices: dict[str, _Rows] = {}
    left_out = missing = 0
    for line, row in rows:
        if len(row) != len(table.names):
            raise DataError(
                f"{path}: line {line} has {len(row)} cells but the header {len(table.names)}"
            )
        name = "" if table.device is None else row[table.device].strip()
        if table.device is not None and not name:
            raise _fault(path, line, table.names[table.device], "is empty; name the device")
        found = devices.setdefault(name, _Rows())
        lost, empty = _add(path, line, row, table, found)
        left_out, missing = left_out + lost, missing + empty
    if not devices:
        raise DataError(f"{path} has no rows below its header")
    curves = tuple(_curve(name, each) for name, each in devices.items())
    _check(path, curves)
    return _as_weights(path, curves, table.unit, g_ref, g_unit, left_out, missing)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with its line; the first is the header."""
    try:
        text = read_whole(path, limits.JSON_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no table in UTF-8 text: {one_line(error)}") from error
    start = next((line for line in text.splitlines() if line.strip()), "")
    if not start:
        raise DataError(f"{path} is empty; expected a header and rows")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=start.count))
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {one_line(error)}") from error


def _columns(path: Path, header: list[str], unit: str) -> _Table:
    """Find the columns by their names."""
    names = [cell.strip() for cell in header]
    lower = [name.lower().replace("µ", "u").replace("μ", "u") for name in names]

    def place(name: str) -> int | None:
        if lower.count(name) > 1:
            raise DataError(f"{path}: {lower.count(name)} columns are called {name!r}")
        return lower.index(name) if name in lower else None

    held = [(i, key) for i, key in enumerate(lower) if key == "weight" or _is_conductance(key)]
    pulse, direction = place("pulse"), place("direction")
    missing = [key for key, at in (("pulse", pulse), ("direction", direction)) if at is None]
    if missing or len(held) != 1:
        needed = " and ".join([*missing, *(["one of weight or conductance_uS"] * (len(held) != 1))])
        raise DataError(
            f"{path}: needs a column {needed}; its header has {_listed(names)}"
            " (device, pulse, direction, weight or conductance)"
        )
    assert pulse is not None
    assert direction is not None
    value, key = held[0]
    named = key.removeprefix("conductance").strip("_[]() ")
    if key == "weight":
        if unit:
            raise DataError(f"{path}: column 'weight' has no unit, but --unit {unit} is given")
        return _Table(place("device"), pulse, direction, value, names, "")
    if unit and named and named != unit.lower():
        raise DataError(f"{path}: column {names[value]!r} names another unit than --unit {unit}")
    found = next((each for each in UNITS if each.lower() == (named or unit.lower())), None)
    if found is None:
        raise DataError(
            f"{path}: column {names[value][:40]!r} names no unit; allowed: --unit or a header "
            f"conductance_uS with one of {', '.join(UNITS)}"
        )
    return _Table(place("device"), pulse, direction, value, names, found)


def _is_conductance(key: str) -> bool:
    rest = key.removeprefix("conductance")
    return rest != key and (not rest or rest[0] in "_[( ")


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(one_line(name)[:20]) for name in names[:8])
    return shown + (", …" if len(names) > 8 else "")


def _add(path: Path, line: int, row: list[str], table: _Table, found: _Rows) -> tuple[bool, bool]:
    """Add a row to its device; returns (whether pulses before it are unknown, has no number)."""
    pulse = _pulse(path, line, row[table.pulse], table.names[table.pulse])
    direction = _direction(path, line, row[table.direction], table.names[table.direction])
    value = _value(path, line, row[table.value], table.names[table.value])
    since, first = pulse - found.pulse, not found.counts
    if direction == 0:
        known = 0 <= since <= 1
    else:  # of pulses without a row, it is known where both sides agree
        known = 0 <= since <= 1 or (since > 0 and found.direction in (0, direction))
    fresh = first or not known
    found.counts.append(0 if fresh else since * direction)
    found.fresh.append(fresh)
    found.seen.append(value is not None)
    found.values.append(0.0 if value is None else value)
    found.pulse = pulse
    found.direction = direction or found.direction
    found.pulses += abs(found.counts[-1])
    if found.pulses > limits.PULSES:
        raise _fault(
            path, line, table.names[table.pulse],
            f"more than {limits.PULSES:,} pulses of a device; leave some out",
        )  # fmt: skip
    return fresh and not first, value is None


def _pulse(path: Path, line: int, cell: str, column: str) -> int:
    number = _number(cell)
    if number is None or not number.is_integer() or not 0 <= number < 2**53:
        raise _fault(path, line, column, f"found {_cell(cell)}, needed: a whole number from 0")
    return int(number)


def _direction(path: Path, line: int, cell: str, column: str) -> int:
    text = cell.strip().lower()
    number = _number(cell)
    if number in (1, -1, 0):
        return int(number)
    if text not in UP | DOWN | READ:
        raise _fault(
            path, line, column,
            f"found {_cell(cell)}, needed: up, down (1, -1) or read (0: no pulse)",
        )  # fmt: skip
    return 1 if text in UP else -1 if text in DOWN else 0


def _value(path: Path, line: int, cell: str, column: str) -> float | None:
    if cell.strip().lower() in MISSING:
        return None
    number = _number(cell)
    if number is None or not abs(number) <= LARGEST:
        raise _fault(path, line, column, f"found {_cell(cell)}, needed: a number, or NaN")
    return number


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _cell(cell: str) -> str:
    return f"{one_line(cell)[:40]!a}" if cell.strip() else "nothing"


def _fault(path: Path, line: int, column: str, what: str) -> DataError:
    return DataError(f"{path}: line {line}, column {one_line(column)[:40]!a}: {what}")


def _curve(name: str, rows: _Rows) -> DeviceCurve:
    """What was read off a device; reads before its first number say nothing."""
    seen = np.array(rows.seen, bool)
    start = int(np.argmax(seen)) if seen.any() else len(seen)
    fresh = np.array(rows.fresh, bool)
    if start < len(seen):
        fresh[start] = True
    fresh, seen, counts = _held(fresh[start:], seen[start:], np.array(rows.counts[start:], int))
    return DeviceCurve(name, counts, seen, fresh, np.array(rows.values[start:], float))


def _held(fresh: np.ndarray, seen: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Let a curve that starts at a read without a number start at the next one that has one."""
    waiting = False
    for i in range(len(fresh)):
        waiting = waiting or bool(fresh[i])
        fresh[i] = waiting and bool(seen[i])
        if waiting:
            counts[i] = 0
        waiting = waiting and not seen[i]
    return fresh, seen, counts.astype(np.int64)


def _check(path: Path, curves: tuple[DeviceCurve, ...]) -> None:
    """Raise DataError for curves that nothing can be fitted to."""
    for direction, sign in (("up", 1), ("down", -1)):
        pulsed = sum(int(np.sum(sign * c.counts[c.seen] > 0)) for c in curves)
        if not pulsed:
            raise DataError(
                f"{path}: no read follows a pulse {direction}; steps in both directions are "
                "needed: measure curves up and down"
            )
    for curve in curves:
        known = curve.seen & ~curve.fresh
        if not (np.any(curve.counts[known] > 0) and np.any(curve.counts[known] < 0)):
            raise DataError(
                f"{path}: device {_cell(curve.name)}: a read after a pulse up and one after a "
                "pulse down are needed, with known pulses before them; leave the device out"
            )
        if np.ptp(curve.values[curve.seen]) == 0:
            raise DataError(
                f"{path}: device {_cell(curve.name)} never changes: it is stuck; leave it out"
            )


def _as_weights(
    path: Path, curves: tuple[DeviceCurve, ...], unit: str, g_ref: float | None,
    g_unit: float | None, left_out: int, missing: int,
) -> Curves:  # fmt: skip
    """Turn conductances into weights: w = (g - g_ref) / g_unit."""
    if not unit:
        if g_ref is not None or g_unit is not None:
            raise DataError(f"{path}: column 'weight' takes no g_ref and g_unit; it has no unit")
        return Curves(curves, left_out=left_out, missing=missing)
    high = float(np.mean([curve.smooth.max() for curve in curves]))
    low = float(np.mean([curve.smooth.min() for curve in curves]))
    reference = (high + low) / 2 if g_ref is None else g_ref
    scale = (high - low) / 2 / HALF_RANGE if g_unit is None else g_unit
    moved = tuple(
        DeviceCurve(c.name, c.counts, c.seen, c.fresh, c.seen * (c.values - reference) / scale)
        for c in curves
    )
    return Curves(moved, unit, reference, scale, left_out, missing)
