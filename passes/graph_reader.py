"""Reading a program's graph: what passes write on nodes, and what is known of values.

Not for writing: `graph_writer.py`.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

LAYER = "rpucc.layer"
"""Node metadata: the name of the original Conv, Gemm or MatMul that the node came from."""

CYCLE = "rpucc.cycle"
"""Node metadata: forward, backward or update."""

ANALOG = "rpucc.analog"
"""Node metadata of a layer: "1" where its weights live on arrays, "0" where they stay digital."""


FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
"""What values that learn, or that a gradient flows through, may be."""


def known_shape(value: ir.Value) -> ir.Shape:
    """Return a value's shape, whose rank at least must be known."""
    if value.shape is None:
        raise AssertionError(f"value {value.name!r} has no shape: run shape inference first")
    return value.shape


def static_dims(value: ir.Value, first: int = 0) -> list[int]:
    """Return the dimensions from `first` on, which must be numbers."""
    dims = known_shape(value).dims[first:]
    assert all(isinstance(dim, int) for dim in dims), f"value {value.name!r} is dynamic: {dims}"
    return [dim for dim in dims if isinstance(dim, int)]


def constant_of(value: ir.Value | None) -> np.ndarray | None:
    """Return the array of an initializer or Constant node, None for anything else."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def int_of(node: ir.Node, name: str, default: int) -> int:
    """Return an INT attribute of `node`, or `default` where it is absent."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()
