"""What an export gives: the user's model with other weights, as an object and as files.

Not for how the weights get into it: `restore.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.constant_weights import INITIAL_WEIGHTS, NORMALISES
from rpucc.errors import ModelError, OutputError, RpuccError, one_line
from rpucc.files import write_whole
from rpucc.origins.restore import restore
from rpucc.origins.source import constants_of
from rpucc.write_model import write_model

if TYPE_CHECKING:
    import onnx

SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Export:
    """The model that a program was compiled from, with weights that were read off its arrays."""

    model: ir.Model
    """The model: its names, batch norms and biases."""
    written: tuple[str, ...]
    """The constants of it that training changed, in the order in which they were written."""
    notes: tuple[str, ...] = ()
    """What it does not say as the arrays do, a line each."""
    averaged: bool = False
    """Whether copies of a weight that had learned on their own became one."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Layer to the standard error of its weights on the arrays, where they were measured."""

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Every floating-point constant of the model by its name, as `load_state_dict` takes it.

        What normalises the data (`--mean`, `--std`) is none.
        """
        found = constants_of(self.model)
        for node in self.model.graph:
            if NORMALISES in node.metadata_props:
                del found[str(node.outputs[0].name)]
        return {name: array for name, array in found.items() if array.dtype.kind == "f"}

    def to_onnx(self) -> onnx.ModelProto:
        """Return the model as onnx has it."""
        return ir.to_proto(self.model)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as ONNX, or, to a name that ends in .safetensors, its `weights`.

        The file appears whole or not at all. Raises OutputError where it cannot be written,
        ArgumentError for what is no path.
        """
        place = arguments.path("Export.save(path)", path)
        if place.suffix == SAFETENSORS:
            self._save_weights(place)
            return
        write_model(self.model, place)

    def to_torch(self, module: Any) -> None:
        """Write the weights into the PyTorch module that the model was made of.

        module: what `rpucc.from_torch` was given, or what a .pt2 file was exported from; another of
            its class will do. Its tensors keep their types and devices.

        Raises ModelError where a trained weight has no place in the module, or one of another
        shape; nothing is written then. ArgumentError for what is no torch.nn.Module.
        """
        from rpucc.frameworks.weights_home import into_torch

        into_torch(self.weights, self.written, module)

    def to_keras(self, model: Any) -> None:
        """Write the weights into the Keras model that the model was made of.

        model: what `rpucc.from_keras` was given, or what a .keras file holds; another that is built
            alike will do.

        Raises ModelError where a trained weight has no place in the model, or one of another shape;
        nothing is written then. ArgumentError for what is no Keras model.
        """
        from rpucc.frameworks.weights_home import into_keras

        into_keras(self.weights, self.written, model)

    def _save_weights(self, place: Path) -> None:
        import numpy as np
        from safetensors.numpy import save

        data = save({name: np.ascontiguousarray(a) for name, a in self.weights.items()})
        try:
            write_whole(place, lambda stream: stream.write(data))
        except OSError as error:
            raise OutputError(f"{place}: cannot write: {error.strerror or error}") from error


def export(
    program: ir.Model,
    state: Mapping[str, NDArray[Any]],
    label: str,
    errors: Mapping[str, float] | None = None,
) -> Export:
    """Put the weights of `state` into the model that a program was compiled from.

    state: by initializer of the program, what its arrays hold and its digital parameters are.
    Raises ModelError, which calls the program `label`, where there is no such model, or a weight
    has no place in it.
    """
    try:
        restored = restore(program, state, label)
    except RpuccError:
        raise
    except Exception as error:  # any damage at all may have been done to what the program holds
        raise ModelError(f"{label}: a damaged program: {one_line(error)}") from error
    if restored.written:  # they are trained ones from here on
        restored.model.metadata_props.pop(INITIAL_WEIGHTS, None)
    return Export(
        restored.model,
        tuple(restored.written),
        tuple(restored.notes),
        restored.averaged,
        dict(errors or {}),
    )
