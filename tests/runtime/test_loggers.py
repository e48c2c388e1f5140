"""Loggers: what they write is read back, and a logger of one's own is told the same."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rpucc
from rpucc.errors import OutputError, RpuccError
from rpucc.runtime.checkpoint import load_checkpoint
from rpucc.runtime.loggers.csv_file import CSVLogger
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import Progress, RunInfo
from rpucc.runtime.trainer import Trainer

from .small import on_progress, tiny, tiny_data, train


class Own:
    """A logger that someone plugs in."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_start(self, run: RunInfo) -> None:
        self.told.append(run)

    def on_step(self, step: rpucc.StepMetrics) -> None:
        self.told.append(("step", step.epoch, step.done))

    def on_layer_stats(self, stats: tuple[rpucc.LayerStats, ...]) -> None:
        self.told.append(("layers", stats[0].epoch))

    def on_epoch(self, metrics: rpucc.EpochMetrics) -> None:
        self.told.append(("epoch", metrics.epoch))

    def on_finish(self, ended: str) -> None:
        self.told.append(ended)


def test_a_logger_is_told_everything_in_order() -> None:
    own = Own()
    machine, _ = train(tiny(), tiny_data(10), seed=4, epochs=1, validation=0.2, callbacks=[own])
    run, *rest = own.told
    assert rest == [
        *(("step", 1, 5), ("step", 1, 8), ("layers", 1), ("epoch", 1), "complete"),
    ]
    assert (run.program, run.target, run.seed) == ("tiny", "rpu-managed", 4)
    assert (run.samples, run.validation_samples, run.test_samples) == (8, 2, 11)
    assert (run.epochs, run.batch_size, run.lr, run.lr_schedule) == (1, 5, 0.05, "constant")
    assert (run.weights, run.done, run.history) == (machine.weights, 0, ())


def test_how_a_training_ended_is_said_to_all_loggers() -> None:
    first, second = Own(), Own()

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_data(), callbacks=[first, on_progress(stop), second])
    assert first.told[-1] == second.told[-1] == "interrupted"

    class Fails(Own):
        def on_finish(self, ended: str) -> None:
            super().on_finish(ended)
            raise RpuccError(f"could not close, {ended}")

    fails, last = Fails(), Own()
    with pytest.raises(RpuccError, match="could not close, complete"):
        train(tiny(), tiny_data(), epochs=1, callbacks=[last, fails])
    assert last.told[-1] == "complete"

    def error(_: Progress) -> None:
        raise RpuccError("enough")

    with pytest.raises(RpuccError, match="enough"):
        train(tiny(), tiny_data(), callbacks=[on_progress(error), first])
    assert first.told[-1] == "failed"


def test_the_table_has_the_reproducible_fields_of_every_epoch(tmp_path: Path) -> None:
    machine, history = train(
        tiny(), tiny_data(), validation=0.2, callbacks=[CSVLogger(tmp_path / "m.csv")]
    )
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [list(row) for row in rows] == [list(record) for record in machine.history]
    assert [row["validation_loss"] for row in rows] == [str(m.validation_loss) for m in history]
    # It goes on where another one stood, also where that had no validation samples.
    plain, _ = train(tiny(), tiny_data(), epochs=1)
    log = CSVLogger(tmp_path / "n.csv")
    Trainer(plain).fit(tiny_data(), epochs=2, lr=0.05, validation=0.2, callbacks=[log])
    first, second = csv.DictReader((tmp_path / "n.csv").read_text().splitlines())
    assert (first["epoch"], first["validation_loss"], second["epoch"]) == ("1", "", "2")
    assert float(second["validation_loss"]) > 0


def test_a_table_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"m.csv: cannot be written: No such file"):
        train(tiny(), tiny_data(), callbacks=[CSVLogger(tmp_path / "none" / "m.csv")])


# ---------------------------------------------------------------- TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads: tag to (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_curves_are_what_tensorboard_reads(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    own = Own()
    machine, history = train(
        tiny(),
        tiny_data(20),
        validation=0.1,
        lr_schedule="2=0.01",
        callbacks=[own, rpucc.TensorBoardLogger(tmp_path / "a" / "b", every=10)],
    )
    found = scalars(tmp_path / "a" / "b")
    for tag in ("loss/train", "loss/test", "loss/validation", "error/validation", "error/test"):
        what, part = tag.split("/")
        values = [getattr(metrics, f"{part}_{what}") for metrics in history]
        assert found[tag] == [(18, pytest.approx(values[0])), (36, pytest.approx(values[1]))]
    assert [step for step, _ in found["loss/step"]] == [10, 18, 28, 36]
    mean = (10 * found["loss/step"][0][1] + 8 * found["loss/step"][1][1]) / 18
    assert mean == pytest.approx(history[0].train_loss, rel=1e-5)
    assert [lr for _, lr in found["rate/step"]] == pytest.approx([0.05, 0.05, 0.01, 0.01])
    assert [lr for _, lr in found["rate/epoch"]] == pytest.approx([0.05, 0.01])
    for layer, array in (("c", machine.arrays["c.W"]), ("fc", machine.arrays["fc.W"])):
        step, std = found[f"{layer}/std"][-1]
        assert (step, std) == (36, pytest.approx(float(array.weights.std()), rel=1e-5))
        assert {tag for tag in found if tag.startswith(f"{layer}/")} == {
            *(f"{layer}/pulses a weight", f"{layer}/saturated", f"{layer}/at bounds"),
            *(f"{layer}/mean", f"{layer}/std"),
        }


def test_curves_of_a_training_that_goes_on_have_no_point_twice(tmp_path: Path) -> None:
    """A killed training is trained again from its last checkpoint: what was beyond is left out."""
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    path = tmp_path / "c.safetensors"
    how: dict[str, Any] = {"epochs": 3, "batch_size": 5, "lr": 0.05}

    def kill(progress: Progress) -> None:
        if progress.epoch == 2 and progress.samples_done == 23:
            raise SystemExit

    def logger() -> rpucc.TensorBoardLogger:
        return rpucc.TensorBoardLogger(tmp_path / "tb", every=5)

    with pytest.raises(SystemExit):
        train(tiny(), tiny_data(), checkpoint=path, callbacks=[logger(), on_progress(kill)], **how)
    machine = load_checkpoint(path, tiny())
    assert machine.counters.sample == 23
    Trainer(machine).fit(tiny_data(), callbacks=[logger()], **how)
    found = scalars(tmp_path / "tb")
    assert [step for step, _ in found["loss/test"]] == [23, 46, 69]
    steps = [step for step, _ in found["loss/step"]]
    assert steps == [23 * epoch + done for epoch in range(3) for done in (5, 10, 15, 20, 23)]


def test_curves_of_batches_as_they_come_count_all_their_samples(tmp_path: Path) -> None:
    """Nobody knows beforehand how long an epoch is."""
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    data = tiny_data(20)

    def batches() -> Iterator[tuple[Any, Any]]:
        yield data.x_train[:8], data.y_train[:8]
        yield data.x_train[8:], data.y_train[8:]

    logger = rpucc.TensorBoardLogger(tmp_path, every=10)
    test = (data.x_test, data.y_test)
    held = iter([(data.x_train[:3], data.y_train[:3]), (data.x_train[3:5], data.y_train[3:5])])
    history = Trainer(Machine(tiny())).fit(
        (batches, test), epochs=3, lr=0.1, validation=held, callbacks=[logger]
    )
    found = scalars(tmp_path)
    assert [step for step, _ in found["loss/step"]] == [20, 40, 60]
    assert [step for step, _ in found["c/std"]] == [20, 40, 60]
    assert found["loss/validation"] == [
        (20 * m.epoch, pytest.approx(m.validation_loss, rel=1e-5)) for m in history
    ]


def test_without_its_package_a_line_says_which_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(RpuccError, match=r"pip install 'rpucc\[tensorboard\]'"):
        rpucc.TensorBoardLogger(tmp_path)
    assert not any(tmp_path.iterdir())


def test_curves_need_neither_tensorflow_nor_torch() -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    code = (
        "import sys, rpucc, tempfile; rpucc.TensorBoardLogger(tempfile.gettempdir());"
        "print([name for name in ('tensorflow', 'torch', 'grpc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_folder_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/tb: cannot be written"):
        train(tiny(), tiny_data(), callbacks=[rpucc.TensorBoardLogger(tmp_path / "file" / "tb")])
