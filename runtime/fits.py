"""What kernels take for granted about their arrays, checked once where an instruction is made.

Kernels index without bounds checks, and the shapes of a program that was read are a file's word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.errors import ModelError

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.runtime.executor import Executor


def require(node: ir.Node, holds: bool, what: str) -> None:
    """Raise ModelError, one line that names the node, unless the arrays of an instruction fit."""
    if not holds:
        raise ModelError(f"node '{node.name}' ({node.op_type}): a damaged program: {what}")


def check_stated(executor: Executor, node: ir.Node) -> None:
    """Hold that a node's results are what the program states: later instructions rely on it.

    onnxruntime's are taken as they come: it and ONNX's shape inference differ about windows in
    ceil_mode.
    """
    for value in node.outputs:
        stated = executor.shape(value)
        if value.dtype is None or stated is None or str(value.name) not in executor:
            continue
        array = executor.array(value)
        require(
            node,
            array.shape == stated and array.dtype == value.dtype.numpy(),
            f"its result is {array.dtype}{list(array.shape)}, but {value.name!r} is stated as "
            f"{value.dtype.name}{value.shape}",
        )
