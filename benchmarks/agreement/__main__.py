"""The command: `python -m benchmarks.agreement --peer-python PATH` from the project's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agreement import page
from benchmarks.agreement.algorithm_cases import ALGORITHM_CASES
from benchmarks.agreement.cases import CASES, Case, request
from benchmarks.agreement.compare import Comparison, compare
from benchmarks.agreement.device_cases import DEVICE_CASES
from benchmarks.agreement.pair_cases import PAIR_CASES
from benchmarks.measure import Worker

ALL: tuple[Case, ...] = (*CASES, *DEVICE_CASES, *ALGORITHM_CASES, *PAIR_CASES)


@dataclass
class Agreement:
    """What a run found: comparisons, cases that one side lacks, and versions."""

    comparisons: list[Comparison] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: str = ""
    """Why there is no peer; nothing was compared then."""


def run(peer_python: str, cases: Sequence[Case] = ALL) -> Agreement:
    """Sample the cases on both sides, each in processes of its own interpreter, and compare."""
    found = Agreement()
    theirs = Worker(peer_python, "aihwkit-moments", threads=1)
    ours = Worker(sys.executable, "rpucc-moments", threads=1)
    try:
        for worker in (ours, theirs):
            if "absent" in worker.hello:
                found.absent = worker.hello["absent"]
                return found
            found.versions |= worker.hello["versions"]
        for case in cases:
            answers = [worker.ask(request(case)) for worker in (ours, theirs)]
            why = [a.get("absent") or a.get("error") for a in answers]
            if any(why):
                found.left_out[case.name] = next(filter(None, why))
                continue
            spreads = not getattr(case, "by_tile", False)
            found.comparisons.append(compare(case.name, case.what, *answers, spreads=spreads))
    finally:
        for worker in (ours, theirs):
            worker.close()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the page; the status is 1 where something is beyond its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument(
        "--peer-python", default=sys.executable, metavar="PATH",
        help="the Python that has torch and aihwkit (default: this one)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("docs/results"), metavar="DIR")
    options = parser.parse_args(arguments)
    found = run(options.peer_python)
    if found.absent:
        print(f"nothing to compare: {found.absent}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "aihwkit-agreement.md"
    file.write_text(page.text(found.comparisons, found.left_out, found.versions), encoding="utf-8")
    print(file)
    return 0 if page.all_within(found.comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
