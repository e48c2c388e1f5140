"""What keeping layers.jsonl costs a training: epochs of LeNet with and without it, in turn.

    python -m benchmarks.recording [--rounds 10] [--target rpu-managed]

Both trainings go through the same epochs of two equal machines, so their steps do the same work:
seconds of processor are compared, and the record itself is timed. Not for what a step costs: that
is `python -m benchmarks`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import rpucc
from rpucc.runs.layer_record import LayerRecorder
from rpucc.runtime.layer_stats import layer_stats


class Recording:
    """The callback that `rpucc train` has for it, with a clock."""

    def __init__(self, recorder: LayerRecorder) -> None:
        self.recorder = recorder
        self.seconds: list[float] = []

    def on_layer_stats(self, stats: tuple[rpucc.LayerStats, ...]) -> None:
        started = time.process_time()
        layer_stats(self.recorder.machine, stats[0].epoch, {})  # computed once more, for the clock
        self.recorder.add(stats)
        self.seconds.append(time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--target", default="rpu-managed")
    options = parser.parse_args()
    program = rpucc.compile("lenet", options.target, verify=False)
    data = rpucc.load_dataset("mnist-mini")
    plain, recorded = (rpucc.Trainer(rpucc.Machine(program)) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        recorder = LayerRecorder(Path(folder, "layers.jsonl"), recorded.machine)
        recording = Recording(recorder)
        kinds = ((plain, []), (recorded, [recording]))
        seconds: list[list[float]] = [[], []]
        for epoch in range(1, options.rounds + 2):
            turn = (0, 1) if epoch % 2 else (1, 0)
            for kind in turn:
                trainer, callbacks = kinds[kind]
                started = time.process_time()
                trainer.fit(data, epochs=epoch, lr=0.01, callbacks=callbacks)
                seconds[kind].append(time.process_time() - started)
        bytes_ = Path(folder, "layers.jsonl").stat().st_size
    without, with_it = ([*each[1:]] for each in seconds)  # the first epoch compiles and warms up
    added = statistics.median(b / a - 1 for a, b in zip(without, with_it, strict=True))
    step = statistics.median(without) / len(data.y_train) * 1e6
    print(f"{options.rounds} epochs of {len(data.y_train):,} samples in turn, {options.target}")
    print(f"without: {statistics.median(without):.3f} s an epoch, {step:.0f} µs a step")
    print(f"with:    {statistics.median(with_it):.3f} s an epoch")
    print(f"added:   {100 * added:+.2f} % (median of the rounds, one look at the weights too many)")
    itself = statistics.median(recording.seconds)
    part = itself / statistics.median(without)
    print(f"itself:  {1e3 * itself:.2f} ms an epoch, {100 * part:.2f} % of it")
    print(f"file:    {bytes_ / (options.rounds + 2):,.0f} bytes an epoch")


if __name__ == "__main__":
    main()
