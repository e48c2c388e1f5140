"""Chains of nodes that run as one instruction, and where they are in a graph.

    NoiseManage -> Read | BoundedRead -> Rescale -> ReduceSum   one read of a grid
    Im2Col -> AppendOne                                         im2col with a line of ones
    Slice -> Transpose -> Col2Im                                the adjoint, without copies

A chain is fused only if nothing outside looks at the values inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.runtime.instructions.read import build_read
from rpucc.runtime.instructions.windows import build_col2im_chain, build_im2col_chain

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction


@dataclass(frozen=True)
class Chain:
    """Nodes in order; `build` makes the one instruction that stands for all of them."""

    nodes: tuple[ir.Node, ...]
    builder: Callable[[Executor, tuple[ir.Node, ...]], Instruction | None]

    def build(self, executor: Executor) -> Instruction | None:
        """Make the instruction."""
        return self.builder(executor, self.nodes)


@dataclass
class Chains:
    """The chains of a graph: by their last node, and all nodes before the last."""

    ends: dict[ir.Node, Chain] = field(default_factory=dict)
    inside: set[ir.Node] = field(default_factory=set)

    def add(self, chain: Chain) -> None:
        """Note a chain."""
        self.ends[chain.nodes[-1]] = chain
        self.inside.update(chain.nodes[:-1])


def find_chains(nodes: Sequence[ir.Node], wanted: set[ir.Value]) -> Chains:
    """All chains among the nodes of a run; `wanted` values are kept visible."""
    chains = Chains()
    present = set(nodes)

    def only_use(value: ir.Value) -> ir.Node | None:
        users = {user for user in value.consumers() if user in present}
        return users.pop() if len(users) == 1 and value not in wanted else None

    for node in nodes:
        if node.op_type in ("Read", "BoundedRead") and node.domain == "rpu":
            chains.add(_read_chain(node, only_use))
        elif node.op_type == "Im2Col" and node.domain == "rpu":
            follower = only_use(node.outputs[0])
            if follower is not None and follower.op_type == "AppendOne":
                chains.add(Chain((node, follower), build_im2col_chain))
        elif node.op_type == "Col2Im":
            chain = _col2im_chain(node, only_use)
            if chain is not None:
                chains.add(chain)
    return chains


def _read_chain(node: ir.Node, only_use: Callable[[ir.Value], ir.Node | None]) -> Chain:
    nodes = [node]
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is not None and before.op_type == "NoiseManage" and only_use(before.outputs[0]):
        nodes.insert(0, before)
    while (after := only_use(nodes[-1].outputs[0])) is not None:
        if after.op_type not in ("Rescale", "ReduceSum"):
            break
        nodes.append(after)
        if after.op_type == "ReduceSum":
            break
    return Chain(tuple(nodes), build_read)


def _col2im_chain(node: ir.Node, only_use: Callable[[ir.Value], ir.Node | None]) -> Chain | None:
    nodes = [node]
    for op in ("Transpose", "Slice"):
        value = nodes[0].inputs[0]
        producer = value.producer() if value is not None else None
        if value is None or producer is None or producer.op_type != op or not only_use(value):
            break
        if op == "Slice" and not _drops_last(producer):
            break
        nodes.insert(0, producer)
    if len(nodes) == 1 or list(nodes[-2].attributes.get_ints("perm", ())) != [0, 2, 1]:
        return None
    fixed = all(_initial(shape) is not None for shape in node.inputs[1:3])
    return Chain(tuple(nodes), build_col2im_chain) if fixed else None


def _drops_last(node: ir.Node) -> bool:
    """Whether a Slice is the gradient of AppendOne: all but the last column."""
    return [_initial(value) for value in node.inputs[1:]] == [[0], [-1], [-1]]


def _initial(value: ir.Value | None) -> list[int] | None:
    """The integers of an initializer."""
    tensor = value.const_value if value is not None and value.is_initializer() else None
    return None if tensor is None else [int(v) for v in tensor.numpy().reshape(-1)]
