"""The command: `python -m benchmarks` from the project's root. Measures, then writes the page."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import cases, measure, report

FULL = {"repeats": 3, "seconds": 1.0}
QUICK = {"repeats": 2, "seconds": 0.3}


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure rpucc beside aihwkit and PyTorch, and write docs/benchmarks.md.",
    )
    made.add_argument(
        "--peer-python", default=sys.executable, metavar="PATH",
        help="the Python that has torch and aihwkit (default: this one); absent ones are left out",
    )  # fmt: skip
    made.add_argument("--only", default="*", metavar="GLOB", help="groups by name (see --list)")
    made.add_argument("--repeats", type=int, help="rounds (default 3, quick 2)")
    made.add_argument("--seconds", type=float, help="time of one timing (default 1, quick 0.3)")
    made.add_argument("--quick", action="store_true", help="fewer groups, less time")
    made.add_argument("--list", action="store_true", help="list the groups and stop")
    made.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")
    made.add_argument(
        "--again", action="store_true", help="only write the page again from DIR/benchmarks.json"
    )
    return made


def show_list(groups: list[cases.Group]) -> None:
    """Print the groups and their measurements."""
    for group in groups:
        print(group.name)
        for spec in group.specs:
            print(f"    {spec.key}")


def main(arguments: list[str] | None = None) -> int:
    """Run what the options say; returns the exit status."""
    options = parser().parse_args(arguments)
    groups = cases.chosen(options.only, options.quick)
    if not groups:
        names = ", ".join(group.name for group in cases.groups())
        print(f"--only {options.only}: matches no group ({names})", file=sys.stderr)
        return 2
    if options.list:
        show_list(groups)
        return 0
    if options.again:
        file = options.out / "benchmarks.json"
        if not file.exists():
            print(f"{file}: no such file; run without --again first", file=sys.stderr)
            return 1
        results, settings = report.from_raw(file.read_text(encoding="utf-8"))
    else:
        results, settings = measured(groups, options)
    for path in report.write(results, options.out, settings):
        print(path)
    return 0


def measured(groups: list[cases.Group], options: argparse.Namespace) -> tuple[measure.Results, str]:
    """Measure the groups; also how, in words for the page."""
    defaults = QUICK if options.quick else FULL
    repeats = int(options.repeats or defaults["repeats"])
    seconds = float(options.seconds or defaults["seconds"])
    peer = os.path.abspath(options.peer_python)
    started = time.perf_counter()
    results = measure.run(groups, peer, repeats, seconds)
    minutes = (time.perf_counter() - started) / 60
    how = f"{repeats} rounds of {seconds:g} s, in {minutes:.1f} minutes"
    return results, f"{how}, quick" if options.quick else how


if __name__ == "__main__":
    sys.exit(main())
