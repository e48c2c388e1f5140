"""The values of a program: types, shapes and the numbers of its constants.

Not for what a layer's matrix must be: `layers.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import onnx.defs
import onnx_ir as ir

from rpucc.opset import DOMAIN, OPS, OPSET

NEWEST_OPSET = onnx.defs.onnx_opset_version()
MOST_AXES = 16
MOST_ELEMENTS = 2**40
"""Of one value of one sample; a program that has more is a slip or an attack."""

TYPES = (
    *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BOOL),
    *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
    *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
)
"""What values of a program may be: what NumPy has too."""

_SYMBOL = re.compile(r"[A-Za-z_]\w*(\*[1-9]\d{0,8})?")


def value_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with values and constants, one line each."""
    opset = model.opset_imports.get("")
    if opset is None or not OPSET <= opset <= NEWEST_OPSET:
        yield f"imports the operator set {opset}; programs use {OPSET} to {NEWEST_OPSET}"
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs if v.name)]
    for value in values:
        yield from _shape_problems(value)
    for node in model.graph:
        if node.domain == DOMAIN:
            yield from _rpu_type_problems(node)
    for name, value in model.graph.initializers.items():
        yield from _constant_problems(name, value)


def _shape_problems(value: ir.Value) -> Iterator[str]:
    where = f"value {value.name!r}"
    if not isinstance(value.type, ir.TensorType) or value.shape is None:
        yield f"{where}: has no type and shape of a tensor"
        return
    if value.dtype not in TYPES:
        yield f"{where}: has the type {value.dtype}, which no program has"
        return
    dims = list(value.shape)
    numbers = [dim for dim in dims if isinstance(dim, int)]
    symbols = [str(dim.value) for dim in dims if not isinstance(dim, int) and dim.value is not None]
    if len(dims) > MOST_AXES or any(number < 0 for number in numbers):
        yield f"{where}: has an impossible shape {value.shape}"
    elif math.prod(numbers) > MOST_ELEMENTS:
        yield f"{where} {value.shape}: has more than 2^40 elements a sample"
    elif not all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
        yield f"{where} {value.shape}: a dimension is neither a number nor a symbol"


def _rpu_type_problems(node: ir.Node) -> Iterator[str]:
    spec = OPS[node.op_type]
    formal = (*zip(node.inputs, spec.inputs), *zip(node.outputs, spec.outputs))  # noqa: B905
    for value, name in formal:
        wanted = ir.DataType.INT64 if spec.is_integer(name) else ir.DataType.FLOAT
        wanted = ir.DataType.BOOL if name in spec.flags else wanted
        if value is not None and value.name and value.dtype != wanted:
            found = "none" if value.dtype is None else value.dtype.name
            yield (
                f"node {node.name!r} ({node.op_type}): {value.name!r} has the type {found}; arrays "
                f"work on FLOAT, count in INT64, and keep masks in BOOL: here {wanted.name}"
            )


def _constant_problems(name: str, value: ir.Value) -> Iterator[str]:
    where = f"constant {name!r}"
    tensor = value.const_value
    if tensor is None:
        yield f"{where}: has no data"
        return
    try:
        numbers = tensor.numpy()
    except Exception as error:  # noqa: BLE001  onnx-ir raises many classes for data that do not fit
        yield f"{where}: its data cannot be read: {error}"
        return
    if numbers.dtype.kind not in "biuf":
        yield f"{where}: has the type {tensor.dtype.name}; constants are real numbers"
    elif numbers.dtype.kind == "f" and bool(np.isnan(numbers).any()):
        yield f"{where}: holds NaN"
