"""Make the batch dimension symbolic wherever the graph treats samples one by one.

Files are often exported for one batch size, with reshape targets such as [1, 256] in them. The
shapes are inferred for two batch sizes; a dimension that follows the batch becomes "N". Also the
step that leaves a shape on every value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.frontend.constants import (
    add_initializer,
    constant,
    fold_constants,
    replace_by_constants,
    value_names,
)
from rpucc.passes.frontend.messages import label_of, node_text, one_line, shape_text
from rpucc.passes.frontend.onnx_tools import Dim, Inferred, infer_shapes, session
from rpucc.passes.graph_writer import Names
from rpucc.without_weights import large_weights, proto_without_weights

BATCH = "N"
"""The symbol of the batch dimension."""

FIXED_BATCH_KEY = "rpucc.fixed_batch"
"""Model metadata: the only batch size the model works with; absent where any works."""

NOTES_KEY = "rpucc.import_notes"
"""Model metadata: JSON list of lines about what the importer changed or could not change."""

_PROBES = (1009, 1013)  # two batch sizes that no real dimension equals
_TOLERANCE = 1e-4  # relative to the output's largest entry; kernels may differ by batch size


def declared_batch(model: ir.Model) -> int | None:
    """The batch size that the file states for its inputs, or None where it is symbolic."""
    shape = model.graph.inputs[0].shape  # the others state the same
    assert shape is not None  # a rule has checked it
    return shape[0] if isinstance(shape[0], int) else None


def pin_batch(model: ir.Model) -> str | None:
    """Make the batch "N" and write all shapes; returns why where it had to stay fixed.

    The batch becomes symbolic if every shape then is static but for N, N leads every input and
    output, and (where the file has a number) onnxruntime computes each sample by itself.
    """
    declared = declared_batch(model)
    batch = declared if declared is not None else 1
    at_batch = infer_shapes(model, batch)
    _free_reshapes(model, at_batch, batch)
    symbolic = _symbolic_shapes(model)
    reason = None
    if symbolic is None:
        reason = "its shapes do not follow the batch"
    else:
        write_shapes(model, symbolic)
        reason = _mixing(model, batch) if declared is not None else None
    if reason is not None:
        fixed = _fixed_shapes(model, batch)
        _require_static(model, fixed)
        write_shapes(model, fixed)
        model.metadata_props[FIXED_BATCH_KEY] = str(batch)
        reason = f"the batch size is fixed to {batch}: {reason}"
    _make_targets_constant(model)
    return reason


def write_shapes(model: ir.Model, shapes: dict[str, Inferred]) -> None:
    """Set type and shape of the inputs and of every node's outputs."""
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs if v.name)]
    for value in values:
        known = shapes[str(value.name)]
        assert known.dims is not None
        value.dtype = known.dtype
        value.shape = ir.Shape(known.dims)


def _free_reshapes(model: ir.Model, shapes: dict[str, Inferred], batch: int) -> None:
    """Write a constant reshape target [batch, ...] as [0, ...] where both are the same.

    They are the same if the input's first dimension equals the target's and the products of the
    others agree: 0 copies the first dimension, whatever it is.
    """
    names = value_names(model)
    for node in _reshapes(model):
        source, result = _static(shapes, node.inputs[0]), _static(shapes, node.outputs[0])
        if constant(node.inputs[1]) is None or not source or not result:
            continue
        if source[0] == result[0] == batch and math.prod(source[1:]) == math.prod(result[1:]):
            _set_target(model, node, [0, *result[1:]], names)


def _symbolic_shapes(model: ir.Model) -> dict[str, Inferred] | None:
    """Shapes with "N" for the batch, or None where they cannot be had.

    onnx follows the common ways to compute one shape from another; where it loses the trail, they
    are computed, in copies.
    """
    return _following(model, infer_shapes) or _following(
        model, lambda each, probe: _fixed_shapes(each.clone(), probe)
    )


def _following(
    model: ir.Model, shapes_at: Callable[[ir.Model, int], dict[str, Inferred]]
) -> dict[str, Inferred] | None:
    """Shapes with "N" for what follows the batch in the shapes at two sizes of it."""
    try:
        first, second = (shapes_at(model, probe) for probe in _PROBES)
    except onnx.shape_inference.InferenceError:
        return None
    shapes = {}
    for name, a in first.items():
        b = second[name]
        if a.static is None or b.static is None or len(a.static) != len(b.static):
            return None
        dims: list[Dim] = []
        for pair in zip(a.static, b.static, strict=True):
            if pair[0] != pair[1] and pair != _PROBES:
                return None
            dims.append(BATCH if pair == _PROBES else pair[0])
        shapes[name] = Inferred(a.dtype, tuple(dims))
    made = {v.name for node in model.graph for v in node.outputs if v.name}
    if not made <= set(shapes):
        return None
    for value in (*model.graph.inputs, *model.graph.outputs):
        led = shapes[str(value.name)].dims
        if not led or led[0] != BATCH:
            return None
    return shapes


_MIXED = "its outputs mix the samples of a batch"


def _mixing(model: ir.Model, batch: int) -> str | None:
    """Why a batch may not give, sample by sample, what each gives alone; runs onnxruntime."""
    size = max(batch, 2)
    rng = np.random.default_rng(0)
    samples = {}
    for value in model.graph.inputs:
        dims = [int(d) for d in list(value.shape or ())[1:] if isinstance(d, int)]
        samples[str(value.name)] = rng.random((size, *dims)).astype(np.float32)
    try:
        runner, weights = session(proto_without_weights(model)), large_weights(model)
        together = runner.run(None, {**samples, **weights})
        last = runner.run(None, {**{name: x[-1:] for name, x in samples.items()}, **weights})
    except Exception as error:  # noqa: BLE001  onnxruntime's exceptions share no base class
        return (
            f"onnxruntime, which would tell whether others work, cannot run it: {one_line(error)}"
        )
    for many, one in zip(together, last, strict=True):
        if many[-1:].shape != one.shape:
            return _MIXED  # a constant with a batch of its own made samples out of one
        scale = float(np.max(np.abs(one), initial=0.0))
        if not np.allclose(many[-1:], one, rtol=0, atol=_TOLERANCE * scale, equal_nan=True):
            return _MIXED
    return None


def _fixed_shapes(model: ir.Model, batch: int) -> dict[str, Inferred]:
    """Shapes at one batch size; what only depends on shapes becomes constant on the way."""
    while True:
        shapes = infer_shapes(model, batch)
        folded = False
        for node in list(model.graph):
            dims = _static(shapes, node.inputs[0]) if node.op_type == "Shape" else None
            if dims is None or node.domain or node.outputs[0].is_graph_output():
                continue
            start = node.attributes.get_int("start", 0)
            end = node.attributes.get_int("end", len(dims))
            replace_by_constants(model, node, [np.asarray(dims[start:end], np.int64)])
            folded = True
        if not folded:
            return shapes
        fold_constants(model)


def _require_static(model: ir.Model, shapes: dict[str, Inferred]) -> None:
    """Refuse a graph with a shape that only the data decide."""
    for node in model.graph:
        for value in node.outputs:
            known = shapes.get(str(value.name))
            if value.name and (known is None or known.static is None):
                dims = None if known is None else known.dims
                raise UnsupportedError(
                    f"{label_of(model)}: {node_text(node)}: the shape of output {value.name!r} "
                    f"must be known before the run: it is {shape_text(dims)}; export with static "
                    "shapes"
                )


def _make_targets_constant(model: ir.Model) -> None:
    """Give every Reshape a constant target in one form: [0, ...], -1 only for a batch elsewhere.

    Shape → Slice → Concat chains that exporters make for "flatten" lose their use by this.
    """
    names = value_names(model)
    for node in _reshapes(model):
        source, result = node.inputs[0], node.outputs[0]
        if source is None or source.shape is None or result.shape is None:
            continue
        target = []
        for index, dim in enumerate(result.shape):
            if isinstance(dim, int):
                target.append(dim)
            else:
                copied = index < len(source.shape) and not isinstance(source.shape[index], int)
                target.append(0 if copied else -1)
        _set_target(model, node, target, names)


def _reshapes(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type == "Reshape" and node.domain == ""]


def _static(shapes: dict[str, Inferred], value: ir.Value | None) -> tuple[int, ...] | None:
    known = shapes.get(str(value.name)) if value is not None else None
    return known.static if known is not None else None


def _set_target(model: ir.Model, node: ir.Node, target: list[int], names: Names) -> None:
    """Give a Reshape this constant target, unless it has it already."""
    old = constant(node.inputs[1])
    array = np.asarray(target, np.int64)
    if 0 in target:
        node.attributes.pop("allowzero", None)  # 0 must copy
    if old is not None and np.array_equal(old, array):
        return
    name = names.unique(f"{node.name}.shape")
    node.replace_input_with(1, add_initializer(model, name, array))
