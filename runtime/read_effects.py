"""How much each thing around a read takes from a layer's outputs, worked out from exact values.

A forward read is followed in NumPy as its kernel does it (`reference/read.py` is the plain
statement), but with one effect at a time, and the noise as its variance. Not for what the layer's
outputs really come to on the arrays: that is measured (`by_layer.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.layers import weight_scale
from rpucc.runtime.instructions.read import read_settings
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Settings

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.runtime.array import Array

FloatArray = NDArray[np.float32]

EFFECTS = ("noise", "dac", "adc", "bound", "clipped")
"""Read noise, input converters, output converters, saturation, weights that their devices cannot
hold."""
ROWS = 2048
"""Inputs that are followed at once, so that what is in memory does not grow with a batch."""


class ReadEffects:
    """Adds up what the effects take from the reads of one node, as powers of the layer's outputs.

    array: the layer's; exact: its weights as they are meant, float32 [R, C]; devices: copies of
    each row whose mean is the output, so that what differs among them counts that much less.
    """

    def __init__(self, read: ir.Node, array: Array, exact: FloatArray, devices: int) -> None:
        before = read.inputs[0]
        producer = before.producer() if before is not None else None
        self.managed = producer is not None and producer.op_type == "NoiseManage"
        x = producer.inputs[0] if self.managed and producer is not None else before
        self.x = str(x.name) if x is not None else ""
        """The value that is read."""
        self.settings = read_settings(read, self.managed)
        self.transpose = bool(read.attributes.get_int("transpose", 0))
        self.layout = array.layout
        self._held, self._meant = array.matrices, array.layout.by_group(exact)
        self._differs = exact is not array.visible
        self._devices = devices
        self._scales = self._output_scales(weight_scale(read))
        self.powers = dict.fromkeys(EFFECTS, 0.0)
        self.largest_input = 0.0
        self.largest_output = 0.0
        """In units of the array, after noise management and before bound management."""

    def add(self, x: NDArray[np.float32]) -> None:
        """Follow the inputs of a batch, [N, P, C], [N, C] or, of groups, [N, G, P, C]."""
        by_group = x if self.layout.groups > 1 else x[:, None]
        for g in range(self.layout.groups):
            rows = by_group[:, g].reshape(-1, x.shape[-1])
            for first in range(0, len(rows), ROWS):
                part = rows[first : first + ROWS]
                self._follow(part, self._held[g], self._meant[g], self._scales[g])

    def _output_scales(self, scale: FloatArray | None) -> FloatArray:
        """What the outputs of each group are multiplied by digitally, [groups, outputs]."""
        cuts = self.layout.col_cuts if self.transpose else self.layout.group_cuts
        shape = self.layout.groups, int(cuts[-1])
        if scale is None or scale.size == 1:
            return np.full(shape, 1 if scale is None else scale.item(), np.float32)
        # Copies of a device or of a layer have the same scales one after the other.
        return np.resize(scale.astype(np.float32), shape)

    def _follow(
        self, X: FloatArray, held: FloatArray, meant: FloatArray, scales: FloatArray
    ) -> None:
        if self.transpose:
            held, meant = held.T, meant.T
        in_cuts, out_cuts = self.layout.col_cuts, self.layout.group_cuts
        if self.transpose:
            in_cuts, out_cuts = out_cuts, in_cuts
        exact = X @ meant.T
        if self._differs:
            self.powers["clipped"] += _power((exact - X @ held.T) * scales) / self._devices
        self.largest_input = max(self.largest_input, float(np.abs(X).max(initial=0)))
        lost: dict[str, FloatArray] = {}
        for columns in _ranges(in_cuts):
            x = X[:, columns]
            scale = np.abs(x).max(axis=1) if self.managed else np.ones(len(x), np.float32)
            for outputs in _ranges(out_cuts):
                tile = held[outputs, columns]
                for effect, error in self._tile(x, scale, tile).items():
                    if effect not in lost:
                        lost[effect] = np.zeros_like(exact)
                    lost[effect][:, outputs] += error
        for effect, error in lost.items():
            # A noise's power adds up over segments, what is the same every time its amplitude.
            if effect == "noise":
                power = float((error * np.square(scales)).sum(dtype=np.float64))
            else:
                power = _power(error * scales)
            # Of copies of a device there is one output: their mean, for which what differs among
            # them counts less.
            alike = 1 if effect in ("noise", "adc") else self._devices
            self.powers[effect] += power * alike / self._devices**2

    def _tile(self, x: FloatArray, scale: FloatArray, W: FloatArray) -> dict[str, FloatArray]:
        """What one tile's outputs lose by each effect [rows, outputs]; noise: its variance."""
        s = self.settings
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
        z = (x * inverse[:, None]) @ W.T
        top = np.abs(z).max(axis=1)
        self.largest_output = max(self.largest_output, float(top.max(initial=0)))
        again = _divisor(x, scale, top, s)
        factor = (scale * again)[:, None]
        z = z / again[:, None]
        found: dict[str, FloatArray] = {}
        if s.noise:
            read = (scale > 0)[:, None]
            found["noise"] = np.broadcast_to((s.noise * factor) ** 2 * read, z.shape)
        if s.dac_levels:
            v = x / np.where(factor > 0, factor, 1)
            inside = np.clip(v, -1, 1)
            if s.dac_stochastic:
                part = inside * s.dac_levels % 1  # the variance of rounding by chance, summed
                spread = (part * (1 - part) / s.dac_levels**2) @ np.square(W).T
                found["dac"] = np.sqrt(spread) * factor + np.abs((inside - v) @ W.T) * factor
            else:
                converted = np.floor(inside * s.dac_levels + 0.5) / s.dac_levels
                found["dac"] = ((converted - v).astype(np.float32) @ W.T) * factor
        if s.bound < UNBOUNDED:
            clipped = np.clip(z, -s.bound, s.bound)
            found["bound"] = (clipped - z) * factor
            z = clipped
        if s.adc_step:
            found["adc"] = (np.floor(z / s.adc_step + 0.5) * s.adc_step - z) * factor
        return found

    @property
    def range_used(self) -> float:
        """The largest output as a part of the signal bound, the range of the ADC; nan without."""
        bound = float(self.settings.bound)
        return self.largest_output / bound if bound < UNBOUNDED else float("nan")


def _divisor(x: FloatArray, scale: FloatArray, top: FloatArray, s: Settings) -> FloatArray:
    """What bound management divides each row's input by before its read does not saturate."""
    if not s.max_halvings or s.bound >= UNBOUNDED:
        return np.ones_like(scale)
    if s.worst_case:
        safe = np.where(scale > 0, scale, 1)
        least = np.maximum(np.abs(x).sum(axis=1) * s.worst_case / safe, 2)
        return np.where(top >= s.bound, least, 1).astype(np.float32)
    halvings = np.floor(np.log2(np.maximum(top / s.bound, 0.5))) + 1
    divisors: FloatArray = np.exp2(np.clip(halvings, 0, s.max_halvings)).astype(np.float32)
    return divisors


def _ranges(cuts: NDArray[np.int64]) -> Iterator[slice]:
    for first, end in itertools.pairwise(cuts.tolist()):
        yield slice(first, end)


def _power(values: FloatArray) -> float:
    """The sum of squares."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return float(np.dot(flat, flat))
