"""What instructions ask about the mode that a program has, where it has one."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.runtime.builder import Builder
from rpucc.runtime.fits import require


def is_training(builder: Builder, node: ir.Node, mode: ir.Value | None) -> bool:
    """Whether steps train, by the input of a node that says so; it is the same in every step."""
    found = builder.constant(mode)
    if found is None:
        require(node, False, "its mode is no input that the step contract names as the mode")
        raise AssertionError
    require(node, found.size == 1, f"its mode has {found.size} numbers")
    return bool(found.reshape(-1)[0] > 0)
