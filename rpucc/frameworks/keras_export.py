"""`rpucc.from_keras`: a Keras model as an ONNX model; weights are called by layer and variable.

Layer by layer, on any backend: Keras's own ONNX export spells batch norms out and loses the names.
Not for what becomes of a layer: `keras_layers.py`. Not for weights on their way back:
`weights_home.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.errors import ModelError, UnsupportedError, one_line
from rpucc.frameworks.keras_call import Call
from rpucc.frameworks.keras_graph import Graph, Value
from rpucc.frameworks.keras_layers import LAYERS
from rpucc.frameworks.keras_weights import Place, layers_of, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

INSTALL = "pip install 'rpucc[keras]'"

MODEL = "a Keras 3 model, functional or sequential, that is built: its input's shape is known"


def from_keras(model: Any) -> onnx.ModelProto:
    """Return a Keras 3 model as an ONNX model, for `rpucc.compile`.

    Weights are called by layer and variable (conv/kernel), so that
    `machine.export().to_keras(model)` finds them again, and kernels have ONNX's order of axes. So
    have images: an input [N, height, width, C] of Keras is [N, C, height, width] in the ONNX model,
    and data of either order are taken. The model stays as it is. Batch norms
    stay nodes of their own with the moving mean and variance that they have by now, and the target
    says what becomes of them. So do dropouts: a program that trains draws their masks. For those of
    whole channels (SpatialDropout), AlphaDropout and Gaussian noise ONNX has no operator: they are
    left out, which a note of the program says.

    model: a functional or Sequential model of Keras's own layers, on any backend.

    Raises UnsupportedError, which names the layer, for one that is not taken; ArgumentError for
    what is no Keras model that is built.
    """
    import sys

    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        raise arguments.wrong("from_keras(model)", model, MODEL)
    functional = _functional(model, f"from_keras: model {model.name!r}")
    graph = Graph()
    first = _images_first(model)
    inputs = []
    for tensor in functional.inputs:
        name = graph.unique(tensor.name or "input")
        shape = tuple(tensor.shape[1:])
        inputs.append(Value(name, shape, first=first and len(shape) > 1))
    walk = _Walk(graph, places(model))
    outputs = walk.through(functional, inputs)
    return graph.model(str(model.name), inputs, [walk.output(each) for each in outputs])


def read_keras(path: Path) -> Any:
    """Return the model in a .keras file, in Keras's safe mode: no code of the file's runs.

    Raises ModelError where it is damaged, has layers that are no Keras's own, or would need code.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many unrelated classes, and writes pages
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        if "ambda" in reason:
            reason = "it has a Lambda layer, which is code"
        raise ModelError(
            f"{path}: Keras does not load it: {one_line(reason)[:200]}; a model with code "
            "or layers of its own: load it in Python and use rpucc.from_keras"
        ) from error


def _functional(model: Any, label: str) -> Any:
    """The graph of layers of a model; of a subclass of a user's own there is none."""
    inner = getattr(model, "_functional", model)  # what a Sequential model is built as
    if not hasattr(inner, "_run_through_graph"):
        raise UnsupportedError(
            f"{label}: has no graph of layers; allowed: {MODEL}; a class of your own: call its "
            "layers on a keras.Input and make a keras.Model of it"
        )
    return inner


def _images_first(model: Any) -> bool:
    """Whether inputs with positions get their channels first: where layers look at positions."""
    formats = {getattr(layer, "data_format", None) for _, layer in layers_of(model)}
    return "channels_last" in formats and "channels_first" not in formats


class _Walk:
    """The way through the layers of a model, and of the models in it."""

    def __init__(self, graph: Graph, places: Mapping[int, Place]) -> None:
        self.graph, self.places = graph, places

    def through(self, functional: Any, inputs: list[Value]) -> list[Value]:
        """Return the outputs for values that stand for the inputs."""
        from keras import tree

        found = functional._run_through_graph(inputs, operation_fn=self._operation)
        return list(tree.flatten(found))

    def output(self, value: Value) -> Value:
        """Return an output of the network, of a name of its own: one value may be two outputs."""
        name = self.graph.op("Identity", [value.name], f"{value.name}/output")
        return replace(value, name=name)

    def _operation(self, layer: Any) -> Any:
        """What Keras calls in the place of a layer."""

        def called(*arguments: Any, **keywords: Any) -> Any:
            from keras import tree

            values = [each for each in tree.flatten((arguments, keywords)) if each is not None]
            label = f"layer {layer.name!r} ({type(layer).__name__})"
            known = [each for each in values if isinstance(each, Value)]
            if hasattr(layer, "layers"):
                outputs = self.through(_functional(layer, label), known)
                return outputs[0] if len(outputs) == 1 else outputs
            own = type(layer).__module__.partition(".")[0] != "keras"
            lowering = None if own else LAYERS.get(type(layer).__name__)
            if lowering is None:
                raise UnsupportedError(
                    f"{label}: {'a layer of your own' if own else 'not among the layers'} that "
                    f"from_keras takes: {', '.join(LAYERS)}"
                )
            others = [each for each in arguments if each is not None and not _is_values(each)]
            if others:
                raise UnsupportedError(f"{label}: takes values alone, no {one_line(others[0])}")
            return lowering(Call(self.graph, layer, self.places, label), *known)

        return called


def _is_values(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return all(isinstance(each, Value) for each in argument)
    return isinstance(argument, Value)
