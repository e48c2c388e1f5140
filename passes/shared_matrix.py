"""Which layers share one weight matrix: on one set of arrays, read once for each of them.

The first of them in the graph owns the matrix: its name is the matrix's in plans, and layer rules
for it hold for all. Not for how they are lowered: unroll does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import UnsupportedError
from rpucc.layers import MATRIX, MATRIX_TRANSPOSED, OTHER_NAMES, other_names
from rpucc.passes.layer_bias import bias_value
from rpucc.passes.layer_matrix import LayerMatrix
from rpucc.passes.ties import Tie, ties_of


def share_matrices(layers: Sequence[ir.Node]) -> None:
    """Mark each layer that uses the matrix of an earlier one: the numbers of the file are the same.

    Leaves behind node metadata `rpucc.matrix`, the name of the layer that owns the matrix, and
    `rpucc.matrix_transposed` = "1" where rows and columns change places.
    """
    owners: list[tuple[ir.Node, NDArray[np.generic]]] = []
    for layer in layers:
        index = _index_matrix(layer)
        if index is None:
            continue
        for owner, known in owners:
            if origin_of(owner) != origin_of(layer):
                continue
            if np.array_equal(index, known):
                layer.metadata_props[MATRIX] = owner.name or ""
                break
            if np.array_equal(index.swapaxes(1, 2), known):
                layer.metadata_props[MATRIX] = owner.name or ""
                layer.metadata_props[MATRIX_TRANSPOSED] = "1"
                break
        else:
            owners.append((layer, index))


def note_places(model: ir.Model, layers: Sequence[ir.Node]) -> None:
    """Let the layer that owns a matrix go by the names of the other places too."""
    names = other_names(model)
    for layer in layers:
        if MATRIX in layer.metadata_props:
            place = layer.name or ""
            names.setdefault(owner_of(layer), []).extend([place, *names.pop(place, [])])
    if names:
        model.metadata_props[OTHER_NAMES] = json.dumps(names)


@dataclass
class Users:
    """The layers that use one matrix, the owner first, and what is written once for all of them."""

    layers: tuple[ir.Node, ...]
    alike: bool
    """Whether the bias could be a column of the matrix: all have it in common, none turned."""
    weight: ir.Value | None = None
    """The matrix, as soon as the owner is lowered."""
    biases: dict[ir.Value, ir.Value] = field(default_factory=dict)
    """Biases that are added digitally, by what they were before."""


def users_of_matrices(layers: Sequence[ir.Node]) -> dict[str, Users]:
    """Return the layers by the name of the layer that owns their matrix, in graph order."""
    found: dict[str, list[ir.Node]] = {}
    for layer in layers:
        found.setdefault(owner_of(layer), []).append(layer)
    return {name: Users(tuple(users), _alike(users)) for name, users in found.items()}


def _alike(layers: Sequence[ir.Node]) -> bool:
    turned = (
        node.op_type == "ConvTranspose" or MATRIX_TRANSPOSED in node.metadata_props
        for node in layers
    )
    return not any(turned) and len({bias_value(node) for node in layers}) == 1


def owner_of(layer: ir.Node) -> str:
    """Return the name of the layer whose matrix this one uses: mostly its own."""
    return layer.metadata_props.get(MATRIX, layer.name or "")


def origin_of(layer: ir.Node) -> str:
    """Return the name that the file has for a layer's tied weight."""
    (tie,) = ties_of(layer.inputs[1])
    return tie.origin


def _index_matrix(layer: ir.Node) -> NDArray[np.generic] | None:
    """Return where the numbers of a layer's matrices [G, R, C] stand in a tied weight of the file.

    None where nothing else uses them, or they are computed from others.
    """
    ties = ties_of(layer.inputs[1])
    if len(ties) != 1 or not ties[0].exact:
        return None
    matrix = LayerMatrix.of(layer, ties[0].index)
    return matrix.weight.reshape(matrix.groups, matrix.rows, matrix.columns)


def refuse_drifting_copies(graph: ir.Graph, layers: Sequence[ir.Node]) -> None:
    """Hold that training changes no weight of which another copy is used; UnsupportedError else.

    One matrix on arrays serves several layers where it holds the same rows and columns for all of
    them. Any other use of the same numbers would go on with those of the file.
    """
    place = {layer: i for i, layer in enumerate(layers)}
    uses = list(_tied_uses(graph))
    for layer, (node, tie) in product(layers, uses):
        # A pair of layers is looked at once, and not where one matrix serves both.
        if node in place and (place[node] <= place[layer] or owner_of(layer) == owner_of(node)):
            continue
        ours = next((own for own in ties_of(layer.inputs[1]) if own.overlaps(tie)), None)
        if ours is not None:
            raise UnsupportedError(
                f"nodes {layer.name!r} ({layer.op_type}) and {node.name!r} ({node.op_type}): both "
                f"use the weight {tie.origin!r}, {_why(ours, tie, node in place)}; training would "
                "let two copies of it drift apart: give each weights of its own, or compile with "
                "--inference"
            )


def _tied_uses(graph: ir.Graph) -> Iterator[tuple[ir.Node, Tie]]:
    for node in graph:
        for value in dict.fromkeys(node.inputs):
            for tie in ties_of(value):
                yield node, tie


def _why(first: Tie, second: Tie, is_layer: bool) -> str:
    """Return why one set of arrays cannot serve a use beside a trained layer."""
    if not (first.exact and second.exact):
        return f"from which the {'first' if second.exact else 'second'} computes its own"
    if is_layer:
        return "whose numbers stand in another order in the matrix of the second"
    return "and the second is no layer that could read it from the arrays"
