"""Which layer on arrays costs accuracy: each alone on the target, and all but each.

The other layers' reads are exact products, of the weights as they are meant: those of the model
while nothing was trained, so that weights which their devices cannot hold count as the layer's
own loss; afterwards those on the arrays. Every draw is addressed by its array and sample, so a
layer's reads draw what they draw in any other evaluation. Not for what comes of it:
`layer_effects.py`; nor for words: those are `rpucc/report/text/by_layer.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, limits
from rpucc.errors import ArgumentError, DataError, ModelError
from rpucc.layers import AnalogLayer, analog_layers, cycle_of
from rpucc.runtime.builder import ExactReads
from rpucc.runtime.data.dataset import as_labels
from rpucc.runtime.data.given import given_labelled
from rpucc.runtime.evaluation import EvaluationSums
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import Rows, fill
from rpucc.runtime.layer_effects import ByLayer, Kept, LayerEffect, Score
from rpucc.runtime.layer_figures import steps_and_bounds
from rpucc.runtime.layer_remedies import remedy_of
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.read_effects import EFFECTS, ReadEffects
from rpucc.runtime.trainer import Trainer

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.data.load import DataSource
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Evaluation

FloatArray = NDArray[np.float32]
Layers = frozenset[str]


def by_layer(
    trainer: Trainer,
    data: DataSource | Samples,
    y: NDArray[Any] | None = None,
    *,
    choose: int = 0,
    samples: int | None = None,
    batch_size: int | None = None,
) -> ByLayer:
    """Measure which layer on arrays costs accuracy: each alone on the target, and all but each.

    This is `rpucc.by_layer`. The other layers' reads are exact products then, of the weights of the
    model while nothing was trained, afterwards of those on the arrays.

    trainer: of the machine in question, `rpucc.Trainer(machine)`; nothing of it is changed.
    data, y, batch_size: as `Trainer.evaluate` takes them: of data the test part, or samples with y.
    choose: how many layers to choose that are best kept digital, one by one: each time the one
        without which the error (of equal errors the loss) is lowest, those before it staying
        digital; `Target.with_digital` takes their names.
    samples: only the first so many, 1 or more; None for all.

    Returns a ByLayer, which prints as the table of `rpucc eval --by-layer` and shows itself in a
    notebook. Takes as long as about twice as many evaluations as there are layers. Raises
    ModelError for a program without layers on arrays, DataError where the data do not fit the
    model, ArgumentError for other arguments and where `choose` is more than there are layers.

    >>> import rpucc
    >>> coarse = rpucc.compile("mlp", "rpu-managed", overrides=["layer.fc2.periphery.adc_bits=2"])
    >>> trainer = rpucc.Trainer(rpucc.Machine(coarse))
    >>> found = by_layer(trainer, rpucc.load_dataset("mnist-mini"), choose=1, samples=50)
    >>> len(found.layers), found.layers[0].effects["adc"] > 0, len(found.chosen)
    (3, True, 1)
    """
    arguments.instance("by_layer(trainer)", trainer, Trainer, "a Trainer, rpucc.Trainer(machine)")
    layers = [each for each in analog_layers(trainer.machine.program.model) if each.forward]
    if not layers:
        raise ModelError(f"{trainer.machine.program.name}: has no layers on arrays to compare")
    choose = arguments.integer("choose", choose, 0)
    if choose > len(layers):
        raise ArgumentError(f"choose: {choose} layers, but the program has {len(layers)} on arrays")
    if samples is not None:
        samples = arguments.integer("samples", samples, 1)
    if batch_size is not None:
        batch_size = arguments.integer("batch_size", batch_size, 1, limits.BATCH)
    x, y = given_labelled(data, y, trainer.feed.shapes)
    bench = _Bench(trainer, layers, x, y, batch_size, samples)
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
        batch_size: int | None, samples: int | None = None,
    ) -> None:  # fmt: skip
        self.trainer, self.machine = trainer, trainer.machine
        self.everything = frozenset(layer.name for layer in layers)
        self._reads = {layer.name: layer.forward for layer in layers}
        self.weights = meant_weights(self.machine)
        rows, labels = trainer.feed.rows(x, "x"), as_labels(y, "y")
        if len(rows) != len(labels):
            raise DataError(
                f"{len(rows)} samples but {len(labels)} labels: each sample needs one label"
            )
        self._rows = Rows(tuple(each[:samples] for each in rows.tables), rows.scaling)
        labels = labels[:samples]
        program = self.machine.program
        self._batch = program.fixed_batch or batch_size or evaluation_batch(program)
        self._executors: dict[int, tuple[Executor, Executor]] = {}
        scored = self._pair(min(self._batch, len(self._rows)))[0][program.step.scored]
        self._labels, self._scoring = trainer.scored(labels, scored.shape)

    def measure(
        self,
        configurations: Sequence[Layers],
        look: Callable[[int, Executor, Executor], None] | None = None,
    ) -> list[Evaluation]:
        """Evaluate with these layers ideal, all configurations batch by batch.

        look: is shown each configuration's number with two executors that have run the batch: one
        with all layers ideal, and the configuration's.
        """
        step = self.machine.program.step
        sample = self.machine.counters.evaluation(len(self._rows))
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
