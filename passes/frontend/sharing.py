"""Who shares a weight: one initializer a use, but for what the file ties together on purpose.

Optimisers merge equal constants (two zero biases, say); in training that would tie two layers
together. A matrix that several places use is shared on purpose: copies of it would drift apart.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import NamedTuple

import onnx_ir as ir

from rpucc.layers import LAYER_OPS
from rpucc.origins.notes import carry_origin
from rpucc.passes.frontend.constants import add_initializer, constant, value_names
from rpucc.passes.frontend.lineage import Lineage, lineages_of
from rpucc.passes.ties import Tie, noted_ties, tie

SHARED_KEY = "rpucc.shared_weights"
"""Model metadata: JSON {weight name: [names of the nodes that the file lets share it]}."""


class Use(NamedTuple):
    """Input `idx` of a node."""

    node: ir.Node
    idx: int


def separate_weights(model: ir.Model) -> None:
    """Give every use of a floating-point constant its own initializer: `w`, `w_2`, ...

    Shared on purpose, and so one initializer, are: a weight matrix that several products use; the
    bias that all of them add; the numbers of batch norms that have all four in common. `SHARED_KEY`
    records them. Matrices that hold the same numbers of the file without being one initializer
    (transposed, reshaped, also in an op that is no product) are tied (`ties.py`).
    """
    _tie_constants(model)
    order = {node: k for k, node in enumerate(model.graph)}
    shared: dict[str, list[str]] = {}
    names = value_names(model)
    for value in list(model.graph.initializers.values()):
        uses = sorted(
            (Use(*use) for use in value.uses()), key=lambda use: (order[use.node], use.idx)
        )
        array = constant(value)
        if len(uses) < 2 or array is None or value.dtype != ir.DataType.FLOAT:
            continue
        for number, together in enumerate(_shared_on_purpose(uses)):
            own = value
            if number:
                own = add_initializer(model, names.unique(str(value.name)), array.copy())
                tie(own, noted_ties(value))
                carry_origin(value, own)
            for use in together if number else ():
                use.node.replace_input_with(use.idx, own)
            if len(together) > 1:
                shared[str(own.name)] = [str(use.node.name) for use in together]
    if shared:
        model.metadata_props[SHARED_KEY] = json.dumps(shared)


# ---------------------------------------------------------------- one initializer


def _shared_on_purpose(uses: Sequence[Use]) -> list[list[Use]]:
    """Part the uses of a constant into those that keep an initializer in common."""
    groups: list[list[Use]] = []
    alike: dict[Hashable, list[list[Use]]] = {}
    for use in uses:
        known = alike.setdefault(_kind(use), [])
        group = next((group for group in known if _together(use, group[0])), None)
        if group is None:
            group = []
            groups.append(group)
            known.append(group)
        group.append(use)
    return groups


def _kind(use: Use) -> Hashable:
    """What uses that are together have in common: only those of one kind are compared."""
    if _is_product(use):
        return "product"
    if (layer := _layer_of_bias(use)) is not None and (weight := _weight_of(layer)) is not None:
        return "tied bias" if noted_ties(weight) else (use.node.op_type, weight)
    if use.node.domain == "" and use.node.op_type == "BatchNormalization":
        return (use.idx, *use.node.inputs[1:])
    return use  # alone


def _together(a: Use, b: Use) -> bool:
    return (_is_product(a) and _is_product(b)) or _same_bias(a, b) or _same_batch_norm(a, b)


def _is_product(use: Use) -> bool:
    """Whether a matrix or kernel is multiplied with an activation."""
    node = use.node
    if node.domain != "":
        return False
    if node.op_type in LAYER_OPS:
        return use.idx == 1 or (use.idx == 0 and node.op_type in ("MatMul", "Gemm"))
    return node.op_type == "Einsum"


def _same_bias(a: Use, b: Use) -> bool:
    """Whether two uses are the bias of layers that have their weight in common."""
    layers = _layer_of_bias(a), _layer_of_bias(b)
    first, second = (_weight_of(layer) if layer is not None else None for layer in layers)
    if first is None or second is None or layers[0] is layers[1]:
        return False
    if a.node.op_type != b.node.op_type:
        return False
    return first is second or any(
        x.overlaps(y) for x in noted_ties(first) for y in noted_ties(second)
    )


def _layer_of_bias(use: Use) -> ir.Node | None:
    """Return the layer whose bias this use is: its third input, or what is added to its result."""
    node = use.node
    if node.domain == "" and node.op_type in LAYER_OPS and use.idx == 2:
        return node
    if node.domain != "" or node.op_type != "Add":
        return None
    other = node.inputs[1 - use.idx]
    producer = other.producer() if other is not None else None
    products = (*LAYER_OPS, "Einsum")
    return producer if producer is not None and producer.op_type in products else None


def _weight_of(layer: ir.Node) -> ir.Value | None:
    """Return the constant operand of a layer."""
    constants = (value for value in layer.inputs[:2] if constant(value) is not None)
    return next(constants, None)


def _same_batch_norm(a: Use, b: Use) -> bool:
    """Whether two uses are the same number of batch norms that have all four in common."""
    if any(use.node.domain or use.node.op_type != "BatchNormalization" for use in (a, b)):
        return False
    return a.idx == b.idx and list(a.node.inputs[1:]) == list(b.node.inputs[1:])


# ---------------------------------------------------------------- ties


def _tie_constants(model: ir.Model) -> None:
    """Tie the constants that hold numbers of one weight of the file, at least one of a product."""
    families: dict[str, list[tuple[ir.Value, Lineage]]] = {}
    for value in model.graph.initializers.values():
        lines = lineages_of(value) if list(value.uses()) else ()
        for line in (line for line in lines if line.is_matrix):
            families.setdefault(line.origin, []).append((value, line))
    for members in families.values():
        values = dict(members)
        uses = [Use(*use) for value in values for use in value.uses()]
        if len(uses) > 1 and any(_is_product(use) for use in uses):
            _tie_family(values)


def _tie_family(members: dict[ir.Value, Lineage]) -> None:
    """Tie those of a weight's descendants that overlap with another one, or have several uses."""
    found = {value: Tie(line.origin, line.index(), line.exact) for value, line in members.items()}
    tied = {value for value in found if len(list(value.uses())) > 1}
    for a, b in combinations(found, 2):
        if not {a, b} <= tied and found[a].overlaps(found[b]):
            tied |= {a, b}
    for value in tied:
        tie(value, (*noted_ties(value), found[value]))
