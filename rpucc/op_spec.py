"""What an rpu op is, all in one place: an `OpSpec` in a file of its own (`rpucc/opset/`).

Its schema, the header of its function, the checks of its nodes in a program that is read, what it
costs and what bounds its values are all read off it. Not for the table of ops, nor for onnx's
registry: `rpucc/opset/`. A cell may have ops of its own: this file knows of no table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import onnx_ir as ir

from rpucc.cost.operations import Rule
from rpucc.layers import ABSENT, MOST_TILES
from rpucc.node_attributes import (
    LARGEST,
    Attribute,
    Value,
    places,
    policy_attributes,
    whole,
)
from rpucc.op_shapes import ShapeRule

DOMAIN = "rpu"
"""The operator domain's name."""

Interval: TypeAlias = tuple[float, float]
"""What a value lies in."""

IntervalRule: TypeAlias = Callable[[ir.Node, list[Interval]], Interval]
"""What the first output lies in, from what the inputs lie in."""

CUTS = "cuts between segments, from 0 to the number of lines"

GROUPS = (
    whole("groups", 1, LARGEST, 1, "independent matrices, one below the other in W"),
    whole("copies", 1, LARGEST, 1, "so many of them are copies of one matrix that learn apart"),
    whole("first_tile", 0, MOST_TILES - 1, 0, "the number of the first tile"),
)
"""How many matrices of one shape W holds, and which tiles they are."""

ABSENT_TILES = places(
    ABSENT, MOST_TILES, "tiles of fixed zeros that are not there, counted row by row"
)
"""Which of the tiles of a matrix are not there; a node without it has them all."""


@dataclass(frozen=True)
class OpSpec:
    """One op of the domain."""

    name: str
    doc: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: str
    """Its ideal semantics in standard operators, in braces, as onnx's parser takes it. What an
    array machine without noise, bounds, converters and device non-idealities computes; attributes
    that only the analog semantics uses are left unread. Takes float and double: constants follow
    their tensor's type through CastLike. Written for any "" opset from 18 up."""
    shapes: ShapeRule
    own: tuple[Attribute, ...] = ()
    """Its attributes but for those that a target decides."""
    carries: tuple[str, ...] = ()
    """The ops that `OnNode` names whose keys it carries as attributes: its own name, mostly."""
    integers: tuple[str, ...] = ()
    """Inputs that are int64, as is what comes of them; all else is float or double."""
    flags: tuple[str, ...] = ()
    """Inputs that are bool."""
    work: Rule | None = None
    """Digital operations of a node; None where it takes none."""
    interval: IntervalRule | None = None
    """What bounds its first output; None where nothing is known."""
    matrix: Literal["read", "update"] | None = None
    """What it does with the matrix of a layer, if it works on one."""
    exact: bool = False
    """Whether the machine, too, does exactly what the body says: what has no faster way to run it
    runs the body."""
    local: bool = False
    """Whether it only lays out or scales what a read gets, at the array, before it is counted as
    moved (`rpucc/cost/traffic.py`)."""

    @cached_property
    def attributes(self) -> dict[str, Attribute]:
        """All its attributes by their names."""
        return {each.name: each for each in (*self.own, *policy_attributes(self.carries))}

    def is_integer(self, name: str) -> bool:
        """Whether one of its inputs or outputs is int64."""
        return name.removesuffix("2") in self.integers

    @property
    def required(self) -> tuple[str, ...]:
        """The attributes that every node has."""
        return tuple(key for key, each in self.attributes.items() if each.default is None)

    def function_text(self, opset_version: int) -> str:
        """Return its function as onnx's parser takes it, against this "" opset."""
        attributes = ", ".join(map(_declared, self.attributes.values()))
        return (
            f'<domain: "{DOMAIN}", opset_import: ["" : {opset_version}]>\n'
            f"{self.name} {f'<{attributes}>' if attributes else ''} "
            f"({', '.join(self.inputs)}) => ({', '.join(self.outputs)})\n{self.body}"
        )


def _declared(attribute: Attribute) -> str:
    if attribute.default is None:
        return attribute.name
    return f"{attribute.name}: {attribute.kind.lower()} = {_literal(attribute.default)}"


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def with_zero(node: ir.Node, inputs: list[Interval]) -> Interval:
    """Return the interval of an op that puts zeros among the values of its first input."""
    return min(inputs[0][0], 0.0), max(inputs[0][1], 0.0)
