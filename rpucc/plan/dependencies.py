"""Which reads and updates of a program wait for which: the graph without its digital nodes.

Not for time: lengths come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from rpucc.cost.timing import Cycle
from rpucc.layers import AnalogLayer, reads_per_sample
from rpucc.plan.schedule import Step

NEAR = 256
"""How far back, in steps, is looked for what a step waits for by way of others."""

_MASK = (1 << (NEAR + 1)) - 1

Seconds = Callable[[AnalogLayer, Cycle, int], float]
"""(layer, cycle, reads or updates a sample) -> seconds."""


def array_steps(
    model: ir.Model, layers: Sequence[AnalogLayer], seconds: Seconds
) -> tuple[Step, ...]:
    """Return one step a Read and Update, in the order of the graph.

    A step waits for the last array steps on every path that leads to it, and for the step before
    on the same arrays: an array does one thing at a time, and its backward reads must see the
    weights before the update. What another of them waits for anyway is left out, where that is
    among the `NEAR` steps before it: where two ways meet again and again (an input and its scale,
    a residual stream), a step would wait for all before it one by one.
    """
    waited = _Waited()
    owners = _owners(layers)
    upstream: dict[ir.Node, frozenset[int]] = {}
    last: dict[str, int] = {}
    steps: list[Step] = []
    for node in model.graph:
        before = waited.last(frozenset().union(*(upstream[p] for p in node.predecessors())))
        owner = owners.get(node)
        if owner is not None:
            layer, cycle = owner
            if layer.name in last:
                before |= {last[layer.name]}
            length = seconds(layer, cycle, reads_per_sample(node))
            last[layer.name] = len(steps)
            before, index = frozenset({len(steps)}), tuple(sorted(before))
            steps.append(Step(layer.name, cycle, length, index))
            waited.add(index)
        upstream[node] = before
    return tuple(steps)


class _Waited:
    """Which steps each step waits for in the end, among the `NEAR` before it."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        """Of each step: bit d says that it waits for the d-th step before it."""

    def add(self, after: Sequence[int]) -> None:
        """Append a step that waits for these."""
        at, mask = len(self._steps), 0
        for step in after:
            if (back := at - step) <= NEAR:
                mask |= (self._steps[step] << back) | (1 << back)
        self._steps.append(mask & _MASK)

    def last(self, steps: frozenset[int]) -> frozenset[int]:
        """Return those of `steps` that no other of them waits for."""
        if len(steps) < 2:
            return steps
        latest, mask = max(steps), 0
        for step in steps:
            mask |= self._steps[step] << (latest - step)
        return frozenset(step for step in steps if not mask >> (latest - step) & 1)


def _owners(layers: Sequence[AnalogLayer]) -> dict[ir.Node, tuple[AnalogLayer, Cycle]]:
    owners: dict[ir.Node, tuple[AnalogLayer, Cycle]] = {}
    for layer in layers:
        owners.update((node, (layer, "forward")) for node in layer.forward)
        owners.update((node, (layer, "backward")) for node in layer.backward)
        owners.update((node, (layer, "update")) for node in layer.updates)
    return owners
