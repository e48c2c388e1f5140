"""Trained weights back in the PyTorch module or the Keras model that they came from.

By their names, which `from_torch` and `from_keras` took from there. All is checked before the first
weight is written. Not for undoing what the compiler did to weights: that is `rpucc/origins/`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import ModelError
from rpucc.frameworks.keras_export import MODEL
from rpucc.frameworks.keras_weights import layers_of, places
from rpucc.frameworks.torch_export import MODULE, plain

Weights = Mapping[str, NDArray[Any]]


def into_torch(weights: Weights, trained: Collection[str], module: Any) -> None:
    """Write weights into a torch.nn.Module; its tensors keep type and device.

    trained: the names that need a place in it. Raises ModelError where one has none, or one of
    another shape, and ArgumentError for what is no module.
    """
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise arguments.wrong("to_torch(module)", module, MODULE)
    state = plain(module).state_dict(keep_vars=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    where = f"to_torch: module {type(plain(module)).__name__}"
    chosen = _chosen(weights, trained, shapes, where)
    with torch.no_grad():
        for name, array in chosen.items():
            state[name].copy_(torch.from_numpy(np.array(array)))


def into_keras(weights: Weights, trained: Collection[str], model: Any) -> None:
    """Write weights into a Keras model.

    trained: the names that need a place in it. Raises ModelError where one has none, or one of
    another shape, and ArgumentError for what is no model.
    """
    import sys

    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        raise arguments.wrong("to_keras(model)", model, MODEL)
    known = places(model)
    variables = {
        known[id(variable)].name: (known[id(variable)], variable)
        for _, layer in layers_of(model)
        for variable in layer.variables
    }
    shapes = {
        name: place.to_onnx(np.empty(tuple(variable.shape), np.bool_)).shape
        for name, (place, variable) in variables.items()
    }
    chosen = _chosen(weights, trained, shapes, f"to_keras: model {model.name!r}")
    for name, array in chosen.items():
        place, variable = variables[name]
        variable.assign(place.from_onnx(array, tuple(variable.shape)))


def _chosen(
    weights: Weights, trained: Collection[str], shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, NDArray[Any]]:
    """The weights that have a place; raises ModelError where one that needs it has none."""
    homeless = [name for name in trained if name not in shapes]
    chosen = {name: array for name, array in weights.items() if name in shapes}
    if homeless or not chosen:
        what = f"weight {homeless[0]!r}" if homeless else "any weight of the program"
        raise ModelError(
            f"{where}: has no place for {what}: it is not what the program was compiled from, or "
            f"has a batch norm without a bias (Machine.export writes ONNX all the same); it has "
            f"{', '.join(list(shapes)[:6])}{', …' if len(shapes) > 6 else ''}"
        )
    for name, array in chosen.items():
        if array.shape != shapes[name]:
            raise ModelError(
                f"{where}: weight {name!r} has shape {list(shapes[name])}, the program's "
                f"{list(array.shape)}: it is not what the program was compiled from"
            )
    return chosen
