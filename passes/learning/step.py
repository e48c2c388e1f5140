"""What every learning rule needs to append a step: parameters, rates, updates and the contract.

Not for what moves a parameter and how far: the rule says that (`backprop.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from rpucc.batch_norms import running_statistics
from rpucc.errors import ModelError
from rpucc.layers import FOR_INPUT, LR_SCALE, READS
from rpucc.passes.fold_batchnorm import BATCH_NORM
from rpucc.passes.frontend.inference import CONSTANT_INPUTS
from rpucc.passes.graph_reader import ANALOG, CYCLE, FLOATS, LAYER, int_of, known_shape
from rpucc.passes.graph_writer import Emitter, graph_input
from rpucc.passes.learning.outer_product import OuterProduct, joined
from rpucc.step_contract import Metric, StepContract

if TYPE_CHECKING:
    from rpucc.target.target import Target


class StepWriter:
    """Appends a step to the forward cycle of a graph, part by part, and describes it.

    Made before anything is appended: the graph's inputs are then the data, and the mode and draws
    that its contract may name, its nodes the forward cycle.
    """

    def __init__(self, e: Emitter, target: Target) -> None:
        self.e, self.target = e, target
        self._forward = set(e.graph)
        before = StepContract.find(e.model)
        self._mode = None if before is None else before.mode
        self._draws = None if before is None else before.draws
        others = (self._mode, self._draws)
        self.inputs = tuple(value for value in e.graph.inputs if value.name not in others)
        """The data inputs."""
        self._labels: ir.Value | None = None
        self._rate: ir.Value | None = None
        self._scaled: dict[float, ir.Value] = {}
        self._state: dict[str, ir.Value] = {}
        self._input_gradients: dict[str, str] = {}

    def add_labels(self, labels: ir.Value) -> None:
        """Take a graph input of the rule's as the labels."""
        self._labels = labels

    def add_rate(self, dtype: ir.DataType) -> None:
        """Append the graph input of the learning rate, `lr`."""
        self._rate = graph_input(self.e, "lr", dtype, ir.Shape([]))

    def add_input_gradients(self, gradients: Mapping[ir.Value, ir.Value]) -> None:
        """Take what the rule found for data inputs; each gets a value of its own, `x.grad`."""
        self.e.metadata, self.e.scope = {CYCLE: "backward"}, "inputs.grad"
        for x, gradient in gradients.items():
            name = f"{x.name}.grad"
            if gradient.producer() is None or gradient.name != name:
                gradient = self.e.op("Identity", gradient, out=name, shape=known_shape(x))
            self._input_gradients[str(x.name)] = str(gradient.name)

    def change(
        self,
        sources: Sequence[ir.Value],
        products: Sequence[OuterProduct],
        gradients: Mapping[ir.Value, ir.Value],
    ) -> None:
        """Append the new value of each of `sources` that something moves, `W.next`.

        A matrix on arrays has one Update, over the positions of all its outer products in the order
        given: however often a step uses it, no two pulses share a draw. What is digital becomes
        W - lr·gradient; what is frozen stays. Running statistics follow their batches, at any rate.
        Raises ModelError where nothing moves.
        """
        of_weight: dict[ir.Value, list[OuterProduct]] = {}
        for product in products:
            of_weight.setdefault(product.weight, []).append(product)
        for W in sources:
            layer, scale = _layer_of(W), self._scale_of(W)
            if not scale:
                continue
            self.e.metadata = {CYCLE: "update"}
            rate = self._rate_times(scale)
            self.e.scope = f"{W.name}.update"
            if W in of_weight:
                new = self._update(W, of_weight[W], rate, scale)
            elif W in gradients:
                new = self._descended(W, gradients[W], rate, layer)
            else:
                continue
            new.shape = known_shape(W).copy()
            self._state[str(W.name)] = new
        if not self._state:
            raise ModelError(
                "the model has nothing to train: its output does not depend on any layer's weights"
            )
        running = running_statistics(self.e.graph)
        self._state |= {str(old.name): new for old, new in running.items()}

    def trained(self, sources: Sequence[ir.Value]) -> list[ir.Value]:
        """Those of `sources` that a rate moves: layers with `update.lr_scale` 0 are frozen.

        Raises ModelError where all are, or where one of the others is not finite.
        """
        found = [W for W in sources if self._scale_of(W)]
        for W in found:
            _check_finite(W)
        if sources and not found:
            raise ModelError(
                "the model has nothing to train: all of its layers are frozen (--freeze, "
                "update.lr_scale = 0); leave one out"
            )
        return found

    def _scale_of(self, W: ir.Value) -> float:
        """The rate of a weight's layer, or of its trained batch norm, as a multiple."""
        name = _batch_norm_of(W) or _layer_of(W) or ""
        return self.target.for_layer(name).update.lr_scale

    def _rate_times(self, scale: float) -> ir.Value:
        rate = self._rate
        assert rate is not None, "add_rate comes first"
        if scale == 1:
            return rate
        if scale not in self._scaled:
            self.e.scope = "lr"
            factor = self.e.constant(scale, rate.dtype or ir.DataType.FLOAT)
            self._scaled[scale] = self.e.op("Mul", rate, factor, out="lr.scaled")
        return self._scaled[scale]

    def _update(
        self, W: ir.Value, products: Sequence[OuterProduct], rate: ir.Value, scale: float
    ) -> ir.Value:
        read = products[0].read
        self.e.metadata[LAYER] = read.metadata_props[LAYER]
        grid: dict[str, Any] = {
            key: list(read.attributes[key].as_ints()) for key in ("row_cuts", "col_cuts")
        }
        grid.update({key: int_of(read, key, 1) for key in ("groups", "copies")})
        if scale != 1:
            self.e.metadata[LR_SCALE] = repr(scale)
        x, d = joined(self.e, products)
        name = f"{W.name}.next"
        return self.e.rpu("Update", W, x, d, rate, out=name, name=self.e.scope, **grid)

    def _descended(
        self, W: ir.Value, gradient: ir.Value, rate: ir.Value, layer: str | None
    ) -> ir.Value:
        if layer is not None:
            self.e.metadata[LAYER] = layer
        moved = self.e.op("Mul", gradient, rate)
        return self.e.op("Sub", W, moved, out=f"{W.name}.next", name=self.e.scope)

    def finish(
        self,
        output: ir.Value,
        metrics: tuple[Metric, ...],
        gradients: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Make results of the graph of what the step computes, and write its contract.

        output: the value of the network that is its answer. gradients: where gradients go in, by
        name, unless that follows from the loss. Nodes and constants that the rule appended and
        nothing uses go.
        """
        labels, rate = self._labels, self._rate
        assert rate is not None, "what changes has a rate"
        contract = StepContract(
            inputs=tuple(str(value.name) for value in self.inputs),
            output=str(output.name),
            labels=None if labels is None else str(labels.name),
            rates=(str(rate.name),),
            state={name: str(value.name) for name, value in self._state.items()},
            metrics=metrics,
            mode=self._mode,
            gradients=dict(gradients),
            input_gradients=self._input_gradients,
            draws=self._draws,
        )
        graph = self.e.graph
        made = {str(value.name): value for node in graph for value in node.outputs}
        results = [made[name] for name in contract.computed]
        if not output.is_graph_output():
            graph.outputs.append(output)
        _prune(graph, kept=self._forward, outputs=set(results))
        graph.outputs.extend(results)
        aside = set(self._input_gradients.values())
        _mark_for_input([value for value in graph.outputs if value.name not in aside], graph)
        contract.write(self.e.model)


def parameters(graph: ir.Graph) -> list[ir.Value]:
    """Return the initializers that training changes, in the order of their first use.

    These are the weights of Reads, the digital weights of layers, a bias in an Add right after a
    layer, and the scale and bias of batch norms of the policies "train" and "batch".
    """
    found: dict[ir.Value, None] = {}
    for node in graph:
        if node.op_type == "Read" and node.domain == "rpu":
            candidates = [node.inputs[1]]
        elif node.metadata_props.get(ANALOG) == "0":
            candidates = list(node.inputs)
        elif _adds_to_layer(node):
            # A single number is part of a formula (the 3 of a hard swish), not a bias.
            candidates = [v for v in node.inputs if v is not None and not _is_one_number(v)]
        elif _is_trained_norm(node):
            fixed = node.metadata_props.get(CONSTANT_INPUTS, "").split()
            candidates = [v for at, v in enumerate(node.inputs[1:3], 1) if str(at) not in fixed]
        else:
            continue
        for value in candidates:
            if value is not None and value.is_initializer() and value.dtype in FLOATS:
                found[value] = None
    return list(found)


def _is_trained_norm(node: ir.Node) -> bool:
    return node.metadata_props.get(BATCH_NORM) in ("trained", "batch")


def _check_finite(W: ir.Value) -> None:
    """Raise ModelError for a trained tensor that holds an infinity, as a bias of -inf."""
    tensor = W.const_value
    assert tensor is not None
    infinite = int(np.count_nonzero(~np.isfinite(tensor.numpy())))
    if infinite:
        layer = _layer_of(W) or _batch_norm_of(W) or ""
        raise ModelError(
            f"weight {W.name!r} has {infinite} of {tensor.size} that are infinite, and is trained: "
            f"replace -inf with a large number such as -1e4, freeze its layer (--freeze "
            f"{layer or 'LAYER'}), or put it behind the network, in a Where of its output"
        )


def _is_one_number(value: ir.Value) -> bool:
    return value.shape is not None and all(dim == 1 for dim in value.shape)


def _adds_to_layer(node: ir.Node) -> bool:
    producers = [value.producer() for value in node.inputs if value is not None]
    return node.op_type == "Add" and any(
        producer is not None and LAYER in producer.metadata_props for producer in producers
    )


def _layer_of(W: ir.Value) -> str | None:
    """Return the layer that a digital weight, or a bias added to a layer's result, belongs to."""
    for node in W.consumers():
        nearby = [node, *(value.producer() for value in node.inputs if value is not None)]
        for candidate in nearby:
            if candidate is not None and LAYER in candidate.metadata_props:
                return candidate.metadata_props[LAYER]
    return None


def _batch_norm_of(W: ir.Value) -> str | None:
    """Return the trained batch norm that a weight belongs to: rules match it by its own name."""
    trained = (node for node in W.consumers() if _is_trained_norm(node))
    return next((node.name for node in trained), None)


def _mark_for_input(results: Sequence[ir.Value], graph: ir.Graph) -> None:
    """Mark the Reads that none of the results needs: they draw as if the others were alone."""
    needed = {value.producer() for value in results}
    for node in reversed(graph):
        if node in needed:
            needed.update(value.producer() for value in node.inputs if value is not None)
        elif node.op_type in READS:
            node.metadata_props[FOR_INPUT] = "1"


def _prune(graph: ir.Graph, *, kept: set[ir.Node], outputs: set[ir.Value]) -> None:
    """Remove appended nodes whose results nothing uses, and their initializers."""
    for node in reversed(graph):
        used = any(value.uses() or value in outputs for value in node.outputs)
        if node not in kept and not used and not any(v.is_graph_output() for v in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and value not in outputs:
            del graph.initializers[name]
