"""The weight matrix of a layer: which rows and columns it has, and what stands in them.

Not for the nodes that read it: unroll writes those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rpucc.origins.matrix import rows_of
from rpucc.passes.graph_reader import constant_of, int_of


def rows_first(node: ir.Node) -> bool:
    """Whether the weight of a dense layer is [R, C]."""
    return bool(int_of(node, "transB", 0))


@dataclass(frozen=True)
class LayerMatrix:
    """G independent matrices [R, C] of one layer; G = 1 but for grouped convolutions and products.

    What stands where: `rpucc.origins.matrix.rows_of`.
    """

    weight: np.ndarray
    """[G·R, C]: the groups' matrices one below the other."""
    groups: int
    outputs: int
    """Channels (or features) of the layer's result."""
    kernel: tuple[int, ...]
    """Taps an axis; () for a dense layer."""

    @classmethod
    def of(cls, node: ir.Node, weight: np.ndarray | None = None) -> LayerMatrix:
        """Take it from a Conv, ConvTranspose, Gemm or MatMul with a constant weight.

        weight: other numbers in the place of the constant, of the same shape.
        """
        weight = constant_of(node.inputs[1]) if weight is None else weight
        assert weight is not None
        groups, kernel = int_of(node, "group", 1), tuple(weight.shape[2:])
        matrix = rows_of(weight, node.op_type, groups, rows_first=rows_first(node))
        if node.op_type == "Conv":
            return cls(matrix, groups, len(matrix), kernel)
        if node.op_type == "ConvTranspose":
            return cls(matrix, groups, groups * weight.shape[1], kernel)
        if weight.ndim == 3:  # a MatMul with a matrix [K, M] a group
            return cls(matrix, len(weight), len(matrix), ())
        return cls(matrix, 1, len(matrix), ())

    @property
    def rows(self) -> int:
        """R of one group's matrix."""
        return len(self.weight) // self.groups

    @property
    def columns(self) -> int:
        """C of one group's matrix, without a bias."""
        return int(self.weight.shape[1])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of the weights."""
        return self.weight.dtype

    def values(self, bias: np.ndarray | None, devices: int = 1, copies: int = 1) -> np.ndarray:
        """Return `copies` times [G·n·R, C], with n = `devices` copies of each group's rows.

        A bias [G·R] is the last column.
        """
        matrix = self.weight
        if bias is not None:
            matrix = np.concatenate([matrix, bias.reshape(-1, 1).astype(matrix.dtype)], axis=1)
        if devices > 1:
            by_group = matrix.reshape(self.groups, 1, self.rows, -1)
            matrix = np.tile(by_group, (1, devices, 1, 1)).reshape(-1, matrix.shape[1])
        return np.ascontiguousarray(np.tile(matrix, (copies, 1)) if copies > 1 else matrix)
