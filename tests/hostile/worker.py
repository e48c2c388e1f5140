"""Run many damaged files through a reader, in a process of its own that may die of it.

    python tests/hostile/worker.py READER FOLDER SEED FIRST LAST

FOLDER holds original-0, original-1, … and what lies beside them; every outcome that is wrong
becomes a line of JSON on standard output, and progress.txt says which case is being tried.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

MEMORY = 4 << 30
"""Bytes that a case may take on top of what the process has."""
SECONDS = 20


class _TooLongError(BaseException):
    """Raised by the alarm; no reader may catch it."""


def _alarm(number: int, frame: Any) -> None:
    raise _TooLongError


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def outcome(read: Any, path: Path, seconds: int = SECONDS) -> tuple[str, str]:
    """Return how a reader took a file, and the traceback where that was wrong."""
    from rpucc.errors import RpuccError

    signal.alarm(seconds)
    try:
        read(path)
    except RpuccError as error:
        lines = [str(line) for line in error.args]  # one for each problem
        good = all("\n" not in line and len(line) < 3000 for line in lines)
        return "refused" if good else "no one line", str(error)
    except _TooLongError:
        return "too long", traceback.format_exc()
    except MemoryError:
        return "too much memory", traceback.format_exc()
    except Exception:  # noqa: BLE001  whatever is raised is what is looked for
        return "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
    return "taken", ""


def main(name: str, folder: Path, seed: int, first: int, last: int) -> None:
    """Try the cases first to last - 1."""
    readers = importlib.import_module("tests.hostile.readers")
    warnings.simplefilter("ignore")
    reader = readers.READERS[name]
    originals = [path.read_bytes() for path in sorted(folder.glob("original-*"))]
    path = folder / reader.name
    for original in originals:  # all code is loaded and compiled before limits hold
        path.write_bytes(original)
        found = outcome(reader.read, path, 0)
        assert found[0] == "taken", found
    _limit_memory()
    counts: Counter[str] = Counter()
    longest = 0.0
    for case in range(first, last):
        random = Random(f"{name} {seed} {case}")
        data = reader.mutation(random, random.choice(originals))
        path.write_bytes(data)
        (folder / "progress.txt").write_text(str(case))
        start = time.monotonic()
        kind, text = outcome(reader.read, path)
        longest = max(longest, time.monotonic() - start)
        counts[kind] += 1
        if kind not in ("taken", "refused"):
            (folder / f"failed-{case}").write_bytes(data)
            print(json.dumps({"case": case, "kind": kind, "text": text}), flush=True)
    print(json.dumps({"counts": counts, "longest": longest}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _alarm)
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6]))
