"""The attributes of a program's nodes: which op has which, of which type, in which range.

One table for the rpu ops; of standard ops the sizes of windows, which onnx takes as they come. Not
for what depends on the target or on other nodes: `layers.py`, `chains.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import onnx_ir as ir

from rpucc.layers import MOST_TILES
from rpucc.opset import DOMAIN, OPS

LARGEST = 2**31 - 1
"""No size, step or pad of a real network is above it, and products of a few fit 64 bits."""


@dataclass(frozen=True)
class Rule:
    """What an attribute may be: its type, and a test of its value with the text of what it is."""

    type: ir.AttributeType
    allowed: str
    test: Callable[[Any], bool]


def _whole(low: int, high: int) -> Rule:
    return Rule(
        ir.AttributeType.INT, f"an integer from {low} to {high}", lambda v: low <= v <= high
    )


def _number(allowed: str = "a number from 0 up") -> Rule:
    return Rule(ir.AttributeType.FLOAT, allowed, lambda v: 0 <= v < float("inf"))


def _list(low: int, length: int | None = None) -> Rule:
    allowed = "one integer" if length == 1 else "integers"
    return Rule(
        ir.AttributeType.INTS,
        f"{allowed} from {low} to {LARGEST}",
        lambda v: length in (None, len(v)) and all(low <= each <= LARGEST for each in v),
    )


def _rise_from_zero(cuts: Any) -> bool:
    return len(cuts) > 1 and cuts[0] == 0 and all(a < b <= LARGEST for a, b in pairwise(cuts))


_FLAG = _whole(0, 1)
_SIZES = _list(1)
_CUTS = Rule(ir.AttributeType.INTS, "integers that rise from 0", _rise_from_zero)
_COUNT = _whole(1, LARGEST)
_ONE = _list(1, length=1)
_LAYER = _whole(0, MOST_TILES - 1)  # it takes the place of a tile id in the address of a draw
_BITS = _whole(0, 24)

_GRID = {
    "row_cuts": _CUTS,
    "col_cuts": _CUTS,
    "groups": _COUNT,
    "copies": _COUNT,
    "first_tile": _whole(0, MOST_TILES - 1),
}
_READ = {
    **_GRID,
    "transpose": _FLAG,
    "noise": _number(),
    "bound": _number(),
    "dac_bits": _BITS,
    "dac_stochastic": _FLAG,
    "adc_bits": _BITS,
}
_WINDOW = {"kernel_shape": _SIZES, "strides": _SIZES, "dilations": _SIZES, "pads": _list(0)}

RULES: dict[str, dict[str, Rule]] = {
    "Im2Col": _WINDOW,
    "AppendOne": {},
    "Assign": {"copies": _ONE, "layer": _LAYER},
    "Collect": {"positions": _ONE, "layer": _LAYER},
    "NoiseManage": {
        "cuts": _CUTS,
        "mode": Rule(ir.AttributeType.STRING, "'abs-max'", lambda v: v == "abs-max"),
    },
    "Read": _READ,
    "BoundedRead": {**_READ, "max_halvings": _whole(0, 30), "assumed_w_max": _number()},
    "Rescale": {},
    "Update": {
        **_GRID,
        "pulsed": _FLAG,
        "bl": _whole(0, 255),
        "update_management": _FLAG,
        "update_bl_management": _FLAG,
    },
}
"""rpu op -> attribute -> rule. The attributes are those of `rpucc.opset.OPS`; a test holds that."""

STANDARD: dict[str, Rule] = {
    **dict.fromkeys(("kernel_shape", "strides", "dilations"), _SIZES),
    "pads": _list(-LARGEST),
    "group": _COUNT,
}
"""The same for windows of standard ops."""

_REQUIRED = {
    name: (*spec.required, *_GRID) for name, spec in OPS.items() if "groups" in spec.optional
}


def attribute_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the ops and attributes of all nodes, one line each."""
    for node in model.graph:
        where = f"node {node.name!r} ({node.op_type})"
        if node.domain not in ("", DOMAIN):
            yield f"{where}: a program has no operators of the domain {node.domain!r}"
        elif node.domain == "":
            yield from _standard_problems(node, where)
        elif node.op_type not in RULES:
            yield f"{where}: the rpu domain has no such op; it has {', '.join(RULES)}"
        else:
            yield from _rpu_problems(node, where)


def _rpu_problems(node: ir.Node, where: str) -> Iterator[str]:
    rules, spec = RULES[node.op_type], OPS[node.op_type]
    for kind, values, formal in (
        ("inputs", node.inputs, spec.inputs),
        ("outputs", node.outputs, spec.outputs),
    ):
        names = [value.name for value in values if value is not None]
        if len(values) != len(formal) or not all(names) or len(names) != len(formal):
            yield f"{where}: needs the {kind} {', '.join(formal)}, found {len(names)}"
    for key in _REQUIRED.get(node.op_type, tuple(spec.required)):
        if key not in node.attributes:
            yield f"{where}: lacks the attribute {key}"
    for key, attribute in node.attributes.items():
        if key not in rules:
            yield f"{where}: has no attribute {key!r}"
        else:
            yield from _value_problems(where, attribute, rules[key])


def _standard_problems(node: ir.Node, where: str) -> Iterator[str]:
    for key, attribute in node.attributes.items():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            yield f"{where}: {key}: a program has no subgraphs"
        elif attribute.is_ref():
            yield f"{where}: {key} refers to an attribute of a function"
        elif key in STANDARD and attribute.type in (ir.AttributeType.INT, ir.AttributeType.INTS):
            yield from _value_problems(where, attribute, STANDARD[key])


def _value_problems(where: str, attribute: ir.Attr, rule: Rule) -> Iterator[str]:
    found = attribute.value
    if attribute.is_ref() or attribute.type != rule.type or not rule.test(found):
        text = str(list(found) if isinstance(found, list | tuple) else found)
        text = text if len(text) <= 60 else text[:57] + "..."
        yield f"{where}: {attribute.name} = {text}: allowed is {rule.allowed}"
