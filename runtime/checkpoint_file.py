"""The file of a checkpoint: a machine's state as safetensors, the same bytes for the same state.

Holds what training changes (weights, counters, history) and the seed; device parameters are made
again from the seed. Not the program: a checkpoint names it by its digest and is refused with
another one. Not for machines, which read and write it: `machine.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from rpucc import arguments, checked, run_files
from rpucc.batch_norms import fixed_statistics, statistics_of
from rpucc.errors import CheckpointError, OutputError, one_line
from rpucc.files import write_whole
from rpucc.layers import analog_layers
from rpucc.program import Program
from rpucc.runtime.checkpoint_schema import CheckpointNotes, CountersNote
from rpucc.runtime.counters import Counters

if TYPE_CHECKING:
    import onnx_ir as ir

FORMAT = "rpucc-checkpoint-1"
SUFFIX = ".safetensors"

Kind = tuple[tuple[int, ...], np.dtype[Any]]
"""The shape and type of an array."""


def write_checkpoint(found: Checkpoint, program: Program, path: Path) -> None:
    """Write a state of a program's machine, whole or not at all; raises OutputError."""
    from safetensors.numpy import save

    counters = CountersNote.of(found.counters).model_dump()
    for key in ("earlier", "layers", "loss_weight"):
        if not counters[key]:
            del counters[key]  # most trainings have none, and earlier versions knew none
    metadata = {
        "format": FORMAT,
        "program": program_digest(program),
        "seed": str(found.seed),
        "counters": json.dumps(counters),
        "history": json.dumps(found.history),
    }
    metadata["notes"] = notes_digest(metadata)
    tensors = {name: np.asarray(a, order="C") for name, a in sorted(found.weights.items())}
    metadata["tensors"] = tensors_digest(tensors)
    # One string of metadata: safetensors does not keep the order of several.
    data = save(tensors, {"rpucc": json.dumps(metadata)})
    try:
        write_whole(path, lambda stream: stream.write(data))
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path}: the checkpoint cannot be written: {reason}") from error


def write_folder(found: Checkpoint, program: Program, place: Path) -> None:
    """Write a state and its program: a folder that has both, or a checkpoint alone.

    Raises OutputError.
    """
    if place.suffix == SUFFIX and not place.is_dir():
        write_checkpoint(found, program, checkpoint_place(place))
        return
    beside = run_files.program_in(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{place}: the folder cannot be made: {reason}") from error
    if not beside.exists():
        program.save(beside)
    elif program_digest(Program.load(beside)) != program_digest(program):
        raise OutputError(
            f"{place}: its {beside.name} is another program, which the checkpoint there may "
            "belong to; save the machine into another folder"
        )
    write_checkpoint(found, program, place / run_files.CHECKPOINT)


def checkpoint_place(checkpoint: object) -> Path:
    """The path of a checkpoint that can be written after an epoch, which may take hours."""
    place = arguments.path("checkpoint", checkpoint)
    if place.is_dir() or not place.parent.is_dir():
        wrong = "is a folder" if place.is_dir() else f"there is no folder {place.parent}"
        raise OutputError(f"checkpoint {place}: {wrong}; give a file in a folder that is there")
    return place


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the state of a machine, without its devices."""

    seed: int
    counters: Counters
    history: list[dict[str, Any]]
    weights: dict[str, NDArray[Any]]
    """What `Machine.state` gives: analog weights and digital parameters by initializer name."""


def read_checkpoint(path: Path | str, program: Program) -> Checkpoint:
    """Read a checkpoint to look at it; fabricates and imports nothing.

    Raises CheckpointError where the file is not a checkpoint, is damaged or is another program's.
    """
    path = Path(path)
    notes, tensors = _read(path)
    if notes.program != program_digest(program):
        raise CheckpointError(
            f"{path}: the checkpoint belongs to another program; use the program.rpu.onnx that was "
            "written beside it"
        )
    _check_tensors(program, tensors, path)
    if notes.tensors not in (None, tensors_digest(tensors)):
        raise CheckpointError(
            f"{path}: the checkpoint's weights are not those that were written (their SHA-256 is "
            "another); the file is damaged: copy it again, or train again"
        )
    history = [metrics.reproducible() for metrics in notes.history]
    return Checkpoint(notes.seed, notes.counters.counters(), history, tensors)


def program_beside(path: Path) -> Program:
    """The program in the checkpoint's folder, where `rpucc train` puts it."""
    place = run_files.program_in(path.parent)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    if not place.is_file():
        raise CheckpointError(
            f"{path}: there is no {run_files.PROGRAM} beside it; give the program that it belongs "
            "to: load_checkpoint(path, program)"
        )
    return Program.load(place)


def notes_digest(metadata: Mapping[str, Any]) -> str:
    """SHA-256 of what the metadata say of seed, counters and history."""
    said = [metadata.get(key) for key in ("seed", "counters", "history")]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def tensors_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def program_digest(program: Program) -> str:
    """SHA-256 of the program as it is saved (its weights included)."""
    import onnx_ir as ir

    proto = ir.to_proto(program.model)
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


def _read(path: Path) -> tuple[CheckpointNotes, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with safe_open(path, framework="numpy") as file:
            outer = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = checked.parsed(outer["rpucc"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of rpucc, or damaged ({type(error).__name__})"
        ) from error
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise CheckpointError(f"{path}: not a checkpoint of rpucc")
    if metadata["format"] != FORMAT:
        found = one_line(metadata["format"])
        raise CheckpointError(f"{path}: checkpoint format '{found}', this rpucc reads '{FORMAT}'")
    try:
        notes = CheckpointNotes.model_validate(metadata)
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: the checkpoint's metadata are damaged: {checked.said(error)}"
        ) from None
    if notes.notes not in (None, notes_digest(metadata)):
        raise CheckpointError(
            f"{path}: the checkpoint's seed, counters or history are not those that were written "
            "(their SHA-256 is another); the file is damaged: copy it again, or train again"
        )
    return notes, tensors


def _check_tensors(program: Program, tensors: dict[str, Any], path: Path) -> None:
    state = _state_of(program)
    hidden = _hidden(program, state)
    state |= {name: hidden[name] for name in hidden.keys() & tensors.keys()}
    state |= _statistics(program, tensors)
    if set(state) != set(tensors):
        raise CheckpointError(f"{path}: the checkpoint's weights are not this program's")
    for name, (shape, dtype) in state.items():
        loaded = tensors[name]
        if loaded.shape != shape or loaded.dtype != dtype:
            raise CheckpointError(
                f"{path}: weight '{name}' is {loaded.dtype}{list(loaded.shape)}, the program's is "
                f"{dtype}{list(shape)}"
            )
        if not np.all(np.isfinite(loaded)):
            raise CheckpointError(f"{path}: weight '{name}' holds NaN or infinity")
    for each in statistics_of(program.model):
        problem = each.problem(tensors[each.var]) if each.var in tensors else None
        if problem is not None:
            raise CheckpointError(
                f"{path}: variance '{each.var}' of batch norm '{each.names[0]}' {problem}; a "
                "variance is 0 or more, and above 0 with its epsilon"
            )


def _hidden(program: Program, state: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kinds of what no initializer is of: planes, and what their devices have besides.

    Whether a machine keeps them follows from its devices, too.
    """
    found: dict[str, Kind] = {}
    for layer in analog_layers(program.model):
        like = state[str(layer.weight.name)]
        for plane in program.target.for_layer(layer.name).cell.settings.planes:
            if plane not in layer.state:
                found[layer.state_name(plane)] = like
            found |= {layer.state_name(f"{plane}.{key}"): like for key in ("seen", "age", "origin")}
            found[layer.state_name(f"{plane}.times")] = (), np.dtype(np.int64)
    return found


def _statistics(program: Program, tensors: Mapping[str, Any]) -> dict[str, Kind]:
    """The shape and type of what was measured again of the batch norms that training leaves."""
    known = program.model.graph.initializers
    found = (known[name] for name in fixed_statistics(program.model) if name in tensors)
    return {str(each.name): _kind(each) for each in found}


def _state_of(program: Program) -> dict[str, Kind]:
    """The shape and type of what `Machine.state` gives, by initializer name."""
    analog = {str(layer.weight.name) for layer in analog_layers(program.model)}
    return {
        name: _kind(value, analog=name in analog)
        for name, value in program.model.graph.initializers.items()
        if value.const_value is not None and (name in analog or name in program.updates)
    }


def _kind(value: ir.Value, *, analog: bool = False) -> Kind:
    """The shape and type of an initializer on a machine."""
    tensor = value.const_value
    assert tensor is not None
    dtype = np.dtype(np.float32) if analog else tensor.numpy().dtype
    return tuple(tensor.shape.numpy()), dtype
