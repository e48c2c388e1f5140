"""Backends to test the tests with: plain NumPy in place of a builder or two, right and wrong.

Slow and for one matrix only; everything else is the CPU's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from rpucc.layers import weight_of
from rpucc.runtime.backend import Native
from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.chains import ReadChain
from rpucc.runtime.cpu import CPU
from rpucc.runtime.reference.read import read_tile
from rpucc.runtime.scalars.philox import READ_BACKWARD, READ_EVALUATE, READ_FORWARD
from rpucc.runtime.tallies import PULSES, TILE_READS
from rpucc.runtime.threads import Work

try:
    from .tilings import Pulsing, Tiling, plain_pulse
except ImportError:  # by its own name, from the command line
    from tilings import Pulsing, Tiling, plain_pulse


def build_plain_read(builder: Builder, chain: ReadChain, noisy: bool = True) -> Instruction:
    """Tile by tile and row by row."""
    node = next(n for n in chain.nodes if n.op_type in ("Read", "BoundedRead"))
    array, attributes = builder.matrix(weight_of(node)), node.attributes
    transpose = bool(attributes.get_int("transpose", 0))
    x = builder.array(chain.nodes[0].inputs[0])
    y = builder.new(chain.nodes[-1].outputs[0], (*x.shape[:-1], array.layout.shape[transpose]))
    X, Y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    positions, address = len(X) // builder.batch, builder.address
    counts = builder.tallies.line(array.layer)
    key = (int(address.key[0]), int(address.key[1]))
    purpose = READ_BACKWARD if transpose else READ_FORWARD
    purpose = READ_EVALUATE if address.evaluating else purpose
    bound = attributes.get_float("bound", 0.0)
    settings: dict[str, Any] = {
        "noise": float(np.float32(attributes.get_float("noise", 0.0))) if noisy else 0.0,
        "bound": bound,
        "noise_managed": len(chain.nodes) > 2,
        "worst_case": attributes.get_float("assumed_w_max", 0.0) / (bound or 1.0),
        **{
            name: attributes.get_int(name, 0)
            for name in ("dac_bits", "adc_bits", "max_halvings", "dac_stochastic")
        },
    }
    layout = array.layout
    cuts = (tuple(map(int, c)) for c in (layout.row_cuts, layout.col_cuts))
    tiles = Tiling(*cuts, int(layout.tiles[0, 0])).blocks()

    def run() -> None:
        Y[:] = 0
        for tile, rows, columns in tiles:
            inside, outside = (rows, columns) if transpose else (columns, rows)
            W = array.visible[rows, columns].astype(float)
            for m, row in enumerate(X[:, inside].astype(float)):
                at = (purpose << 24 | tile, address.sample + m // positions)
                out, again, saturated = read_tile(
                    W.T if transpose else W, row, m % positions, at, key, **settings
                )
                Y[m, outside] += out.astype(np.float32)
                if row.any() or not settings["noise_managed"]:
                    counts[TILE_READS] += [1, saturated, again]

    return run


def build_plain_update(builder: Builder, node: ir.Node, noisy: bool = True) -> None:
    """One pulse after the other, also of devices that the CPU counts."""
    array, attributes = builder.matrix(weight_of(node)), node.attributes
    plane = array.main
    devices = plane if noisy else replace(plane, constants=np.zeros_like(plane.constants))
    x, d, lr = (builder.array(value) for value in node.inputs[1:4])
    builder.bind(node.outputs[0], plane.W)
    X, D = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    counts = builder.tallies.line(array.layer)
    managed, bl_managed = (
        bool(attributes.get_int(name, 0)) for name in ("update_management", "update_bl_management")
    )

    def run() -> None:
        how = Pulsing(
            float(lr), attributes.get_int("bl", 1), managed, bl_managed, len(X) // builder.batch,
            builder.address.sample,
        )  # fmt: skip
        plane.W[:], count = plain_pulse(devices, X, D, how, counted=False)
        counts[PULSES] += count

    def parts(_count: int) -> Sequence[Instruction]:
        return [run]

    builder.at_end_together(Work(1.0, parts, plane))


def build_softmax(builder: Builder, node: ir.Node, largest_first: bool = True) -> Instruction:
    x = builder.array(node.inputs[0])
    out = builder.new(node.outputs[0], x.shape)
    axis = node.attributes.get_int("axis", -1)

    def run() -> None:
        e = np.exp(x - x.max(axis=axis, keepdims=True) if largest_first else x)
        np.divide(e, e.sum(axis=axis, keepdims=True), out=out)

    return run


def toy(name: str, read: Any, update: Any, softmax: Any) -> Any:
    return replace(
        CPU,
        name=name,
        rpu={**CPU.rpu, "Update": update},
        chains={**CPU.chains, ReadChain: read},
        standard={**CPU.standard, "Softmax": Native(softmax)},
    )


PLAIN = toy("plain", build_plain_read, build_plain_update, build_softmax)
QUIET = toy("quiet", partial(build_plain_read, noisy=False), build_plain_update, build_softmax)
EVEN = toy("even", build_plain_read, partial(build_plain_update, noisy=False), build_softmax)
STEEP = toy(
    "steep", build_plain_read, build_plain_update, partial(build_softmax, largest_first=False)
)
