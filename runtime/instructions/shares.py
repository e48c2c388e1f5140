"""Sharing the positions of a sample out among copies of a layer that learn on their own.

RAPA (Rasch, Gokmen, Rigotti & Haensch 2019, arXiv 1807.01356): which copy a position falls to is
random, anew for every sample. All Assigns and Collects of a layer draw the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.fits import require
from rpucc.runtime.kernels.shares import assign, collect


def build_assign(builder: Builder, node: ir.Node) -> Instruction:
    """[N, P, C] to [N, n, Q, C]: position order[i] of a sample becomes share i."""
    x = builder.array(node.inputs[0])
    require(node, x.ndim == 3 and x.dtype == np.float32, f"its input is {x.dtype}{list(x.shape)}")
    batch, positions, columns = x.shape
    (copies,) = node.attributes["copies"].as_ints()
    each = -(-positions // copies)
    out = builder.new(node.outputs[0], (batch, copies, each, columns))
    return _in_order(builder, node, positions, assign, x, out.reshape(batch, -1, columns))


def build_collect(builder: Builder, node: ir.Node) -> Instruction:
    """[N, n, Q, R] to [N, P, R]: share i becomes position order[i] again."""
    shares = builder.array(node.inputs[0])
    batch, rows = shares.shape[0], shares.shape[-1]
    (positions,) = node.attributes["positions"].as_ints()
    fits = shares.ndim == 4 and shares.dtype == np.float32
    fits = fits and 0 < positions <= shares.shape[1] * shares.shape[2]
    require(node, fits, f"its shares {list(shares.shape)} do not hold {positions} positions")
    out = builder.new(node.outputs[0], (batch, positions, rows))
    return _in_order(builder, node, positions, collect, shares.reshape(batch, -1, rows), out)


def _in_order(
    builder: Builder, node: ir.Node, positions: int, kernel: Callable[..., None],
    source: NDArray[Any], target: NDArray[Any],
) -> Instruction:  # fmt: skip
    address, (k0, k1) = builder.address, builder.address.key
    order = np.empty(positions, np.int32)
    layer = node.attributes.get_int("layer", 0)
    which = 2 if address.recalibrating else int(address.evaluating)
    return lambda: kernel(source, target, order, address.sample, layer, which, k0, k1)
