"""How many elements a value has for one sample, from its shape alone."""

from __future__ import annotations

import math

import onnx_ir as ir

from rpucc.step_contract import StepContract

_SAME_ELEMENTS = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast")
"""Ops whose result has the elements of their first input, in other places."""


def batch_of(model: ir.Model) -> int | str | None:
    """Return the batch axis of the program's data inputs: a symbol, or a fixed number."""
    step = StepContract.find(model)
    data = () if step is None else step.inputs
    for value in model.graph.inputs:
        if value.name in data and value.shape is not None and len(value.shape):
            first = value.shape[0]
            return first if isinstance(first, int) else first.value
    return None


def elements(value: ir.Value | None, batch: int | str | None) -> int | None:
    """Return the elements of `value` with a symbolic `batch` counted as 1; None if not known.

    Where shape inference gave up, as after a Reshape to one dimension, the value before counts.
    """
    while value is not None:
        if value.shape is not None:
            dims = [size(dim, batch) for dim in value.shape]
            known = [dim for dim in dims if dim is not None]
            if len(known) == len(dims):
                return math.prod(known)
        producer = value.producer()
        if producer is None or producer.op_type not in _SAME_ELEMENTS:
            return None
        value = producer.inputs[0]
    return None


def size(dim: int | ir.SymbolicDim, batch: int | str | None) -> int | None:
    """Return a dimension, a symbolic `batch` as 1 and batch * n (samples by group) as n."""
    if isinstance(dim, int):
        return dim
    if dim.value is None or batch is None:
        return None
    name, _, times = str(dim.value).partition("*")
    if name != str(batch) or not (times == "" or times.isdigit()):
        return None
    return int(times or 1)
