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
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

MEMORY = 4 << 30
"""Bytes that a case may take on top of what the process has."""
SECONDS = 20
LONGEST = 3000
"""Characters of a message."""


class _TooLongError(BaseException):
    """Raised by the alarm; no reader may catch it."""


def _alarm(number: int, frame: Any) -> None:
    raise _TooLongError


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


class _Memory:
    """The most bytes of real memory that cases took on top of what the process had before."""

    def __init__(self) -> None:
        self.most = 0
        self._before = 0

    def start(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
        self._before = self._marks()["VmRSS"]

    def stop(self) -> None:
        self.most = max(self.most, self._marks()["VmHWM"] - self._before)

    @staticmethod
    def _marks() -> dict[str, int]:
        with open("/proc/self/status", encoding="ascii") as file:
            words = [line.split() for line in file if line.startswith(("VmRSS", "VmHWM"))]
        return {name.rstrip(":"): 1024 * int(number) for name, number, _ in words}


def outcome(reader: Any, path: Path, seconds: int = SECONDS) -> tuple[str, str]:
    """Return how a reader took a file, and the traceback where that was wrong."""
    from rpucc.errors import RpuccError

    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(seconds)
    try:
        reader.read(path)
    except RpuccError as error:
        return _refusal(error, path if reader.named else None), traceback.format_exc()
    except _TooLongError:
        return "too long", traceback.format_exc()
    except MemoryError:
        return "too much memory", traceback.format_exc()
    except Exception as error:  # noqa: BLE001  whatever is raised is what is looked for
        wrongly = type(error).__name__ == "WronglyTakenError"
        return "wrongly taken" if wrongly else "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
    return "taken", ""


def _refusal(error: Exception, path: Path | None) -> str:
    """Whether an error is what a user may see: a line for each problem, which names the file."""
    lines = [str(line) for line in error.args]
    if any("\n" in line or len(line) > LONGEST for line in lines) or not lines:
        return "no one line"
    folder = path is not None and str(path.parent) in str(error)
    if path is not None and path.name not in str(error) and not folder:
        return "no file named"
    return "refused"


def damaged(name: str, reader: Any, seed: int, case: int, originals: list[bytes]) -> bytes:
    """Return the damaged file of a case: the same for the same name, seed and number."""
    random = Random(f"{name} {seed} {case}")
    data: bytes = reader.mutation(random, random.choice(originals))
    return data


def main(name: str, folder: Path, seed: int, first: int, last: int) -> None:
    """Try the cases first to last - 1."""
    readers = importlib.import_module("tests.hostile.readers")
    warnings.simplefilter("ignore")
    reader = readers.READERS[name]
    originals = [path.read_bytes() for path in sorted(folder.glob("original-*"))]
    path = folder / reader.name
    for original in originals:  # all code is loaded and compiled before limits hold
        path.write_bytes(original)
        found = outcome(reader, path, 0)
        assert found[0] == "taken", found
    _limit_memory()
    counts: Counter[str] = Counter()
    longest, memory = 0.0, _Memory()
    for case in range(first, last):
        (folder / "progress.txt").write_text(str(case))
        data = damaged(name, reader, seed, case, originals)
        path.write_bytes(data)
        memory.start()
        start = time.monotonic()
        kind, text = outcome(reader, path)
        longest = max(longest, time.monotonic() - start)
        memory.stop()
        counts[kind] += 1
        if kind not in ("taken", "refused"):
            (folder / f"failed-{case}").write_bytes(data)
            print(json.dumps({"case": case, "kind": kind, "text": text}), flush=True)
    found = {"counts": counts, "longest": longest, "memory": memory.most}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6]))
