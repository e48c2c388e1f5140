"""What the rows of the table of native operators ask of a node before they take it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rpucc.runtime.builder import Shapes


def always(shapes: Shapes, node: ir.Node) -> bool:
    """Every case of the operator."""
    return True


def constants_of(shapes: Shapes, node: ir.Node, index: int) -> list[int] | None:
    """Input `index` as integers if it is constant; None where it is absent or varies."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return None
    value = shapes.constant(node.inputs[index])
    return None if value is None else [int(v) for v in np.atleast_1d(value)]
