"""A chain: nodes that a backend runs as one instruction."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass
class Chain:
    """Nodes in graph order, the last of which makes what is seen outside.

    A kind of chain is a class of its own; a backend has a builder for each that it fuses.
    """

    nodes: tuple[ir.Node, ...]
