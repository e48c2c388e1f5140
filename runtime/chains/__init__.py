"""Chains of nodes that run as one instruction, and where they are in a graph; for every backend.

    NoiseManage -> Read | BoundedRead -> Rescale -> ReduceSum   `ReadChain`, one read of a grid
    Im2Col -> AppendOne                                         `UnrollChain`, with a line of ones
    (Slice ->) Transpose -> Col2Im                              `FoldChain`, the adjoint
    activations, pools and their gradients                      `Turn` and `Slope`, see `turns.py`
    loss and Softmax - OneHot                                   `Head`, see `heads.py`

A chain is fused only if nothing outside looks at the values inside it. Reads are always chains;
the others are there for speed, and a backend that has no builder for a kind goes without it, as
does an executor made with fuse=False without activations and losses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from rpucc.layers import READS
from rpucc.runtime.chains.chain import Chain
from rpucc.runtime.chains.graph import Graph, drops_last, initial, integers
from rpucc.runtime.chains.heads import Head, find_heads
from rpucc.runtime.chains.turns import Slope, Turn, find_turns

__all__ = [
    "Chain",
    "Chains",
    "FoldChain",
    "Head",
    "ReadChain",
    "Slope",
    "Turn",
    "UnrollChain",
    "find_chains",
]


@dataclass
class ReadChain(Chain):
    """(NoiseManage ->) Read | BoundedRead (-> Rescale) -> ReduceSum."""


@dataclass
class UnrollChain(Chain):
    """Im2Col -> AppendOne."""


@dataclass
class FoldChain(Chain):
    """(Slice ->) Transpose -> Col2Im, with constant shapes; a Slice drops the last column."""


@dataclass
class Chains:
    """The chains of a graph: by their last node, and all nodes before the last."""

    ends: dict[ir.Node, Chain] = field(default_factory=dict)
    inside: set[ir.Node] = field(default_factory=set)

    def add(self, chain: Chain) -> None:
        """Note a chain."""
        self.ends[chain.nodes[-1]] = chain
        self.inside.update(chain.nodes[:-1])


def find_chains(
    nodes: Sequence[ir.Node],
    wanted: set[ir.Value],
    kinds: Collection[type[Chain]],
    fuse: bool = True,
) -> Chains:
    """All chains of these kinds among the nodes of a run; `wanted` values are kept visible."""
    chains = Chains()
    graph = Graph(nodes, wanted)
    for node in nodes:
        chain = _read_chain(node, graph) or _unroll_chain(node, graph) or _fold_chain(node, graph)
        if chain is not None and (type(chain) in kinds or type(chain) is ReadChain):
            chains.add(chain)
    if fuse and Turn in kinds and Slope in kinds:  # a slope may go back through a turn's pool
        for passes in find_turns(graph):
            for each in passes:
                chains.add(each)
    if fuse and Head in kinds:
        for head in find_heads(graph):
            chains.add(head)
    return chains


def _read_chain(node: ir.Node, graph: Graph) -> Chain | None:
    if node.domain != "rpu" or node.op_type not in READS:
        return None
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
    return ReadChain(tuple(nodes))


def _unroll_chain(node: ir.Node, graph: Graph) -> Chain | None:
    if node.domain != "rpu" or node.op_type != "Im2Col":
        return None
    follower = graph.only_use(node.outputs[0])
    if follower is None or follower.op_type != "AppendOne":
        return None
    return UnrollChain((node, follower))


def _fold_chain(node: ir.Node, graph: Graph) -> Chain | None:
    if node.op_type != "Col2Im":
        return None
    nodes = [node]
    for op in ("Transpose", "Slice"):
        before = graph.made_for(nodes[0], 0, op)
        if before is None or (op == "Slice" and not drops_last(before)):
            break
        nodes.insert(0, before)
    if len(nodes) == 1 or integers(nodes[-2], "perm") != [0, 2, 1]:
        return None
    fixed = all(initial(shape) is not None for shape in node.inputs[1:3])
    return FoldChain(tuple(nodes)) if fixed else None
