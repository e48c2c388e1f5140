"""Which layer on arrays costs accuracy: each alone on the target, and all but each.

The other layers' reads are exact products, of the weights as they are meant: those of the model
while nothing was trained, so that weights which their devices cannot hold count as the layer's
own loss; afterwards those on the arrays. Every draw is addressed by its array and sample, so a
layer's reads draw what they draw in any other evaluation. Not for words: those are
`rpucc/report/text/by_layer.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import ArgumentError, ModelError
from rpucc.layers import AnalogLayer, analog_layers, cycle_of
from rpucc.runtime.builder import ExactReads
from rpucc.runtime.data.dataset import as_labels
from rpucc.runtime.evaluation import EvaluationSums
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import fill
from rpucc.runtime.layer_figures import steps_and_bounds
from rpucc.runtime.layer_remedies import Remedy, remedy_of
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.read_effects import EFFECTS, ReadEffects

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Evaluation
    from rpucc.runtime.trainer import Trainer

FloatArray = NDArray[np.float32]
Layers = frozenset[str]


@dataclass(frozen=True)
class Score:
    """What an evaluation came to."""

    error: float | None
    """A fraction of the labels; None for a regression."""
    loss: float
    """nan where the program has none."""

    @classmethod
    def of(cls, found: Evaluation) -> Score:
        """Of an evaluation's result."""
        return cls(found.error, found.loss)

    @property
    def key(self) -> tuple[float, float]:
        """What is compared: the error, and of equal errors the loss."""
        return (
            0.0 if self.error is None else self.error,
            math.inf if math.isnan(self.loss) else self.loss,
        )


@dataclass(frozen=True)
class LayerEffect:
    """What one layer on arrays costs."""

    layer: str
    alone: Score
    """With this layer on the target, all others ideal."""
    without: Score
    """With this layer ideal, all others on the target."""
    snr: float
    """Power of its ideal outputs over that of what its reads change in them, in dB; inf for
    nothing. Where the network uses its matrix in several places, the later ones carry what the
    earlier ones changed in their inputs."""
    clipped: float
    """Part of its weights that did not fit their devices when they were programmed."""
    at_bounds: float
    """Part of its weights within a step of a bound."""
    saturated: float
    """Part of its reads, when it is alone."""
    range_used: float
    """Its largest exact output before bound management, as a part of the signal bound, which is
    the range of the ADC; nan without a bound."""
    effects: Mapping[str, float]
    """What each of `EFFECTS` takes from its outputs by itself, as a part of their power."""
    remedy: Remedy | None
    """What the figures point to; None where the layer alone is no worse than ideal."""


@dataclass(frozen=True)
class Kept:
    """A layer that was chosen to be digital, and what came of it."""

    layer: str
    score: Score
    """With it and those before it ideal, all others on the target."""


@dataclass(frozen=True)
class ByLayer:
    """Layers by what they cost: the worst alone is first."""

    samples: int
    target: Score
    """All layers on the target."""
    ideal: Score
    """All layers ideal."""
    layers: tuple[LayerEffect, ...]
    chosen: tuple[Kept, ...] = ()
    """The layers to keep digital, in the order in which they were chosen."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return asdict(self)


def by_layer(
    trainer: Trainer,
    x: Samples,
    y: NDArray[Any],
    *,
    choose: int = 0,
    batch_size: int | None = None,
) -> ByLayer:
    """Measure each layer alone and all but each over samples, as `Trainer.evaluate` takes them.

    choose: how many layers to choose that are best kept digital, one by one: each time the one
    without which the error (of equal errors the loss) is lowest, those before it staying digital.

    Raises ModelError for a program without layers on arrays, ArgumentError where `choose` is more
    than there are, DataError where the data do not fit the model.
    """
    layers = analog_layers(trainer.machine.program.model)
    if not layers:
        raise ModelError(f"{trainer.machine.program.name}: has no layers on arrays to compare")
    choose = arguments.integer("choose", choose, 0)
    if choose > len(layers):
        raise ArgumentError(f"choose: {choose} layers, but the program has {len(layers)} on arrays")
    bench = _Bench(trainer, layers, x, y, batch_size)
    names = [layer.name for layer in layers]
    everything = frozenset(names)
    probes = [_Probe(trainer.machine, layer, bench.weights[layer.name]) for layer in layers]
    configurations = [
        frozenset[str](),
        everything,
        *(everything - {name} for name in names),
        *(frozenset({name}) for name in names),
    ]

    def look(number: int, exact: Executor, tried: Executor) -> None:
        if 2 <= number < 2 + len(probes):
            probes[number - 2].add(exact, tried)

    target, ideal, *others = bench.measure(configurations, look)
    alone, without = others[: len(names)], others[len(names) :]
    effects = [
        probe.effect(each, Score.of(rest), Score.of(ideal))
        for probe, each, rest in zip(probes, alone, without, strict=True)
    ]
    first = dict(zip(names, without, strict=True))
    return ByLayer(
        samples=target.samples,
        target=Score.of(target),
        ideal=Score.of(ideal),
        layers=tuple(sorted(effects, key=lambda e: (*(-k for k in e.alone.key), e.snr))),
        chosen=_choose(bench, first, choose),
    )


def _choose(bench: _Bench, first: Mapping[str, Evaluation], count: int) -> tuple[Kept, ...]:
    """Choose layers one by one; first: what came of each as the first one."""
    chosen: list[Kept] = []
    found = dict(first)
    while len(chosen) < count:
        best = min(found, key=lambda name: Score.of(found[name]).key)
        chosen.append(Kept(best, Score.of(found[best])))
        kept = frozenset(each.layer for each in chosen)
        left = [name for name in first if name not in kept]
        if len(chosen) < count:
            found = dict(zip(left, bench.measure([kept | {n} for n in left]), strict=True))
    return tuple(chosen)


def meant_weights(machine: Machine) -> dict[str, FloatArray]:
    """Return the weights that ideal layers have, by layer, float32 [R, C].

    Those of the model while nothing was trained, else what reads see of the arrays.
    """
    initializers = machine.program.model.graph.initializers
    found = {}
    for name, array in machine.arrays.items():
        before = initializers[name].const_value
        trained = machine.counters.sample > 0 or before is None
        found[array.layer] = (
            array.visible if trained or before is None else np.array(before.numpy(), np.float32)
        )
    return found


class _Bench:
    """Samples, and executors whose layers can be made ideal from step to step."""

    def __init__(
        self, trainer: Trainer, layers: Sequence[AnalogLayer], x: Samples, y: NDArray[Any],
        batch_size: int | None,
    ) -> None:  # fmt: skip
        self.trainer, self.machine = trainer, trainer.machine
        self.everything = frozenset(layer.name for layer in layers)
        self._reads = {layer.name: layer.forward for layer in layers}
        self.weights = meant_weights(self.machine)
        self._rows = trainer.feed.rows(x, "x")
        program = self.machine.program
        self._batch = program.fixed_batch or batch_size or evaluation_batch(program)
        self._executors: dict[int, tuple[Executor, Executor]] = {}
        scored = self._pair(min(self._batch, len(self._rows)))[0][program.step.scored]
        self._labels, self._scoring = trainer.scored(as_labels(y, "y"), scored.shape)

    def measure(
        self,
        configurations: Sequence[Layers],
        look: Callable[[int, Executor, Executor], None] | None = None,
    ) -> list[Evaluation]:
        """Evaluate with these layers ideal, all configurations batch by batch.

        look: is shown each configuration's number with two executors that have run the batch: one
        with all layers ideal, and the configuration's.
        """
        step, sample = self.machine.program.step, self.machine.counters.sample
        sums = [EvaluationSums(step, self._labels, self._scoring, None) for _ in configurations]
        order = np.arange(len(self._rows))
        for first in range(0, len(self._rows), self._batch):
            exact, tried = self._pair(min(self._batch, len(self._rows) - first))
            for executor in (exact, tried):
                fill(self.trainer.feed.buffers(executor), self._rows, order, first)
                sums[0].feed(executor, first)
            if look is not None:
                exact.run(sample + first)
            before: Layers | None = None
            for number, (layers, found) in enumerate(zip(configurations, sums, strict=True)):
                assert tried.address.exact is not None
                tried.address.exact.layers = layers
                tried.tallies.reset()
                # What no changed layer comes before is there already.
                changed = () if before is None else layers ^ before
                tried.run(sample + first, [read for name in changed for read in self._reads[name]])
                before = layers
                found.add(tried, first)
                if look is not None:
                    look(number, exact, tried)
        return [each.result(0.0) for each in sums]

    def _pair(self, size: int) -> tuple[Executor, Executor]:
        """Executors of a batch size, made once: all layers ideal, and those of a configuration."""
        if size not in self._executors:
            step = self.machine.program.step
            pair = [
                Executor(
                    self.machine,
                    size,
                    [step.output, *step.measured],
                    threads=self.trainer.threads,
                    evaluating=True,
                    exact=ExactReads(self.weights, self.everything),
                )
                for _ in range(2)
            ]
            self._executors[size] = pair[0], pair[1]
        return self._executors[size]


class _Probe:
    """Looks at one layer's inputs and outputs."""

    def __init__(self, machine: Machine, layer: AnalogLayer, exact: FloatArray) -> None:
        self._machine, self._layer = machine, layer
        self._array = machine.arrays[str(layer.weight.name)]
        self._reads = [
            ReadEffects(read, self._array, exact, layer.devices) for read in layer.forward
        ]
        self._signal = self._lost = 0.0

    def add(self, exact: Executor, alone: Executor) -> None:
        """Compare a batch with the layer alone on the target with the ideal one."""
        for read, effects in zip(self._layer.forward, self._reads, strict=True):
            if effects.x not in exact:
                continue  # a place that no wanted output depends on
            effects.add(exact[effects.x])
            name = _output_of(read, exact)
            ideal = exact[name].astype(np.float64)
            self._signal += float(np.square(ideal).sum())
            self._lost += float(np.square(alone[name] - ideal).sum())

    def effect(self, alone: Evaluation, without: Score, ideal: Score) -> LayerEffect:
        """Return what was found."""
        plane, reads = self._array.main, self._reads
        signal = self._signal or 1.0
        effects = {name: sum(read.powers[name] for read in reads) / signal for name in EFFECTS}
        score = Score.of(alone)
        costs = score.key > ideal.key
        policy = self._machine.program.target.for_layer(self._layer.name)
        ranges = [read.range_used for read in reads]
        return LayerEffect(
            layer=self._layer.name,
            alone=score,
            without=without,
            snr=_decibel(self._signal, self._lost),
            clipped=self._array.clipped / self._array.size,
            at_bounds=steps_and_bounds(plane)[1] if plane.pulsed else 0.0,
            saturated=alone.saturated_reads / max(alone.reads, 1),
            range_used=max(ranges),
            effects=effects,
            remedy=remedy_of(self._layer, policy, reads, effects) if costs else None,
        )


def _output_of(read: ir.Node, executor: Executor) -> str:
    """Return the last value on the way from a read that is the layer's own and has a buffer."""
    value, found = read.outputs[0], ""
    layer = read.metadata_props.get("rpucc.layer")
    while True:
        if str(value.name) in executor:
            found = str(value.name)
        users = [
            node
            for node in dict.fromkeys(value.consumers())
            if node.metadata_props.get("rpucc.layer") == layer and cycle_of(node) == "forward"
        ]
        if len(users) != 1:
            return found
        value = users[0].outputs[0]


def _decibel(signal: float, lost: float) -> float:
    if not lost:
        return math.inf
    return 10 * math.log10(signal / lost) if signal else -math.inf
