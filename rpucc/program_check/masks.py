"""The masks of a program against its target: what is fixed, and which tiles are not there.

Not for masks as values of the graph: their type is `values.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from rpucc.layers import ABSENT, FIXED_ZEROS, AnalogLayer, mask_of, static_shape
from rpucc.masks import absent_of, mask_of_zeros
from rpucc.target.values import NO_MASK, ZEROS

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy


def mask_problems(layer: AnalogLayer, policy: LayerPolicy) -> Iterator[str]:
    """Yield where a layer's mask, or what it leaves out, is not what the target says.

    Needs a layer whose matrix and grid are sound. The masks of a file are the program's own, and
    so is which layers it is about.
    """
    where, source = f"layer {layer.name!r}", policy.update.mask
    for node in layer.updates:
        yield from _value_problems(node, layer)
    if source == NO_MASK or layer.is_feedback:
        if layer.mask is not None or layer.has_fixed_zeros:
            yield f"{where}: has a mask, or tiles that are not there; the target has no mask"
            return
    elif source == ZEROS:
        if layer.updates and not _alike(layer.mask, mask_of_zeros(layer)):
            yield f"{where}: its mask does not keep the zeros of its weights; the target's does"
            return
        if not layer.updates and not layer.has_fixed_zeros:
            yield f"{where}: lacks {FIXED_ZEROS}; the target's mask fixes the zeros of its weights"
            return
    expected = absent_of(layer)
    for node in layer.nodes:
        found = tuple(node.attributes.get_ints(ABSENT, ()))
        if found != expected:
            yield (
                f"node {node.name!r}: leaves out {len(found)} tiles; {len(expected)} hold nothing "
                "but zeros that stay zero"
            )


def _value_problems(node: ir.Node, layer: AnalogLayer) -> Iterator[str]:
    value = mask_of(node)
    if value is None:
        return
    tensor = value.const_value if value.is_initializer() else None
    if tensor is None or tuple(static_shape(value)) != (layer.rows, layer.columns):
        yield f"node {node.name!r}: its mask is no constant [{layer.rows}, {layer.columns}]"
    elif len(value.uses()) > 1:
        yield f"node {node.name!r}: its mask {value.name!r} is used elsewhere, too"
    elif bool(tensor.numpy().all()):
        yield f"node {node.name!r}: its mask fixes no weight"


def _alike(found: np.ndarray | None, expected: np.ndarray | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return np.array_equal(found, expected)
