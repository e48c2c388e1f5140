"""What a native operator is: when it applies, and how its instruction is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction


def floats_only(executor: Executor, node: ir.Node) -> bool:
    """All inputs are float32."""
    return all(executor.array(v).dtype == np.float32 for v in node.inputs if v is not None)


def always(executor: Executor, node: ir.Node) -> bool:
    """Every case of the operator."""
    return True


@dataclass(frozen=True)
class Native:
    """A native operator: `build` makes the instruction of a node that `accepts` admits."""

    build: Callable[[Executor, ir.Node], Instruction | None]
    accepts: Callable[[Executor, ir.Node], bool] = floats_only


def constants_of(executor: Executor, node: ir.Node, index: int) -> list[int] | None:
    """Input `index` as integers if it is constant; None where it is absent or varies."""
    if index >= len(node.inputs) or node.inputs[index] is None:
        return None
    value: Any = executor.constant(node.inputs[index])
    return None if value is None else [int(v) for v in np.atleast_1d(value)]
