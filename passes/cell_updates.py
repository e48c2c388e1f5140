"""Updates of cells with a state of their own: Update nodes become the op of their cell.

Not for the attributes that the target decides: `assign_update`, which calls this.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from rpucc.cells import COUNT, Cell
from rpucc.layers import FIRST_STATE, MASKED, mask_of
from rpucc.passes.graph_reader import known_shape
from rpucc.passes.graph_writer import Emitter
from rpucc.step_contract import StepContract


class CellUpdates:
    """Gives updates the ops of their cells, one by one, and then the graph its outputs anew."""

    def __init__(self, model: ir.Model) -> None:
        self.emitter = Emitter(model)
        self._given: dict[ir.Node, tuple[ir.Node, dict[ir.Value, ir.Value]]] = {}
        """An Update -> what comes in its place, and what its values before become."""

    def give_state(self, update: ir.Node, cell: Cell) -> ir.Node:
        """Emit the op of a cell beside an Update, which is in the graph until `finish`; return it.

        Its state is new: initializers of zeros, named `<weight>.<plane>` and `<weight>.count`. The
        new weights get another name, because they are others.
        """
        weight = update.inputs[0]
        assert weight is not None
        emitter = self.emitter
        emitter.before, emitter.scope = update, update.name or ""
        emitter.metadata = dict(update.metadata_props)
        states = [_zero(emitter, weight, cell, name) for name in cell.state]
        names = [f"{weight.name}.{cell.model}.next", *(f"{state.name}.next" for state in states)]
        mask = [] if (found := mask_of(update)) is None else [found]
        results = emitter.ops(
            f"{MASKED if mask else ''}{cell.op}",
            *update.inputs[:FIRST_STATE],
            *states,
            *mask,
            outputs=names,
            name=update.name or "",
            domain="rpu",
            **{key: attribute.value for key, attribute in update.attributes.items()},
        )
        changed = dict(zip((weight, *states), results, strict=True))
        for before, result in changed.items():
            result.shape = known_shape(before).copy()
        node = results[0].producer()
        assert node is not None
        self._given[update] = node, changed
        return node

    def finish(self) -> None:
        """Take the Updates out; what comes of states are outputs, too, and in the contract."""
        if not self._given:
            return
        graph = self.emitter.graph
        instead = {update.outputs[0]: node.outputs for update, (node, _) in self._given.items()}
        outputs = [instead[value][0] if value in instead else value for value in graph.outputs]
        states = [value for made in instead.values() for value in made[1:]]
        graph.outputs[:] = [*outputs, *states]
        for old, made in instead.items():
            old.replace_all_uses_with(made[0])
        graph.remove(self._given, safe=True)
        state: dict[str, str] = {}
        for update, (node, changed) in self._given.items():
            node.name = update.name  # free again
            state.update((str(old.name), str(new.name)) for old, new in changed.items())
        step = StepContract.of(self.emitter.model)
        replace(step, state={**step.state, **state}).write(self.emitter.model)


def _zero(emitter: Emitter, weight: ir.Value, cell: Cell, name: str) -> ir.Value:
    rows, columns = (int(dim) for dim in known_shape(weight))  # type: ignore[arg-type]
    shape, dtype = (
        cell.state_shape(name, (rows, columns)),
        np.int64 if name == COUNT else np.float32,
    )
    return emitter.initializer(f"{weight.name}.{name}", np.zeros(shape, dtype))
