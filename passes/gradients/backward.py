"""Reverse-mode differentiation of a graph: one backward sweep over its nodes.

Each rule is one function of the GRADIENTS table; the sweep decides which values need a gradient,
adds up the contributions of several uses and names the results `<value>.grad`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.gradients import GRADIENTS
from rpucc.passes.gradients.context import GradientEmitter, Rule
from rpucc.passes.graph_reader import CYCLE, FLOATS, LAYER


def dependents(graph: ir.Graph, sources: Iterable[ir.Value]) -> set[ir.Value]:
    """Return `sources` and every floating-point value computed from them."""
    found = set(sources)
    for node in graph:
        if any(value in found for value in node.inputs):
            found.update(value for value in node.outputs if value.dtype in FLOATS)
    return found


def sweep(
    e: GradientEmitter,
    seeds: Mapping[ir.Value, ir.Value],
    sources: Iterable[ir.Value],
    problems: Problems | None = None,
) -> dict[ir.Value, ir.Value]:
    """Emit the backward nodes from `seeds` (value to gradient) to `sources`.

    Requires a topologically sorted graph. Returns the gradient of each source that has one; the
    weight of a Read has none, its outer product is in `e.products`. An op without a rule raises
    UnsupportedError, or is added to `problems`, and the sweep goes on to find more.
    """
    problems = problems or Problems()
    sources = list(sources)
    nodes = list(e.graph)
    e.wanted = dependents(e.graph, sources)
    pending = {value: [gradient] for value, gradient in seeds.items()}
    for node in reversed(nodes):
        if not any(value in e.wanted for value in node.inputs):
            continue
        if not any(value in pending for value in node.outputs):
            continue
        e.scope = f"{node.name}.grad"
        e.metadata = {CYCLE: "backward"}
        if LAYER in node.metadata_props:
            e.metadata[LAYER] = node.metadata_props[LAYER]
        gradients = [_total(e, value, pending) for value in node.outputs]
        try:
            found = _rule(node)(e, node, gradients)
        except UnsupportedError as error:
            problems.add(error)
            # Stand-ins of the right shapes: no program comes of them.
            found = [e.op("Identity", v) if v in e.wanted else None for v in node.inputs]
        for value, gradient in zip(node.inputs, found, strict=False):
            if value in e.wanted and gradient is not None:
                pending.setdefault(value, []).append(gradient)
    totals = {value: _total(e, value, pending) for value in sources}
    return {value: total for value, total in totals.items() if total is not None}


def _rule(node: ir.Node) -> Rule:
    rule = GRADIENTS.get(node.op_type)
    if rule is None:
        raise UnsupportedError(
            f"node {node.name!r} ({node.op_type}): no gradient rule for this op, and trained "
            "layers lie before it; compile with --inference, or replace it in the model"
        )
    return rule


def _total(
    e: GradientEmitter, value: ir.Value, pending: Mapping[ir.Value, list[ir.Value]]
) -> ir.Value | None:
    """Add up the contributions to a value's gradient and call the sum `<value>.grad`."""
    parts = pending.get(value, [])
    if not parts or value not in e.wanted:
        return None
    if len(parts) > 1:
        total = e.op("Sum", *parts, name=f"{value.name}.grad.sum", out=f"{value.name}.grad")
    else:
        total = parts[0]
        # A gradient that is passed on unchanged keeps the name of the value it came from.
        if total.producer() is not None and not (total.name or "").endswith(".grad"):
            total.name = e.unique(f"{value.name}.grad")
    if value.shape is not None and total.producer() is not None:
        total.shape = value.shape.copy()
    return total
