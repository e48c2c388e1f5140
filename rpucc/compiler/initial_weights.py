"""The weights of a model drawn anew: its architecture, trained from scratch (`init="he:3"`).

What a weight is, and how many inputs and outputs its layer has, is read off the model as the
passes see it; the numbers go into the constants of the file. Which variance an initialisation has
is `rpucc.models.initial`'s. Not for models that are built (`rpucc models build`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.constant_weights import INITIAL_WEIGHTS, weights_of
from rpucc.errors import ModelError, RpuccError
from rpucc.layers import CONVOLUTIONS, LAYER_OPS
from rpucc.models.initial import INITS, UNIFORM
from rpucc.origins.notes import origin_of
from rpucc.origins.source import constants_of, set_constant
from rpucc.origins.view import View
from rpucc.passes.fold_batchnorm import is_batch_norm
from rpucc.passes.frontend.messages import label_of, node_text
from rpucc.passes.frontend.onnx_tools import foreign_errors
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.graph_reader import constant_of, int_of, static_dims
from rpucc.passes.importer import Importer
from rpucc.passes.layer_bias import added_bias, only_consumer
from rpucc.passes.normalise_products import NormaliseProducts
from rpucc.passes.notes import listed
from rpucc.passes.select_analog import is_candidate
from rpucc.report.units import counted

BATCH_NORM = {1: 1.0, 2: 0.0, 3: 0.0, 4: 1.0}
FIXED = {
    "InstanceNormalization": {1: 1.0, 2: 0.0},
    "LayerNormalization": {1: 1.0, 2: 0.0},
    "GroupNormalization": {1: 1.0, 2: 0.0},
    "PRelu": {1: 0.25},
}
"""Op -> input -> what it begins with: scales 1, biases and means 0, variances 1; slopes as in He
et al. 2015, arXiv 1502.01852."""

MOVED = ("Concat", "Expand", "Tile")
"""Ops through which a learned constant (a class token, say) enters that is a weight of no op."""

BLOCK = 1 << 22
"""Numbers that are drawn at once: whole groups of the generator's."""


@dataclass(frozen=True)
class _Part:
    """Elements of a constant of the file, and what they become."""

    view: View
    deviation: float
    """Standard deviation of what is drawn, around 0; where it is 0, nothing is."""
    value: float = 0.0


def draw_weights(
    models: Sequence[ir.Model], init: str, problems: Problems | None = None
) -> list[str]:
    """Draw the weights of models with the same constants anew, in place; returns notes about it.

    Weights of layers get numbers of mean 0, uniformly, whose variance INITS says by the inputs of
    an output and the outputs of an input; biases (but those of "uniform", which are drawn) and
    means 0, scales and variances 1. A weight that several layers use is the first one's.

    init: as `CompileOptions.init` keeps it, "he:3". Number e of the k-th constant that is drawn, in
    the order of the graph, is addressed by (seed, k, e).

    Raises ModelError where a layer's weight has no place in the file that numbers can go to, or
    where there is no layer, and what the importer raises. Where `problems` are collected they get
    the first two; what the importer refuses it refuses again.
    """
    problems = problems or Problems()
    name, _, seed = init.partition(":")
    seen = models[0].clone()
    label = label_of(seen)
    try:
        with foreign_errors(label):
            Importer()(seen)
            NormaliseProducts()(seen)
    except RpuccError:
        if not problems.collect:
            raise
        return []
    try:
        plan = _Plan(seen, constants_of(models[0]), name, f"{label}: --init {name}")
    except ModelError as error:
        problems.add(error)
        return []
    drawn = plan.numbers(int(seed))
    for model in models:
        for constant, array in drawn.items():
            set_constant(model, constant, array)
        model.metadata_props[INITIAL_WEIGHTS] = "1"
    return plan.notes(f"{name}, seed {seed}")


class _Plan:
    """What becomes of each constant of the file."""

    def __init__(
        self, model: ir.Model, constants: dict[str, NDArray[Any]], init: str, label: str
    ) -> None:
        """`model` is imported; `constants` are those of the file."""
        self._constants, self._init, self._label = constants, init, label
        self._parts: dict[str, list[_Part]] = {}
        self._taken: set[ir.Value] = set()
        self._layers = [node for node in model.graph if is_candidate(node)]
        self._norms = 0
        if not self._layers:
            raise ModelError(f"{label}: there is no layer with constant weights to draw")
        for node in model.graph:
            self._take(node)
        self._kept = dict(self._left(model))

    def numbers(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the new numbers of the constants that get some."""
        found, k = {}, 0
        for name, parts in self._parts.items():
            deviation, value = self._of_elements(name, parts)
            shape = self._constants[name].shape
            if np.any(deviation):
                found[name] = np.asarray(_uniform(seed, k, shape) * deviation + value, np.float32)
                k += 1
            else:
                found[name] = np.array(np.broadcast_to(value, shape), np.float32)
        return found

    def notes(self, how: str) -> list[str]:
        """Return what a user should know: what is new, and what is not."""
        said = f"initial weights ({how}): drawn anew in {counted(len(self._layers), 'layer')}"
        if self._init != UNIFORM:
            said += ", biases 0"
        if self._norms:
            norms = counted(self._norms, "batch norm")
            said += f"; {norms} with scale 1, bias 0, mean 0 and variance 1"
        notes = [said]
        if self._kept:
            kept = listed(f"{name} ({op})" for name, op in self._kept.items())
            notes.append(f"--init {self._init} leaves what no layer multiplies by: {kept}")
        return notes

    # ------------------------------------------------------------------ what is what

    def _take(self, node: ir.Node) -> None:
        """Plan the constants of a node."""
        if is_candidate(node):
            self._take_layer(node)
        elif is_batch_norm(node):
            self._norms += 1
            self._fix(node, BATCH_NORM)
        elif node.domain in ("", "ai.onnx"):
            self._fix(node, FIXED.get(node.op_type, {}))

    def _take_layer(self, node: ir.Node) -> None:
        inputs, outputs = _fans(node)
        deviation = math.sqrt(INITS[self._init](inputs, outputs))
        alpha = abs(node.attributes.get_float("alpha", 1.0)) or 1.0
        self._plan(node, node.inputs[1], "weight", deviation / alpha)
        bias_deviation = deviation if self._init == UNIFORM else 0.0
        beta = abs(node.attributes.get_float("beta", 1.0)) or 1.0
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if constant_of(bias) is not None:
            self._plan(node, bias, "bias", bias_deviation / beta)
        add = only_consumer(node)
        if add is not None and added_bias(add, node) is not None:
            behind = next(value for value in add.inputs if value is not node.outputs[0])
            self._plan(
                add, behind, "bias", 0.0 if constant_of(bias) is not None else bias_deviation
            )

    def _fix(self, node: ir.Node, values: dict[int, float]) -> None:
        for index, number in values.items():
            value = node.inputs[index] if index < len(node.inputs) else None
            if constant_of(value) is not None:
                self._plan(node, value, f"input {index + 1}", 0.0, number)

    def _plan(
        self,
        node: ir.Node,
        value: ir.Value | None,
        what: str,
        deviation: float,
        number: float = 0.0,
    ) -> None:
        assert value is not None
        self._taken.add(value)
        origin = origin_of(value)
        term = origin.terms[0] if origin is not None else None
        file = None if term is None else self._constants.get(term.source)
        if term is None or term.factors or file is None or file.shape != term.dims:
            array = constant_of(value)
            if not deviation and array is not None and np.all(array == number):
                return  # it is there, whatever it is computed from
            raise ModelError(
                f"{self._label}: {node_text(node)}: its {what} {value.name!r} is no constant of "
                "the file's own graph (it is computed from others, or inside a function), so drawn "
                "numbers have no place; export the model with constants folded and "
                "functions inlined"
            )
        self._parts.setdefault(term.source, []).append(_Part(term.view, deviation, number))

    def _left(self, model: ir.Model) -> Iterator[tuple[str, str]]:
        """Yield the weights that keep the numbers of the file, with what uses them."""
        for node in model.graph:
            others = node.inputs if node.op_type in MOVED and node.domain == "" else ()
            for value in dict.fromkeys((*weights_of(node), *others)):
                array = constant_of(value)
                if value is None or array is None or array.dtype.kind != "f" or array.size < 2:
                    continue
                origin = origin_of(value)
                name = str(value.name if origin is None else origin.terms[0].source)
                if value not in self._taken and name not in self._parts:
                    yield name, node.op_type

    # ------------------------------------------------------------------ numbers

    def _of_elements(
        self, name: str, parts: list[_Part]
    ) -> tuple[NDArray[np.float32] | np.float32, NDArray[np.float32] | np.float32]:
        """Return deviation and value of each element: numbers where they are the same for all.

        Of parts that overlap the first counts; what nothing uses becomes 0.
        """
        array = self._constants[name]
        first = parts[0]
        if first.view.count == array.size:
            return np.float32(first.deviation), np.float32(first.value)
        deviation, value = (np.zeros(array.size, np.float32) for _ in range(2))
        for part in reversed(parts):
            index = part.view.index().reshape(-1)
            deviation[index], value[index] = part.deviation, part.value
        return deviation.reshape(array.shape), value.reshape(array.shape)


def _fans(node: ir.Node) -> tuple[float, float]:
    """Return the inputs of an output and the outputs of an input of a layer."""
    weight = node.inputs[1]
    assert weight is not None
    assert node.op_type in LAYER_OPS
    shape = static_dims(weight)
    if node.op_type not in CONVOLUTIONS:
        rows_first = node.op_type == "Gemm" and int_of(node, "transB", 0)
        inputs, outputs = shape[-2:]
        return (outputs, inputs) if rows_first else (inputs, outputs)
    taps = math.prod(shape[2:])
    groups = int_of(node, "group", 1)
    if node.op_type == "Conv":
        return shape[1] * taps, shape[0] // groups * taps
    strides = node.attributes.get_ints("strides", ()) or (1,)
    met = max(taps / math.prod(strides), 1.0)  # taps that reach one place of the output
    return shape[0] // groups * met, shape[1] * taps


def _uniform(seed: int, k: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """Return numbers of mean 0 and variance 1, uniform, addressed by (seed, k, element)."""
    from rpucc.runtime.kernels.philox import GROUP, INITIAL, fill_words, seed_key

    count = math.prod(shape)
    found = np.empty(count, np.float32)
    words = np.empty(min(BLOCK, -(-count // GROUP) * GROUP), np.uint32)
    for first in range(0, count, BLOCK):
        part = found[first : first + BLOCK]
        fill_words(words, first, len(part), 0, INITIAL << 24 | k, 0, *seed_key(seed))
        # The middle of each of 2^24 steps from -1/2 to 1/2: no sign is more likely.
        part[:] = (words[: len(part)] >> np.uint32(8)).astype(np.float32)
        part -= np.float32(2**23 - 0.5)
    found *= np.float32(2.0**-24 * math.sqrt(12))
    return found.reshape(shape)
