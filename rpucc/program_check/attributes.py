"""The attributes of a program's nodes: which op has which, of which type, in which range.

Those of rpu ops are as their `OpSpec` says; of standard ops the sizes of windows are checked, which
onnx takes as they come. Not for what depends on the target or on other nodes: `layers.py`,
`chains.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from rpucc.node_attributes import LARGEST, Attribute, integers, whole
from rpucc.op_spec import GROUPS
from rpucc.opset import DOMAIN, OPS

STANDARD: dict[str, Attribute] = {
    each.name: each
    for each in (
        *(integers(name, 1) for name in ("kernel_shape", "strides", "dilations")),
        integers("pads", -LARGEST),
        whole("group", 1, LARGEST),
    )
}
"""The same for windows of standard ops."""

_GRID = ("row_cuts", "col_cuts", *(each.name for each in GROUPS))
"""What every read and update of a program has; before `tile` some lack it."""


def attribute_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the ops and attributes of all nodes, one line each."""
    for node in model.graph:
        where = f"node {node.name!r} ({node.op_type})"
        if node.domain not in ("", DOMAIN):
            yield f"{where}: a program has no operators of the domain {node.domain!r}"
        elif node.domain == "":
            yield from _standard_problems(node, where)
        elif node.op_type not in OPS:
            yield f"{where}: the rpu domain has no such op; it has {', '.join(OPS)}"
        else:
            yield from _rpu_problems(node, where)


def _rpu_problems(node: ir.Node, where: str) -> Iterator[str]:
    spec = OPS[node.op_type]
    for kind, values, formal in (
        ("inputs", node.inputs, spec.inputs),
        ("outputs", node.outputs, spec.outputs),
    ):
        names = [value.name for value in values if value is not None]
        if len(values) != len(formal) or not all(names) or len(names) != len(formal):
            yield f"{where}: needs the {kind} {', '.join(formal)}, found {len(names)}"
    for key in dict.fromkeys((*spec.required, *(_GRID if spec.matrix else ()))):
        if key not in node.attributes:
            yield f"{where}: lacks the attribute {key}"
    for key, attribute in node.attributes.items():
        if key not in spec.attributes:
            yield f"{where}: has no attribute {key!r}"
        else:
            yield from _value_problems(where, attribute, spec.attributes[key])


def _standard_problems(node: ir.Node, where: str) -> Iterator[str]:
    for key, attribute in node.attributes.items():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            yield f"{where}: {key}: a program has no subgraphs"
        elif attribute.is_ref():
            yield f"{where}: {key} refers to an attribute of a function"
        elif key in STANDARD and attribute.type in (ir.AttributeType.INT, ir.AttributeType.INTS):
            yield from _value_problems(where, attribute, STANDARD[key])


def _value_problems(where: str, found: ir.Attr, rule: Attribute) -> Iterator[str]:
    value = found.value
    if found.is_ref() or found.type.name != rule.kind or not rule.accepts(value):
        text = str(list(value) if isinstance(value, list | tuple) else value)
        text = text if len(text) <= 60 else text[:57] + "..."
        yield f"{where}: {found.name} = {text}: allowed is {rule.allowed.text}"
