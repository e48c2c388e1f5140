"""Outer products dᵀx: what moves a matrix on arrays, and how several in a step become one update.

Not for how an update is done by pulses: `assign_update.py` and the runtime.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rpucc.layers import DEVICES, weight_scale
from rpucc.passes.graph_reader import LAYER, int_of, static_dims
from rpucc.passes.graph_writer import Emitter


@dataclass(frozen=True)
class OuterProduct:
    """An update cycle to come: W - lr · dᵀx for a Read of W; `outer_product` makes it."""

    weight: ir.Value
    x: ir.Value
    """What the columns get, [N, (groups,) .., C]."""
    d: ir.Value
    """What the rows get, [N, (groups,) .., R]."""
    read: ir.Node


def outer_product(e: Emitter, read: ir.Node, x: ir.Value, d: ir.Value) -> OuterProduct:
    """Return what moves the matrix of a Read by -lr · dᵀx, as its weights count.

    x, d: at the inputs and at the outputs of the layer. A layer that has the matrix transposed
    computes y = Wᵀ x: there the columns get d and the rows get x.
    """
    weight = read.inputs[1]
    assert weight is not None
    columns, rows = (d, x) if int_of(read, "transpose", 0) else (x, d)
    return OuterProduct(weight, columns, _of_the_weight(e, read, rows), read)


def joined(e: Emitter, products: Sequence[OuterProduct]) -> tuple[ir.Value, ir.Value]:
    """Return x and d of the one update for all outer products of a matrix: positions in a row.

    One alone keeps its own x and d. Else x [N, (groups,) P, C] and d [N, (groups,) P, R], where P
    counts the positions of a sample in all of them, in the order given.
    """
    if len(products) == 1:
        return products[0].x, products[0].d
    groups = int_of(products[0].read, "groups", 1)
    axis = 2 if groups > 1 else 1
    x, d = (
        e.op("Concat", *(_by_position(e, value, axis) for value in values), axis=axis, out=out)
        for values, out in (
            ([product.x for product in products], f"{e.scope}.x"),
            ([product.d for product in products], f"{e.scope}.d"),
        )
    )
    return x, d


def _by_position(e: Emitter, value: ir.Value, axis: int) -> ir.Value:
    """[N, (groups,) .., lines] with one axis for all positions, which may be none."""
    places = static_dims(value, axis)[:-1]
    if len(places) == 1:
        return value
    lines = static_dims(value, axis)[-1]
    return e.reshape(value, [*[0] * axis, math.prod(places), lines])


def _of_the_weight(e: Emitter, read: ir.Node, d: ir.Value) -> ir.Value:
    """Turn the gradient of a Read's outputs into what moves its devices as the weight should.

    Of n devices a weight each is updated as the weight would be, which undoes their mean: the
    weight then moves as one device would, with 1/n of the variance (Gokmen, Onen & Haensch 2017).
    Where the outputs are multiplied by s, d is s times the gradient of the layer's output and the
    weight is s times what the devices hold: both are undone by 1/s².
    """
    devices = int(read.metadata_props.get(DEVICES, "1"))
    scale = weight_scale(read)
    if scale is not None:
        by_line = scale if scale.size == 1 else np.tile(scale, devices)
        factors = devices / by_line.astype(np.float64) ** 2
        by = e.initializer(f"{read.metadata_props[LAYER]}.per_scale", factors.astype(scale.dtype))
        return e.op("Mul", d, by)
    return d if devices == 1 else e.op("Mul", d, e.like(d, float(devices)))
