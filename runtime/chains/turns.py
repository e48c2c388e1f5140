"""Activations, pooling and their gradients as one pass each: where they are in a graph.

    Transpose -> Reshape -> Tanh | Relu | Sigmoid             a convolution's outputs become images
    Transpose -> Reshape (-> activation) -> MaxPool           ... and are pooled
    (Slice ->) Mul(g, 1 - y²) and its like (-> Reshape -> Transpose)      the way back
    (Slice ->) ScatterElements -> that -> Reshape -> Transpose            ... through a pool

Patterns are found by operator, never by name. The pool's two passes belong together: the way back
needs the pooled values only, so the image before the pool exists nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from rpucc.runtime.chains.chain import Chain
from rpucc.runtime.chains.graph import Graph, drops_last, initial, integers
from rpucc.runtime.scalars.activations import NONE, RELU, SIGMOID, TANH

KINDS = {"Tanh": TANH, "Relu": RELU, "Sigmoid": SIGMOID}


@dataclass
class Turn(Chain):
    """[N, P, R] -> Transpose -> Reshape (-> activation) (-> MaxPool); images come out."""

    kind: int
    pool: ir.Node | None = None
    kept: Any = None
    """What the builder of this pass leaves for the one of the way back."""

    @property
    def image(self) -> ir.Value:
        """The activated image, before a pool."""
        return self.nodes[-2 if self.pool is not None else -1].outputs[0]


@dataclass
class Slope(Chain):
    """d = g f'(x) from y = f(x); `nodes` in order, from what makes g to what makes d."""

    kind: int
    y: ir.Value
    gradient: ir.Value
    turned: bool = False
    """Whether Reshape and Transpose follow: d is [N, P, R]."""
    turn: Turn | None = None
    """The forward pass, where the gradient passes its pool."""


def find_turns(graph: Graph) -> tuple[list[Turn], list[Slope]]:
    """All such passes of a graph."""
    slopes = [slope for node in graph.nodes if (slope := _slope(graph, node)) is not None]
    turns = [turn for node in graph.nodes if (turn := _turn(graph, node, slopes)) is not None]
    return turns, slopes


# Forward ---------------------------------------------------------------------------------------


def _turn(graph: Graph, node: ir.Node, slopes: list[Slope]) -> Turn | None:
    """The pass that begins with a Transpose; notes in `slopes` which pass its pool."""
    if node.op_type != "Transpose" or integers(node, "perm") != [0, 2, 1]:
        return None
    reshape = graph.only_use(node.outputs[0])
    if reshape is None or reshape.op_type != "Reshape" or not _keeps_two(reshape):
        return None
    nodes, kind = [node, reshape], NONE
    user = graph.only_use(reshape.outputs[0])
    if user is not None and user.op_type in KINDS:
        nodes.append(user)
        kind = KINDS[user.op_type]
    turn = Turn(tuple(nodes), kind)
    pool = next((n for n in graph.users(turn.image) if n.op_type == "MaxPool"), None)
    if (
        pool is not None
        and turn.image not in graph.wanted
        and _poolable(pool)
        and _pass_pool(graph, turn, pool, slopes)
    ):
        turn.nodes, turn.pool = (*nodes, pool), pool
    return turn if turn.kind != NONE or turn.pool is not None else None


def _keeps_two(reshape: ir.Node) -> bool:
    """Whether [N, R, P] becomes [N, R, space]."""
    before, after = reshape.inputs[0], reshape.outputs[0]
    return (
        before is not None
        and before.shape is not None
        and after.shape is not None
        and len(after.shape) >= 3
        and before.dtype == ir.DataType.FLOAT
        and list(before.shape)[:2] == list(after.shape)[:2]
        and all(isinstance(d, int) for d in list(after.shape)[1:])
    )


def _pass_pool(graph: Graph, turn: Turn, pool: ir.Node, slopes: list[Slope]) -> bool:
    """Whether nothing but the pool and its gradient look at the image and the indices."""
    lookers = set(graph.users(turn.image)) - {pool}
    indices = pool.outputs[1] if len(pool.outputs) > 1 else None
    if not lookers and (indices is None or not graph.users(indices)):
        return True
    for slope in slopes:
        if slope.y is turn.image and slope.kind == turn.kind and slope.turned:
            whole = _through(graph, slope, pool)
            seen = lookers | (set(graph.users(indices)) if indices is not None else set())
            if whole is not None and seen <= set(whole.nodes) and indices not in graph.wanted:
                whole.turn = turn
                slopes[slopes.index(slope)] = whole
                return True
    return False


def _poolable(pool: ir.Node) -> bool:
    attributes = pool.attributes
    plain = not any(integers(pool, "pads")) or set(integers(pool, "dilations")) <= {1}
    return (
        plain
        and not attributes.get_int("ceil_mode", 0)
        and not attributes.get_int("storage_order", 0)
        and attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        and pool.outputs[0].shape is not None
    )


# Backward --------------------------------------------------------------------------------------


def _slope(graph: Graph, node: ir.Node) -> Slope | None:
    """The pass that a Mul or Where ends or, followed by Reshape and Transpose, nearly ends."""
    for match in (_tanh_slope, _sigmoid_slope, _relu_slope):
        found = match(graph, node)
        if found is not None:
            break
    else:
        return None
    kind, y, g, inner = found
    if y.shape is None or g.shape is None or list(y.shape) != list(g.shape) or len(y.shape) < 2:
        return None
    if y.dtype != ir.DataType.FLOAT or not isinstance(list(y.shape)[-1], int):
        return None
    before, source = _source(graph, g)
    slope = Slope((*before, *inner, node), kind, y, source)
    reshape = graph.only_use(node.outputs[0])
    if reshape is not None and reshape.op_type == "Reshape" and len(y.shape) >= 3:
        transpose = graph.only_use(reshape.outputs[0])
        shape = reshape.outputs[0].shape
        if (
            transpose is not None
            and transpose.op_type == "Transpose"
            and integers(transpose, "perm") == [0, 2, 1]
            and shape is not None
            and list(shape)[:2] == list(y.shape)[:2]
        ):
            slope.nodes, slope.turned = (*slope.nodes, reshape, transpose), True
    return slope


Found = tuple[int, ir.Value, ir.Value, tuple[ir.Node, ...]]


def _tanh_slope(graph: Graph, node: ir.Node) -> Found | None:
    """Mul(g, Sub(1, Mul(y, y)))."""
    sub = graph.made_for(node, 1, "Sub") if node.op_type == "Mul" else None
    square = graph.made_for(sub, 1, "Mul") if sub is not None else None
    if sub is None or square is None or square.inputs[0] is not square.inputs[1]:
        return None
    y, g = square.inputs[0], node.inputs[0]
    if initial(sub.inputs[0]) != [1] or y is None or g is None:
        return None
    return TANH, y, g, (square, sub)


def _sigmoid_slope(graph: Graph, node: ir.Node) -> Found | None:
    """Mul(g, Mul(y, Sub(1, y)))."""
    mul = graph.made_for(node, 1, "Mul") if node.op_type == "Mul" else None
    sub = graph.made_for(mul, 1, "Sub") if mul is not None else None
    if mul is None or sub is None or mul.inputs[0] is not sub.inputs[1]:
        return None
    y, g = mul.inputs[0], node.inputs[0]
    if initial(sub.inputs[0]) != [1] or y is None or g is None:
        return None
    return SIGMOID, y, g, (sub, mul)


def _relu_slope(graph: Graph, node: ir.Node) -> Found | None:
    """Where(Greater(y, 0), g, 0)."""
    greater = graph.made_for(node, 0, "Greater") if node.op_type == "Where" else None
    if greater is None or initial(greater.inputs[1]) != [0] or initial(node.inputs[2]) != [0]:
        return None
    y, g = greater.inputs[0], node.inputs[1]
    return None if y is None or g is None else (RELU, y, g, (greater,))


def _source(graph: Graph, g: ir.Value) -> tuple[tuple[ir.Node, ...], ir.Value]:
    """The Slice that drops AppendOne's column and Reshapes before g, and what they read.

    The kernels read rows that are longer than they need, so that nothing is copied first.
    """
    nodes: list[ir.Node] = []
    value = g
    while (node := value.producer()) is not None and graph.only_use(value) is not None:
        source = node.inputs[0]
        if source is None or source.shape is None or node not in graph.present:
            break
        if node.op_type == "Slice" and len(source.shape) == 2 and drops_last(node):
            return (node, *nodes), source
        if node.op_type not in ("Reshape", "Flatten") or not _same_rows(source, g):
            break
        nodes.insert(0, node)
        value = source
    return (), g


def _same_rows(a: ir.Value, b: ir.Value) -> bool:
    """Whether both have the same first axis."""
    return a.shape is not None and b.shape is not None and a.shape[0] == b.shape[0]


def _through(graph: Graph, slope: Slope, pool: ir.Node) -> Slope | None:
    """The slope with the pool's gradient before it: ScatterElements into zeros, by its indices."""
    reshape = graph.maker(slope.gradient, "Reshape")
    scatter = graph.maker(reshape.inputs[0], "ScatterElements") if reshape is not None else None
    if reshape is None or scatter is None:
        return None
    if scatter.attributes.get_string("reduction", "none") != "add":
        return None
    index = graph.maker(scatter.inputs[1], "Reshape")
    values = graph.maker(scatter.inputs[2], "Reshape")
    if index is None or values is None or index.inputs[0] is not pool.outputs[1]:
        return None
    zeros = _zeros(graph, scatter.inputs[0])
    source = values.inputs[0]
    if zeros is None or source is None or source.shape is None:
        return None
    if list(source.shape) != list(pool.outputs[0].shape or ()):
        return None
    before, first = _source(graph, source)
    nodes = (*before, *zeros, index, values, scatter, reshape, *slope.nodes)
    return Slope(nodes, slope.kind, slope.y, first, turned=True)


def _zeros(graph: Graph, value: ir.Value | None) -> tuple[ir.Node, ...] | None:
    """The nodes that make a vector of zeros: Size, Reshape, Expand, or none (an initializer)."""
    constant = initial(value)
    if constant is not None:
        return () if not any(constant) else None
    expand = graph.maker(value, "Expand")
    if expand is None or initial(expand.inputs[0]) != [0]:
        return None
    shape = graph.maker(expand.inputs[1], "Reshape")
    size = graph.maker(shape.inputs[0], "Size") if shape is not None else None
    return tuple(node for node in (size, shape, expand) if node is not None)
