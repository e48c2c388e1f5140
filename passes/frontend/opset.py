"""Bring a model to the program's opset."""

from __future__ import annotations

import re

import onnx
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.opset import OPSET
from rpucc.passes.frontend.constants import add_initializer, constant, value_names
from rpucc.passes.frontend.messages import label_of, one_line
from rpucc.passes.frontend.onnx_tools import convert_version, infer_shapes


def convert_opset(model: ir.Model) -> None:
    """Convert opsets below the program's to it; newer ones stay.

    Where onnx has no adapter for an op, the model is refused: a program needs opset 21, and an op
    that changed its meaning in between would be misread. Raises UnsupportedError, which names the
    op and both versions.
    """
    version = model.graph.opset_imports[""]
    if version >= OPSET:
        return
    if version < 7:
        _shape_channel_slopes(model)
    try:
        convert_version(model, OPSET)
    except Exception as error:
        op = _failing_op(model, str(error), version)
        raise UnsupportedError(
            f"{label_of(model)}: {op} cannot be converted from opset {version} to {OPSET}: export "
            f"the network with opset {OPSET} or newer ({one_line(error)})"
        ) from error


def _shape_channel_slopes(model: ir.Model) -> None:
    """Write a PRelu's slope [C] as [C, 1, ...]: before opset 7 it was meant so, now it broadcasts.

    onnx's converter leaves it as it is, which a square image would hide.
    """
    shapes, names = infer_shapes(model, strict=False), value_names(model)
    for node in [node for node in model.graph if node.op_type == "PRelu"]:
        x, slope = node.inputs
        known = shapes.get(str(x.name)) if x is not None else None
        array = constant(slope)
        if known is None or known.dims is None or slope is None or array is None:
            continue
        if array.ndim == 1 and array.size > 1:
            column = array.reshape(-1, *[1] * (len(known.dims) - 2))
            own = add_initializer(model, names.unique(str(slope.name)), column)
            node.replace_input_with(1, own)


def _failing_op(model: ir.Model, message: str, version: int) -> str:
    """Name the op: the one that the message names, else those that changed in between."""
    ops = {node.op_type for node in model.graph if node.domain == ""}
    named = [op for op in re.findall(r"\w+", message) if op in ops]
    if named:
        return f"op {named[-1]}"
    changed = sorted(op for op in ops if _since(op, version) != _since(op, OPSET))
    return f"the model (ops that changed: {', '.join(changed)})" if changed else "the model"


def _since(op: str, version: int) -> int:
    """The opset that last changed the op; 0 where it does not exist at that version."""
    try:
        return int(onnx.defs.get_schema(op, version).since_version)
    except onnx.defs.SchemaError:
        return 0
