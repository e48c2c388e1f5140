"""Looking at the nodes of a run: who uses what, and constants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir


@dataclass
class Graph:
    """The nodes of a run, in order, and the values that must stay visible."""

    nodes: Sequence[ir.Node]
    wanted: set[ir.Value]
    present: set[ir.Node] = field(init=False)

    def __post_init__(self) -> None:
        self.present = set(self.nodes)

    def users(self, value: ir.Value) -> list[ir.Node]:
        """The nodes of this run that use a value, each once."""
        return [user for user in dict.fromkeys(value.consumers()) if user in self.present]

    def only_use(self, value: ir.Value) -> ir.Node | None:
        """The one node that uses a value, if nothing else looks at it."""
        users = self.users(value)
        return users[0] if len(users) == 1 and value not in self.wanted else None

    def maker(self, value: ir.Value | None, op_type: str) -> ir.Node | None:
        """What makes a value, if it is of that type and the value has one use."""
        node = value.producer() if value is not None else None
        if value is None or node is None or node.op_type != op_type or node.domain != "":
            return None
        return node if node in self.present and self.only_use(value) is not None else None

    def made_for(self, node: ir.Node, index: int, op_type: str) -> ir.Node | None:
        """`maker` of a node's input."""
        return self.maker(node.inputs[index] if index < len(node.inputs) else None, op_type)


def initial(value: ir.Value | None) -> list[float] | None:
    """The numbers of an initializer, in a flat list; None for any other value."""
    tensor = value.const_value if value is not None and value.is_initializer() else None
    return None if tensor is None else list(tensor.numpy().reshape(-1).tolist())


def integers(node: ir.Node, name: str) -> list[int]:
    """A list attribute; empty where it is absent."""
    return [int(v) for v in node.attributes.get_ints(name, ())]


def drops_last(node: ir.Node) -> bool:
    """Whether a Slice is the gradient of AppendOne: all but the last column."""
    return [initial(value) for value in node.inputs[1:]] == [[0], [-1], [-1]]


def needed(
    graph: ir.Graph, wanted: Sequence[ir.Value], fed: Collection[ir.Value] = ()
) -> list[ir.Node]:
    """The nodes that the wanted values depend on, in graph order (which is topological).

    fed: values that are there without them.
    """
    needed: set[ir.Node] = set()
    stack = [v.producer() for v in wanted if v not in fed]
    while stack:
        node = stack.pop()
        if node is None or node in needed:
            continue
        needed.add(node)
        stack.extend(v.producer() for v in node.inputs if v is not None and v not in fed)
    return [node for node in graph if node in needed]
