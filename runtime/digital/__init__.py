"""Standard ONNX operators: NumPy and Numba for those CNNs spend time in, onnxruntime for the rest.

`build_digital` makes the instruction of a node. Native builders are rows of the table NATIVE, one
small function each; an operator without a row (or with a case its row declines) runs as a one-op
onnxruntime session, so every operator that ONNX has works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.runtime.digital.elementwise import ELEMENTWISE
from rpucc.runtime.digital.pooling import POOLING
from rpucc.runtime.digital.session import build_session
from rpucc.runtime.digital.shape import SHAPE
from rpucc.runtime.digital.softmax import SOFTMAX
from rpucc.runtime.fits import check_stated

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction

NATIVE = {**ELEMENTWISE, **POOLING, **SHAPE, **SOFTMAX}


def build_digital(executor: Executor, node: ir.Node) -> Instruction | None:
    """The instruction of a standard operator; None where a view or a constant is enough."""
    builder = NATIVE.get(node.op_type) if node.domain == "" else None
    if builder is not None and builder.accepts(executor, node):
        instruction = builder.build(executor, node)
        check_stated(executor, node)
        return instruction
    return build_session(executor, node)
