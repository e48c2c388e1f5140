"""Early stopping and what is kept: what they follow from, also where training is in parts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc import run_files
from rpucc.errors import ArgumentError, RpuccError, UsageError
from rpucc.runtime import training
from rpucc.runtime.checkpoint import load_checkpoint
from rpucc.runtime.data import Dataset
from rpucc.runtime.keep import parse_keep
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import Progress
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.watch import Watch, waits

from .small import on_progress, tiny, tiny_cnn, tiny_data, train

HOW: dict[str, Any] = {"batch_size": 5, "lr": 0.05}


def records(*losses: float, key: str = "validation_loss") -> list[dict[str, Any]]:
    return [{"epoch": i, key: loss} for i, loss in enumerate(losses, start=1)]


def test_epochs_without_a_better_one_are_counted() -> None:
    assert list(waits([3, 2, 2, 1, 5, math.nan], 0)) == [0, 0, 1, 0, 1, 2]
    assert list(waits([3, 2.9, 2.8, 2.7], 0.15)) == [0, 1, 0, 1]  # each from the last best
    assert list(waits([math.nan, math.inf, 1], 0)) == [1, 2, 0]


def test_when_training_has_stopped() -> None:
    watch = Watch(patience=2)
    assert watch.stopped([]) is None
    assert watch.stopped(records(3, 2, 2)) is None
    stopped = watch.stopped(records(3, 2, 2, 2.5))
    assert stopped is not None
    assert (stopped.epoch, stopped.best, stopped.value) == (4, 2, 2)
    assert Watch().stopped(records(1, 1, 1, 1)) is None
    # Older records do not have it: nothing is known to be better.
    old = [{"epoch": 1, "test_loss": 1.0}] * 2
    found = watch.stopped(old)
    assert found is not None
    assert found.best == 0


def test_the_best_is_the_first_of_the_lowest() -> None:
    watch = Watch("train-error", min_delta=5)
    of = {"key": "train_error"}
    assert watch.is_best(records(3, **of))
    assert watch.is_best(records(3, 2.99, **of))
    assert not watch.is_best(records(3, 2, 2, **of))
    assert not watch.is_best(records(3, math.nan, **of))
    assert watch.is_best(records(math.nan, 3, **of))


@pytest.mark.parametrize("word", ["", "worst", "every", "every:0", "every:x", "best, last"])
def test_what_cannot_be_kept(word: str) -> None:
    with pytest.raises(ArgumentError, match=r"keep .*: allowed: last, best, every:N"):
        parse_keep(word)


LOSSES = [0.9, 0.5, 0.6, 0.4, 0.45, 0.41, 0.4, 0.1]


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The validation losses that epochs are said to have had, so that stops are known."""
    real = training.EpochMetrics

    class Scripted(real):  # type: ignore[misc,valid-type]
        def __init__(self, **found: Any) -> None:
            if found.get("validation_loss") is not None:
                found["validation_loss"] = LOSSES[found["epoch"] - 1]
            super().__init__(**found)

    monkeypatch.setattr(training, "EpochMetrics", Scripted)
    return LOSSES


def test_training_stops_early_and_says_how_it_ended(losses: list[float]) -> None:
    ended: list[str] = []
    machine, history = train(
        tiny(),
        tiny_data(),
        epochs=8,
        validation=0.3,
        stop_early=3,
        callbacks=[SimpleNamespace(on_finish=ended.append)],
    )
    assert [m.validation_loss for m in history] == losses[:7]
    assert ended == ["stopped early"]
    # It stays stopped, and goes on with more patience.
    trainer, data = Trainer(machine), tiny_data()
    before = machine.counters.sample
    assert len(trainer.fit(data, epochs=9, validation=0.3, stop_early=3, **HOW)) == 7
    assert machine.counters.sample == before
    assert len(trainer.fit(data, epochs=8, validation=0.3, stop_early=4, **HOW)) == 8


def test_a_stop_comes_at_the_same_epoch_when_resumed(losses: list[float], tmp_path: Path) -> None:
    program, data, path = tiny(), tiny_data(), tmp_path / "c.safetensors"
    how = {**HOW, "epochs": 8, "validation": 0.3, "stop_early": 3, "checkpoint": path}
    how["keep"] = "best,every:3"
    whole = Machine(program)
    Trainer(whole).fit(data, **how)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert sorted(files) == [
        "c-best.safetensors", "c-epoch0003.safetensors", "c-epoch0006.safetensors", "c.safetensors",
    ]  # fmt: skip
    assert load_checkpoint(tmp_path / "c-best.safetensors", program).counters.epoch == 4
    for file in tmp_path.iterdir():
        file.unlink()
    machine, stops = Machine(program), {1, 3, 4, 5, 6}

    def interrupt(progress: Progress) -> None:
        if progress.epoch in stops:
            stops.remove(progress.epoch)
            raise KeyboardInterrupt

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            Trainer(machine).fit(data, callbacks=[on_progress(interrupt)], **how)
        machine = load_checkpoint(path, program)
    history = Trainer(machine).fit(data, **how)
    assert len(history) == 7
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files


def test_whoever_is_killed_between_two_checkpoints_loses_neither(
    losses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is written first: then the epoch is trained once more, and both are written."""
    program, data, path = tiny(), tiny_data(), tmp_path / "c.safetensors"
    how = {**HOW, "validation": 0.3, "checkpoint": path, "keep": ["best"]}
    Trainer(Machine(program)).fit(data, epochs=1, **how)
    first = path.read_bytes()

    def killed(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(training.Training, "_save", killed)
    with pytest.raises(SystemExit):
        Trainer(load_checkpoint(path, program)).fit(data, epochs=2, **how)
    monkeypatch.undo()
    best = run_files.best_of(path)
    assert path.read_bytes() == first
    assert load_checkpoint(best, program).counters.epoch == 2


def test_what_is_kept_lies_beside_the_last_and_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a[1].safetensors"
    others = ["a1-best.safetensors", "a[1]-best.txt", "a[1]-epoch3.safetensors", "a[1]-epoch00010"]
    for name in ("a[1]-best.safetensors", "a[1]-epoch0010.safetensors", path.name, *others):
        (tmp_path / name).touch()
    assert [p.name for p in run_files.kept_beside(path)] == [
        "a[1]-best.safetensors", "a[1]-epoch0010.safetensors",
    ]  # fmt: skip
    assert run_files.kept_beside(tmp_path / "none" / "c.safetensors") == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"stop_early": 3}, "early stopping watches the loss of validation samples, and there are"),
        ({"keep": "best"}, "the best checkpoint watches the loss of validation samples"),
        ({"lr_schedule": "plateau:2:0.5"}, "the plateau schedule watches the loss of validation"),
        ({"keep": "best", "checkpoint": None, "monitor": "train-loss"}, "keep: needs checkpoint="),
        ({"keep": "every:2", "checkpoint": None}, "keep: needs checkpoint="),
        (
            {"monitor": "test-loss"},
            "monitor: found the str 'test-loss'; allowed: 'loss' or 'error'",
        ),
        ({"monitor": 3}, "monitor: found 3"),
        ({"min_delta": -1}, "min_delta: found -1; allowed: a finite number of 0 or more"),
        ({"stop_early": 0}, "stop_early: found 0; allowed: an integer of 1 or more"),
        ({"stop_early": True}, "stop_early: found True"),
        ({"keep": 3}, "keep: found 3; allowed: last, best"),
    ],
)
def test_what_is_refused_before_training(how: dict[str, Any], says: str, tmp_path: Path) -> None:
    machine = Machine(tiny())
    with pytest.raises(UsageError) as caught:
        Trainer(machine).fit(
            tiny_data(), **{"epochs": 1, "checkpoint": tmp_path / "c.safetensors", **how}
        )
    assert says in str(caught.value)
    assert machine.counters.sample == 0
    assert not any(tmp_path.iterdir())


def test_training_itself_can_be_watched(tmp_path: Path) -> None:
    history = train(tiny(), tiny_data(), epochs=50, stop_early=1, monitor="train-error")[1]
    assert len(history) < 50
    errors = [m.train_error for m in history]
    assert errors[-1] >= min(e for e in errors[:-1] if e is not None)  # type: ignore[operator]


def test_a_regression_has_no_error_to_watch() -> None:
    program = rpucc.compile(tiny_cnn(), "ideal", loss="mse", verify=False)
    data = tiny_data()
    targets = np.eye(3, dtype=np.float32)
    regression = Dataset(
        "mse", data.x_train, targets[data.y_train], data.x_test, targets[data.y_test]
    )
    with pytest.raises(RpuccError, match="early stopping watches the error, which this training"):
        train(program, regression, validation=0.5, stop_early=1, monitor="error")
    assert len(train(program, regression, validation=0.5, stop_early=1)[1]) <= 2
