"""Where a layer's bias lives: on the arrays, as a column fed with 1, or in a digital addition.

Not for writing either: unroll does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import UnsupportedError
from rpucc.passes.array_kinds import smallest_kind
from rpucc.placement import GridSpec, place
from rpucc.placement.cuts import cut_lines

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.passes.layer_matrix import LayerMatrix
    from rpucc.passes.weight_scales import Scaling
    from rpucc.target.target import ArrayKind, Mapping


def bias_on_arrays(matrix: LayerMatrix, mapping: Mapping, kinds: Sequence[ArrayKind]) -> bool:
    """Tell whether the bias of a layer (not a transposed convolution's) becomes a column.

    auto: on the arrays, unless the further column takes further arrays: 512 inputs and a bias fill
    two arrays of 512 columns. Cuts that the user gave say by where they end what they are meant
    for.
    """
    if mapping.bias != "auto":
        return mapping.bias == "array"
    if mapping.col_cuts:
        return mapping.col_cuts[-1] == matrix.columns + 1
    with_bias, without = (_arrays(matrix, matrix.columns + more, mapping, kinds) for more in (1, 0))
    return with_bias <= without


def bias_fits(
    matrix: LayerMatrix, bias: NDArray[np.floating] | None, scaling: Scaling | None
) -> bool:
    """Tell whether weights and bias [G·R] of a layer lie within its devices' range as they are.

    A bias of -inf, which switches an output off, lies in none. Beside weights that are scaled a
    bias stays digital (`mapping.bias = "auto"`): its line carries 1 where the others carry values
    as large as the scales leave them, which a DAC under noise management rounds coarsely, and a
    bias that needs a larger scale than the weights would push these into the noise.
    """
    if not is_finite(bias):
        return False
    if scaling is None:
        return True
    lines = matrix.weight if bias is None else np.column_stack([matrix.weight, bias])
    return bool((scaling.factors(lines) == 1).all())


def is_finite(bias: NDArray[np.floating] | None) -> bool:
    """Whether a bias is of numbers that a device can stand for: -inf switches an output off."""
    return bias is None or bool(np.isfinite(bias).all())


def infinite_bias(node: ir.Node) -> UnsupportedError:
    """The refusal of a bias with -inf that was told to go to the arrays."""
    return UnsupportedError(
        f"node {node.name!r} ({node.op_type}): its bias holds -inf, which no device can; keep it "
        f'digital (layer.{node.name}.mapping.bias = "digital"), or replace it with a large number'
    )


def _arrays(matrix: LayerMatrix, columns: int, mapping: Mapping, kinds: Sequence[ArrayKind]) -> int:
    """Return how many arrays one copy of the layer takes with so many columns."""
    rows = matrix.rows * mapping.devices_per_weight
    named = {kind.name: kind for kind in kinds}
    kind = named.get(mapping.array) or smallest_kind(rows, columns, kinds)
    grid = GridSpec(
        layer="",
        kind=kind.name,
        row_cuts=mapping.row_cuts or cut_lines(mapping.cuts, rows, kind.rows),
        col_cuts=cut_lines(mapping.cuts, columns, kind.cols),
        groups=matrix.groups,
    )
    return place([grid], kinds, share=False).arrays[kind.name]
