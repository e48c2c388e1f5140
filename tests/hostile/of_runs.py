"""What a run folder holds: checkpoints, run.json, the logs of an epoch."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np

from . import mutate
from .mutate import one_of
from .of_data import samples
from .reader import Reader, WronglyTakenError


def _run(folder: Path) -> tuple[Path, Path]:
    """Train a tiny network for two epochs; returns program and checkpoint."""
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

    from .networks import program

    made = program("conv")
    made.save(folder / "program.onnx")
    a = samples()
    data = Dataset("data", a["x"], a["y"], a["x_test"], a["y_test"])
    trained = folder / "trained.safetensors"
    Trainer(Machine(made, 1)).fit(data, epochs=2, batch_size=5, checkpoint=trained)
    return folder / "program.onnx", trained


def _checkpoints(folder: Path) -> list[bytes]:
    return [_run(folder)[1].read_bytes()]


def _of_this_program(folder: Path, data: bytes) -> bytes:
    """A checkpoint names its program by a digest."""
    from rpucc.program import Program
    from rpucc.runtime.checkpoint_file import program_digest

    digest = program_digest(Program.load(folder / "program.onnx"))
    return re.sub(rb"(program[^0-9a-f]{1,12})[0-9a-f]{64}", rb"\g<1>" + digest.encode(), data)


_programs_by_folder: dict[Path, Any] = {}


def use_checkpoint(path: Path) -> None:
    """Load a checkpoint, show its history, evaluate it and train on."""
    from rpucc.program import Program
    from rpucc.report.text.training import epoch_row
    from rpucc.runtime.checkpoint import load_checkpoint
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.metrics import EpochMetrics
    from rpucc.runtime.trainer import Trainer

    if path.parent not in _programs_by_folder:
        _programs_by_folder[path.parent] = Program.load(path.parent / "program.onnx")
    machine = load_checkpoint(path, _programs_by_folder[path.parent])
    again = path.with_name("again.safetensors")
    machine.save(again)
    other = load_checkpoint(again, machine.program)
    same = all(np.array_equal(v, other.state()[k]) for k, v in machine.state().items())
    if not same or repr(other.counters) != repr(machine.counters):
        raise WronglyTakenError("what is saved again is another state")
    if len(machine.history) != machine.counters.epoch:
        raise WronglyTakenError("a history of other epochs")
    if not all(np.isfinite(v).all() for v in machine.state().values()):
        raise WronglyTakenError("a weight that is no number")
    for record in machine.history:
        epoch_row(EpochMetrics.from_record(record), 3)
    trainer, a = Trainer(machine), samples()
    trainer.evaluate(a["x_test"], a["y_test"])
    data = Dataset("data", a["x"], a["y"], a["x_test"], a["y_test"])
    trainer.fit(data, epochs=machine.counters.epoch + 1, batch_size=5)


def _run_json(folder: Path) -> list[bytes]:
    from rpucc.compiler.options import CompileOptions
    from rpucc.outputs import to_json, write_text
    from rpucc.runs.about import machine, versions
    from rpucc.runs.record import Record

    given = Record(
        model="tiny.onnx",
        target="rpu-managed",
        data="mnist-mini",
        compiling=CompileOptions(overrides=("update.bl=3",), input_range=(0.0, 1.0)),
        data_dir=None,
        epochs=3,
        batch_size=2,
        lr=0.01,
        lr_schedule="step:2:0.5",
        validation="0.1",
        augment=["noise:0.1"],
        seed=1,
        threads=1,
    )
    (folder / "program.onnx").write_bytes(b"")
    (folder / "checkpoint.safetensors").write_bytes(b"")
    about = {
        "command": "rpucc train tiny.onnx", "started": "2026-01-01T00:00:00+00:00",
        "versions": versions(), "commit": None, "machine": machine(), "data_digest": "0" * 64,
        "data_samples": {"train": 12, "test": 3}, "data_classes": ["a", "b", "c"],
        "timings": {"training_seconds": 1.5, "samples_per_second": 20.0},
    }  # fmt: skip
    write_text(folder / "metrics.csv", "epoch,test_error\n1,0.5\n2,0.25\n3,0.25\n")
    return [to_json({**given.values(), **about}).encode()]


def use_run_json(path: Path) -> None:
    """Take from a run.json what a resumed training, a page and a comparison take."""
    from rpucc.cli.train_resume import saved_of
    from rpucc.errors import DataError, ModelError
    from rpucc.outputs import to_json
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.record import Record, read_json
    from rpucc.runs.repeat import repeat_command
    from rpucc.runs.same_bits import apart, elsewhere, here
    from rpucc.runs.shown import flattened, text_of
    from rpucc.runtime.data import DATASETS, load_dataset
    from rpucc.runtime.learning_rate import parse_schedule

    run = RunFolder(path.parent)
    saved = saved_of(run)
    for name, use in (
        ("model", lambda: RunFolder(Path(saved["model"])).exists()),
        ("data", lambda: saved["data"] in DATASETS or load_dataset(saved["data"])),
    ):
        try:
            use()
        except (DataError, ModelError):
            assert name  # what is not there is said so
    record = run.read_record()
    repeat_command(record, "run", portable=False)
    run.circumstances()
    elsewhere(run)
    apart(("a", "b"), (run.made_with(), here()))
    for _, value in flattened(read_json(path)):
        text_of(value)
    again = Record.model_validate(json.loads(to_json(record.values())))
    if again != record:
        raise WronglyTakenError("what is written again is another record")
    if not parse_schedule(saved["lr_schedule"])(saved["lr"], 5) >= 0:
        raise WronglyTakenError("a rate below 0")
    if not (1 <= saved["batch_size"] <= 2**20 and 1 <= saved["threads"] <= 1024):
        raise WronglyTakenError("a batch or threads that no option takes")


def _layer_record(folder: Path) -> list[bytes]:
    from rpucc.runs.layer_record import LayerRecorder
    from rpucc.runtime.layer_stats import layer_stats
    from rpucc.runtime.machine import Machine

    from .networks import program

    machine = Machine(program("conv"), 1)
    recorder = LayerRecorder(folder / "made.jsonl", machine)
    for epoch in (1, 2, 3):
        recorder.add(layer_stats(machine, epoch, {}))
    return [(folder / "made.jsonl").read_bytes()]


def _one_line(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    i = random.randrange(len(lines) - 1)
    lines[i] = mutate.json_tree(random, lines[i])
    return b"\n".join(lines)


def use_layer_record(path: Path) -> None:
    """Take a record of layers as a resumed training does, and draw what a page shows of it."""
    from rpucc.report.runs import layers
    from rpucc.report.runs.run_report import History, LayerReport, RunReport
    from rpucc.runs.layer_record import read_layer_records

    from .networks import program

    records = read_layer_records(path)
    last = records[-1].layers if records else ()
    shown = tuple(LayerReport(each.layer, each.weights, each.planes, ()) for each in last)
    if path.parent not in _programs_by_folder:
        _programs_by_folder[path.parent] = program("conv")
    report = RunReport(
        History("run", (), records), _programs_by_folder[path.parent], 1, "", (), "", "", shown,
        {(la.layer, p.plane): p for la in records[0].layers for p in la.planes} if records else {},
        None, (), (),
    )  # fmt: skip
    layers.over_time(report)
    layers.weights(report)


# ---------------------------------------------------------------- logs and results


def _step_log(folder: Path) -> list[bytes]:
    line = {"epoch": 1, "samples": 5, "loss": 0.5, "lr": 0.01, "loss_sum": 2.5, "weight": 5.0}
    lines = [{**line, "epoch": e, "samples": s} for e in (1, 2) for s in (5, 10)]
    return ["".join(json.dumps(each) + "\n" for each in lines).encode()]


@cache
def _machine() -> Any:
    from rpucc.runtime.machine import Machine

    from .networks import program

    return Machine(program("conv"), 1)


def use_step_log(path: Path) -> None:
    """Take the lines that a page shows, and those that a resumed training goes on from."""
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.shown import steps
    from rpucc.runs.step_log import StepLog
    from rpucc.runs.trained import Trained
    from rpucc.runtime.metrics import EpochMetrics, StepMetrics

    epochs = tuple(EpochMetrics(e, 12, 0.5, 0.5, 0.5, 0.5, 1.0, 1, 0, 0) for e in (1, 2))
    trained = Trained(path, path, RunFolder(path.parent))
    if not all(np.isfinite(point).all() for point in steps(trained, epochs)):
        raise WronglyTakenError("a point of the curve is no number")
    machine = _machine()
    machine.counters.epoch, machine.counters.done = 1, 10
    log = StepLog(path, machine, 12, 5)
    log.on_step(StepMetrics(2, 12, 2, 0.5, 0.01))
    log.close()


def _event_log(folder: Path) -> list[bytes]:
    from rpucc.runs.events import Event, Kind

    kinds = (*get_args(Kind), "epoch", "epoch")
    events = [Event(kind, 1, 0, 1.5, "rpucc train", "why") for kind in kinds]
    return ["".join(json.dumps(each.to_dict()) + "\n" for each in events).encode()]


def use_event_log(path: Path) -> None:
    """Sum up the time of a training, as its end does."""
    from rpucc.runs.events import training_times

    if not 0 <= sum(training_times(path)) < np.inf:
        raise WronglyTakenError("a time that is none")


def _configurations(folder: Path) -> list[bytes]:
    """configuration.json beside a run.json and metrics of an experiment."""
    from rpucc.experiments.configuration import row_configuration
    from rpucc.experiments.load import load_experiment
    from rpucc.outputs import to_json

    (folder / "run.json").write_bytes(_run_json(folder)[0])
    experiment = load_experiment("gokmen2017-noise-bound")
    rows = [
        row_configuration(r, "lenet", experiment.training, "0" * 16) for r in experiment.row[:4]
    ]
    return [to_json(each).encode() for each in rows]


def _results(folder: Path) -> list[bytes]:
    """results.json and metrics.csv of an experiment, in one file that `use_results` parts."""
    from rpucc.experiments.store import metrics_csv, results
    from rpucc.outputs import to_json

    made = _outcome()
    return [(to_json(results(made, "mnist", "0" * 16)) + PART + metrics_csv(made)).encode()]


PART = "\n---\n"


def _outcome() -> Any:
    from rpucc.experiments.configuration import row_configuration
    from rpucc.experiments.load import load_experiment
    from rpucc.experiments.outcome import Run, outcome

    experiment = load_experiment("gokmen2017-update")
    epochs = tuple({"epoch": e, "samples": 12, "test_error": 0.5 / e} for e in (1, 2, 3))
    runs = {
        row.name: tuple(
            Run(row_configuration(row, "lenet", experiment.quick, "0" * 16), seed, epochs, "0.1.0")
            for seed in (0, 1)
        )
        for row in experiment.row[:2]
    }
    return outcome(experiment, experiment.quick, runs)


def _result(random: Random, data: bytes) -> bytes:
    """Damage the one or the other."""
    first, second = data.decode().split(PART)
    kind = random.randrange(6)
    if kind < 3:
        first = mutate.json_tree(random, first.encode()).decode()
    elif kind < 5:
        second = mutate.cells(random, second.encode()).decode("utf-8", "replace")
    else:
        return mutate.damage(random, data)
    return (first + PART + second).encode()


def use_results(path: Path) -> None:
    """Make tables and the plot of an experiment again from what is stored."""
    from rpucc.experiments.load import load_experiment
    from rpucc.experiments.outcome import outcome
    from rpucc.experiments.store import metrics_csv, results, stored_digest
    from rpucc.outputs import to_json
    from rpucc.report.experiments.page import training_page
    from rpucc.report.experiments.plot import error_drawing
    from rpucc.runs.experiment_files import write_index
    from rpucc.runs.experiment_plan import stored

    first, _, second = path.read_bytes().partition(PART.encode())
    folder = path.parent / "experiment"
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_bytes(first)
    (folder / "metrics.csv").write_bytes(second)
    stored_digest(first.decode("utf-8", "replace"))
    write_index(path.parent)
    runs = stored(folder)
    experiment = load_experiment("gokmen2017-update")
    rows = {row.name: tuple(runs[i::3]) for i, row in enumerate(experiment.row[:3])}
    made = outcome(experiment, experiment.training, rows)
    json.loads(to_json(results(made, "mnist", "0" * 16)))
    metrics_csv(made), error_drawing(made).file()
    training_page(made, "mnist", "0" * 16)
    if not all(0 <= e["test_error"] <= 1 for run in runs for e in run.epochs):
        raise WronglyTakenError("an error that is none")


def use_configuration(path: Path) -> None:
    """Take a run of an experiment from its folder."""
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.tasks import read_run

    _ = read_run(RunFolder(path.parent)).fingerprint


def _numbered(random: Random, data: bytes) -> bytes:
    """Damage cells of the metrics of a run."""
    return mutate.cells(random, data)


def _metrics(folder: Path) -> list[bytes]:
    (folder / "configuration.json").write_bytes(_configurations(folder)[0])
    names = "epoch,samples,train_loss,train_error,test_loss,test_error"
    return [(names + "\n1,12,0.5,0.5,nan,0.5\n2,12,0.25,,0.3,0.25\n").encode()]


_FILE = (1, mutate.damage)
READERS = {
    "checkpoints": Reader(
        "checkpoint.safetensors",
        _checkpoints,
        one_of((3, mutate.safetensors_header), (2, mutate.safetensors_tensors), _FILE),
        use_checkpoint,
        _of_this_program,
        named=False,
        share=30,
    ),
    "run.json": Reader("run.json", _run_json, one_of((4, mutate.json_tree), _FILE), use_run_json),
    "layers.jsonl": Reader(
        "layers.jsonl", _layer_record, one_of((4, _one_line), _FILE), use_layer_record, share=40
    ),
    "metrics.jsonl": Reader(
        "metrics.jsonl", _step_log, one_of((4, _one_line), _FILE), use_step_log, lenient=True
    ),
    "events.jsonl": Reader(
        "events.jsonl", _event_log, one_of((4, _one_line), _FILE), use_event_log, lenient=True
    ),
    "metrics.csv": Reader(
        "metrics.csv", _metrics, one_of((4, _numbered), _FILE), use_configuration
    ),
    "configuration.json": Reader(
        "configuration.json",
        _configurations,
        one_of((4, mutate.json_tree), _FILE),
        use_configuration,
    ),
    "results": Reader("results.txt", _results, _result, use_results),
}
