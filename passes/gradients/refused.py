"""Ops that could be differentiated but are not, refused with the reason."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.gradients.context import Found, GradientEmitter, Gradients, input_of, refuse
from rpucc.passes.graph_reader import constant_of


def convolution(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Refused: only convolutions with constant weights become matrices that can be trained."""
    kernel = input_of(node, 1)
    if constant_of(kernel) is None:
        refuse(node, f"its kernel {kernel.name!r} is computed, not constant")
    refuse(node, "it was not unrolled into a matrix")
