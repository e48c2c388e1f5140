"""The matrix of a layer as an array holds it: rows of its weight, perhaps a bias, perhaps copies.

Not for where weight and bias come from: `terms.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.origins.terms import Numbers, Origin


def rows_of(
    weight: NDArray[Any], op: str, groups: int = 1, *, rows_first: bool = False
) -> NDArray[Any]:
    """Return a layer's weight as the matrices [R, C] of its groups, one below the other.

    The columns of a convolution are channel-major, its taps minor: the order of im2col. A
    transposed convolution has its inputs' channels for columns and the taps of its outputs'
    channels for rows, the order of col2im. rows_first: of a dense layer with a weight [R, C].
    """
    if op == "Conv":
        return weight.reshape(len(weight), -1)
    if op == "ConvTranspose":
        taps = math.prod(weight.shape[1:])
        by_group = weight.reshape(groups, len(weight) // groups, taps)
        return by_group.transpose(0, 2, 1).reshape(-1, by_group.shape[1])
    if weight.ndim == 3:  # a MatMul with a matrix [K, M] a group
        return weight.transpose(0, 2, 1).reshape(-1, weight.shape[1])
    return weight if rows_first else weight.T


def weight_of_rows(
    matrix: NDArray[Any], dims: tuple[int, ...], op: str, groups: int, *, rows_first: bool
) -> NDArray[Any]:
    """Return the weight of shape `dims` that `rows_of` makes these matrices of."""
    if op == "ConvTranspose":
        by_group = matrix.reshape(groups, -1, matrix.shape[1])
        return by_group.transpose(0, 2, 1).reshape(dims)
    if op != "Conv" and len(dims) == 3:
        return matrix.reshape(dims[0], dims[2], dims[1]).transpose(0, 2, 1)
    return matrix.reshape(dims) if op == "Conv" or rows_first else matrix.T


@dataclass(frozen=True)
class MatrixOrigin:
    """`copies` times, one below the other, for each group `devices` times its rows [R, C].

    A bias is the last column. Copies learn on their own; devices share a weight.
    """

    weight: Origin
    op: str
    bias: Origin | None = None
    groups: int = 1
    rows_first: bool = False
    devices: int = 1
    copies: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of what an array holds; raises ValueError where there cannot be one."""
        dims, groups = self.weight.shape, self.groups
        if self.op == "Conv":
            rows, columns = dims[0], math.prod(dims[1:])
        elif self.op == "ConvTranspose":
            rows, columns = groups * math.prod(dims[1:]), dims[0] // groups
        elif len(dims) == 3:
            rows, columns = dims[0] * dims[2], dims[1]
        else:
            rows, columns = dims if self.rows_first else dims[::-1]
        fits = self.bias is None or self.bias.shape == (rows,)
        if not fits or rows % groups or rows * columns != math.prod(dims):
            raise ValueError("has a weight, a bias and groups that do not fit each other")
        return rows * self.devices * self.copies, columns + (self.bias is not None)

    def parts(
        self, held: NDArray[Any], scale: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return weight and bias from what an array holds, copies averaged.

        scale: what outputs are multiplied by, one number or one a row of each matrix; None for 1.
        """
        matrix = held
        if scale is not None or self.devices * self.copies > 1:
            lines = self._by_copy(held)
            copies, groups, _, rows, _ = lines.shape
            of_rows = np.ones(1) if scale is None else scale.astype(np.float64).reshape(-1)
            if len(of_rows) == 1:
                of_rows = np.broadcast_to(of_rows, copies * groups * rows)
            lines *= of_rows.reshape(copies, groups, 1, rows, 1)
            matrix = lines.mean(axis=(0, 2)).reshape(-1, lines.shape[-1])
        bias = None if self.bias is None else matrix[:, -1]
        rows_alone = matrix if bias is None else matrix[:, :-1]
        weight = weight_of_rows(
            rows_alone, self.weight.shape, self.op, self.groups, rows_first=self.rows_first
        )
        return weight, bias

    def spread(self, held: NDArray[Any]) -> float:
        """How far copies that learn on their own lie from their mean: RMS, in what arrays hold."""
        lines = self._by_copy(held)
        return float(np.sqrt(np.mean((lines - lines.mean(axis=0)) ** 2)))

    def _by_copy(self, held: NDArray[Any]) -> Numbers:
        """[copies, groups, devices, R, C]."""
        numbers = held.astype(np.float64)
        return numbers.reshape(self.copies, self.groups, self.devices, -1, held.shape[-1])
