"""The arguments of `rpucc train`: what run.json keeps of them, and takes in their place.

Not for what is done with them: that is train.py.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import losses
from rpucc.cli import options
from rpucc.compiler.options import FLAGS, CompileOptions
from rpucc.compiler.options import RECORDED as COMPILED

if TYPE_CHECKING:
    from rpucc.runs.record import Record

RUNS = "rpucc-runs"
"""The folder of run folders that nobody names."""
TRAINING = {"training": True}
"""What a compilation for training decides by itself."""
COMPILING = ("target", *options.offered(**TRAINING))
RECORDED = ("target", *COMPILED)
"""What run.json keeps of how the program was compiled."""
WATCHED = ("validation", "min_delta", "monitor")
REMEASURED = ("recalibrate", "samples")
"""What is done before the first step alone."""
FIXED = (
    *(*RECORDED, "data", "batch_size", "lr", "lr_schedule", "augment", "seed"),
    *(*WATCHED, *REMEASURED),
)
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
    validation: str | None
    patience: int | None
    min_delta: float
    monitor: str
    keep: str
    tensorboard: bool
    augment: Sequence[str] = ()
    top_k: int | None = None
    recalibrate: str | None = None
    samples: int | None = None
    from_run: str | None = None
    origin: dict[str, Any] | None = None
    """Of a training that starts from another: its folder, and what was trained there."""

    def record(self) -> Record:
        """What run.json keeps: enough to resume, with the paths of files absolute."""
        from rpucc.runs.record import Record

        compiling = self.compiling
        if compiling.plan is not None:
            compiling = replace(compiling, plan=_absolute(str(compiling.plan)))
        if losses.is_file(str(compiling.loss)):
            compiling = replace(compiling, loss=_absolute(str(compiling.loss)))
        own = {each.name for each in fields(self)} & set(Record.model_fields)
        kept: dict[str, Any] = {name: getattr(self, name) for name in own}
        for key in ("data", "data_dir", "target", "validation", "recalibrate"):
            if kept[key] is not None:
                kept[key] = located(kept[key], key)
        return Record(**{**kept, "compiling": compiling})

    def with_record(self, kept: Mapping[str, Any]) -> Arguments:
        """Return the arguments with what run.json says in the place of theirs."""
        compiling = {name: value for name, value in kept.items() if name in FLAGS}
        others = {name: value for name, value in kept.items() if name not in FLAGS}
        return replace(self, compiling=replace(self.compiling, **compiling), **others)


def located(text: str, key: str) -> str:
    """Return what run.json keeps under a key: a name as it is, the path of a file absolute."""
    return _absolute(text) if _is_path(text, key) else text


def _is_path(text: str, key: str) -> bool:
    from rpucc.runtime.data import DATASETS
    from rpucc.runtime.validation import parse_validation
    from rpucc.target.target import preset_names

    if key == "validation" and isinstance(parse_validation(text), float):
        return False
    names: dict[str, Collection[str]] = {"target": preset_names()}
    names |= dict.fromkeys(("data", "validation", "recalibrate"), DATASETS)
    return text not in names.get(key, ())


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def default_folder(arguments: Arguments, target: str) -> Path:
    """Return the run folder of a training that names none."""
    name = f"{Path(arguments.model).stem}-{target}-seed{arguments.seed}"
    return Path(RUNS) / re.sub(r"[^\w.+-]+", "_", name)


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["rpucc", *sys.argv[1:]])
