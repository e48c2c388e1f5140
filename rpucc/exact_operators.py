"""Which operators of ONNX give the same bits on every processor, however they are computed.

They move, compare or choose elements, or round once. What else onnxruntime computes depends on the
instructions that it chooses by the processor, which nobody can hold it from. Not for what the
runtime computes itself: that is `rpucc.portable`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from rpucc.listed import shortened

EXACT = frozenset(
    """
    Shape Size Reshape Flatten Squeeze Unsqueeze Transpose Identity Expand Tile Concat Split Slice
    Pad Gather GatherElements GatherND Scatter ScatterElements ScatterND DepthToSpace SpaceToDepth
    ReverseSequence Compress NonZero Unique Where OneHot EyeLike Trilu Range Constant
    ConstantOfShape Cast CastLike Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Xor
    BitShift BitwiseAnd BitwiseOr BitwiseNot BitwiseXor IsNaN IsInf Sign Abs Neg Floor Ceil Round
    Max Min Clip Relu ArgMax ArgMin ReduceMax ReduceMin TopK Hardmax MaxPool GlobalMaxPool
    MaxRoiPool Add Sub Mul Div
    """.split()  # noqa: SIM905
)


def inexact(nodes: Iterable[ir.Node]) -> list[str]:
    """Return the names of nodes whose bits depend on the processor, with their operators."""
    return [f"{node.name} ({node.op_type})" for node in nodes if node.op_type not in EXACT]


def not_held(names: list[str]) -> str:
    """The line about them in a portable process."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"portable, but {shortened(names)} {verb} computed by onnxruntime, which chooses its "
        "instructions by the processor: other machines may round otherwise there"
    )
