"""Lower layers to the reads of weight matrices.

Not for cutting the matrices to array size: tile does that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.base import RpuPass
from rpucc.passes.emit import (
    ANALOG,
    CYCLE,
    LAYER,
    Emitter,
    constant_of,
    drop_unused_initializers,
    int_of,
    known_shape,
)
from rpucc.passes.select_analog import bias_array, following_bias, rows_of
from rpucc.passes.window import Window


@dataclass(frozen=True)
class Unroll(RpuPass):
    """Turn each analog layer into im2col, an appended 1 and one read of its whole matrix.

    Requires: select_analog's marks; static shapes but for the batch.
    Leaves behind: no analog Conv, Gemm or MatMul. Weight and bias of a layer are one initializer
    `<layer>.W` [R, C+1] (without a bias [R, C], and no AppendOne); unused initializers are gone.
    The layer's result keeps its name. In a training program digital layers take the same form
    with MatMul(x, Wᵀ) for the read, so that the same gradient rules hold; in an inference program
    they stay as they were. A grouped convolution on arrays is a block-diagonal matrix.

        before: out = Conv(X, W, b)                              (node conv1, analog)
        after:  cols = Im2Col(X); x1 = AppendOne(cols); part = Read(x1, conv1.W) [N, P, 1, R];
                y = ReduceSum(part, -2); t = Transpose(y); out = Reshape(t, [0, R, *space])
    """

    training: bool = True

    name: ClassVar[str] = "unroll"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Lower the marked layers; what has no matrix form raises UnsupportedError."""
        layers = list(self._layers(model.graph))
        if self.training:
            _refuse_shared_weights(layers)
        emitter = Emitter(model)
        for node in layers:
            _Lowering(emitter, node).run()
        drop_unused_initializers(model.graph)
        return ir.passes.PassResult(model, modified=bool(layers))

    def _layers(self, graph: ir.Graph) -> Iterator[ir.Node]:
        for node in graph:
            analog = node.metadata_props.get(ANALOG)
            if node.metadata_props.get(LAYER) != node.name or analog is None:
                continue
            if analog == "1" or (self.training and int_of(node, "group", 1) == 1):
                yield node


class _Lowering:
    """The lowering of one layer node; the pieces are emitted before it, then it goes away."""

    def __init__(self, emitter: Emitter, node: ir.Node) -> None:
        self.emitter = emitter
        self.node = node
        self.layer = node.name or ""
        self.analog = node.metadata_props[ANALOG] == "1"
        self.R = rows_of(node)
        emitter.before = node
        emitter.scope = self.layer
        emitter.metadata = {
            LAYER: self.layer,
            ANALOG: node.metadata_props[ANALOG],
            CYCLE: "forward",
        }

    def run(self) -> None:
        """Emit the layer and put its result in the place of the old one."""
        bias_node = following_bias(self.node)
        last = self.node if bias_node is None else bias_node
        out = last.outputs[0]
        bias = bias_array(self.node)
        matrix = _matrix(self.node)
        if bias is not None:
            matrix = np.concatenate([matrix, bias.reshape(-1, 1).astype(matrix.dtype)], axis=1)
        W = self.emitter.initializer(f"{self.layer}.W", np.ascontiguousarray(matrix))
        x = self.node.inputs[0]
        assert x is not None
        conv = self.node.op_type == "Conv"
        window = Window.of(self.node, _kernel(self.node)) if conv else None
        rows = self._im2col(x, window) if window is not None else x
        if bias is not None:
            rows = self.emitter.rpu("AppendOne", rows, out=f"{self.layer}.x1")
        result = self._product(rows, W)
        if window is not None:
            t = self.emitter.transpose(result, (0, 2, 1), out=f"{self.layer}.t")
            result = self.emitter.reshape(t, [0, self.R, *window.positions])
        self._replace(out, result, last)

    def _im2col(self, x: ir.Value, window: Window) -> ir.Value:
        if min(window.positions) < 1:
            raise UnsupportedError(
                f"node {self.layer!r} (Conv): kernel {list(window.kernel)} with pads "
                f"{list(window.pads)} is larger than its input {list(window.space)}"
            )
        return self.emitter.rpu(
            "Im2Col",
            x,
            out=f"{self.layer}.cols",
            kernel_shape=list(window.kernel),
            strides=list(window.strides),
            pads=list(window.pads),
            dilations=list(window.dilations),
        )

    def _product(self, rows: ir.Value, W: ir.Value) -> ir.Value:
        """Emit rows · Wᵀ: a read and the sum of its one segment, or digitally a MatMul."""
        if not self.analog:
            WT = self.emitter.transpose(W, (1, 0), out=f"{self.layer}.WT")
            return self.emitter.op("MatMul", rows, WT, out=f"{self.layer}.y")
        R, C = known_shape(W)
        part = self.emitter.rpu(
            "Read", rows, W, out=f"{self.layer}.part", row_cuts=[0, R], col_cuts=[0, C]
        )
        return self.emitter.reduce_sum(part, [-2], out=f"{self.layer}.y")

    def _replace(self, out: ir.Value, result: ir.Value, last: ir.Node) -> None:
        result.type = out.type or result.type
        result.shape = out.shape if out.shape is not None else result.shape
        name = out.name
        out.replace_all_uses_with(result, replace_graph_outputs=True)
        graph = self.emitter.graph
        if last is not self.node:
            graph.remove(last, safe=True)
        graph.remove(self.node, safe=True)
        result.name = name


def _kernel(node: ir.Node) -> list[int]:
    assert node.inputs[1] is not None
    return [d for d in known_shape(node.inputs[1]).dims[2:] if isinstance(d, int)]


def _matrix(node: ir.Node) -> np.ndarray:
    """Return a layer's weights as [R, C]: a convolution's columns are channel-major."""
    weight = constant_of(node.inputs[1])
    assert weight is not None
    if node.op_type == "Conv":
        return _kernel_matrix(node, weight)
    return weight if int_of(node, "transB", 0) else weight.T


def _kernel_matrix(node: ir.Node, weight: np.ndarray) -> np.ndarray:
    """Return a kernel [R, C/group, *k] as [R, C·K], zero outside a group's own channels."""
    group = int_of(node, "group", 1)
    R, K = weight.shape[0], math.prod(weight.shape[2:])
    if group == 1:
        return weight.reshape(R, -1)
    columns, rows = weight.shape[1] * K, R // group
    matrix = np.zeros((R, group * columns), weight.dtype)
    for g in range(group):
        own = slice(g * rows, (g + 1) * rows)
        matrix[own, g * columns : (g + 1) * columns] = weight[own].reshape(rows, columns)
    return matrix


def _refuse_shared_weights(layers: list[ir.Node]) -> None:
    """Two layers on one weight would need one update from two reads: not supported yet."""
    owners: dict[str, str] = {}
    for node in layers:
        weight = node.inputs[1]
        assert weight is not None
        if weight.name in owners:
            raise UnsupportedError(
                f"nodes {owners[weight.name]!r} and {node.name!r} ({node.op_type}): they share the "
                f"weight {weight.name!r}; training a shared weight is not supported yet; give "
                "each its own copy, or compile with --inference"
            )
        owners[weight.name or ""] = node.name or ""
