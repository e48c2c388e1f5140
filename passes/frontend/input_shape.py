"""Sizes that a file leaves open, and the one size that a model is used with.

Not for the batch, which stays open (`batch.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.errors import UsageError
from rpucc.passes.frontend.inputs import network_inputs
from rpucc.passes.frontend.messages import label_of, shape_text


def open_negative_sizes(model: ir.Model) -> None:
    """Read a size of -1, as Paddle writes it, as one that is open."""
    values = [*model.graph.inputs, *(out for node in model.graph for out in node.outputs)]
    for value in values:
        if value.shape is not None and any(_is_negative(dim) for dim in value.shape):
            value.shape = ir.Shape([None if _is_negative(dim) else dim for dim in value.shape])


def _is_negative(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, int) and dim < 0


def open_sizes(model: ir.Model) -> tuple[int | None, ...] | None:
    """Return the sizes of the only input that is read, its batch left out, None for an open one.

    None where several are read, where the file gives no shape, or where nothing is open.
    """
    inputs = _read_inputs(model)
    shape = inputs[0].shape if len(inputs) == 1 else None
    sizes = tuple(dim if isinstance(dim, int) else None for dim in list(shape or ())[1:])
    return sizes if None in sizes else None


def fix_input_shape(model: ir.Model, shape: Sequence[int]) -> None:
    """Set the shape of the only input that the model reads, its batch left out: [C, *space].

    What the file says about shapes behind it is forgotten: inference finds them anew. Raises
    UsageError where there are several inputs, or where a size that the file fixes is another.
    """
    inputs = _read_inputs(model)
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs)
        raise UsageError(
            f"{label_of(model)}: --input-shape is for models with one input, this one has "
            f"{len(inputs)} ({names})"
        )
    found = inputs[0].shape
    dims: list[int | ir.SymbolicDim] = [ir.SymbolicDim(None), *shape]
    if found is not None:
        dims = list(found.dims)
    fits = len(dims) == len(shape) + 1 and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims[1:], shape, strict=True)
    )
    if not fits:
        raise UsageError(
            f"{label_of(model)}: --input-shape {','.join(map(str, shape))} does not fit the input "
            f"{inputs[0].name!r} {shape_text([_text(dim) for dim in dims])}; give all dimensions "
            "but the batch"
        )
    inputs[0].shape = ir.Shape([dims[0], *shape])
    for node in model.graph:
        for output in node.outputs:
            output.shape = None


def _read_inputs(model: ir.Model) -> list[ir.Value]:
    read = network_inputs(model)
    return [value for value in model.graph.inputs if value.name in read]


def _text(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value
