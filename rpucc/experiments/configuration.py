"""What determines the numbers of a run, as plain data with a fingerprint.

Two runs of one configuration and one seed have the same metrics, epoch by epoch; so the number of
epochs is no part of it: a longer run holds a shorter one. Neither are names, descriptions and the
cost table of a target, nor where the data lie. Not for the folders of runs: that is rpucc.cli.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.experiments.schema import CONSTANT
from rpucc.masks import find_mask
from rpucc.target.target import Target

if TYPE_CHECKING:
    from rpucc.experiments.schema import ExperimentRow, Training

UNNEEDED = {"name", "description", "cost"}
"""Parts of a target that change no number of a training."""

TRAINING_KEYS = ("model", "loss", "input_range", "batch_size", "lr")
"""What a run folder's run.json says of the training that no program or data set holds."""

BESIDES: dict[str, tuple[Any, ...]] = {
    "validation": (None,),
    "monitor": (None, "loss"),
    "min_delta": (None, 0.0),
    "augment": (None, []),
    "init": (None,),
    "recalibrate": (None,),
    "samples": (None,),
    "class_weights": (None,),
    "label_smoothing": (None, 0.0),
    "input_shape": (None,),
    "input_gradients": (None, False),
    "mean": (None,),
    "std": (None,),
}
"""The same, where they are not as here, as they are in all experiments: so the configurations of
runs from before there was the key stay what they are."""

IN_TARGET = ("overrides", "plan", "freeze")
"""What run.json says and the program's target holds."""

Configuration = dict[str, Any]


def row_configuration(
    row: ExperimentRow, model: str, training: Training, data: str
) -> Configuration:
    """Return the configuration of an experiment's row; `data` is the digest of the data set.

    Raises TargetError where the row's target is wrong.
    """
    target = Target.load(row.target, row.overrides)
    arguments = {
        "model": model,
        "loss": "auto",
        "input_range": None,
        "batch_size": training.batch_size,
        "lr": training.lr,
        "lr_schedule": training.lr_schedule,
    }
    return configuration(arguments, target, data)


def configuration(arguments: Mapping[str, Any], target: Target, data: str) -> Configuration:
    """Return the configuration of a run from the arguments in its run.json.

    Only what differs from the defaults is kept of the target: a key that a later version adds
    leaves the configurations of earlier runs as they are.
    """
    kept = {key: arguments[key] for key in TRAINING_KEYS}
    kept["model"] = model_name(str(kept["model"]))
    schedule = arguments.get("lr_schedule", CONSTANT)
    kept |= {} if schedule == CONSTANT else {"lr_schedule": schedule}
    kept |= {key: value for key in BESIDES if (value := arguments.get(key)) not in BESIDES[key]}
    dumped = target.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found = {key: value for key, value in dumped.items() if key not in UNNEEDED}
    for table in (found, *found.get("layer", ())):
        if (mask := table.get("update", {}).get("mask")) is not None:
            table["update"]["mask"] = _file_name(find_mask(mask, target.folder), mask)
    return {**kept, "target": found, "data": data}


def model_name(name: str) -> str:
    """Name a model: a file by its name and contents, one of the zoo as it is."""
    path = Path(name)
    return _file_name(path, name) if path.suffix == ".onnx" else name


def _file_name(path: Path, name: str) -> str:
    """Name a file by its own name and contents; what is none, or is not there, by `name`."""
    if not path.is_file():
        return name
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def fingerprint(found: Configuration) -> str:
    """Return 12 hexadecimal digits that name a configuration.

    >>> fingerprint({"lr": 1, "batch_size": 2}) == fingerprint({"batch_size": 2, "lr": 1.0})
    True
    """
    text = json.dumps(_floats(found), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _floats(value: Any) -> Any:
    """Write 0 and 0.0 alike: users do not tell them apart."""
    if isinstance(value, dict):
        return {key: _floats(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def data_digest(*parts: NDArray[Any]) -> str:
    """Return 16 hexadecimal digits that name a data set: the contents of its arrays in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.dtype.str} {list(part.shape)};".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:16]
