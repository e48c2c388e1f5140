"""What an attribute of an rpu node may be: name, type, range, and its value where a node lacks it.

Those that a target decides are made of the keys of its sections (`policy_attributes`); an op adds
its own (`rpucc/opset/`). The schemas, the headers of function bodies, and the check of a program
that is read follow from these. Not for the values that a layer's nodes get: `stamps.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

import numpy as np
import onnx_ir as ir

from rpucc.target.keys import OnNode, Section, mark
from rpucc.target.sections import LayerTables
from rpucc.target.values import Allowed, is_number

Kind = Literal["INT", "FLOAT", "STRING", "INTS"]
Value = int | float | str | tuple[int, ...]

LARGEST = 2**31 - 1
"""No size, step or pad of a real network is above it, and products of a few fit 64 bits."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of an op of the domain."""

    name: str
    kind: Kind
    """Its type, as ONNX calls it."""
    allowed: Allowed
    default: Value | None = None
    """The value of a node that lacks it; None where every node must have it."""
    doc: str = ""

    def accepts(self, value: Any) -> bool:
        """Whether a value of the attribute's kind lies in its range.

        A FLOAT may be the float32 beside an end of the range that float32 does not have.
        """
        if self.kind == "FLOAT":
            near = (np.nextafter(np.float32(value), np.float32(end)) for end in (-np.inf, np.inf))
            return any(self.allowed.test(float(each)) for each in (value, *near))
        return bool(self.allowed.test(value))


def whole(name: str, low: int, high: int, default: int | None = None, doc: str = "") -> Attribute:
    """An integer in [low, high]."""
    allowed = Allowed(f"an integer from {low} to {high}", lambda v: low <= v <= high)
    return Attribute(name, "INT", allowed, default, doc)


def switch(name: str, doc: str = "") -> Attribute:
    """0 or 1, by default 0."""
    return whole(name, 0, 1, 0, doc)


def integers(name: str, low: int, doc: str = "", *, length: int | None = None) -> Attribute:
    """A list of integers from `low` up, which every node must have."""
    allowed = Allowed(
        f"{'one integer' if length == 1 else 'integers'} from {low} to {LARGEST}",
        lambda v: length in (None, len(v)) and all(low <= each <= LARGEST for each in v),
    )
    return Attribute(name, "INTS", allowed, doc=doc)


def cuts(name: str, doc: str = "", *, default: tuple[int, ...] | None = None) -> Attribute:
    """The cuts between segments of the lines of a matrix: from 0 to their number."""
    allowed = Allowed("integers that rise from 0", _rise_from_zero)
    return Attribute(name, "INTS", allowed, default, doc)


def places(name: str, most: int, doc: str = "") -> Attribute:
    """Places that rise, each from 0 to most - 1; by default none."""
    text = f"integers that rise, from 0 to {most - 1}"
    return Attribute(name, "INTS", Allowed(text, lambda v: _rise_below(v, most)), (), doc)


def _rise_below(found: Any, most: int) -> bool:
    inside = all(0 <= each < most for each in found)
    return inside and all(a < b for a, b in pairwise(found))


def _rise_from_zero(found: Any) -> bool:
    return len(found) > 1 and found[0] == 0 and all(a < b <= LARGEST for a, b in pairwise(found))


def word(name: str, *choices: str, doc: str = "") -> Attribute:
    """One of these words, by default the first."""
    allowed = Allowed(" or ".join(f"'{each}'" for each in choices), lambda v: v in choices)
    return Attribute(name, "STRING", allowed, choices[0], doc)


# ---------------------------------------------------------------- keys of a target


@dataclass(frozen=True)
class Carried:
    """A key of a section that nodes of an op carry."""

    key: str
    mark: OnNode
    attribute: Attribute
    flag: bool
    """Whether the key is true or false: an attribute is 1 or 0."""

    def of_node(self, node: ir.Node) -> Value:
        """Return the key's value as a node carries it."""
        found = node.attributes.get(self.attribute.name)
        value = self.attribute.default if found is None else found.value
        assert value is not None
        if self.mark.values:
            assert isinstance(value, int)
            return self.mark.values[value]
        return bool(value) if self.flag else value

    def of_section(self, section: Section) -> Value:
        """Return what a node gets of a section that has the key."""
        assert self.attribute.default is not None
        if self.mark.where is not None and not self.mark.where(section):
            return self.attribute.default
        value = getattr(section, self.key)
        return self.mark.values.index(value) if self.mark.values else _as_attribute(value)


@functools.cache
def carried(section: type[Section], op: str) -> tuple[Carried, ...]:
    """Return the keys of a section that nodes of an op carry (`OnNode`), in their order."""
    found = []
    for key, field in section.model_fields.items():
        on_node = mark(field, OnNode)
        if on_node is None or on_node.op != op:
            continue
        allowed = mark(field, Allowed)
        if allowed is None:
            raise TypeError(f"{section.__name__}.{key}: nodes carry it, and it has no range")
        if on_node.values:
            attribute = whole(
                on_node.name or key, 0, len(on_node.values) - 1, int(on_node.off or 0)
            )
            found.append(Carried(key, on_node, attribute, flag=False))
            continue
        kind = _kind(field.annotation, f"{section.__name__}.{key}")
        off = _as_attribute(field.default if on_node.off is None else on_node.off)
        off = float(off) if kind == "FLOAT" and isinstance(off, int) else off
        name = on_node.name or key
        flag = field.annotation is bool
        attribute = Attribute(name, kind, _FLAG if flag else _with(off, allowed), off)
        found.append(Carried(key, on_node, attribute, flag))
    return tuple(found)


def _kind(annotation: Any, where: str) -> Kind:
    kinds: dict[Any, Kind] = {bool: "INT", int: "INT", float: "FLOAT", str: "STRING"}
    if annotation in kinds:
        return kinds[annotation]
    if get_origin(annotation) is Literal:
        return "STRING"
    if get_origin(annotation) is tuple and get_args(annotation)[0] is int:
        return "INTS"
    raise TypeError(f"{where}: nodes carry it, and no attribute of ONNX holds a {annotation}")


def _as_attribute(value: Any) -> Value:
    if isinstance(value, bool):
        return int(value)
    return tuple(value) if isinstance(value, list | tuple) else value


_FLAG = Allowed("an integer from 0 to 1", lambda v: v in (0, 1))


def _with(off: Value, allowed: Allowed) -> Allowed:
    """The range of a key, and what its attribute is where it has no effect."""
    if allowed.test(off):
        return allowed
    text = f"{off:g}" if is_number(off) else repr(off)
    return Allowed(f"{text} or {allowed.text}", lambda v: v == off or allowed.test(v))


def policy_attributes(ops: Iterable[str]) -> tuple[Attribute, ...]:
    """Return the attributes that keys of a layer's tables are, on nodes of any of these ops."""
    return tuple(
        each.attribute
        for op in ops
        for field in LayerTables.model_fields.values()
        for each in carried(field.annotation, op)  # type: ignore[arg-type]
    )
