"""`--recalibrate DATA --samples N` of `rpucc eval` and `rpucc train`.

Not for the measuring (rpucc.runtime.recalibration), nor for its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.trained import Trained
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.recalibration import Recalibration
    from rpucc.runtime.trainer import Trainer

recalibrate = click.option(
    "--recalibrate",
    default=None,
    metavar="DATA",
    help="Measure the statistics of the digital batch norms again, on the arrays as they are, over "
    "training samples of DATA.",
)
samples = click.option(
    "--samples",
    type=click.IntRange(1, limits.SAMPLES),
    default=None,
    metavar="N",
    help="With --recalibrate: over so many samples, drawn by the seed.  [default: 512]",
)


@dataclass
class Recalibrating:
    """What is to be measured over, checked; then what was found."""

    spec: str
    data: Dataset
    samples: int | None
    found: Recalibration | None = None

    @classmethod
    def of(
        cls, spec: str, samples: int | None, data_dir: str | None, program: Program
    ) -> Recalibrating:
        """Load the data; raises DataError where they do not fit the program."""
        from rpucc.runs.data import load_data

        return cls(spec, load_data(spec, data_dir, program), samples)

    def measure(self, trainer: Trainer) -> Recalibration:
        """Measure, and let the machine have what was found."""
        from rpucc.runtime.recalibration import SAMPLES

        self.found = trainer.recalibrate(self.data, samples=self.samples or SAMPLES)
        return self.found

    def prepare(self, machine: Machine, threads: int) -> None:
        """Do that before a training, and say on standard error what it did."""
        from rpucc.report.text.recalibration import left_line
        from rpucc.runs.trainer import make_trainer
        from rpucc.terminal import say

        found = self.measure(make_trainer(machine, threads))
        say(f"measured again: {self.text}")
        if line := left_line(found):
            say(line)

    @property
    def text(self) -> str:
        """One line about what was measured."""
        from rpucc.report.text.recalibration import measured_text

        assert self.found is not None
        return measured_text(self.found, self.data.name)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as plain data for JSON."""
        assert self.found is not None
        return {"recalibration": {"data": self.spec, **self.found.to_dict()}}

    def note(self, run: RunFolder) -> None:
        """Write into the events of a run folder that it was done."""
        from rpucc.runs.events import Event, append

        append(run.events, Event("recalibrated", reason=self.text))


def new_folder(output: str, trained: Trained) -> RunFolder:
    """Return the folder that is to keep what was measured; raises an error where it cannot."""
    from pathlib import Path

    from rpucc.runs.folder import RunFolder

    run = RunFolder(Path(output))
    if run.path.resolve() == trained.checkpoint.parent.resolve():
        raise UsageError(f"-o {output}: is the run that is measured; name another folder")
    if trained.run is None or not trained.run.record.is_file():
        raise CheckpointError(
            f"{trained.checkpoint}: there is no run.json beside it that a new run folder could "
            "take over; rpucc train --from starts one"
        )
    run.check(force=False)
    return run


def keep(
    run: RunFolder, machine: Machine, done: Recalibrating, trained: Trained, spec: str,
    data_dir: str | None, data: Dataset, command: str,
) -> None:  # fmt: skip
    """Write a run folder of the machine as it is now, as `train --from` starts one.

    spec, data_dir, data: what it was evaluated on, and is trained on if it goes on. command: as it
    was typed.
    """
    from rpucc.cli.train_arguments import located
    from rpucc.cli.train_from import last_rate, origin_of
    from rpucc.runs.record import Record
    from rpucc.runs.start import begin

    assert trained.run is not None  # see `new_folder`
    before = trained.run.read_record()
    found = {"data": spec, "data_dir": data_dir, "recalibrate": done.spec}
    said = {key: None if value is None else located(value, key) for key, value in found.items()}
    is_last = trained.checkpoint == trained.run.checkpoint
    record = Record.model_validate(
        {
            "model": before.model,
            "target": before.target,
            "compiling": before.compiling,
            **said,
            "samples": done.samples,
            "epochs": 1,
            "batch_size": before.batch_size,
            "lr": last_rate(machine) or before.lr,
            "seed": machine.seed,
            "threads": before.threads,
            "origin": origin_of(trained.run.path if is_last else trained.checkpoint, machine),
        }
    )
    machine.begin_anew()
    with run.held():
        begin(run, machine, record, data, command=command)
        done.note(run)
