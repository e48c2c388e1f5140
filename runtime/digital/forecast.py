"""Whether a node will run natively or through onnxruntime, told from shapes before any run.

Asks the rows of the table NATIVE the question that an executor asks them, with arrays that have a
shape and a type but no memory. Not for making instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.runtime.cpu import CPU


def runs_natively(node: ir.Node) -> bool:
    """Whether the CPU backend runs this node itself; its shapes must be known."""
    return CPU.builder_of(_Shapes(), node) is not None


class _Shapes:
    """What a row of the table may ask an executor, for a batch of one."""

    def shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """The shape, with 1 for the batch."""
        if value.shape is None:
            return None
        return tuple(dim if isinstance(dim, int) else 1 for dim in value.shape)

    def array(self, value: ir.Value | None) -> NDArray[Any]:
        """An array of the value's shape and type; all its elements are one."""
        assert value is not None
        dtype = np.float32 if value.dtype is None else value.dtype.numpy()
        shape = tuple(value.const_value.shape.numpy()) if value.const_value else self.shape(value)
        return np.broadcast_to(np.zeros((), dtype), shape or ())

    def constant(self, value: ir.Value | None) -> NDArray[Any] | None:
        """The numbers of an initializer; None for what a run computes."""
        if value is None or value.const_value is None or not value.is_initializer():
            return None
        return value.const_value.numpy()
