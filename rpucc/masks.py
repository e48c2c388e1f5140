"""Masks of weights: which of a matrix stay what they are, and which tiles need not be there.

A mask is bool [R, C], true where the weight is trained. Passes and the check of a program that is
read work masks out by these functions. Not for masks that a user's file holds:
`rpucc.passes.mask_file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.op_spec import DOMAIN

if TYPE_CHECKING:
    from rpucc.layers import AnalogLayer

Mask = NDArray[np.bool_]


def find_mask(path: str, folder: Path | None) -> Path:
    """Return where a file of masks lies, there or not: beside the target's file, or from here.

    path: as the target has it; folder: of the target's file.
    """
    beside = [] if folder is None else [folder / path]
    return next((each for each in beside if each.is_file()), Path(path))


def mask_of_zeros(layer: AnalogLayer) -> Mask | None:
    """Return the mask that keeps the exact zeros of a layer's weights; None where it has none.

    A bias is no weight: it is trained, though it may begin at zero.
    """
    mask = weights_of(layer) != 0
    if has_bias_column(layer):
        mask[:, -1] = True
    return None if mask.all() else mask


def weights_of(layer: AnalogLayer) -> NDArray[Any]:
    """Return a layer's matrix as the program has it, [R, C]."""
    tensor = layer.weight.const_value
    assert tensor is not None
    return tensor.numpy()


def has_bias_column(layer: AnalogLayer) -> bool:
    """Tell whether the last column of a layer's matrix is its bias: its reads are fed with 1."""
    value = layer.first.inputs[0]
    while value is not None:
        node = value.producer()
        if node is None or (node.domain == DOMAIN and node.op_type == "Im2Col"):
            return False
        if node.domain == DOMAIN and node.op_type == "AppendOne":
            return True
        if node.domain != DOMAIN and node.op_type not in ("Reshape", "Transpose"):
            return False
        value = node.inputs[0]
    return False


def absent_tiles(
    weights: NDArray[Any], mask: Mask | None, row_cuts: Sequence[int], col_cuts: Sequence[int]
) -> tuple[int, ...]:
    """Return the tiles of nothing but zeros that stay zero, by their place.

    That is the one in [matrix, row block, segment]. weights, mask: [matrices · R, C], None where
    nothing of it is trained; row_cuts: [0, .., R].
    """
    held = weights != 0 if mask is None else (weights != 0) | mask
    by_matrix = held.reshape(-1, row_cuts[-1], held.shape[1])
    by_rows = np.logical_or.reduceat(by_matrix, list(row_cuts[:-1]), axis=1)
    filled = np.logical_or.reduceat(by_rows, list(col_cuts[:-1]), axis=2)
    return tuple(int(place) for place in np.flatnonzero(~filled))


def absent_of(layer: AnalogLayer) -> tuple[int, ...]:
    """Return the tiles of a tiled layer that need not be there; none where no zero is fixed."""
    if layer.mask is None and not layer.has_fixed_zeros:
        return ()
    attributes = layer.first.attributes
    row_cuts, col_cuts = (attributes.get_ints(key, ()) for key in ("row_cuts", "col_cuts"))
    return absent_tiles(weights_of(layer), layer.mask, row_cuts, col_cuts)


def missing_devices(layer: AnalogLayer) -> Mask | None:
    """Return the crosspoints [R, C] of fixed zeros, which need no device; None without a mask."""
    if layer.mask is None and not layer.has_fixed_zeros:
        return None
    zeros: Mask = weights_of(layer) == 0
    return zeros if layer.mask is None else zeros & ~layer.mask
