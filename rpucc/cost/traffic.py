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
        if producer is None or producer.domain != "rpu" or producer.op_type in _NOT_LOCAL:
            break
        value = producer.inputs[0]
    return elements(value, batch) or 0


_NOT_LOCAL = ("Read", "BoundedRead", "Rescale")
"""Ops of the domain that are another layer's, or another read's."""


def partial_sums(reads: float, outputs: int, segments: int) -> float:
    """Return the partial sums that leave arrays to be added up: none where there is one segment.

    outputs: result lines of the matrix; segments: tiles that each give a part of the same result.
    """
    return reads * outputs * segments if segments > 1 else 0.0
