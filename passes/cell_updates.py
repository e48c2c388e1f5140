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


def give_state(model: ir.Model, update: ir.Node, cell: Cell) -> ir.Node:
    """Put the op of a cell in the place of an Update; return its node.

    Its state is new: initializers of zeros, named `<weight>.<plane>` and `<weight>.count`, and
    graph outputs for what comes of them, listed in the step's contract. The
    new weights get another name, because they are others.
    """
    weight, old = update.inputs[0], update.outputs[0]
    assert weight is not None
    emitter = Emitter(model, before=update, scope=update.name or "")
    emitter.metadata = dict(update.metadata_props)
    states = [_zero(emitter, weight, name) for name in cell.state]
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
    for result, before in zip(results, (weight, *states), strict=True):
        result.shape = known_shape(before).copy()
    node = results[0].producer()
    assert node is not None
    outputs = model.graph.outputs
    outputs[outputs.index(old)] = results[0]
    outputs.extend(results[1:])
    old.replace_all_uses_with(results[0])
    model.graph.remove(update, safe=True)
    node.name = update.name  # free again
    changed = zip((weight, *states), results, strict=True)
    updates = {str(before.name): str(result.name) for before, result in changed}
    step = StepContract.of(model)
    replace(step, state={**step.state, **updates}).write(model)
    return node


def _zero(emitter: Emitter, weight: ir.Value, name: str) -> ir.Value:
    if name == COUNT:
        return emitter.initializer(f"{weight.name}.{name}", np.zeros((), np.int64))
    shape = [int(dim) for dim in known_shape(weight)]  # type: ignore[arg-type]
    return emitter.initializer(f"{weight.name}.{name}", np.zeros(shape, np.float32))
