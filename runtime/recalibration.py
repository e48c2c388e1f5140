"""Statistics of batch norms measured again, on the arrays as they are.

Batch norm after batch norm, in the order of the graph: the mean and variance of what comes into it,
over all samples and positions, take the place of those that it had, and the next one is measured
with them. On a chip that is one pass: the samples' values wait before each batch norm. Where they
do not fit in memory here, what comes before is read again with the same draws, to the same bits.

Not for which batch norms can be measured (`rpucc/batch_norms.py`), nor for words
(`rpucc/report/text/recalibration.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, limits
from rpucc.batch_norms import IN_COMMON, Statistics, left_text, not_measurable, statistics_of
from rpucc.errors import DataError, ModelError
from rpucc.layers import analog_layers
from rpucc.runtime.chains.graph import needed
from rpucc.runtime.drawn import drawn
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import fill
from rpucc.runtime.kernels.moments import add_moments, sample_moments
from rpucc.runtime.kernels.philox import RECALIBRATION
from rpucc.runtime.memory import evaluation_batch

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.feed import Feed, Rows
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.threads import Threads

SAMPLES = 512
"""Samples that statistics are measured over where nobody says how many."""

NOT_FINITE = (
    "what comes into it is not finite (NaN or infinity) and has no statistics; weights or "
    "statistics before it are too large"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Remeasured:
    """The statistics of one batch norm, or of several that have them in common."""

    batch_norms: tuple[str, ...]
    channels: int
    values: int
    """Numbers of a channel that they were measured over."""
    moved: float
    """How far the mean moved, in standard deviations as they were: the root of the mean square
    over the channels."""
    spread: float
    """What the standard deviation was multiplied by: the geometric mean over the channels; nan
    where one was 0."""


@dataclass(frozen=True)
class Recalibration:
    """What was measured again, and what it took."""

    samples: int
    batch_norms: tuple[Remeasured, ...]
    left: Mapping[str, str]
    """Batch norms that keep the statistics they had, with why."""
    reads: int
    """Of single arrays: one pass over the samples, as far as the last batch norm."""
    saturated_reads: int
    rereads: int
    array_seconds: float
    """Time of these reads on the target, one sample after the other."""
    joules: float
    """Energy of these reads; 0 where the target has none."""
    seconds: float
    """What it took here."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return asdict(self)


def recalibrate(
    machine: Machine,
    feed: Feed,
    threads: Threads,
    x: Samples,
    samples: int = SAMPLES,
    batch_size: int | None = None,
) -> Recalibration:
    """Measure the statistics of a machine's digital batch norms again; see `Trainer.recalibrate`.

    x: samples, of which `samples` are drawn; feed, threads: what a trainer has.
    """
    started = time.perf_counter()
    groups, left = _groups(machine.program.model)
    if not groups:
        why = f"that can be measured again: {left_text(left)}" if left else "to measure again"
        raise ModelError(f"{machine.program.name}: has no batch norm {why}")
    samples = arguments.integer("samples", samples, 1)
    bench = _Bench(machine, feed, threads, groups, feed.rows(x, "x"), samples, batch_size)
    saved = {name: array.copy() for name, array in machine.state().items()}
    try:
        found = tuple(bench.measure())
    except BaseException:
        machine.set_state(saved)
        raise
    array_seconds, joules = _cost(machine, bench.inputs)
    reads, saturated, rereads = bench.reads.tolist()
    return Recalibration(
        samples=bench.samples,
        batch_norms=found,
        left=left,
        reads=reads,
        saturated_reads=saturated,
        rereads=rereads,
        array_seconds=array_seconds * bench.samples,
        joules=joules * bench.samples,
        seconds=time.perf_counter() - started,
    )


def _groups(model: ir.Model) -> tuple[list[Statistics], dict[str, str]]:
    """Return what can be measured, each after what it depends on, and why the rest cannot."""
    left = not_measurable(model)
    waiting = list(statistics_of(model))
    depends = _dependencies(model, waiting)
    found: list[Statistics] = []
    while waiting:
        ready = next((s for s in waiting if depends[s] <= set(found)), None)
        if ready is None:  # one depends on itself: a batch norm that is used twice, in a row
            ready = next(s for s in waiting if s in depends[s])
            left |= dict.fromkeys(ready.names, IN_COMMON)
            for each in depends.values():
                each.discard(ready)
        else:
            found.append(ready)
        waiting.remove(ready)
    return found, left


def _dependencies(
    model: ir.Model, groups: Sequence[Statistics]
) -> dict[Statistics, set[Statistics]]:
    """Return the statistics that are used before those of each group."""
    of_node = {node: group for group in groups for node in group.nodes}
    before: dict[ir.Value | None, set[Statistics]] = {}
    found: dict[Statistics, set[Statistics]] = {group: set() for group in groups}
    for node in needed(model.graph, [node.outputs[0] for node in of_node]):
        group = of_node.get(node)
        inputs = node.inputs if group is None else node.inputs[:1]  # not what it has in common
        used = set[Statistics]().union(*(before.get(value, ()) for value in inputs))
        if group is not None:
            found[group] |= used
            used.add(group)
        before |= dict.fromkeys(node.outputs, used)
    return found


class _Moments:
    """Mean and variance of channels over what has been added."""

    def __init__(self, channels: int, threads: Threads) -> None:
        self.count = 0
        self.mean, self._squares = np.zeros((2, channels))
        self._threads = threads

    def add(self, x: NDArray[np.float32]) -> None:
        """Add values [N, C, *space]."""
        flat = x.reshape(*x.shape[:2], -1)
        N, C, S = flat.shape
        mean, squares = np.empty((2, N, C))
        self._threads.instruction(
            N, 8 * flat.size, lambda a, b: sample_moments(flat, mean, squares, a, b), None, 1
        )()
        add_moments(mean, squares, S, self.count, self.mean, self._squares)
        self.count += N * S

    @property
    def var(self) -> Floats:
        """Population variance."""
        return np.asarray(self._squares / self.count)


class _Bench:
    """Samples, and executors that run as far as a batch norm."""

    def __init__(
        self, machine: Machine, feed: Feed, threads: Threads, groups: Sequence[Statistics],
        rows: Rows, samples: int, batch_size: int | None,
    ) -> None:  # fmt: skip
        self._machine, self._feed, self._threads = machine, feed, threads
        self._groups, self._rows = groups, rows
        fixed = machine.program.fixed_batch
        whole = fixed or 1
        self.samples = min(samples, len(rows)) // whole * whole
        if not self.samples:
            raise DataError(
                f"{min(samples, len(rows))} samples to measure statistics over, but the model "
                f"works with batches of exactly {whole}: give more (--samples)"
            )
        self._sample = machine.counters.evaluation(self.samples)
        self._order = drawn(len(rows), self.samples, RECALIBRATION, machine.key)
        if batch_size is None:
            batch_size = evaluation_batch(machine.program, self.samples)
        self.batch = fixed or arguments.integer("batch_size", batch_size, 1, limits.BATCH)
        self.inputs = [_input(node) for group in groups for node in group.nodes]
        self.reads = np.zeros(3, np.int64)
        self._done: list[str] = []
        """What was measured already: the values that come into batch norms."""
        self._executors: dict[int, Executor] = {}

    def measure(self) -> Iterator[Remeasured]:
        """Measure group after group and replace what each had."""
        for group in self._groups:
            yield self._replace(group, self._moments(group))

    def _moments(self, group: Statistics) -> _Moments:
        """Run all samples as far as a group's batch norms.

        Where one batch has all samples it has waited there; where there are several, what was done
        is done anew, with the same draws, and not counted again.
        """
        moments: _Moments | None = None
        inputs = [_input(node) for node in group.nodes]
        waits = self.batch >= self.samples
        for first in range(0, self.samples, self.batch):
            executor = self._executor(min(self.batch, self.samples - first))
            sample = self._sample + first
            if not (waits and self._done):
                fill(self._feed.buffers(executor), self._rows, self._order, first)
                executor.run_part(sample, sorted(executor.places_to(self._done)), commit=False)
            new = executor.places_to(inputs) - executor.places_to(self._done)
            executor.tallies.reset()
            executor.run_part(sample, sorted(new), commit=False)
            self.reads += executor.tallies.reads
            for node in group.nodes:
                x = executor[_input(node)]
                if moments is None:
                    self._check_count(group, x)
                    moments = _Moments(x.shape[1], self._threads)
                if not np.isfinite(x).all():
                    raise ModelError(f"batch norm {node.name!r}: {NOT_FINITE}")
                moments.add(x)
        assert moments is not None  # there is at least one batch
        self._done += inputs
        return moments

    def _check_count(self, group: Statistics, x: NDArray[np.float32]) -> None:
        """Raise DataError where a channel has fewer than two numbers."""
        count = self.samples * math.prod(x.shape[2:]) * len(group.nodes)
        if count < 2:
            raise DataError(
                f"batch norm {group.names[0]!r}: 1 sample gives a channel one number, and no "
                "statistics; measure over 2 samples or more (--samples)"
            )

    def _replace(self, group: Statistics, moments: _Moments) -> Remeasured:
        values = self._machine.values
        mean, var = values[group.mean].copy(), values[group.var].copy()
        if not (moments.var <= np.finfo(np.float32).max).all():
            raise ModelError(f"batch norm {group.names[0]!r}: {NOT_FINITE}")
        if problem := group.problem(moments.var.astype(var.dtype)):
            raise ModelError(
                f"batch norm {group.names[0]!r}: the variance of what comes into it {problem}, and "
                "has no root; measure over more samples, or give the model an epsilon above 0"
            )
        self._machine.replace_statistics({group.mean: moments.mean, group.var: moments.var})
        with np.errstate(all="ignore"):
            apart = (moments.mean - mean) / np.sqrt(var)
            ratio = np.log(moments.var / var) / 2
        return Remeasured(
            group.names, len(mean), moments.count, float(np.sqrt(np.mean(apart**2))),
            float(np.exp(np.mean(ratio))) if np.isfinite(ratio).all() else math.nan,
        )  # fmt: skip

    def _executor(self, size: int) -> Executor:
        if size not in self._executors:
            self._executors[size] = Executor(
                self._machine, size, self.inputs,
                threads=self._threads, evaluating=True, recalibrating=True,
            )  # fmt: skip
        return self._executors[size]


def _input(node: ir.Node) -> str:
    assert node.inputs[0] is not None
    return str(node.inputs[0].name)


def _cost(machine: Machine, inputs: Sequence[str]) -> tuple[float, float]:
    """Return time and energy on the arrays for one sample, as far as these values."""
    model = machine.program.model
    values = {str(v.name): v for node in model.graph for v in node.outputs}
    nodes = set(needed(model.graph, [values[name] for name in inputs if name in values]))
    read = {layer.name for layer in analog_layers(model) if nodes & set(layer.forward)}
    cycles = [
        cycle
        for layer in machine.program.cost.layers
        for cycle in layer.cycles
        if layer.name in read and cycle.cycle == "forward"
    ]
    return sum((c.seconds for c in cycles), 0.0), sum((c.energy.total for c in cycles), 0.0)
