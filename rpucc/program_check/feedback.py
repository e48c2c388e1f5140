"""Feedback matrices of a program: each is that of a layer whose policy has one, and never changed.

What holds for every matrix on arrays (grid, copies, stamps) is checked with the layers
(`layers.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.feedback import is_feedback, ruled_as
from rpucc.layers import AnalogLayer, static_shape

if TYPE_CHECKING:
    from rpucc.target.target import Target


def feedback_problems(layers: Sequence[AnalogLayer], target: Target) -> Iterator[str]:
    """Yield where errors do not go back as the target says, one line each."""
    owners = {layer.name: layer for layer in layers if not layer.is_feedback}
    for layer in layers:
        where = f"layer {layer.name!r}"
        if not layer.is_feedback:
            if is_feedback(layer.name):
                yield f"{where}: is called as a feedback matrix, but has a forward read"
            random = target.for_layer(layer.name).update.feedback == "random"
            if layer.backward and random:
                node = layer.backward[0].name
                yield f"node {node!r}: reads the weights of {where}; the target has a random matrix"
            continue
        owner = owners.get(ruled_as(layer.name))
        if owner is None or not is_feedback(layer.name):
            yield f"node {layer.first.name!r}: its matrix has no forward read"
        elif target.for_layer(owner.name).update.feedback != "random":
            yield f"{where}: is a feedback matrix; the target has none for {owner.name!r}"
        elif layer.updates:
            yield f"node {layer.updates[0].name!r}: changes a feedback matrix"
        elif static_shape(layer.weight) != static_shape(owner.weight):
            yield f"{where}: its matrix has not the shape of {owner.name!r}"
