"""Clocks and scales inside a measuring process: time a call, read the memory, see who disturbs.

Only the standard library, because it runs in the peers' environments too.
"""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import time
from collections.abc import Callable

CHUNK_SECONDS = 0.01
"""Calls are timed in chunks at least this long, so that the clock itself does not count."""

MIN_CHUNKS = 3


def busy_seconds() -> float:
    """CPU seconds spent by everybody on this machine since it started; 0 where unknown."""
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            user, nice, system, _, _, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq) / float(os.sysconf("SC_CLK_TCK"))


def seconds_per_call(call: Callable[[], object], seconds: float) -> float:
    """The median time of a call, measured for about `seconds` (at least three chunks of calls).

    The first call is not counted: it compiles, allocates and warms the caches.
    """
    call()
    started = time.perf_counter()
    call()
    once = time.perf_counter() - started
    calls = max(1, round(CHUNK_SECONDS / max(once, 1e-9)))
    chunks: list[float] = []
    end = time.perf_counter() + seconds
    while len(chunks) < MIN_CHUNKS or time.perf_counter() < end:
        started = time.perf_counter()
        for _ in range(calls):
            call()
        chunks.append((time.perf_counter() - started) / calls)
    return statistics.median(chunks)


def resident_bytes(field: str = "VmRSS") -> float:
    """Resident memory now (VmRSS) or at its peak (VmHWM); nan where /proc does not say."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024.0
    return float("nan")


def reset_peak() -> float:
    """Forget the peak so far; return the resident bytes now."""
    gc.collect()
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return resident_bytes()
