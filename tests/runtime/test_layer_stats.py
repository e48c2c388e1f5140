"""What `on_layer_stats` and `on_step` are told, against a training that counts by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.runtime import layer_stats as module
from rpucc.runtime.layer_stats import LayerStats
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import Progress, StepMetrics
from rpucc.runtime.tallies import Tallies
from rpucc.runtime.trainer import Trainer

from .small import on_progress, tiny, tiny_data, train

RULES = '\n[[layer]]\nmatch = "c"\nupdate = { pulsed = false }\n'


class Told:
    """A callback that keeps everything."""

    def __init__(self) -> None:
        self.layers: list[tuple[LayerStats, ...]] = []
        self.steps: list[StepMetrics] = []
        self.order: list[str] = []

    def on_layer_stats(self, stats: tuple[LayerStats, ...]) -> None:
        self.layers.append(stats)
        self.order.append("layers")

    def on_step(self, step: StepMetrics) -> None:
        self.steps.append(step)

    def on_epoch(self, metrics: rpucc.EpochMetrics) -> None:
        self.order.append("epoch")


@pytest.mark.parametrize("threads", [1, 3])
def test_layers_add_up_to_the_epoch(threads: int) -> None:
    told = Told()
    machine, history = train(tiny(), tiny_data(23), threads=threads, callbacks=[told])
    assert told.order == ["layers", "epoch"] * 2
    for stats, metrics in zip(told.layers, history, strict=True):
        assert [s.layer for s in stats] == ["c", "fc"]
        assert {s.epoch for s in stats} == {metrics.epoch}
        assert sum(s.reads for s in stats) == metrics.reads > 0
        assert sum(s.saturated_reads for s in stats) == metrics.saturated_reads
        assert sum(s.rereads for s in stats) == metrics.rereads
        pulses = sum(s.pulses for s in stats)
        assert pulses / machine.weights == pytest.approx(metrics.pulses_per_weight)
        assert min(s.pulses for s in stats) > 0
    # A layer's reads: 23 samples, 36 positions forward and, of the last layer, one each way.
    assert [s.reads for s in told.layers[1]] == [23 * 36, 2 * 23]


def test_weights_are_those_that_a_read_sees() -> None:
    told = Told()
    machine, _ = train(tiny(), tiny_data(), callbacks=[told])
    for stats, array in zip(told.layers[-1], machine.arrays.values(), strict=True):
        W = array.weights.astype(float)
        assert (stats.weights, stats.lowest, stats.highest) == (W.size, W.min(), W.max())
        assert (stats.mean, stats.std) == pytest.approx((W.mean(), W.std()))


def test_weights_at_bounds_are_counted_of_pulsed_layers_alone() -> None:
    machine = Machine(tiny("rpu-managed", RULES))
    for array in machine.arrays.values():
        array.main.program(np.full(array.weights.shape, 9, np.float32))
    conv, fc = module.layer_stats(machine, 1, {})
    assert (conv.at_bounds, fc.at_bounds) == (0.0, 1.0)
    assert (conv.highest, fc.pulses, fc.reads) == (9.0, 0, 0)


def test_exact_layers_have_no_pulses() -> None:
    told = Told()
    train(tiny("rpu-managed", RULES), tiny_data(), callbacks=[told])
    assert [s.pulses > 0 for s in told.layers[0]] == [False, True]


def test_an_interrupted_epoch_counts_as_one(tmp_path: Path) -> None:
    whole, stopped, resumed = Told(), Told(), Told()
    program, data, path = tiny(), tiny_data(), tmp_path / "c.safetensors"
    train(program, data, callbacks=[whole])

    def interrupt(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(program, data, callbacks=[stopped, on_progress(interrupt)], checkpoint=path)
    machine = Machine.load(path, program)
    assert 0 < machine.counters.done < 23
    Trainer(machine).fit(data, epochs=2, batch_size=5, lr=0.05, callbacks=[resumed])
    assert stopped.layers + resumed.layers == whole.layers


def test_steps_are_told_with_their_loss_and_rate() -> None:
    told = Told()
    _, history = train(tiny(), tiny_data(23), lr_schedule="2=0.01", callbacks=[told])
    assert [(s.epoch, s.done, s.samples, s.lr) for s in told.steps] == [
        (epoch, min(5 * i, 23), min(5, 23 - 5 * (i - 1)), lr)
        for epoch, lr in ((1, 0.05), (2, 0.01))
        for i in range(1, 6)
    ]
    for metrics in history:
        mean = sum(s.loss * s.samples for s in told.steps if s.epoch == metrics.epoch) / 23
        assert mean == pytest.approx(metrics.train_loss)


def test_watching_changes_nothing_and_nobody_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("computed though nobody listens")

    watched, history = train(tiny(), tiny_data(), callbacks=[Told()])
    monkeypatch.setattr("rpucc.runtime.training.layer_stats", never)
    monkeypatch.setattr("rpucc.runtime.training.StepMetrics", never)
    plain, other = train(tiny(), tiny_data(), callbacks=[SimpleNamespace(on_epoch=print)])
    assert [m.reproducible() for m in history] == [m.reproducible() for m in other]
    for name, array in watched.state().items():
        np.testing.assert_array_equal(plain.state()[name], array)


def test_lines_of_many_layers_keep_their_places() -> None:
    tallies = Tallies()
    lines = [tallies.line(f"layer{i % 50}") for i in range(100)]
    for i, line in enumerate(lines):
        line += [1, 0, 0, i]
    assert tallies.counts.tolist() == [100, 0, 0, sum(range(100))]
    tallies.reset()
    assert (tallies.pulses, tallies.reads.tolist()) == (0, [0, 0, 0])
    lines[7][3] += 5
    taken = tallies.take()
    assert taken["layer7"].tolist() == [2, 0, 0, 7 + 57 + 5]
    assert len(taken) == 50
    assert not any(counts.any() for counts in tallies.take().values())
