"""Compile time and program size of large networks, as a user has them: whole commands.

    python -m benchmarks.compile_time [--nets resnet50,vgg19]

Each row is one `rpucc compile --no-verify` of a file, from the start of the process to the written
program, on one thread: seconds on the clock, seconds of processor (their difference is disks and
other users of the machine), the program's size and its tiles. No peer does the same work, so this
stands apart from `python -m benchmarks`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GOALS = {"resnet50": 3.0, "vgg19": 8.0, "mobilenet-v2": 3.0}
"""Network of the zoo to the seconds that compiling it may take on one core."""

ARRAYS = (512, 128)
"""Rows and columns: neither time nor size may grow with the number of tiles."""


@dataclass(frozen=True)
class Compiled:
    """What one command took and made."""

    seconds: float
    processor_seconds: float
    size: int
    tiles: int


def compiled(model: Path, side: int, training: bool) -> Compiled:
    """Run the command once."""
    output = model.with_suffix(".rpu.onnx")
    command = [
        sys.executable, "-m", "rpucc", "compile", str(model), "-t", "rpu-managed", "--no-verify",
        "--set", f"array.rows={side}", "--set", f"array.cols={side}", "-o", str(output), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before, started = _processor_seconds(), time.perf_counter()
    done = subprocess.run(
        command if training else [*command, "--inference"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    tiles = sum(layer["tiles"] for layer in json.loads(done.stdout)["plan"]["layers"])
    return Compiled(seconds, _processor_seconds() - before, output.stat().st_size, tiles)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(nets: list[str], folder: Path) -> Iterator[str]:
    """Lines of a Markdown table, each as soon as it is measured."""
    from rpucc.models import write

    yield "| network | program | arrays | seconds (goal) | of processor | size | tiles |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for net in nets:
        model = write(net, folder / f"{net}.onnx")
        for training in (True, False):
            for side in ARRAYS:
                found = compiled(model, side, training)
                kind = "training" if training else "inference"
                goal = f" ({GOALS[net]:g})" if net in GOALS else ""
                yield (
                    f"| {net} | {kind} | {side}² | {found.seconds:.2f}{goal} | "
                    f"{found.processor_seconds:.2f} | {found.size / 1e6:.2f} MB | {found.tiles:,} |"
                )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compile time and size of large networks.")
    parser.add_argument("--nets", default=",".join(GOALS), metavar="A,B", help="models of the zoo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in rows(options.nets.split(","), Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
