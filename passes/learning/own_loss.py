"""A loss of a user's own: an ONNX model of the output and the labels, written into the program.

Its gradient comes from the rules that the network's does. Not for reading the file
(`passes/frontend/source.py`), nor for the losses that have names (`passes/gradients/`).
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common

from rpucc.errors import ModelError, UnsupportedError
from rpucc.layers import NO_LAYER, OF_LOSS
from rpucc.losses import OWN_CLASSES, OWN_TARGETS
from rpucc.passes.frontend.constants import fold_constants
from rpucc.passes.frontend.messages import label_of, node_text, one_line, shape_text
from rpucc.passes.frontend.onnx_tools import infer_shapes
from rpucc.passes.frontend.opset import convert_opset
from rpucc.passes.frontend.rules import enforce
from rpucc.passes.frontend.support import known_domain, no_subgraphs
from rpucc.passes.gradients import GRADIENTS
from rpucc.passes.gradients.backward import dependents, sweep
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.gradients.losses import Loss
from rpucc.passes.graph_reader import CYCLE, known_shape
from rpucc.passes.graph_writer import graph_input
from rpucc.passes.importer import check_file, drop_notes

SIGNATURE = "a loss takes the network's output and the labels, in this order, and gives one number"


def own_loss(e: GradientEmitter, output: ir.Value, model: ir.Model) -> tuple[str, Loss]:
    """Write a loss model behind `output` with its gradient; returns its name in the program, too.

    model: two inputs and one output, a single number. The first input gets `output`, in its type
    and shape. The second says by its type what the labels are: INT64 for classes, of the output's
    shape without its second axis; the output's type for targets, of the output's shape. Sizes that
    the file states have to agree, open ones are taken from the network. The loss should be a mean
    over the batch, as the others are.

    Raises ModelError or UnsupportedError, one line that names the file and its node: an operator
    without a gradient between output and loss, other inputs, another result.
    """
    label = label_of(model)
    body = _normalised(model, label)
    rule = _bound(body, output, label)
    _infer(body, label)
    _check_gradients(body, label)
    labels = body.graph.inputs[1]
    name = "labels" if rule == OWN_CLASSES else "targets"
    given = graph_input(e, name, labels.dtype or ir.DataType.FLOAT, known_shape(labels))
    e.metadata, e.scope = {NO_LAYER: OF_LOSS}, "loss"
    value = _written(e, body, {body.graph.inputs[0]: output, labels: given}, label)
    e.metadata, e.scope = {CYCLE: "backward"}, "loss.grad"
    try:
        found = sweep(e, {value: e.like(value, 1.0)}, [output])
    except (UnsupportedError, AssertionError) as error:
        reason = one_line(error).replace("'loss.", "'")
        raise UnsupportedError(f"loss {label}: {reason}") from error
    return rule, Loss(value, output, found[output], given)


def _normalised(model: ir.Model, label: str) -> ir.Model:
    """A copy at the program's opset, without functions and constant nodes; raises ModelError."""
    body = model.clone()
    drop_notes(body)
    check_file(body)
    try:
        common.InlinePass()(body)
    except (ValueError, ir.passes.InvariantError) as error:
        raise UnsupportedError(f"loss {label}: cannot inline its functions: {error}") from error
    body.functions.clear()
    for node in body.graph:
        where = f"loss {label}: {node_text(node)}"
        enforce((known_domain, no_subgraphs), node, where, UnsupportedError)
    common.RemoveInitializersFromInputsPass()(body)
    convert_opset(body)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(body)
    fold_constants(body)
    body.graph.sort()
    return body


def _bound(body: ir.Model, output: ir.Value, label: str) -> str:
    """Give the inputs the network's types and shapes; returns the name of the loss."""
    inputs, outputs = list(body.graph.inputs), list(body.graph.outputs)
    if (len(inputs), len(outputs)) != (2, 1):
        raise ModelError(
            f"loss {label}: has {len(inputs)} inputs and {len(outputs)} outputs; {SIGNATURE}"
        )
    first, second = inputs
    shape = known_shape(output)
    if first.dtype != output.dtype:
        raise ModelError(
            f"loss {label}: input {first.name!r} is {_type(first)}, but the network's output is "
            f"{_type(output)}; {SIGNATURE}"
        )
    classes = second.dtype == ir.DataType.INT64
    if not classes and second.dtype != output.dtype:
        raise ModelError(
            f"loss {label}: input {second.name!r} is {_type(second)}; labels of classes are int64, "
            f"targets {_type(output)}"
        )
    if shape.rank() < 2:
        raise UnsupportedError(
            f"output {output.name!r}: a loss of your own needs [N, outputs, ...], found {shape}"
        )
    wanted = ir.Shape([shape[0], *list(shape)[2:]]) if classes else shape
    for value, bound in ((first, shape), (second, wanted)):
        _fit(value, bound, label)
        value.shape = bound.copy()
    return OWN_CLASSES if classes else OWN_TARGETS


def _fit(value: ir.Value, wanted: ir.Shape, label: str) -> None:
    """Raise ModelError where the file states another shape than the network gives."""
    stated = value.shape
    if stated is None:
        return
    pairs = zip(stated, wanted, strict=False)
    fits = stated.rank() == wanted.rank() and all(
        a == b or not isinstance(a, int) or not isinstance(b, int) for a, b in pairs
    )
    if not fits:
        raise ModelError(
            f"loss {label}: input {value.name!r} is {shape_text(_dims(stated))}, but of this "
            f"network it gets {shape_text(_dims(wanted))}; leave sizes open that may differ"
        )


def _infer(body: ir.Model, label: str) -> None:
    """Give every value the type and the shape that follow from the inputs; raises ModelError."""
    try:
        found = infer_shapes(body)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise ModelError(f"loss {label}: its shapes do not fit: {one_line(error)}") from error
    for value in (value for node in body.graph for value in node.outputs):
        known = found.get(str(value.name))
        if known is not None:
            value.dtype = known.dtype
            value.shape = None if known.dims is None else ir.Shape(known.dims)


def _check_gradients(body: ir.Model, label: str) -> None:
    """Raise UnsupportedError for an operator on the way from output to loss that has no rule."""
    moved = dependents(body.graph, [body.graph.inputs[0]])
    needed = set(body.graph.outputs)
    for node in reversed(body.graph):
        if not needed.intersection(node.outputs):
            continue
        needed.update(value for value in node.inputs if value in moved)
        on_the_way = any(value in moved for value in node.inputs)
        if on_the_way and node.op_type not in GRADIENTS and moved.intersection(node.outputs):
            raise UnsupportedError(
                f"loss {label}: {node_text(node)}: no gradient rule for this op, and the loss "
                "depends on the network's output through it; write it in other operators"
            )
    (result,) = body.graph.outputs
    if result not in moved or result.producer() is None:
        raise ModelError(
            f"loss {label}: its result {result.name!r} does not depend on the network's output by "
            f"floating-point operations; {SIGNATURE}"
        )


def _written(
    e: GradientEmitter, body: ir.Model, known: dict[ir.Value, ir.Value], label: str
) -> ir.Value:
    """Write the nodes of the loss into the program, called loss.NAME; returns the scalar `loss`."""
    for value in body.graph.initializers.values():
        assert value.const_value is not None
        known[value] = e.initializer(f"loss.{value.name}", value.const_value.numpy())
    (result,) = body.graph.outputs
    for node in body.graph:
        inputs = [None if value is None else known[value] for value in node.inputs]
        names = [f"loss.{value.name}" if value.name else "" for value in node.outputs]
        own = node.name or node.op_type.lower()
        try:
            attributes: dict[str, Any] = dict(node.attributes)
            made = e.ops(node.op_type, *inputs, outputs=names, name=f"loss.{own}", **attributes)
        except (onnx.shape_inference.InferenceError, onnx.defs.SchemaError) as error:
            raise ModelError(f"loss {label}: {node_text(node)}: {one_line(error)}") from error
        for old, new in zip(node.outputs, made, strict=True):
            known[old] = new
            new.shape = new.shape if old.shape is None else old.shape.copy()
    value = known[result]
    shape = value.shape
    if shape is None or any(dim != 1 for dim in shape):
        raise ModelError(
            f"loss {label}: its result {result.name!r} is {shape_text(_dims(shape))}; {SIGNATURE} "
            "(ReduceMean without axes and with keepdims=0)"
        )
    value = e.op("Squeeze", value) if shape.rank() else value
    value.name = e.unique("loss")
    return value


def _dims(shape: ir.Shape | None) -> list[object] | None:
    if shape is None:
        return None
    return [dim if isinstance(dim, int) else dim.value for dim in shape]


def _type(value: ir.Value) -> str:
    return "of no type" if value.dtype is None else value.dtype.name.lower()
