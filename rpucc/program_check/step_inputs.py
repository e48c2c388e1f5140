"""Inputs of nodes that the step contract names: a mode and draws come from nowhere else.

Not for the inputs themselves, their types and shapes: `step.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from rpucc.op_spec import DOMAIN
from rpucc.step_contract import StepContract

NAMED: dict[str, dict[int, str]] = {
    "BatchNorm": {5: "mode"},
    "BatchNormGradient": {5: "mode"},
    "Drop": {1: "mode", 2: "draws"},
}
"""Op -> the input by its place -> the key of the step contract that names it."""


def step_input_problems(model: ir.Model) -> Iterator[str]:
    """Yield the nodes with another mode, or others' draws; needs a sound step contract."""
    step = StepContract.of(model)
    for node in model.graph:
        for index, key in NAMED.get(node.op_type, {}).items() if node.domain == DOMAIN else ():
            value, expected = node.inputs[index], getattr(step, key)
            found = None if value is None else value.name
            if expected is None or found != expected:
                yield (
                    f"node {node.name!r} ({node.op_type}): has {found!r} for its {key}; the step "
                    f"contract has {expected!r}"
                )
