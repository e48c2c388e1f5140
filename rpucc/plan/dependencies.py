"""Which reads and updates of a program wait for which: the graph without its digital nodes.

Not for time: lengths come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from rpucc.cost.timing import Cycle
from rpucc.layers import AnalogLayer, reads_per_sample
from rpucc.plan.schedule import Step

Seconds = Callable[[AnalogLayer, Cycle, int], float]
"""(layer, cycle, reads or updates a sample) -> seconds."""


def array_steps(
    model: ir.Model, layers: Sequence[AnalogLayer], seconds: Seconds
) -> tuple[Step, ...]:
    """Return one step a Read and Update, in the order of the graph.

    A step waits for the last array steps on every path that leads to it, and for the step before
    on the same arrays: an array does one thing at a time, and its backward reads must see the
    weights before the update.
    """
    owners = _owners(layers)
    upstream: dict[ir.Node, frozenset[int]] = {}
    last: dict[str, int] = {}
    steps: list[Step] = []
    for node in model.graph:
        before = frozenset().union(*(upstream[p] for p in node.predecessors()))
        owner = owners.get(node)
        if owner is not None:
            layer, cycle = owner
            if layer.name in last:
                before |= {last[layer.name]}
            length = seconds(layer, cycle, reads_per_sample(node))
            last[layer.name] = len(steps)
            before, index = frozenset({len(steps)}), tuple(sorted(before))
            steps.append(Step(layer.name, cycle, length, index))
        upstream[node] = before
    return tuple(steps)


def _owners(layers: Sequence[AnalogLayer]) -> dict[ir.Node, tuple[AnalogLayer, Cycle]]:
    owners: dict[ir.Node, tuple[AnalogLayer, Cycle]] = {}
    for layer in layers:
        owners.update((node, (layer, "forward")) for node in layer.forward)
        owners.update((node, (layer, "backward")) for node in layer.backward)
        owners.update((node, (layer, "update")) for node in layer.updates)
    return owners
