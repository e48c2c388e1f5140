"""`python -m benchmarks.portable`: what `--portable` costs on this processor.

LeNet on digits, processor time of one thread, natively and portable in turn, each in processes of
their own; the least of all rounds counts. docs/same-bits.md has the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

CASES = (("rpu-managed", 1), ("rpu-managed-um", 64), ("soft-bounds", 1), ("ideal", 1))
"""Targets and minibatches."""
SAMPLES = {1: 250, 64: 1024}
ROUNDS = 3
TIMES = 3
"""Trainings in a process, after one that compiles."""


def measure() -> dict[str, float]:
    """Seconds of processor time a sample of each case, in this process."""
    import rpucc
    from rpucc.runtime.warmup import warm_up

    data = rpucc.load_dataset("mnist-mini")
    found = {}
    for target, size in CASES:
        program = rpucc.compile("lenet", target, verify=False)
        warm_up(rpucc.Trainer(rpucc.Machine(program)), size)
        count = slice(0, SAMPLES[size])
        part = (data.x_train[count], data.y_train[count], data.x_test[:20], data.y_test[:20])
        times = []
        for _ in range(TIMES):
            trainer = rpucc.Trainer(rpucc.Machine(program, seed=5))
            start = time.process_time()
            trainer.fit(part, epochs=1, batch_size=size, lr=0.01)
            times.append(time.process_time() - start)
        found[f"{target}, {size}"] = min(times) / SAMPLES[size]
    return found


def in_process(portable: str) -> dict[str, float]:
    """`measure` in a process of its own; portable: what RPUCC_PORTABLE is there."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--here"],
        env={**os.environ, "RPUCC_PORTABLE": portable},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a row a case."""
    if "--here" in sys.argv:
        print(json.dumps(measure()))
        return
    rounds = [(in_process("0"), in_process("1")) for _ in range(ROUNDS)]
    for case in rounds[0][0]:
        native, portable = (min(each[kind][case] for each in rounds) for kind in (0, 1))
        figures = f"{native * 1e6:.0f} µs | {portable * 1e6:.0f} µs | {portable / native:.2f}"
        print(f"| {case} | {figures} |")


if __name__ == "__main__":
    main()
