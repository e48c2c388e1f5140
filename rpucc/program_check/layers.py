"""Each layer of a program against the target that it carries: grid, copies, devices, policy.

What the passes stamp on nodes is worked out again by the functions that they use (`stamps.py`,
`placement/cuts.py`) and compared: the target is the one source. Not for chains and attributes as
such: those come before (`chains.py`, `attributes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from rpucc.layers import (
    ARRAY_KIND,
    BEYOND_BOUNDS,
    CONVOLUTIONS,
    DEVICES,
    LAYER_OPS,
    LR_SCALE,
    MASKED,
    MOST_TILES,
    OP,
    PER_SAMPLE,
    READS,
    REPLICAS,
    UPDATES,
    WEIGHT_SCALE,
    AnalogLayer,
    analog_layers,
    cycle_of,
    reads_per_sample,
    states_of,
    static_shape,
    weight_scale,
)
from rpucc.node_attributes import Value
from rpucc.opset import OPS
from rpucc.placement import place
from rpucc.placement.budget import shortages
from rpucc.placement.cuts import grid_cuts
from rpucc.placement.program import grids_of
from rpucc.program_check.chains import manager_of
from rpucc.program_check.feedback import feedback_problems
from rpucc.program_check.masks import mask_problems
from rpucc.stamps import is_to_be_bounded, stamp_of
from rpucc.step_contract import StepContract
from rpucc.target.sections import AUTOMATIC_KINDS

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy, Target

MOST_REPLICAS = 2**31
CYCLES = ("forward", "backward", "update")


def layer_problems(model: ir.Model, target: Target) -> Iterator[str]:
    """Yield where a layer is not what rpucc makes of it for this target, one line each."""
    layers = analog_layers(model)
    yield from _node_problems(model, layers)
    yield from feedback_problems(layers, target)
    first, rates = 0, StepContract.of(model).rates
    for layer in layers:
        problem = next(_problems(layer, target, first, rates), None)
        if problem is not None:
            yield problem
            return  # what follows would only repeat it
        planes = target.for_layer(layer.name).cell.settings.arrays(training=bool(layer.updates))
        first += layer.tiles * len(planes)
    if first > MOST_TILES:
        yield f"has {first:,} tiles, more than there are numbers for ({MOST_TILES:,})"
        return
    used = place(grids_of(model, target), target.arrays, share=target.placement.share).arrays
    for short in shortages(used, target.arrays):
        yield f"needs {short.needed:,} arrays {short.kind!r} of which there are {short.count:,}"


def _node_problems(model: ir.Model, layers: list[AnalogLayer]) -> Iterator[str]:
    """Every read and update is a layer's, and every layer has a name of its own."""
    names = [layer.name for layer in layers]
    for name in names:
        if names.count(name) > 1:
            yield f"two matrices are called layer {name!r}"
            return
    known = {node for layer in layers for node in layer.nodes}
    state = StepContract.of(model).state
    for node in model.graph:
        cycle = node.metadata_props.get("rpucc.cycle", "forward")
        if cycle not in CYCLES:
            yield f"node {node.name!r}: metadata rpucc.cycle is {cycle!r}, none of {CYCLES}"
        if node.domain == "rpu" and node.op_type in (*READS, *UPDATES) and node not in known:
            yield f"node {node.name!r} ({node.op_type}): its matrix has no forward read"
        if node.op_type in UPDATES:
            yield from _state_problems(node, state)


def _name(value: ir.Value | None) -> str:
    return "" if value is None else str(value.name)


def _problems(
    layer: AnalogLayer, target: Target, first_tile: int, rates: tuple[str, ...]
) -> Iterator[str]:
    where = f"layer {layer.name!r}"
    yield from _matrix_problems(layer, where)
    policy = target.for_layer(layer.name)
    yield from _metadata_problems(layer, where)
    yield from _scale_problems(layer, where)
    kind = layer.first.metadata_props.get(ARRAY_KIND)
    array = next((each for each in target.arrays if each.name == kind), None)
    if array is None or policy.mapping.array not in (*AUTOMATIC_KINDS, kind):
        yield f"{where}: its kind of array is {kind!r}; the target says {policy.mapping.array!r}"
        return
    if not policy.analog:
        yield f"{where}: is on arrays; the target keeps it digital"
    cuts = grid_cuts(policy.mapping, layer.group_rows, layer.columns, array)
    grid = {"row_cuts": list(cuts[0]), "col_cuts": list(cuts[1]), "first_tile": first_tile}
    grid |= {"groups": layer.matrices, "copies": layer.learners}
    for node in layer.nodes:
        for key, expected in grid.items():
            found = node.attributes[key].value
            found = list(found) if isinstance(found, list | tuple) else found
            if found != expected:
                yield f"node {node.name!r}: {key} = {found}, but {where} has {expected}"
    yield from _copy_problems(layer, policy, where)
    for node in layer.reads:
        yield from _read_problems(node, policy)
    for node in layer.updates:
        yield from _cell_problems(node, policy)
        yield from _stamp_problems(node, policy)
        yield from _rate_problems(node, policy, rates)
    yield from mask_problems(layer, policy)


def _matrix_problems(layer: AnalogLayer, where: str) -> Iterator[str]:
    """The weights are finite numbers [groups · devices · R, C]."""
    tensor = layer.weight.const_value if layer.weight.is_initializer() else None
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) != 2:
        yield f"{where}: its matrix {layer.weight.name!r} is no FLOAT constant [R, C]"
    elif not bool(np.isfinite(tensor.numpy()).all()):
        yield f"{where}: its matrix {layer.weight.name!r} holds NaN or infinity"
    elif not tensor.size:
        yield f"{where}: its matrix {layer.weight.name!r} {tensor.shape} is empty"
    elif layer.rows % layer.matrices or layer.matrices % layer.learners:
        yield (
            f"{where}: groups = {layer.matrices} and copies = {layer.learners} do not share out "
            f"the {layer.rows} rows of {layer.weight.name!r}"
        )


def _metadata_problems(layer: AnalogLayer, where: str) -> Iterator[str]:
    names = {node.metadata_props.get("rpucc.layer") for node in layer.shared}
    for node in layer.nodes:
        notes = node.metadata_props
        if notes.get("rpucc.layer") not in names:
            yield f"node {node.name!r}: is called layer {notes.get('rpucc.layer')!r}, not {where}"
        if notes.get(ARRAY_KIND) != layer.first.metadata_props.get(ARRAY_KIND):
            yield f"node {node.name!r}: its kind of array is not that of {where}"
        if notes.get(PER_SAMPLE) != str(reads_per_sample(node)):
            yield f"node {node.name!r}: {PER_SAMPLE} is not the {reads_per_sample(node)} it takes"
    op = layer.first.metadata_props.get(OP)
    if op not in LAYER_OPS:
        yield f"{where}: {OP} is {op!r}, none of {', '.join(LAYER_OPS)}"
    for key in (REPLICAS, DEVICES, BEYOND_BOUNDS):
        texts = {node.metadata_props.get(key) for node in layer.shared}
        if len(texts) > 1 or not all(text is None or _is_count(text) for text in texts):
            yield f"{where}: {key} is no number, or not one for all its reads"


def _is_count(text: str) -> bool:
    whole = text.isascii() and text.isdigit() and len(text) < 11 and not text.startswith("0")
    return whole and int(text) <= MOST_REPLICAS


def _copy_problems(layer: AnalogLayer, policy: LayerPolicy, where: str) -> Iterator[str]:
    """Copies and devices a weight are those of the target, as far as there are reads to share."""
    mapping, read = policy.mapping, layer.first
    if layer.devices != mapping.devices_per_weight or layer.group_rows % layer.devices:
        yield (
            f"{where}: has {layer.devices} devices a weight in {layer.group_rows} rows; the target "
            f"says {mapping.devices_per_weight}"
        )
    convolution = read.metadata_props[OP] in CONVOLUTIONS
    apart = mapping.replica_updates == "independent" and convolution
    reads = max(sum(reads_per_sample(node) for node in layer.shared), 1)
    most = reads if mapping.replicas == "auto" else int(mapping.replicas)
    if layer.learners > 1 and not apart:
        yield f"{where}: {layer.learners} copies learn on their own; the target says otherwise"
    elif apart:
        if layer.learners not in (most, reads) or layer.replicas != layer.learners:
            yield f"{where}: {layer.learners} copies learn on their own; the target has {most}"
    elif layer.replicas > most or (
        mapping.replicas != "auto" and layer.replicas != min(most, reads)
    ):
        yield f"{where}: has {layer.replicas} copies; the target has {mapping.replicas}"


def _read_problems(node: ir.Node, policy: LayerPolicy) -> Iterator[str]:
    if is_to_be_bounded(policy, node) != (node.op_type == "BoundedRead"):
        yield f"node {node.name!r} ({node.op_type}): the target's bound management says otherwise"
    yield from _stamp_problems(node, policy)
    management = policy.management
    backward = cycle_of(node) == "backward"
    wanted = management.noise_backward if backward else management.noise_forward
    if wanted != "auto" and (manager_of(node) is not None) != (wanted == "always"):
        yield f"node {node.name!r} ({node.op_type}): the target's noise management says {wanted!r}"


def _stamp_problems(node: ir.Node, policy: LayerPolicy) -> Iterator[str]:
    """Attributes that the target decides; numbers as the float32 that an attribute is."""
    for key, expected in stamp_of(policy, node).items():
        attribute = node.attributes.get(key)
        default = OPS[node.op_type].attributes[key].default
        found = default if attribute is None else attribute.value
        if not _same(found, expected):
            yield f"node {node.name!r} ({node.op_type}): {key} = {found}; the target has {expected}"


def _same(found: Value | None, expected: Value) -> bool:
    if isinstance(expected, float) and isinstance(found, float | int):
        return bool(np.float32(found) == np.float32(expected))
    return found == (list(expected) if isinstance(found, list) else expected)


def _scale_problems(layer: AnalogLayer, where: str) -> Iterator[str]:
    """What the outputs are multiplied by: a constant of positive numbers behind the reads."""
    names = {node.metadata_props.get(WEIGHT_SCALE) for node in layer.shared}
    if names == {None}:
        return
    scale, graph = weight_scale(layer.first), layer.first.graph
    value = graph.initializers.get(next(iter(names)) or "") if graph is not None else None
    if len(names) > 1 or scale is None or value is None or value.dtype != ir.DataType.FLOAT:
        yield f"{where}: {WEIGHT_SCALE} names no one constant for all its reads"
    elif not scale.size or not bool((np.isfinite(scale) & (scale > 0)).all()):
        yield f"{where}: {WEIGHT_SCALE}: {value.name!r} does not hold positive numbers"
    elif not any(user.op_type == "Mul" for user in value.consumers()):
        yield f"{where}: {WEIGHT_SCALE}: nothing is multiplied by {value.name!r}"


def _state_problems(node: ir.Node, state: Mapping[str, str]) -> Iterator[str]:
    """What an update gives are the next values of what it takes, which is nobody else's."""
    where = f"node {node.name!r} ({node.op_type})"
    if state.get(_name(node.inputs[0])) != node.outputs[0].name:
        yield f"{where}: its result is no next value of the step's state"
    for before, after in zip(states_of(node), node.outputs[1:], strict=True):
        if before is None or state.get(_name(before)) != after.name:
            yield f"{where}: {after.name!r} is no next value of {_name(before)!r}"
        elif len(before.uses()) > 1:
            yield f"{where}: its state {before.name!r} is used elsewhere, too"


def _cell_problems(node: ir.Node, policy: LayerPolicy) -> Iterator[str]:
    """An update is that of the layer's cell, and its state starts as nothing."""
    cell, where = policy.cell.settings, f"node {node.name!r} ({node.op_type})"
    if node.op_type.removeprefix(MASKED) != cell.op:
        yield f"{where}: the target's cell is {cell.model}, whose update is {cell.op}"
        return
    matrix = _shape_of(node.inputs[0])
    for name, value in zip(cell.state, states_of(node), strict=True):
        tensor = value.const_value if value is not None and value.is_initializer() else None
        expected = cell.state_shape(name, (matrix[0], matrix[-1])) if len(matrix) == 2 else ()
        if tensor is None or tuple(tensor.shape) != expected:
            yield f"{where}: its state {name!r} is no constant {list(expected)}"
        elif bool(np.any(tensor.numpy())):
            yield f"{where}: its state {name!r} does not start at zero"


def _shape_of(value: ir.Value | None) -> tuple[int, ...]:
    return () if value is None else static_shape(value)


def _rate_problems(node: ir.Node, policy: LayerPolicy, rates: tuple[str, ...]) -> Iterator[str]:
    """An Update's rate is one of the step's times the target's scale, by its note and the graph."""
    scale, text = policy.update.lr_scale, node.metadata_props.get(LR_SCALE, "1")
    rate, known = node.inputs[3], " or ".join(map(repr, rates))
    times = rate.producer() if rate is not None else None
    if text != (repr(scale) if scale != 1 else "1"):
        yield f"node {node.name!r} (Update): {LR_SCALE} is {text[:60]!r}; the target has {scale}"
    elif scale == 1:
        if rate is None or rate.name not in rates:
            yield f"node {node.name!r} (Update): its rate is not the input {known}"
    elif times is None or times.op_type != "Mul" or not _are_rate(times.inputs, rates, scale):
        yield f"node {node.name!r} (Update): its rate is not {known} times {scale}"


def _are_rate(factors: Sequence[ir.Value | None], rates: tuple[str, ...], scale: float) -> bool:
    first, second = factors
    number = None if second is None else second.const_value
    if first is None or first.name not in rates or number is None or number.size != 1:
        return False
    return float(number.numpy().reshape(())) == float(np.float32(scale))
