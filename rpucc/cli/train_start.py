"""Starting a training: a command's arguments, what run.json keeps of them, and the run folder.

For every command that trains. Not for the options of `rpucc train` nor for what it does with them:
that is train.py; epochs are training.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import __version__
from rpucc.cli import options
from rpucc.cli.run_folder import RunFolder
from rpucc.compiler.options import FLAGS, CompileOptions

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.machine import Machine

RUNS = "rpucc-runs"
"""The folder of run folders that nobody names."""
TRAINING = {"training": True}
"""What a compilation for training decides by itself."""
COMPILING = ("target", *options.offered(**TRAINING))
RECORDED = tuple(name for name in COMPILING if name not in FLAGS or FLAGS[name].recorded)
"""What run.json keeps of how the program was compiled."""
FIXED = (*RECORDED, "data", "batch_size", "lr", "lr_schedule", "seed")
"""What a resumed training cannot change."""


@dataclass(frozen=True)
class Arguments:
    """The command's arguments, of which a run folder keeps what `record` says."""

    model: str
    target: str
    compiling: CompileOptions
    data: str
    data_dir: str | None
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    seed: int
    threads: int
    trust: bool
    output: str | None
    resume: bool
    force: bool
    fail_above: options.Limit | None
    as_json: bool
    from_run: str | None = None
    origin: dict[str, Any] | None = None
    """Of a training that starts from another: its folder, and what was trained there."""

    def record(self) -> dict[str, Any]:
        """What run.json keeps: enough to resume, with the paths of files absolute."""
        gone = ("output", "resume", "force", "fail_above", "as_json", "from_run", "trust")
        kept: dict[str, Any] = {"rpucc": __version__, "model": self.model, "target": self.target}
        kept |= {name: getattr(self.compiling, name) for name in RECORDED if name in FLAGS}
        own = (each.name for each in fields(self) if each.name != "compiling")
        kept |= {name: getattr(self, name) for name in own if name not in gone}
        for key in ("data", "data_dir", "target", "plan"):
            if kept[key] is not None and _is_path(kept[key], key):
                kept[key] = str(Path(kept[key]).expanduser().resolve())
        return kept

    def with_record(self, kept: Mapping[str, Any]) -> Arguments:
        """Return the arguments with what run.json says in the place of theirs."""
        compiling = {name: value for name, value in kept.items() if name in FLAGS}
        others = {name: value for name, value in kept.items() if name not in FLAGS}
        return replace(self, compiling=replace(self.compiling, **compiling), **others)


def _is_path(text: str, key: str) -> bool:
    from rpucc.runtime.data import DATASETS
    from rpucc.target.target import preset_names

    names: dict[str, Collection[str]] = {"data": DATASETS, "target": preset_names()}
    return text not in names.get(key, ())


# ---------------------------------------------------------------- the folder


def check_run_folder(run: RunFolder, arguments: Arguments) -> None:
    """Raise an error where the folder cannot hold a new training."""
    from rpucc.cli.output import check_folder

    check_folder(run.path)
    if not arguments.force:
        run.refuse_overwriting()


def start(run: RunFolder, program: Program, arguments: Arguments) -> Machine:
    """Make the machine and then the run folder."""
    from rpucc.cli.trust import admit
    from rpucc.runtime.machine import Machine

    admit(program, arguments.model, trusted=arguments.trust)
    machine = Machine(program, arguments.seed)
    start_with(run, machine, arguments)
    return machine


def start_with(run: RunFolder, machine: Machine, arguments: Arguments) -> None:
    """Make the run folder of a machine: from here on something is written."""
    from rpucc.cli.output import make_folder

    make_folder(run.path)
    run.tidy()
    run.clear()
    run.write_program(machine.program)
    run.write_arguments(arguments.record())
    run.write_calibration(calibration_records(machine))


def calibration_records(machine: Machine) -> list[dict[str, Any]]:
    """One record a zero-shifted layer."""
    return [{"layer": name, **found.record()} for name, found in machine.symmetry.items()]


def load_program(run: RunFolder) -> Program:
    """Read the program of a run folder."""
    from rpucc.program import Program

    return Program.load(run.program)
