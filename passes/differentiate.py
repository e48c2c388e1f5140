"""Append the loss, the backward cycle and the update cycle: the program of one training step.

The rules are in `gradients/`, the sweep over the graph in `gradients/sweep.py`; not for how an
update is done on arrays, which assign_update decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import onnx_ir as ir

from rpucc import arguments
from rpucc.constant_weights import by_op, digital_weights
from rpucc.errors import ModelError, UnsupportedError
from rpucc.layers import LR_SCALE
from rpucc.passes.base import RpuPass
from rpucc.passes.emit import ANALOG, CYCLE, LAYER, int_of, known_shape
from rpucc.passes.fold_batchnorm import BATCH_NORM
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.gradients.array import joined
from rpucc.passes.gradients.context import GradientEmitter, ReadUpdate
from rpucc.passes.gradients.losses import BINARY, LOSSES, Loss, graph_input
from rpucc.passes.gradients.sweep import FLOATS, sweep

if TYPE_CHECKING:
    from rpucc.target import Target

_SHAPE_ONLY = ("Identity", "Reshape", "Flatten", "Squeeze")


@dataclass(frozen=True)
class Differentiate(RpuPass):
    """Append loss, gradients and updates, so that one run of the graph is one SGD step.

    Requires: unrolled layers (training form), known shapes, one output (or `rpucc.output` naming
    it). Leaves behind: graph inputs `labels` (int64) or `targets` (float) and `lr`; graph outputs
    `loss` and, for each trained weight W, `W.next`; the logits as an output where the model ends
    in a softmax, and the probabilities where a change of shape follows a sigmoid. Trained are the
    weights of Reads (by rpu Update) and the digital weights and biases of layers (W - lr·grad),
    each with `lr` times its layer's `update.lr_scale` (also in the Update's metadata where it is
    not 1); all other constants are frozen. The gradient of a value v is called `v.grad`; MaxPools
    got their Indices output. Model metadata: rpucc.input, output, loss, loss_value, labels, lr and
    updates (JSON, weight name to the name of its new value).

        before: part = Read(x, W); y = ReduceSum(part, -2)
        after:  … loss = SoftmaxCrossEntropyLoss(y, labels); y.grad = …;
                W.next = Update(W, x, y.grad, lr)
    """

    target: Target
    loss: str = "auto"
    problems: Problems = field(default_factory=Problems, repr=False, compare=False)

    name: ClassVar[str] = "differentiate"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Append the training step; a model that cannot be trained raises ModelError."""
        if self.loss not in ("auto", *LOSSES):
            raise arguments.wrong("loss", self.loss, f"one of auto, {', '.join(LOSSES)}")
        model.graph.sort()
        forward = list(model.graph)
        sources = parameters(model.graph)
        if not sources:
            raise ModelError(
                f"the model has nothing to train: {_why_nothing(model)}; compile with --inference"
            )
        e = GradientEmitter(model)
        output = _output(model, self.problems)
        loss_name = _loss_of(output) if self.loss == "auto" else self.loss
        if loss_name == "cross-entropy":
            output = _logits(e, output)
        elif loss_name == BINARY:
            output = _probabilities(output)
        loss = LOSSES[loss_name](e, output)
        lr = graph_input(e, "lr", output.dtype or ir.DataType.FLOAT, ir.Shape([]))
        gradients = sweep(e, {loss.at: loss.gradient}, sources, self.problems)
        self.problems.gate()
        updates = _emit_updates(e, gradients, sources, lr, self.target)
        _prune(model.graph, kept=set(forward), outputs={loss.value, *updates.values()})
        if not output.is_graph_output():
            model.graph.outputs.append(output)
        model.graph.outputs.extend([loss.value, *updates.values()])
        _describe(model, loss_name, output, loss, lr, updates)
        return ir.passes.PassResult(model, modified=True)


def _why_nothing(model: ir.Model) -> str:
    """Say what there is in the place of layers with constant weights."""
    weights = by_op(digital_weights(model))
    if not weights:
        return "it has no constant weights"
    ops = ", ".join(f"{op} {count:,}" for op, count in weights.items())
    return (
        f"its {sum(weights.values()):,} constant weights are in no layer ({ops}); layers are Conv, "
        "ConvTranspose, Gemm, MatMul and the Einsums that are one of those"
    )


def parameters(graph: ir.Graph) -> list[ir.Value]:
    """Return the initializers that training changes, in the order of their first use.

    These are the weights of Reads, the digital weights of layers, a bias in an Add right after a
    layer, and the scale and bias of batch norms of policy "train".
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
        elif node.metadata_props.get(BATCH_NORM) == "trained":
            candidates = list(node.inputs[1:3])
        else:
            continue
        for value in candidates:
            if value is not None and value.is_initializer() and value.dtype in FLOATS:
                found[value] = None
    return list(found)


def _is_one_number(value: ir.Value) -> bool:
    return value.shape is not None and all(dim == 1 for dim in value.shape)


def _adds_to_layer(node: ir.Node) -> bool:
    producers = [value.producer() for value in node.inputs if value is not None]
    return node.op_type == "Add" and any(
        producer is not None and LAYER in producer.metadata_props for producer in producers
    )


def _output(model: ir.Model, problems: Problems) -> ir.Value:
    """Return the value that the loss is about; one of several only where problems collect."""
    outputs = list(model.graph.outputs)
    wanted = model.metadata_props.get("rpucc.output")
    named = [value for value in outputs if value.name == wanted]
    if named:
        return named[0]
    if len(outputs) != 1:
        names = ", ".join(str(value.name) for value in outputs)
        problems.add(
            UnsupportedError(
                f"the model has {len(outputs)} outputs ({names}); training needs exactly one; keep "
                "the one that the labels are about"
            )
        )
    return outputs[0]


def _loss_of(output: ir.Value) -> str:
    """Return the loss that "auto" stands for: cross-entropy over one class would always be 0."""
    last = _probabilities(output)
    shape = last.shape
    if shape is None or shape.rank() < 2 or shape[1] != 1:
        return "cross-entropy"
    node = last.producer()
    return BINARY if node is not None and node.op_type == "Sigmoid" else "mse"


def _probabilities(output: ir.Value) -> ir.Value:
    """Return what a final Sigmoid gives, before the changes of shape behind it; else `output`."""
    value = _before_shapes(output)
    node = value.producer()
    return value if node is not None and node.op_type == "Sigmoid" else output


def _before_shapes(output: ir.Value) -> ir.Value:
    """Return the value that the output is but for changes of shape."""
    value, node = output, output.producer()
    while node is not None and node.op_type in _SHAPE_ONLY and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _logits(e: GradientEmitter, output: ir.Value) -> ir.Value:
    """Return [N, K] (or [N, K, *space]) before a final softmax; trailing dimensions of 1 go."""
    value = _before_shapes(output)
    node = value.producer()
    if node is None or node.op_type not in ("Softmax", "LogSoftmax"):
        logits = output
    else:
        assert node.inputs[0] is not None
        logits = node.inputs[0]
        rank = known_shape(logits).rank()
        if int_of(node, "axis", -1) % rank != 1:
            raise UnsupportedError(
                f"node {node.name!r} ({node.op_type}): cross-entropy needs the classes on axis 1, "
                f"found axis {int_of(node, 'axis', -1)} of {known_shape(logits)}; transpose the "
                "output, or compile with loss = mse"
            )
        if value is not output and not _same_but_ones(value, output):
            raise UnsupportedError(
                f"output {output.name!r}: it reshapes the {node.op_type} {node.name!r} from "
                f"{value.shape} to {output.shape}; end the model at the {node.op_type}"
            )
    shape = known_shape(logits)
    if shape.rank() > 2 and all(dim == 1 for dim in shape.dims[2:]):
        e.metadata = {CYCLE: "forward"}
        logits = e.op("Flatten", logits, name="logits", out="logits", axis=1)
        logits.shape = ir.Shape(shape.dims[:2])
    return logits


def _same_but_ones(before: ir.Value, after: ir.Value) -> bool:
    """Whether a reshape only adds or drops trailing dimensions of 1, or does nothing."""
    return _without_trailing_ones(before) == _without_trailing_ones(after)


def _without_trailing_ones(value: ir.Value) -> list[int | ir.SymbolicDim]:
    dims = list(known_shape(value).dims)
    while len(dims) > 2 and dims[-1] == 1:
        dims.pop()
    return dims


def _emit_updates(
    e: GradientEmitter,
    gradients: dict[ir.Value, ir.Value],
    sources: list[ir.Value],
    lr: ir.Value,
    target: Target,
) -> dict[str, ir.Value]:
    """Emit each trained weight's new value; return weight name to new value, in graph order."""
    reads: dict[ir.Value, list[ReadUpdate]] = {}
    for update in reversed(e.updates):  # the order of the forward cycle
        reads.setdefault(update.weight, []).append(update)

    @cache
    def rate(scale: float) -> ir.Value:
        if scale == 1:
            return lr
        e.scope = "lr"
        return e.op("Mul", lr, e.constant(scale, lr.dtype or ir.DataType.FLOAT), out="lr.scaled")

    updated: dict[str, ir.Value] = {}
    for W in sources:
        name = W.name or ""
        layer = _layer_of(W)
        scale = target.for_layer(_batch_norm_of(W) or layer or "").update.lr_scale
        e.metadata = {CYCLE: "update"}
        own_lr = rate(scale)
        e.scope = f"{name}.update"
        if W in reads:
            read = reads[W][0].read
            e.metadata[LAYER] = read.metadata_props[LAYER]
            grid: dict[str, Any] = {
                key: list(read.attributes[key].as_ints()) for key in ("row_cuts", "col_cuts")
            }
            grid.update({key: int_of(read, key, 1) for key in ("groups", "copies")})
            if scale != 1:
                e.metadata[LR_SCALE] = repr(scale)
            x, d = joined(e, reads[W])
            operands = (W, x, d, own_lr)
            new = e.rpu("Update", *operands, out=f"{name}.next", name=e.scope, **grid)
        elif W in gradients:
            if layer is not None:
                e.metadata[LAYER] = layer
            step = e.op("Mul", gradients[W], own_lr)
            new = e.op("Sub", W, step, out=f"{name}.next", name=e.scope)
        else:
            continue
        new.shape = known_shape(W).copy()
        updated[name] = new
    if not updated:
        raise ModelError(
            "the model has nothing to train: its output does not depend on any layer's weights"
        )
    return updated


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
    trained = (n for n in W.consumers() if n.metadata_props.get(BATCH_NORM) == "trained")
    return next((node.name for node in trained), None)


def _prune(graph: ir.Graph, *, kept: set[ir.Node], outputs: set[ir.Value]) -> None:
    """Remove appended nodes whose results nothing uses, and their initializers."""
    for node in reversed(graph):
        used = any(value.uses() or value in outputs for value in node.outputs)
        if node not in kept and not used and not any(v.is_graph_output() for v in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and value not in outputs:
            del graph.initializers[name]


def _describe(
    model: ir.Model,
    loss_name: str,
    output: ir.Value,
    loss: Loss,
    lr: ir.Value,
    updates: dict[str, ir.Value],
) -> None:
    """Write the model metadata by which the runtime finds its way."""
    inputs = [value for value in model.graph.inputs if value not in (loss.labels, lr)]
    model.metadata_props.setdefault("rpucc.input", inputs[0].name or "")
    model.metadata_props.update(
        {
            "rpucc.output": output.name or "",
            "rpucc.loss": loss_name,
            "rpucc.loss_value": loss.value.name or "",
            "rpucc.labels": loss.labels.name or "",
            "rpucc.lr": lr.name or "",
            "rpucc.updates": json.dumps({name: value.name for name, value in updates.items()}),
        }
    )
