"""The forward network of a program as people think of it: layers, and digital work between them.

The nodes of a layer (im2col, reads, rescaling, reshapes) become one node; so does a chain of
digital operations, which goes with the layer before it where nothing else takes that layer's
result. Not for where nodes are drawn (`layout.py`) nor how (`network.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.layers import CONVOLUTIONS, analog_layers

if TYPE_CHECKING:
    from rpucc.program import Program

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """The window of a convolution; empty where the model does not say."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    transposed: bool = False

    def __str__(self) -> str:
        """Return it in words: "3 × 3, stride 2", with strides and dilations where not 1."""
        parts = [" × ".join(map(str, self.kernel))]
        for word, steps in (("stride", self.strides), ("dilation", self.dilations)):
            if any(step != 1 for step in steps):
                each = steps[:1] if len(set(steps)) == 1 else steps
                parts.append(f"{word} {' × '.join(map(str, each))}")
        return f"{'transposed ' if self.transposed else ''}{', '.join(parts)}"


@dataclass(frozen=True)
class NetworkNode:
    """A layer with the digital operations right after it, or digital operations alone."""

    layer: str | None
    """The name of a layer of the plan; None for digital operations alone."""
    ops: tuple[str, ...]
    """Digital operations in order: those after the layer, or those that the node is."""
    names: tuple[str, ...]
    """The names of those operations in the model."""
    shape: tuple[int | str, ...] = ()
    """The shape of its result, without the batch axis; empty for a single number."""
    window: Window | None = None
    """Of a layer that is a convolution."""


@dataclass(frozen=True)
class NetworkGraph:
    """Nodes in forward order, and edges (from, to) between their indices."""

    nodes: tuple[NetworkNode, ...]
    edges: Edges
    sources: Mapping[str, tuple[int, ...]]
    """The nodes that take each of the network's inputs, by its name."""

    def sinks(self) -> list[int]:
        """Return the nodes whose result no other node takes."""
        feeding = {before for before, _ in self.edges}
        return [i for i in range(len(self.nodes)) if i not in feeding]


def network(program: Program) -> NetworkGraph:
    """Derive the forward network of a program; constants and what only they feed left out."""
    places = {layer.name: layer.name for layer in program.plan.layers}
    for layer in analog_layers(program.model):  # a shared matrix has nodes of several names
        places.update({_place_of(read): layer.name for read in layer.forward})
    data = [v for v in program.model.graph.inputs if v.name in program.inputs]
    return _Units(_forward_nodes(program, data), places, data).network()


def _forward_nodes(program: Program, data: Sequence[ir.Value]) -> list[ir.Node]:
    """Nodes of the forward cycle that depend on the data inputs, in graph order."""
    fed: set[ir.Value | None] = {*data}
    found = []
    for node in program.model.graph:
        if node.metadata_props.get("rpucc.cycle", "forward") != "forward":
            continue
        if any(value in fed for value in node.inputs):
            found.append(node)
            fed.update(node.outputs)
    return found


def _place_of(node: ir.Node) -> str:
    """Return the place of the model that a node was lowered from; a digital layer is its own."""
    return node.metadata_props.get("rpucc.layer") or node.name or ""


def _shape_of(node: ir.Node) -> tuple[int | str, ...]:
    shape = node.outputs[0].shape
    dims = list(shape)[1:] if shape is not None else []
    return tuple(dim if isinstance(dim, int) else str(dim.value or "?") for dim in dims)


def _window_of(nodes: Iterable[ir.Node]) -> Window | None:
    """Return the window that a layer's nodes cut their input, or spread their result, by."""
    for node in nodes:
        transposed = node.op_type in ("Col2Im", "ConvTranspose")
        if node.op_type not in ("Im2Col", "Col2Im", *CONVOLUTIONS):
            continue
        ints = node.attributes.get_ints
        kernel = ints("kernel_shape", ())
        if node.op_type == "Col2Im":
            block = node.inputs[2].const_value if node.inputs[2] is not None else None
            kernel = block.numpy().tolist() if block is not None else ()
        window = (tuple(kernel), tuple(ints("strides", ())), tuple(ints("dilations", ())))
        return Window(*window, transposed) if kernel else None
    return None


class _Units:
    """Merges nodes into units: a union of neighbours, first by layer, then along chains."""

    def __init__(
        self, nodes: list[ir.Node], layer_at: Mapping[str, str], data: Sequence[ir.Value]
    ) -> None:
        """Take nodes in graph order and the layer at each place; other nodes are digital work."""
        self.nodes = nodes
        self.layer_at = layer_at
        self.fed = {
            value: [i for i, node in enumerate(nodes) if value in node.inputs] for value in data
        }
        self.places = [_place_of(node) if _place_of(node) in layer_at else None for node in nodes]
        position = {node: i for i, node in enumerate(nodes)}
        self.pairs = [
            (i, position[after])
            for i, node in enumerate(nodes)
            for after in node.successors()
            if after in position
        ]
        self.parent = list(range(len(nodes)))

    def network(self) -> NetworkGraph:
        """Merge, then number the units by their first node."""
        for before, after in self.pairs:
            if self.places[before] is not None and self.places[before] == self.places[after]:
                self._merge(before, after)
        for before, after in self._chains():
            self._merge(before, after)
        members: dict[int, list[int]] = {}
        for i in range(len(self.nodes)):
            members.setdefault(self._root(i), []).append(i)
        pairs = self._edges()
        number = {root: k for k, root in enumerate(_forward_order(members, pairs))}
        edges = sorted((number[a], number[b]) for a, b in pairs)
        nodes = tuple(self._node(members[root]) for root in number)
        sources = {
            str(value.name): tuple(sorted({number[self._root(i)] for i in taking}))
            for value, taking in self.fed.items()
        }
        return NetworkGraph(nodes, tuple(edges), sources)

    def _chains(self) -> Iterator[tuple[int, int]]:
        """Pairs of units to merge: the only successor and the only predecessor of each other."""
        edges = self._edges()
        outgoing = Counter(before for before, _ in edges)
        incoming = Counter(after for _, after in edges)
        incoming.update({self._root(i) for taking in self.fed.values() for i in taking})
        for before, after in edges:
            if outgoing[before] == incoming[after] == 1 and self.places[after] is None:
                yield before, after

    def _edges(self) -> set[tuple[int, int]]:
        pairs = {(self._root(before), self._root(after)) for before, after in self.pairs}
        return {(before, after) for before, after in pairs if before != after}

    def _node(self, members: list[int]) -> NetworkNode:
        place = next((self.places[i] for i in members if self.places[i] is not None), None)
        digital = [self.nodes[i] for i in members if self.places[i] is None]
        return NetworkNode(
            self.layer_at[place] if place is not None else None,
            tuple(node.op_type for node in digital),
            tuple(node.name or "" for node in digital),
            _shape_of(self.nodes[members[-1]]),
            _window_of([self.nodes[i] for i in members if self.places[i] is not None]),
        )

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def _merge(self, before: int, after: int) -> None:
        first, second = sorted((self._root(before), self._root(after)))
        self.parent[second] = first


def _forward_order(members: Iterable[int], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Sort units so that edges go forward, near the order of the graph."""
    import networkx as nx

    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(members)
    return list(nx.lexicographical_topological_sort(graph))
