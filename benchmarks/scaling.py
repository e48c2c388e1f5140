"""How time grows: with weights, tiles, positions, BL, batch and threads; slopes by a log-log fit.

A series measures its points in turn, round after round, so that a slow moment of the machine hits
all of them. Only rpucc is measured; nothing is compared here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, Any]
Call = Callable[[], object]
ROUNDS = 3


@dataclass(frozen=True)
class Series:
    """One x axis: its label, the ideal slope of time against it, and what makes the calls."""

    title: str
    label: str
    ideal: float
    why: str
    points: Callable[[], Iterator[tuple[float, Mapping[str, Call]]]]


def _tile(R: int, C: int, ops: tuple[str, ...], **spec: Any) -> dict[str, Call]:
    from benchmarks.ours import Tile

    made = Tile({"size": (R, C), **spec})
    return {op: made.cycle(op)[0] for op in ops}


def _weights() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for n in (128, 256, 512, 1024, 2048, 4096):
        yield n * n, _tile(n, n, ("forward", "backward", "update"))


def _tiles() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for cuts in (1, 2, 4, 8, 16):
        yield cuts * cuts, _tile(2048, 2048, ("forward", "update"), cuts=cuts)


def _positions() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for P in (4, 16, 64, 256, 1024):
        ops = ("forward", "backward", "update")
        yield P, _tile(32, 401, ops, positions=P, update="bl10", density=0.25)


def _bl() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for bl in (1, 2, 4, 8, 16, 31):
        yield bl, _tile(512, 512, ("update",), bl=bl)


def _lenet(batch: int, threads: int) -> dict[str, Call]:
    """Steps of training and inference at this batch size, from the executors."""
    import rpucc
    from benchmarks.programs import target

    program = rpucc.compile("lenet", target("bl1_um"), verify=False)
    trainer = rpucc.Trainer(rpucc.Machine(program, seed=1), threads=threads)
    data = rpucc.load_dataset("mnist-mini")
    calls: dict[str, Call] = {}
    for name, evaluating in (("training", False), ("inference", True)):
        executor = trainer.executor(batch, evaluating=evaluating)
        executor[program.inputs[0]][...] = data.x_train[:batch] / np.float32(255)
        executor[program.step.labels][...] = data.y_train[:batch]
        if not evaluating:
            executor[program.step.rates[0]][...] = 0.01
        calls[name] = executor.run
    return calls


def _batch() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for batch in (1, 4, 16, 64, 256):
        yield batch, _lenet(batch, 1)


def _threads() -> Iterator[tuple[float, Mapping[str, Call]]]:
    for threads in range(1, min(os.cpu_count() or 1, 8) + 1):
        yield threads, _lenet(64, threads)


SERIES: dict[str, Series] = {
    "weights": Series(
        "One tile", "weights", 1, "the work is proportional to the weights", _weights
    ),
    "tiles": Series(
        "2048² weights on smaller arrays", "tiles", 0, "the same weights, only cut", _tiles
    ),
    "positions": Series(
        "32×401, a convolution's positions", "positions", 1, "as much work each", _positions
    ),
    "bl": Series("Update of a 512² tile", "BL", 0, "lr is fixed, so the number of pulses is", _bl),
    "batch": Series("LeNet, one step", "batch", 1, "as much work a sample", _batch),
    "threads": Series(
        "LeNet, one step of batch 64", "threads", -1, "the work is shared out", _threads
    ),
}
"""Name to series; a further one is a generator and a row."""


def run_series(name: str, seconds: float) -> Result:
    """Measure a series: {"n": [...], "seconds": {op: [...]}}; `seconds` for one measurement."""
    from benchmarks.clock import seconds_per_call

    points = list(SERIES[name].points())
    ops = list(points[0][1])
    rounds = [
        [[seconds_per_call(calls[op], seconds) for _, calls in points] for op in ops]
        for _ in range(ROUNDS)
    ]
    medians = np.median(np.array(rounds), axis=0)
    return {
        "n": [float(n) for n, _ in points],
        "seconds": {op: [float(t) for t in times] for op, times in zip(ops, medians, strict=True)},
    }


def slope(n: list[float], seconds: list[float]) -> float:
    """The exponent of a power law through the points, by least squares of the logarithms."""
    return float(np.polyfit(np.log(n), np.log(seconds), 1)[0])


def end_slope(n: list[float], seconds: list[float]) -> float:
    """The same through the last two points: fixed costs no longer hide the growth there."""
    return slope(n[-2:], seconds[-2:])
