"""What a run folder has to show: its history, its layers, its answers; and what several have.

Not for how it looks: that is rpucc.report.runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc import arguments, limits
from rpucc.errors import CheckpointError, RpuccError, one_line
from rpucc.layers import analog_layers
from rpucc.outputs import check_file, write_text
from rpucc.report import units
from rpucc.report.runs.run_report import AnswerReport, History, LayerReport, RunReport
from rpucc.report.text.training import trained_text
from rpucc.runs.layer_record import read_layer_records
from rpucc.runs.record import read_json
from rpucc.runs.repeat import repeat_command
from rpucc.runs.same_bits import is_portable
from rpucc.runs.shown import epoch_metrics, flattened, folder_name, steps, text_of
from rpucc.runs.trained import trained_run
from rpucc.runs.trainer import make_trainer
from rpucc.runtime.by_layer import by_layer
from rpucc.runtime.histogram import histogram
from rpucc.runtime.plane_figures import PlaneState, device_figures, state_figures
from rpucc.target.write import as_toml

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.layer_record import EpochRecord
    from rpucc.runs.record import Record
    from rpucc.runs.trained import Trained
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine


def write_report(
    run: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    data: str | None = None,
    data_dir: str | None = None,
    threads: int = 1,
    trust: bool = False,
    by_layer: bool = False,
    samples: int | None = None,
) -> None:
    """Write a training as one self-contained page of HTML, as `rpucc report` does.

    run: a run folder of `rpucc train`, or a checkpoint in one; path: the page's file.
    data, data_dir: the data set whose test part is answered; by default the one it was trained on.
        Where it cannot be read, the page says so and is made without.
    threads: CPU threads, 1 or more. trust: let devices run that only the run folder names.
    by_layer: also measure which layer costs accuracy (`rpucc.by_layer`); samples: of the first so
        many samples, 1 or more; None for all.

    Raises CheckpointError for what is no run, OutputError where the page cannot be written,
    TargetError for a device that only the folder names, ArgumentError for other arguments.
    """
    from rpucc.report.runs.page import page

    place = arguments.path("write_report(path)", path)
    source = arguments.path("write_report(run)", run)
    threads = arguments.integer("threads", threads, 1, limits.THREADS)
    arguments.instance("by_layer", by_layer, bool, "True or False")
    check_file(place, source)
    report = gather(
        str(source),
        data=data,
        data_dir=data_dir,
        threads=threads,
        trusted=trust,
        layer_by_layer=by_layer,
        samples=samples,
    )
    write_text(place, page(report))


def gather(
    name: str,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    threads: int = 1,
    trusted: bool = False,
    program_path: str | None = None,
    which: str | None = None,
    layer_by_layer: bool = False,
    samples: int | None = None,
) -> RunReport:
    """Return what the page of a run shows; what it lacks is named. Arguments as `write_report`.

    program_path: the program of a checkpoint that lies elsewhere. which: of a run folder's
    checkpoints last, best or the number of an epoch. layer_by_layer: `by_layer` of `write_report`.
    """
    trained = trained_run(name, program_path, which)
    program = trained.load_program()
    machine = trained.load_machine(program, trusted=trusted)
    record = _record(trained)
    missing: list[str] = []
    metrics = epoch_metrics(machine.history)
    history = History(
        folder_name(trained), metrics, _records(trained, machine, missing), steps(trained, metrics)
    )
    classes = () if trained.run is None else trained.run.data_classes()
    held = trained.run is not None and is_portable(trained.run.made_with())
    dataset = _data(program, classes, record, data, data_dir, missing)
    return RunReport(
        history=history,
        program=program,
        seed=machine.seed,
        trained=trained_text(
            machine.counters.epoch, machine.counters.done, machine.counters.earlier
        ),
        settings=tuple(_settings(trained)),
        target=as_toml(program.target),
        command="" if record is None else repeat_command(record, history.name, portable=held),
        layers=tuple(
            LayerReport(
                array.layer,
                array.size,
                tuple(state_figures(array)),
                tuple(device_figures(array)),
            )
            for array in machine.arrays.values()
        ),
        start=_start(machine, record, history.records),
        answers=_answers(machine, dataset, threads) if dataset is not None else None,
        verdict=_verdict(machine, dataset, 1 if record is None else record.batch_size),
        missing=tuple(missing),
        by_layer=(
            by_layer(make_trainer(machine, threads), dataset, samples=samples)
            if layer_by_layer and dataset is not None
            else None
        ),
    )


def _record(trained: Trained) -> Record | None:
    has = trained.run is not None and trained.run.record.is_file()
    return trained.run.read_record() if has and trained.run is not None else None


def _records(trained: Trained, machine: Machine, missing: list[str]) -> tuple[EpochRecord, ...]:
    """Return what was recorded of the layers up to the checkpoint."""
    if trained.run is None or not trained.run.layers.exists():
        missing.append(
            "layers.jsonl is not there, as trainings of earlier versions of rpucc have none: how "
            "the layers changed from epoch to epoch is not known"
        )
        return ()
    try:
        found = read_layer_records(trained.run.layers)
    except CheckpointError as error:
        missing.append(f"{one_line(error)}; how the layers changed is not shown")
        return ()
    epochs = machine.counters.epoch
    known = tuple(each for each in found if each.epoch <= epochs)
    there = {each.epoch for each in known}
    lost = [epoch for epoch in range(epochs + 1) if epoch not in there]
    if lost:
        missing.append(
            f"layers.jsonl lacks {units.counted(len(lost), 'epoch')}, among them epoch {lost[0]}: "
            "they were trained without it"
        )
    return known


def _start(
    machine: Machine, record: Record | None, records: tuple[EpochRecord, ...]
) -> dict[tuple[str, str], PlaneState]:
    """Return where weights lay before training: as recorded, else as the program has them.

    A program's weights are not where a training from another run began.
    """
    if records and records[0].epoch == 0:
        layers = records[0].layers
        return {(each.layer, plane.plane): plane for each in layers for plane in each.planes}
    if record is not None and record.origin is not None:
        return {}
    found = {}
    for layer in analog_layers(machine.program.model):
        array = machine.arrays[str(layer.weight.name)]
        if array.main.seen is array.visible and layer.weight.const_value is not None:
            W = layer.weight.const_value.numpy()
            name = next(iter(array.planes))
            found[array.layer, name] = PlaneState(
                name, histogram(W), float(W.mean()), float(W.std())
            )
    return found


# ---------------------------------------------------------------- data and answers


def _data(
    program: Program,
    classes: Sequence[str],
    record: Record | None,
    data: str | None,
    data_dir: str | None,
    missing: list[str],
) -> Dataset | None:
    """Return the data set, checked; None where it cannot be had, which is said."""
    from rpucc.runs.data import load_data

    if data is None and record is None:
        missing.append("no run.json beside the checkpoint names the data: --data does")
        return None
    if data is None and record is not None:
        data, data_dir = record.data, data_dir or record.data_dir
    assert data is not None  # one of the two
    try:
        return load_data(data, data_dir, program, classes)
    except RpuccError as error:
        missing.append(f"no answers: {one_line(error)}")
        return None


def _answers(machine: Machine, dataset: Dataset, threads: int) -> AnswerReport:
    from rpucc.runtime.answers import answers
    from rpucc.runtime.data.pictures import pictures

    found = answers(make_trainer(machine, threads), dataset)
    chosen = [wrong.index for wrong in found.worst]
    shown = pictures(dataset.x_test, chosen, machine.program.input_range)
    called = os.path.basename(os.path.normpath(dataset.name))  # a page is to be passed on
    return AnswerReport(called, len(dataset.y_test), found, tuple(shown), dataset.class_names)


def _verdict(machine: Machine, dataset: Dataset | None, batch_size: int) -> tuple[str, ...]:
    """Return what a training came to, in words; nothing where it went well, or nobody can say."""
    from rpucc.report.text.verdict import as_lines
    from rpucc.runtime.verdict import verdict

    if dataset is None or not machine.history or not machine.program.training:
        return ()
    lines = as_lines(verdict(machine, dataset, batch_size=batch_size))
    return (" ".join(line.strip() for line in lines),) if lines else ()


# ---------------------------------------------------------------- settings


def _settings(trained: Trained) -> Iterator[tuple[str, str]]:
    """Yield what run.json has, key by key."""
    if trained.run is not None and trained.run.record.is_file():
        for key, value in flattened(read_json(trained.run.record)):
            yield key, text_of(value)
