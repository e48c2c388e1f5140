"""A backend: what runs a program, as a table from operators and chains to instruction builders.

`cpu.py` is the one that rpucc has. How to write and test another: docs/backends.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from rpucc.errors import RpuccError
from rpucc.opset import DOMAIN, OPS
from rpucc.runtime.builder import Builder, Instruction, Shapes
from rpucc.runtime.chains import Chain

BuildNode = Callable[[Builder, ir.Node], Instruction | None]
"""Makes the instruction of a node; None where a view or a constant is enough."""


def floats_only(shapes: Shapes, node: ir.Node) -> bool:
    """All inputs are float32."""
    return all(shapes.array(v).dtype == np.float32 for v in node.inputs if v is not None)


@dataclass(frozen=True)
class Native:
    """A standard operator that a backend runs itself: `build`, for nodes that `accepts` admits."""

    build: BuildNode
    accepts: Callable[[Shapes, ir.Node], bool] = floats_only


@dataclass(frozen=True)
class Backend:
    """A table of builders.

    rpu: by the operators of the rpu domain, but for Read and its neighbours: they occur in chains.
    One without a row that is `exact` is its ideal body, made by `other`.
    standard: by ONNX's operators; what has no row, or a case that its row declines, is made by
    `other`, which takes every operator.
    chains: by the kind of chain; `ReadChain` is needed, Turn and Slope go together, and a program
    runs without the others.
    """

    name: str
    rpu: Mapping[str, BuildNode]
    standard: Mapping[str, Native]
    other: BuildNode
    chains: Mapping[type[Chain], Callable[[Builder, Any], Instruction | None]]

    def builder_of(self, shapes: Shapes, node: ir.Node) -> BuildNode | None:
        """What makes the instruction of a node outside chains; None if `other` has to."""
        if node.domain == DOMAIN:
            build = self.rpu.get(node.op_type)
            if build is None and not OPS[node.op_type].exact:
                raise RpuccError(
                    f"node '{node.name}' ({node.op_type}): the backend {self.name} cannot run it"
                )
            return build
        row = self.standard.get(node.op_type) if node.domain == "" else None
        return row.build if row is not None and row.accepts(shapes, node) else None
