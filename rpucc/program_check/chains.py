"""What stands before and behind the reads of a matrix: one shape, which the runtime runs at once.

    (NoiseManage ->) Read | BoundedRead (-> Rescale) -> ReduceSum of the segments

Not for the policy that says which reads are managed: `layers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from rpucc.layers import READS
from rpucc.opset import DOMAIN
from rpucc.stamps import is_transposed


def chain_problems(model: ir.Model) -> Iterator[str]:
    """Yield the chains that are not whole, and the shares that do not come together."""
    for node in model.graph:
        if node.domain != DOMAIN:
            continue
        where = f"node {node.name!r} ({node.op_type})"
        if node.op_type in READS:
            yield from _read_problems(node, where)
        elif node.op_type == "Rescale":
            read = _producer(node, 0)
            if read is None or read.op_type not in READS:
                yield f"{where}: stands behind no read"
        elif node.op_type in ("Assign", "Collect"):
            yield from _share_problems(node, where)


def manager_of(read: ir.Node) -> ir.Node | None:
    """Return the NoiseManage that a Read's input comes out of."""
    before = _producer(read, 0)
    return before if before is not None and _is_rpu(before, "NoiseManage") else None


def _read_problems(read: ir.Node, where: str) -> Iterator[str]:
    manager, after = manager_of(read), _only_user(read.outputs[0])
    if manager is not None:
        cuts = list(read.attributes["row_cuts" if is_transposed(read) else "col_cuts"].as_ints())
        if list(manager.attributes["cuts"].as_ints()) != cuts:
            yield f"node {manager.name!r} (NoiseManage): its cuts are not the {cuts} of {where}"
        if read.inputs[0] is not manager.outputs[0]:
            yield f"{where}: reads the scales of {manager.name!r} in place of its vectors"
        if _only_user(manager.outputs[0]) is not read:
            yield f"node {manager.name!r} (NoiseManage): scales for more than {where}"
        if (
            after is None
            or not _is_rpu(after, "Rescale")
            or after.inputs[1] is not manager.outputs[1]
        ):
            yield f"{where}: no Rescale by the scales of {manager.name!r} behind it"
            return
        after = _only_user(after.outputs[0])
    if after is None or after.op_type != "ReduceSum" or after.domain != "":
        yield f"{where}: nothing adds up its partial sums behind it"
        return
    axes = after.inputs[1] if len(after.inputs) > 1 else None
    constant = axes.const_value if axes is not None and axes.is_initializer() else None
    keeps = after.attributes.get_int("keepdims", 1)
    if constant is None or constant.numpy().reshape(-1).tolist() != [-2] or keeps:
        yield f"node {after.name!r} (ReduceSum): must add up the segments, axis -2, of {where}"


def _share_problems(node: ir.Node, where: str) -> Iterator[str]:
    """All Assigns and Collects of a layer draw one order: they have one number."""
    layer, number = node.metadata_props.get("rpucc.layer"), node.attributes.get_int("layer", 0)
    others = (o for o in node.graph or () if o.op_type in ("Assign", "Collect"))
    for other in others:
        same = other.metadata_props.get("rpucc.layer") == layer
        if same != (other.attributes.get_int("layer", 0) == number):
            yield f"{where}: layer = {number} is that of {other.name!r}, of another layer or none"
            return


def _is_rpu(node: ir.Node, op_type: str) -> bool:
    return node.domain == DOMAIN and node.op_type == op_type


def _producer(node: ir.Node, index: int) -> ir.Node | None:
    value = node.inputs[index]
    return value.producer() if value is not None else None


def _only_user(value: ir.Value) -> ir.Node | None:
    users = list(value.uses())
    return users[0].node if len(users) == 1 and not value.is_graph_output() else None
