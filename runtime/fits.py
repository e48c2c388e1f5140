"""What kernels take for granted about their arrays, checked once where an instruction is made.

Kernels index without bounds checks, and the shapes of a program that was read are a file's word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.errors import ModelError

if TYPE_CHECKING:
    import onnx_ir as ir


def require(node: ir.Node, holds: bool, what: str) -> None:
    """Raise ModelError, one line that names the node, unless the arrays of an instruction fit."""
    if not holds:
        raise ModelError(f"node '{node.name}' ({node.op_type}): a damaged program: {what}")
