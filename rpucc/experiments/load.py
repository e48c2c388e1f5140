"""Reading experiments: those that ship with rpucc by name, a user's own by path.

Every error is an ExperimentError of one line a problem, which names the file and the key.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rpucc.errors import ExperimentError, TargetError, one_line
from rpucc.experiments import schema
from rpucc.experiments.toy_problems import PROBLEMS
from rpucc.experiments.toys import ToyExperiment, toy_model
from rpucc.files import read_whole
from rpucc.target.keys import tables_of
from rpucc.target.load import parse_toml
from rpucc.target.messages import describe

T = TypeVar("T")
Experiment = schema.TrainingExperiment | schema.PlanExperiment | ToyExperiment[Any]

SUFFIX = ".toml"
MOST_BYTES = 2**20
"""Of an experiment file."""


def experiment_names() -> tuple[str, ...]:
    """Return the names of the experiments that ship with rpucc, sorted."""
    files = (entry.name for entry in resources.files("rpucc.experiments").iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX)))


def load_experiment(spec: str) -> Experiment:
    """Read an experiment by its name, or from a file that ends in .toml.

    Raises ExperimentError, one line, where it is unknown or its file is wrong.

    >>> experiment = load_experiment("gokmen2017-noise-bound")
    >>> experiment.model, experiment.row[0].label
    ('lenet', 'floating point')
    """
    if spec in experiment_names():
        return _parsed(_shipped(spec), f"experiment {spec}")
    if not spec.endswith(SUFFIX):
        near = difflib.get_close_matches(spec, experiment_names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {_all()}"
        raise ExperimentError(f"no experiment {one_line(spec)!r}{hint} (a file ends in {SUFFIX})")
    source = f"experiment file {one_line(spec)}"
    try:
        text = read_whole(Path(spec), MOST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ExperimentError(f"{source}: cannot be read: {reason}") from None
    return _parsed(text, source)


@lru_cache
def _shipped(name: str) -> str:
    file = resources.files("rpucc.experiments").joinpath(name + SUFFIX)
    return file.read_text(encoding="utf-8")


def _all() -> str:
    return ", ".join(experiment_names())


def _parsed(text: str, source: str) -> Experiment:
    try:
        data = parse_toml(text, source, "an experiment needs name, model and [[row]]")
    except TargetError as error:  # what is wrong with TOML is the same for any file
        raise ExperimentError(str(error)) from None
    kinds: dict[object, type[Experiment]] = {
        "training": schema.TrainingExperiment,
        "plan": schema.PlanExperiment,
        "toy": ToyExperiment,
    }
    model = _one_of(kinds, data.get("kind", "training"), f"{source}: kind")
    if model is ToyExperiment:
        problem = data.get("problem")
        toy = problem.get("toy") if isinstance(problem, dict) else None
        model = toy_model(_one_of(PROBLEMS, toy, f"{source}: problem.toy"))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ExperimentError(*describe(error, source, tables_of(model), {})) from None


def _one_of(known: Mapping[Any, T], name: object, where: str) -> T:
    """Return what a name stands for; ExperimentError for one that is none."""
    if not isinstance(name, str) or name not in known:
        allowed = ", ".join(f'"{each}"' for each in known)
        raise ExperimentError(f"{where}: found {one_line(name)!r}, allowed: {allowed}")
    return known[name]
