"""Damage to ONNX files, field by field: any message of the protobuf, any of its fields."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

from .mutate import FLOATS, NUMBERS, TEXTS, hostile_value, mutate_tree

RPU_OPS = ("Im2Col", "AppendOne", "Assign", "Collect", "NoiseManage", "Read", "BoundedRead")
RPU_OPS += ("Rescale", "Update", "Nothing")
OPS = (
    "Add",
    "Mul",
    "Identity",
    "Transpose",
    "Reshape",
    "Relu",
    "Slice",
    "MaxPool",
    "Softmax",
    "If",
)


def onnx_fields(random: Random, data: bytes) -> bytes:
    """Change one field or a few, mostly of the graph's nodes."""
    model = onnx.load_model_from_string(data)
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        random.choice((_node, _node, _node, _attribute, _attribute, _metadata, _constant, _any))(
            random, model
        )
    return model.SerializeToString()


def _node(random: Random, model: onnx.ModelProto) -> None:
    """Rewire, swap, double, drop or rename a node."""
    nodes = model.graph.node
    if not nodes:
        return
    node = random.choice(nodes)
    kind = random.randrange(9)
    names = [name for each in nodes for name in each.output]
    names += [tensor.name for tensor in model.graph.initializer]
    names += [value.name for value in model.graph.input]
    if kind < 4 and node.input:
        node.input[random.randrange(len(node.input))] = random.choice([*names, "", "nothing"])
    elif kind == 4:
        pool = RPU_OPS if node.domain == "rpu" else OPS
        node.op_type = random.choice([*pool, random.choice(nodes).op_type])
    elif kind == 5:
        node.domain = random.choice(("", "rpu", "ai.onnx.ml", "com.microsoft", "x"))
    elif kind == 6 and node.output:
        node.output[random.randrange(len(node.output))] = random.choice([*names, "", "new"])
    elif kind == 7:
        ends = random.choice((node.input, node.output))
        ends.append(random.choice(names)) if random.random() < 0.5 or not ends else ends.pop()
    elif random.random() < 0.5:
        nodes.remove(node)
    else:
        nodes.add().CopyFrom(node)


def _attribute(random: Random, model: onnx.ModelProto) -> None:
    """Change an attribute's value or type, drop it or add one."""
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    rpu = [node for node in nodes if node.domain == "rpu"]
    node = random.choice(rpu if rpu and random.random() < 0.7 else nodes)
    attribute = random.choice(node.attribute)
    kind = random.randrange(10)
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        other = random.choice(random.choice(nodes).attribute)
        node.attribute.add().CopyFrom(other)
    elif kind == 2:
        value = random.choice((1, 1.5, "x", [1, 2], [0.5], ["a"]))
        attribute.CopyFrom(onnx.helper.make_attribute(attribute.name, value))
    elif kind == 3:
        attribute.ref_attr_name = "x"
    elif attribute.ints and kind < 8:
        at = random.randrange(len(attribute.ints))
        attribute.ints[at] = _int64(hostile_value(random, int(attribute.ints[at])))
    elif attribute.ints:
        values = hostile_value(random, list(attribute.ints))
        del attribute.ints[:]
        attribute.ints.extend(map(_int64, values if isinstance(values, list) else [values]))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = _int64(hostile_value(random, attribute.i))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = _float32(hostile_value(random, attribute.f))
    else:
        attribute.s = random.choice(TEXTS).encode()


def _metadata(random: Random, model: onnx.ModelProto) -> None:
    """Change the metadata of the model or of a node: a text, or the JSON in it."""
    holders = [model, *model.graph.node]
    holders = [each for each in holders if each.metadata_props]
    if not holders:
        model.metadata_props.add(key="rpucc.fixed_batch", value=random.choice(TEXTS))
        return
    holder = model if random.random() < 0.5 and model.metadata_props else random.choice(holders)
    entry = random.choice(holder.metadata_props)
    kind = random.randrange(6)
    if kind == 0:
        holder.metadata_props.remove(entry)
    elif kind == 1:
        entry.key = random.choice(holder.metadata_props).key
    elif kind == 2:
        entry.value = random.choice((*TEXTS, *map(str, NUMBERS), *map(str, FLOATS)))
    else:
        try:
            entry.value = json.dumps(mutate_tree(random, json.loads(entry.value)))
        except ValueError:
            entry.value = str(hostile_value(random, entry.value))


def _constant(random: Random, model: onnx.ModelProto) -> None:
    """Change a constant's shape, type or numbers, or a value's type and shape."""
    infos = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if infos and (random.random() < 0.4 or not model.graph.initializer):
        shape = random.choice(infos).type.tensor_type.shape
        if shape.dim and random.random() < 0.8:
            dim = random.choice(shape.dim)
            dim.dim_value = _int64(hostile_value(random, dim.dim_value))
        else:
            shape.dim.add(dim_value=random.choice((0, 1, 3)))
        return
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    kind = random.randrange(5)
    if kind == 0 and tensor.dims:
        at = random.randrange(len(tensor.dims))
        tensor.dims[at] = _int64(hostile_value(random, tensor.dims[at]))
    elif kind == 1:
        tensor.data_type = random.randrange(27)
    elif kind == 2 and len(tensor.raw_data) >= 8:
        raw = bytearray(tensor.raw_data)
        at = 4 * random.randrange(len(raw) // 4)
        wide = tensor.data_type == onnx.TensorProto.INT64
        number = (
            struct.pack("<q", _int64(random.choice(NUMBERS)))
            if wide
            else struct.pack("<f", _float32(random.choice(FLOATS)))
        )
        raw[at : at + len(number)] = number
        tensor.raw_data = bytes(raw[: len(tensor.raw_data)])
    elif kind == 3:
        try:
            array = np.atleast_1d(onnx.numpy_helper.to_array(tensor))
            halves = array.reshape(-1)[: max(array.size // 2, 1)]
            new = random.choice((array[None], array.astype("f8"), array.T, halves, array[:0]))
            tensor.CopyFrom(onnx.numpy_helper.from_array(new.copy(), tensor.name))
        except (TypeError, ValueError):  # an earlier change has made it no array
            tensor.raw_data = b""
    else:
        tensor.raw_data = tensor.raw_data[: random.randrange(len(tensor.raw_data) + 1)]


def _any(random: Random, model: onnx.ModelProto) -> None:
    """Change any field of any message."""
    message = random.choice(list(_messages(model)))
    fields = [field for field, _ in message.ListFields()]
    if not fields or random.random() < 0.1:
        fields = list(message.DESCRIPTOR.fields)
    field = random.choice(fields)
    if random.random() < 0.2:
        message.ClearField(field.name)
        return
    old = getattr(message, field.name)
    if field.cpp_type == Field.CPPTYPE_MESSAGE:
        if _repeated(field):
            old.add().CopyFrom(random.choice(old)) if old and random.random() < 0.5 else old.add()
        else:
            old.SetInParent()
        return
    value = _scalar(random, field, random.choice(old) if _repeated(field) and old else None)
    try:
        if not _repeated(field):
            setattr(message, field.name, value)
        elif old and random.random() < 0.7:
            old[random.randrange(len(old))] = value
        else:
            old.append(value)
    except (ValueError, TypeError):  # out of the field's range, no value of an enum
        message.ClearField(field.name)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _scalar(random: Random, field: Any, old: Any) -> Any:
    if field.cpp_type == Field.CPPTYPE_STRING:
        text = random.choice(TEXTS)
        return text.encode() if field.type == Field.TYPE_BYTES else text
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return random.choice(FLOATS)
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return random.randrange(28)
    number = _int64(hostile_value(random, old if isinstance(old, int) else 1))
    return number if field.cpp_type == Field.CPPTYPE_INT64 else number % 2**31


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == Field.CPPTYPE_MESSAGE:
            for each in value if _repeated(field) else [value]:
                yield from _messages(each)


def _int64(value: Any) -> int:
    try:
        number = int(value)
    except (ValueError, TypeError, OverflowError):
        return -1
    return (number + 2**63) % 2**64 - 2**63


def _float32(value: Any) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", float(value)))[0])
    except (ValueError, TypeError, OverflowError):
        return float("inf")


# ---------------------------------------------------------------- what few models hold


BESIDE = "weights.bin"
"""A file that lies beside models, for external data."""

KEYS = ("version", "target", "step", "input_range", "fixed_batch", "import_notes", "other_names")
KEYS += ("batch_norms", "origins", "source", "initial_weights", "left_out", "before_training")
KEYS += ("layer", "cycle", "shared")


def onnx_parts(random: Random, data: bytes) -> bytes:
    """Add what few files hold: external data, subgraphs, functions, metadata of rpucc."""
    model = onnx.load_model_from_string(data)
    for _ in range(random.choice((1, 1, 2))):
        random.choice((_external, _external, _believed, _believed, _subgraph, _function, _other))(
            random, model
        )
    return model.SerializeToString()


def _external(random: Random, model: onnx.ModelProto) -> None:
    """Let weights lie in another file: beside the model, elsewhere, nowhere; cut off, far off."""
    tensors = list(model.graph.initializer)
    if not tensors:
        return
    tensor = random.choice(tensors)
    places = (
        "../../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "no.bin",
        "model.onnx",
        "/dev/zero",
    )
    places += ("x/../weights.bin", "weights.bin/", "a\0b", "x" * 5000, "C:\\weights.bin", "~/x")
    entries = {"location": random.choice((BESIDE, BESIDE, BESIDE, *places))}
    for key in ("offset", "length", "checksum", "location"):
        if random.random() < 0.4:
            entries[key] = str(random.choice((*NUMBERS, *TEXTS, 8, 64, 4096, "1e3", "0x10", "٣")))
    tensor.ClearField("raw_data") if random.random() < 0.8 else None
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    if random.random() < 0.2:
        tensor.dims[:] = [random.choice((2**40, 2**62, -1, 0, 3))] * random.randrange(4)


def _believed(random: Random, model: onnx.ModelProto) -> None:
    """Write what rpucc keeps in metadata, in the model, its graph, a node or a value."""
    holders = [model, model, model.graph, *model.graph.node, *model.graph.input]
    for _ in range(random.choice((1, 1, 3))):
        texts = (
            *TEXTS,
            "two",
            "1",
            "[1]",
            '{"x": 1}',
            "0 1",
            "-1 1",
            "nan nan",
            "1e999 2",
            "forward",
        )
        key = f"rpucc.{random.choice(KEYS)}" if random.random() < 0.9 else random.choice(TEXTS)
        value = random.choice((random.choice(texts), json.dumps(hostile_value(random))))
        random.choice(holders).metadata_props.add(key=key, value=value)


def _subgraph(random: Random, model: onnx.ModelProto) -> None:
    """Put a graph into a node: an If, a Loop, or one that takes none; deep in each other."""
    graph = model.graph
    name = random.choice([v.name for v in graph.output] or ["x"])
    inner = onnx.GraphProto(name="inner")
    inner.node.add(op_type=random.choice(OPS), input=[name], output=["inner"])
    inner.output.add(name="inner")
    for _ in range(random.choice((0, 0, 1, 3, 12))):
        outer = onnx.GraphProto(name="outer")
        node = outer.node.add(op_type="If", input=["c"], output=["inner"])
        node.attribute.append(onnx.helper.make_attribute("then_branch", inner))
        outer.output.add(name="inner")
        inner = outer
    kind = random.choice(("If", "Loop", "Scan", "Relu"))
    node = graph.node.add(op_type=kind, input=[name], output=["from_inner"])
    keys = {"If": ("then_branch", "else_branch")}.get(kind, ("body",))
    for key in keys[: random.choice((1, 2))]:
        node.attribute.append(onnx.helper.make_attribute(key, inner))
    if random.random() < 0.5 and graph.output:
        graph.output[0].name = "from_inner"


def _function(random: Random, model: onnx.ModelProto) -> None:
    """Define an operator in the file, which may call itself, and use it."""
    domain = random.choice(("own", "", "rpu"))
    name = random.choice(("Twice", "Relu", "Conv", "Read"))
    inner = random.choice((name, "Relu", "Nothing"))
    function = model.functions.add(name=name, domain=domain, input=["x"], output=["y"])
    function.node.add(op_type=inner, domain=domain if inner == name else "", input=["x"],
                      output=[random.choice(("y", "x", "z"))])  # fmt: skip
    function.opset_import.add(domain="", version=random.choice((21, 1, 0, -1, 2**40)))
    if random.random() < 0.7:
        model.opset_import.add(domain=domain, version=1)
    for node in model.graph.node:
        if random.random() < 0.3 and len(node.input) == 1:
            node.op_type, node.domain = name, domain


def _other(random: Random, model: onnx.ModelProto) -> None:
    """Sparse weights, opsets, versions, names twice, sizes that no machine has."""
    graph, kind = model.graph, random.randrange(6)
    if kind == 0 and graph.initializer:
        sparse = graph.sparse_initializer.add(dims=[random.choice((3, 2**40, -1))])
        sparse.values.CopyFrom(random.choice(graph.initializer))
        sparse.indices.CopyFrom(onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [2**40]))
    elif kind == 1:
        imports = random.choice(((), (("", 7),), (("", 999),), (("", 21), ("", 9)), (("rpu", 3),)))
        del model.opset_import[:]
        for domain, version in imports:
            model.opset_import.add(domain=domain, version=version)
    elif kind == 2:
        model.ir_version = random.choice((0, 1, 3, 4, 99, 2**40))
    elif kind == 3 and graph.initializer:
        graph.initializer.add().CopyFrom(random.choice(graph.initializer))
    elif kind == 4 and graph.node:
        node = random.choice(graph.node)
        node.attribute.add().CopyFrom(node.attribute[0]) if node.attribute else None
        node.name = random.choice(graph.node).name
    else:
        for value in graph.input:
            shape = value.type.tensor_type.shape
            size = random.choice((2**20 + 1, 2**40, 2**62, 0, -1))
            if shape.dim:
                random.choice(shape.dim).dim_value = size
