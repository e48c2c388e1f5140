"""The data that moves between arrays, in bits a sample.

Counted once where they arrive: copies for the row blocks of a grid, and the windows that im2col
cuts, are made at the layer. Not for their energy: that is energy.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from rpucc.cost.sizes import elements
from rpucc.feedback import ruled_as
from rpucc.opset import DOMAIN, OPS


@dataclass(frozen=True)
class Incoming:
    """What a read gets from elsewhere for one sample."""

    values: int
    """Forward, the layer's input before it is cut into windows; backward, the error. 0 where no
    shape is static."""
    scales: int = 0
    """Scales of noise management; 0 where there is none."""
    windows: bool = False
    """Whether a value belongs to several reads, as in windows that overlap."""

    def bits(self, dac_bits: int, value_bits: int) -> float:
        """Return the bits that move: no more than the converter that takes the values needs.

        dac_bits: the converter's; 0 is none, and values move as they are. Noise management scales
        the values of one read before they meet the converter: it can do so before they move,
        and send its scales along, unless a value belongs to several reads, each with a scale.
        """
        whole = self.values * value_bits
        if not dac_bits or (self.scales and self.windows):
            return whole
        return min(whole, self.values * dac_bits + self.scales * value_bits)


def incoming(read: ir.Node, batch: int | str | None) -> Incoming:
    """Return what a Read gets: found by going back to where its input was made."""
    value, scales, windows = read.inputs[0], 0, False
    while value is not None:
        producer = value.producer()
        if producer is None or not _is_local(producer, read):
            break
        if producer.op_type == "NoiseManage":
            scales += elements(producer.outputs[1], batch) or 0
        before = producer.inputs[0]
        if producer.op_type == "Im2Col":
            windows |= (elements(value, batch) or 0) > (elements(before, batch) or 0)
        value = before
    samples = batch if isinstance(batch, int) else 1
    return Incoming((elements(value, batch) or 0) // samples, scales // samples, windows)


def _is_local(producer: ir.Node, read: ir.Node) -> bool:
    """Whether a node only lays out what the read gets: of the array machine, or its own layer's."""
    if producer.domain == DOMAIN:
        return OPS[producer.op_type].local
    layer = ruled_as(read.metadata_props.get("rpucc.layer", ""))
    return producer.op_type in _LAYOUT and producer.metadata_props.get("rpucc.layer", "") == layer


_LAYOUT = ("Reshape", "Transpose")


def partial_sums(reads: float, outputs: float, segments: int) -> float:
    """Return the partial sums that leave arrays to be added up: none where there is one segment.

    outputs: output lines of all tiles; segments: tiles that each give a part of the same result.
    """
    return reads * outputs if segments > 1 else 0.0
