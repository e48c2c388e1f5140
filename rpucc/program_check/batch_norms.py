"""Batch norms of a program: what a step moves, and variances that are none.

Not for attributes and numbers of inputs (`attributes.py`), nor for their modes (`step_inputs.py`),
nor for shapes, which onnx infers.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from rpucc.batch_norms import (
    epsilon_of,
    is_batch_norm,
    running_statistics,
    source_of,
    variance_problem,
)
from rpucc.step_contract import StepContract


def batch_norm_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the batch norms, one line each; needs a sound step contract."""
    step = StepContract.of(model)
    for node in filter(is_batch_norm, model.graph):
        where = f"node {node.name!r} ({node.op_type})"
        yield from (f"{where}: {problem}" for problem in _variance_problems(model, node))
    for old, new in running_statistics(model.graph).items():
        found = step.state.get(str(old.name))
        if found != new.name:
            yield (
                f"the running statistic {old.name!r} becomes {new.name!r}; the state of the step "
                f"contract says {found!r}"
            )


def _variance_problems(model: ir.Model, node: ir.Node) -> Iterator[str]:
    name = source_of(node.inputs[4])
    value = model.graph.initializers.get(name)
    if value is None or value.const_value is None:
        return
    if problem := variance_problem(value.const_value.numpy(), epsilon_of(node)):
        yield f"variance {name!r} {problem}"
