#!/usr/bin/env python
"""Attack everything that reads a file or a text of a user with damaged ones; print a table.

    python scripts/attack.py                          # 20,000 for each reader: hours
    python scripts/attack.py npz run.json --count 500 --jobs 2
    python scripts/attack.py npz --seed 0 --case 1234 # one of them again, with its traceback

The same seed makes the same damage (tests/hostile/). --keep FOLDER has the files that failed, by
their numbers. Exits with 1 where a reader did what none may: a traceback, a signal, a message of
several lines or without the file's name, more than 4 GB or 20 seconds, or a file taken that its
own rules refuse.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.hostile.attack import Result, attack
from tests.hostile.readers import READERS

HEAD = ("reader", "tries", "taken", "refused", "wrong", "slowest", "memory", "all")


def row(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    return (
        result.reader,
        f"{result.counts.total():,}",
        f"{result.counts['taken']:,}",
        f"{result.counts['refused']:,}",
        ", ".join(f"{n} {kind}" for kind, n in result.wrong.items()) or "0",
        f"{result.longest:.2f} s",
        f"{result.memory / 2**20:,.0f} MB",
        f"{result.seconds:,.0f} s",
    )


def table(results: Sequence[Result]) -> str:
    """All lines below their headings."""
    rows = [HEAD, *map(row, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([each[0].ljust(widths[0]), *map(str.rjust, each[1:], widths[1:])]).rstrip()
        for each in rows
    ]
    return "\n".join(lines)


def main(given: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--count", type=int, default=20_000, help="files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="try this one alone")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time")
    parser.add_argument("--keep", type=Path, help="a folder for the files that failed")
    options = parser.parse_args(given)
    names = options.readers or list(READERS)
    unknown = [name for name in names if name not in READERS]
    if unknown:
        parser.error(f"no reader {unknown[0]!r}; there are {', '.join(READERS)}")
    keep = options.keep or Path(tempfile.mkdtemp(prefix="rpucc-attack-"))
    count, first = (1, options.case) if options.case is not None else (options.count, 0)

    def run(name: str) -> Result:
        result = attack(name, count, options.seed, keep / name.strip("-"), first)
        for failure in result.failures:
            print(f"{name}, seed {options.seed}, {failure}", file=sys.stderr)
        print("  ".join(row(result)), file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(run, names))
    print(table(results))
    if any(result.wrong for result in results):
        print(f"files that failed: {keep}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
