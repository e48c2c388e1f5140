"""Shape inference of the rpu ops: one small function an op, on plain lists.

onnx needs these once a schema is registered: it then no longer looks into the function body. They
also know more than the body does (P and K of a kernel follow from attributes). Dimensions are ints,
names, or None where unknown; a mismatch raises ValueError with one line. Not for values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

Dim: TypeAlias = int | str | None
Shape: TypeAlias = list[Dim]
Attributes: TypeAlias = Mapping[str, object]
ShapeRule: TypeAlias = Callable[[Attributes, Sequence[Shape]], list[Shape]]


def _ints(attributes: Attributes, name: str) -> list[int]:
    value = attributes.get(name, ())
    assert isinstance(value, list | tuple)
    return list(value)


def _same(what: str, found: Dim, expected: Dim) -> Dim:
    """Return the better known of two dimensions that must agree."""
    if isinstance(found, int) and isinstance(expected, int) and found != expected:
        raise ValueError(f"{what}: found {found}, expected {expected}")
    return found if isinstance(found, int) else expected


def _check_rank(what: str, shape: Shape, lowest: int) -> None:
    if len(shape) < lowest:
        raise ValueError(f"{what} has rank {len(shape)}, needs {lowest} at least")


def _check_cuts(name: str, cuts: Sequence[int], lines: Dim) -> None:
    rising = all(a < b for a, b in pairwise(cuts))
    if len(cuts) < 2 or cuts[0] != 0 or not rising:
        raise ValueError(f"{name} must rise from 0, found {list(cuts)}")
    _same(f"the last of {name} {list(cuts)} is not the number of lines", cuts[-1], lines)


def _group_rows(attributes: Attributes, W: Shape, *vectors: tuple[str, Shape]) -> Dim:
    """Return the rows of one of the `groups` matrices below each other in W [G*R, C]."""
    groups = attributes.get("groups", 1)
    assert isinstance(groups, int)
    if groups < 1 or (isinstance(W[0], int) and W[0] % groups):
        raise ValueError(f"groups = {groups} do not share out the {W[0]} rows of W")
    if groups > 1:
        for name, vector in vectors:
            _check_rank(name, vector, 3)
            _same(f"the axis of {name} before the positions is not groups", vector[-3], groups)
    return W[0] // groups if isinstance(W[0], int) else None


def conv_positions(
    space: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """Return the number of kernel positions along each axis (floor, as ONNX Conv).

    >>> conv_positions([28, 28], [5, 5], [1, 1], [0, 0, 0, 0], [1, 1])
    [24, 24]
    """
    rank = len(kernel)
    return [
        (space[i] + pads[i] + pads[i + rank] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]


def im2col(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, C, *space] -> [N, P, C*K]."""
    (X,) = inputs
    kernel, strides = _ints(attributes, "kernel_shape"), _ints(attributes, "strides")
    pads, dilations = _ints(attributes, "pads"), _ints(attributes, "dilations")
    rank = len(kernel)
    if (
        not rank
        or len(X) != rank + 2
        or not len(strides) == len(dilations) == rank
        or len(pads) != 2 * rank
    ):
        raise ValueError(
            f"an input of rank {len(X)} does not fit kernel_shape {kernel}, strides {strides}, "
            f"pads {pads}, dilations {dilations}"
        )
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError(
            f"sizes and steps must be 1 or more, pads 0 or more, found {kernel}, "
            f"{strides}, {dilations}, {pads}"
        )
    columns = X[1] * math.prod(kernel) if isinstance(X[1], int) else None
    space = [d for d in X[2:] if isinstance(d, int)]
    if len(space) < rank:
        return [[X[0], None, columns]]
    positions = conv_positions(space, kernel, strides, pads, dilations)
    if min(positions) < 1:
        raise ValueError(f"kernel_shape {kernel} with pads {pads} is larger than the input {space}")
    return [[X[0], math.prod(positions), columns]]


def append_one(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[.., C] -> [.., C+1]."""
    (x,) = inputs
    _check_rank("x", x, 1)
    return [[*x[:-1], x[-1] + 1 if isinstance(x[-1], int) else None]]


def assign(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, P, C] -> [N, n, Q, C]."""
    (x,) = inputs
    copies = _ints(attributes, "copies")
    if len(x) != 3 or len(copies) != 1 or copies[0] < 1:
        raise ValueError(f"x must be [N, P, C] and copies one number, found {x} and {copies}")
    each = -(-x[1] // copies[0]) if isinstance(x[1], int) else None
    return [[x[0], copies[0], each, x[2]]]


def collect(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, n, Q, R] -> [N, P, R]."""
    (shares,) = inputs
    positions = _ints(attributes, "positions")
    if len(shares) != 4 or len(positions) != 1:
        raise ValueError(f"shares must be [N, n, Q, R] and positions one number, found {shares}")
    n, each = shares[1:3]
    if isinstance(n, int) and isinstance(each, int) and each != -(-positions[0] // n):
        raise ValueError(f"{positions[0]} positions are not {n} shares of {each}")
    return [[shares[0], positions[0], shares[3]]]


def noise_manage(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """x [.., C] -> xs [.., C], s [.., S]."""
    (x,) = inputs
    _check_rank("x", x, 1)
    cuts = _ints(attributes, "cuts")
    _check_cuts("cuts", cuts, x[-1])
    if attributes.get("mode", "abs-max") != "abs-max":
        raise ValueError(f"mode must be 'abs-max', found {attributes['mode']!r}")
    return [list(x), [*x[:-1], len(cuts) - 1]]


def read(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """x [.., C], W [R, C] -> [.., S, R]; transpose: x [.., R] -> [.., S, C]."""
    x, W = inputs
    _check_rank("x", x, 2)
    if len(W) != 2:
        raise ValueError(f"W must be [R, C], found rank {len(W)}")
    row_cuts, col_cuts = _ints(attributes, "row_cuts"), _ints(attributes, "col_cuts")
    _check_cuts("row_cuts", row_cuts, _group_rows(attributes, W, ("x", x)))
    _check_cuts("col_cuts", col_cuts, W[1])
    cuts_in, cuts_out = col_cuts, row_cuts
    if attributes.get("transpose", 0):
        cuts_in, cuts_out = row_cuts, col_cuts
    _same("the length of x is not that of W's side", x[-1], cuts_in[-1])
    return [[*x[:-1], len(cuts_in) - 1, cuts_out[-1]]]


def rescale(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """y [.., S, R], s [.., S] -> [.., S, R]."""
    y, s = inputs
    _check_rank("y", y, 2)
    if len(s) != len(y) - 1:
        raise ValueError(f"s must have one dimension less than y, found {len(s)} and {len(y)}")
    _same("the segments of s are not those of y", s[-1], y[-2])
    return [list(y)]


def update(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """W [R, C], x [.., C], d [.., R], lr [] -> [R, C]."""
    W, x, d, lr = inputs
    if len(W) != 2 or lr:
        raise ValueError(f"W must be [R, C] and lr [], found ranks {len(W)} and {len(lr)}")
    _check_rank("x", x, 2)
    _check_rank("d", d, 2)
    rows = _group_rows(attributes, W, ("x", x), ("d", d))
    if len(x) != len(d):
        raise ValueError(f"x and d must be alike but for their lines, found {x} and {d}")
    for left, right in zip(x[:-1], d[:-1], strict=True):
        _same("x and d must be alike but for their lines", left, right)
    _same("the length of x is not W's columns", x[-1], W[1])
    _same("the length of d is not W's rows", d[-1], rows)
    for name, lines in (("row_cuts", rows), ("col_cuts", W[1])):
        if cuts := _ints(attributes, name):
            _check_cuts(name, cuts, lines)
    return [list(W)]


SHAPES: dict[str, ShapeRule] = {
    "Im2Col": im2col,
    "AppendOne": append_one,
    "Assign": assign,
    "Collect": collect,
    "NoiseManage": noise_manage,
    "Read": read,
    "BoundedRead": read,
    "Rescale": rescale,
    "Update": update,
}
"""Op name to the rule for its output shapes."""
