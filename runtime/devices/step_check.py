"""Trying out a user's `step` before it is compiled into kernels that check nothing.

It has to compile with as many numbers as the model names, must not read past an array, and must
give a finite weight, for every weight that a device can reach. What is wrong is said in one line.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError, one_line
from rpucc.runtime.devices.base import Device

DEVICES = 8
"""Devices that are tried."""
WEIGHTS = 201
"""Weights that each is tried at."""
BEYOND = 200
"""Pulses that are followed beyond a bound which the step does not hold."""
NOISES = (0.0, -5.77, 5.77)
"""The noise that pulses are tried with: none, and the largest (`kernels/normals.py`)."""
UNBOUNDED_STEPS = 2000
"""Steps to either side of zero that devices without bounds, or parameters for them, are tried."""

FloatArray = NDArray[np.float32]


def check_step(device: Device) -> None:
    """Try `step` over weights from below the lowest to above the highest, in both directions.

    As far beyond the bounds as pulses lead there. Raises TargetError, which names the device and
    its class, and the weight or the line of the step.
    """
    step = _compiled(device)
    normals = np.random.default_rng(0)
    fabricated = device.fabricate(lambda: normals.standard_normal((1, DEVICES)).astype(np.float32))
    parameters = np.stack([np.asarray(each, np.float32)[0] for each in fabricated] or [[]])
    constants: list[Any] = [
        value if isinstance(value, np.ndarray) else np.float32(value)
        for value in device.step_constants()
    ]
    lows, highs = _ranges(device, fabricated)
    for i in range(DEVICES if fabricated else 1):
        own = [*parameters[:, i], *constants] if fabricated else constants
        for w in _weights(device, step, float(lows[i]), float(highs[i]), own):
            for direction in (1.0, -1.0):
                for noise in NOISES:
                    _try(device, step, w, direction, noise, own)


def _compiled(device: Device) -> Any:
    """Compile the step alone, with the bounds of arrays checked."""
    count = 3 + len(device.per_device) + len(device.constants)
    table = (numba.float32[::1],) * device.tabulated
    checked = numba.njit(boundscheck=True, error_model="numpy")(device.step)
    try:
        checked.compile((numba.float32,) * count + table)
    except Exception as error:  # Numba's own are of many unrelated classes
        raise TargetError(
            f"{_where(device)}: its step(w, direction, noise, *per_device, *constants) does not "
            f"compile with {count} numbers: {reason(error)}"
        ) from error
    return checked


def reason(error: Exception) -> str:
    """Return what Numba says of a function that does not compile: why, and at which line.

    Its text begins with the stage that failed and goes on with the types that it knows.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # its colours
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(("Failed in", "File "))]
    what = said[0] if said else type(error).__name__
    if len(said) > 1 and said[1].startswith(">>>"):  # the call that what is said is about
        what += f" {said[1].removeprefix('>>>').strip()}"
    if "<class 'function'>" in what:
        what += "; put @numba.njit above a function that step calls"
    return one_line(what.rstrip(":. ")) + _place(error, lines)


def _place(error: Exception, lines: list[str]) -> str:
    """Return the last file and line that the error names, with the line itself."""
    found = [match for line in lines if (match := re.match(r'File "(.+?)", line (\d+)', line))]
    location = getattr(error, "loc", None)
    if location is not None:
        file, line = str(location.filename), int(location.line)
    elif found:
        file, line = found[-1][1], int(found[-1][2])
    else:
        return ""
    text = linecache.getline(file, line).strip()
    return f" (line {line}: {one_line(text)})" if text else f" (line {line})"


def _ranges(device: Device, fabricated: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest weight of the tried devices [DEVICES]; a guess where there is no bound."""
    own = device.parameters
    reach = max(abs(own.get("w_max", 0.0)), abs(own.get("w_min", 0.0)))
    reach = 1.1 * reach or UNBOUNDED_STEPS * device.granularity
    low, high = device.weight_range(fabricated)
    low, high = (np.broadcast_to(bound, (1, DEVICES))[0] for bound in (low, high))
    return np.where(np.isfinite(low), low, -reach), np.where(np.isfinite(high), high, reach)


def _weights(device: Device, step: Any, low: float, high: float, own: list[Any]) -> Iterator[float]:
    """Yield weights of a device from its lowest to its highest, then where pulses lead beyond."""
    yield from np.linspace(low, high, WEIGHTS)
    for bound, direction in ((low, -1.0), (high, 1.0)):
        w = bound
        for _ in range(BEYOND):
            further = max(direction * _try(device, step, w, direction, n, own) for n in NOISES)
            if further <= direction * w:
                break
            w = direction * further
            yield w


def _try(
    device: Device, step: Any, w: float, direction: float, noise: float, own: list[Any]
) -> float:
    numbers = [np.float32(value) for value in (w, direction, noise)]
    which = f"at weight {w:.4g}, a pulse {'up' if direction > 0 else 'down'}"
    try:
        after = float(step(*numbers, *own))
    except IndexError:
        raise TargetError(
            f"{_where(device)}: its step reads beyond an array {which}; cut the index, or the "
            "weight, to what the array covers"
        ) from None
    except Exception as error:
        raise TargetError(
            f"{_where(device)}: its step raises {type(error).__name__} {which}: {one_line(error)}"
        ) from error
    if not np.isfinite(after):
        raise TargetError(
            f"{_where(device)}: its step gives {after} {which}; weight_range says which weights a "
            "device can hold"
        )
    return after


def _where(device: Device) -> str:
    """Name a device and its class as a target does."""
    model = type(device)
    return f"device '{device.name}' ({model.__module__}:{model.__qualname__})"
