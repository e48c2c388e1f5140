"""The data that moves between arrays, in values a sample.

Counted once where they arrive: copies for the row blocks of a grid, and the windows that im2col
cuts, are made at the layer. Not for their energy: that is energy.py.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.cost.sizes import elements


def values_in(read: ir.Node, batch: int | str | None) -> int:
    """Return how many values a read gets from elsewhere for one sample.

    Forward, that is the layer's input before it is cut into windows; backward, the error. 0 where
    no shape is static.
    """
    value = read.inputs[0]
    while value is not None:
        producer = value.producer()
        if producer is None or not _is_local(producer, read):
            break
        value = producer.inputs[0]
    return elements(value, batch) or 0


def _is_local(producer: ir.Node, read: ir.Node) -> bool:
    """Whether a node only lays out what the read gets: of the array machine, or its own layer's."""
    if producer.domain == "rpu":
        return producer.op_type not in _NOT_LOCAL
    layer = read.metadata_props.get("rpucc.layer")
    return producer.op_type in _LAYOUT and producer.metadata_props.get("rpucc.layer") == layer


_LAYOUT = ("Reshape", "Transpose")
_NOT_LOCAL = ("Read", "BoundedRead", "Rescale")
"""Ops of the domain that are another layer's, or another read's."""


def partial_sums(reads: float, outputs: int, segments: int) -> float:
    """Return the partial sums that leave arrays to be added up: none where there is one segment.

    outputs: result lines of the matrix; segments: tiles that each give a part of the same result.
    """
    return reads * outputs * segments if segments > 1 else 0.0
