"""How far a kernel is from its floor: what this machine can move, multiply and draw in a second.

The floor of a cycle is the least time that its work takes at the measured rates of one core:

    read     max(bytes / bandwidth, multiplications / GEMM peak) + normals / normals rate
    update   max(bytes / bandwidth, words / word rate + normals / normals rate)

Bytes are those that must be touched once, in cache or not (the bandwidth is that of a working set
of the same size). Re-reads of bound management count as work; so does one 32-bit word per line
and slot, rows whose d is 0 and slots in which no row fires left out; and one normal for each device
that is pulsed at all.
The instructions around that are not in a floor.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import seconds_per_call

Result = dict[str, Any]
WORKING_SETS = [2**k for k in range(18, 29, 2)]
"""Bytes: 256 KiB to 256 MiB; below, calling a kernel takes longer than its bytes."""


@numba.njit(fastmath=True)
def _sum(x):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(x.shape[0]):
        total += x[i]
    return total


@numba.njit(fastmath=True)
def _scale(x, factor):  # type: ignore[no-untyped-def]
    for i in range(x.shape[0]):
        x[i] *= factor


def machine_rates(seconds: float) -> Result:
    """Measured rates of one core; `seconds` for each.

    read and write: bandwidth in bytes/s by working set (write: read and written back, both
    counted); gemm: operations/s; words and normals: draws/s.
    """
    from rpucc.runtime.kernels.normals import fill_normals
    from rpucc.runtime.kernels.philox import fill_words

    rates: Result = {"read": {}, "write": {}}
    for size in WORKING_SETS:
        x = np.ones(size // 4, np.float32)
        read = seconds_per_call(partial(_sum, x), seconds / 4)
        write = seconds_per_call(partial(_scale, x, np.float32(1)), seconds / 4)
        rates["read"][str(size)] = size / read
        rates["write"][str(size)] = 2 * size / write
    n = 1024
    a, b = np.ones((n, n), np.float32), np.ones((n, n), np.float32)
    out = np.empty((n, n), np.float32)
    rates["gemm"] = 2 * n**3 / seconds_per_call(lambda: np.matmul(a, b, out=out), seconds)
    address = (1, 2, 3, 4, 5)  # int64: the faster code (see kernels.coincidences.rows.row_normals)
    words, normals = np.empty(16384, np.uint32), np.empty(16384, np.float32)
    drawn = seconds_per_call(lambda: fill_words(words, 0, len(words), *address), seconds)
    rates["words"] = len(words) / drawn
    drawn = seconds_per_call(lambda: fill_normals(normals, 0, len(normals), *address), seconds)
    rates["normals"] = len(normals) / drawn
    return rates


def bandwidth(rates: Result, kind: str, size: float) -> float:
    """Bytes/s for a working set of `size` bytes, between the measured sizes."""
    sizes = sorted(int(key) for key in rates[kind])
    values = [rates[kind][str(key)] for key in sizes]
    return float(np.interp(math.log(max(size, 1.0)), np.log(sizes), values))


def expected_draws(
    X: NDArray[np.float32], D: NDArray[np.float32], lr: float, dw_min: float, bl: int, um: bool
) -> tuple[float, float]:
    """(words, normals) that an update must draw.

    Words: live rows and, where some row fires, columns; per slot. Normals: devices that are
    pulsed; from at most 64 rows of the matrix, evenly spread.
    """
    x_max, d_max = np.abs(X).max(axis=1), np.abs(D).max(axis=1)
    gain = np.full(len(D), math.sqrt(lr / (bl * dw_min)))
    ratio = np.sqrt(x_max / np.maximum(d_max, 1e-30)) if um else np.ones(len(D))
    fires = np.minimum((gain * ratio)[:, None] * np.abs(D), 1.0)
    column = np.minimum((gain / np.maximum(ratio, 1e-30))[:, None] * np.abs(X), 1.0)
    active = 1 - np.prod(1 - fires, axis=1)
    live = np.count_nonzero(D, axis=1)
    words = float(bl * np.sum(live + X.shape[1] * active))
    rows = np.linspace(0, D.shape[1] - 1, min(64, D.shape[1])).astype(int)
    missed = np.zeros((len(rows), X.shape[1]))
    for row_fires, column_fires in zip(fires[:, rows], column, strict=True):
        missed += bl * np.log1p(-np.minimum(np.outer(row_fires, column_fires), 1 - 1e-12))
    return words, float(np.mean(-np.expm1(missed)) * D.shape[1] * X.shape[1])


def floor_seconds(op: str, spec: Result, result: Result, rates: Result) -> tuple[float, str]:
    """The floor of one cycle of a tile measurement, and what sets it."""
    R, C = spec["size"]
    vectors = spec["batch"] * spec.get("positions", 1)
    if op == "update":
        size = R * C * result["state_per_weight"]
        moved = R * C * (result["state_per_weight"] + 4.0)  # the weights are written back
        draws = result["update_words"] / rates["words"]
        draws += result["update_normals"] / rates["normals"]
        return _larger(moved / bandwidth(rates, "write", size), draws, "draws")
    reads, _, rereads = result[f"{op}_reads"]
    again = 1 + rereads / max(reads, 1)
    outputs = R if op == "forward" else C
    size = 4.0 * (R * C + vectors * (R + C))
    multiply, what = _larger(
        size * again / bandwidth(rates, "read", size),
        2.0 * R * C * vectors * again / rates["gemm"],
        "GEMM",
    )
    noise = vectors * outputs * again / rates["normals"]
    return multiply + noise, "normals" if noise > multiply else what


def _larger(memory: float, compute: float, name: str) -> tuple[float, str]:
    return (memory, "bandwidth") if memory > compute else (compute, name)
