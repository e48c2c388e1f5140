"""Chains of nodes that run as one instruction, and where they are in a graph.

    NoiseManage -> Read | BoundedRead -> Rescale -> ReduceSum   one read of a grid
    Im2Col -> AppendOne                                         im2col with a line of ones
    Slice -> Transpose -> Col2Im                                the adjoint, without copies
    activations, pools and their gradients                      see `fused.py`
    loss and Softmax - OneHot                                   see `head.py`

A chain is fused only if nothing outside looks at the values inside it. Reads are always chains;
the others are there for speed, and an executor made with fuse=False goes without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.runtime.instructions.fused import find_turns
from rpucc.runtime.instructions.head import find_heads
from rpucc.runtime.instructions.patterns import Graph, drops_last, initial, integers
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


def find_chains(nodes: Sequence[ir.Node], wanted: set[ir.Value], fuse: bool = True) -> Chains:
    """All chains among the nodes of a run; `wanted` values are kept visible."""
    chains = Chains()
    graph = Graph(nodes, wanted)
    for node in nodes:
        if node.op_type in ("Read", "BoundedRead") and node.domain == "rpu":
            chains.add(_read_chain(node, graph))
        elif node.op_type == "Im2Col" and node.domain == "rpu":
            follower = graph.only_use(node.outputs[0])
            if follower is not None and follower.op_type == "AppendOne":
                chains.add(Chain((node, follower), build_im2col_chain))
        elif node.op_type == "Col2Im":
            chain = _col2im_chain(node, graph)
            if chain is not None:
                chains.add(chain)
    if fuse:
        turns, slopes = find_turns(graph)
        for turn in turns:
            chains.add(Chain(turn.nodes, turn.build))
        for slope in slopes:
            chains.add(Chain(slope.nodes, slope.build))
        for head in find_heads(graph):
            chains.add(Chain(head.nodes, head.build))
    return chains


def _read_chain(node: ir.Node, graph: Graph) -> Chain:
    nodes = [node]
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is not None and before.op_type == "NoiseManage" and graph.only_use(before.outputs[0]):
        nodes.insert(0, before)
    while (after := graph.only_use(nodes[-1].outputs[0])) is not None:
        if after.op_type not in ("Rescale", "ReduceSum"):
            break
        nodes.append(after)
        if after.op_type == "ReduceSum":
            break
    return Chain(tuple(nodes), build_read)


def _col2im_chain(node: ir.Node, graph: Graph) -> Chain | None:
    nodes = [node]
    for op in ("Transpose", "Slice"):
        before = graph.made_for(nodes[0], 0, op)
        if before is None or (op == "Slice" and not drops_last(before)):
            break
        nodes.insert(0, before)
    if len(nodes) == 1 or integers(nodes[-2], "perm") != [0, 2, 1]:
        return None
    fixed = all(initial(shape) is not None for shape in node.inputs[1:3])
    return Chain(tuple(nodes), build_col2im_chain) if fixed else None
