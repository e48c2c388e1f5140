"""Data for a program: loaded, and checked against its inputs and outputs.

Not for what a data set may be: that is rpucc.runtime.data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import ModelError, UsageError

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.trained import Trained
    from rpucc.runtime.data import Dataset


def sample_shapes(program: Program) -> dict[str, tuple[int, ...]]:
    """Return each data input with the shape of a sample; ModelError where one is not static."""
    from rpucc.report.text.program import input_shapes

    found = {}
    for name, shape in input_shapes(program).items():
        if not all(isinstance(d, int) for d in shape):
            raise ModelError(f"input {name!r}: its shape {list(shape)} is not static")
        found[name] = tuple(int(d) for d in shape)
    return found


def output_shape(program: Program) -> tuple[int, ...]:
    """Return the shape of one sample's output: [classes, *space], or [values] of a regression."""
    for node in program.model.graph:
        for value in node.outputs:
            if value.name == program.step.scored and value.shape is not None:
                dims = [d for d in list(value.shape)[1:] if isinstance(d, int)]
                if dims and len(dims) == len(value.shape) - 1:
                    return tuple(dims)
    raise ModelError(f"output {program.output!r}: its number of values a sample is not static")


def load_data(
    spec: str, data_dir: str | None, program: Program, classes: Sequence[str] = ()
) -> Dataset:
    """Return the data set, checked against the program; raises DataError.

    classes: the names that its classes were numbered by in training, if they had names.
    """
    from rpucc.runtime.data import fitted, load_dataset, renumbered
    from rpucc.runtime.data.dataset import named
    from rpucc.runtime.feed import check_range
    from rpucc.terminal import say

    folder = Path(data_dir) if data_dir is not None else None
    shapes = sample_shapes(program)
    dataset = load_dataset(spec, folder, inputs=shapes)
    dataset = renumbered(dataset, classes)
    for line in dataset.notes:
        say(line)
    found = fitted(dataset, shapes, output_shape(program), program.loss, say)
    for part in ("x_train", "x_test"):
        for each in named(getattr(found, part), part).values():
            check_range(each, program.input_range)  # before there is a run folder
    return found


def data_of(trained: Trained, data: str | None, data_dir: str | None) -> tuple[str, str | None]:
    """Return the data set to use and its folder: what the user said, else what run.json says."""
    if data is not None:
        return data, data_dir
    if trained.run is None or not trained.run.record.is_file():
        raise UsageError("--data: needed, because no run.json beside the checkpoint names the data")
    saved = trained.run.read_record()
    return saved.data, data_dir or saved.data_dir


def load_for(trained: Trained, spec: str, data_dir: str | None, program: Program) -> Dataset:
    """Return the data set with classes numbered as in training, as `load_data`.

    Says on standard error where it is called what the run's data are called and holds other
    samples or labels: an error on them is none of the run.
    """
    from rpucc.runs.about import digest
    from rpucc.terminal import say

    run = trained.run
    if run is None or not run.record.is_file():
        return load_data(spec, data_dir, program)
    found = load_data(spec, data_dir, program, run.data_classes())
    if spec == run.data_name() and run.data_digest() not in (None, digest(found)):
        say(
            f"{spec}: is not what {run.path} was trained on: the SHA-256 of samples and labels is "
            "another; --data-dir names another folder"
        )
    return found
