"""The model that a program was compiled from, kept in the program's metadata.

Its graph, names and small constants as they are; large constants only where the program cannot give
them back (`restore.py`), so that a program is hardly larger for it. The text is the ONNX message,
deflated, in base64. Not for reading models of users: that is the importer's.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.opset import IR_VERSION

SOURCE = "rpucc.source"
"""Model metadata: the model of the user, deflated and in base64."""

MOST_BYTES = 2**28
"""A source that is larger when unpacked is not kept, and not unpacked."""

GIVEN_BACK = "rpucc.left_out"
"""Document string of a tensor in it whose numbers the program gives back."""


def constants_of(model: ir.Model) -> dict[str, NDArray[Any]]:
    """Return the constants of a model's main graph by name: initializers and Constant nodes."""
    found = {}
    for name, value in model.graph.initializers.items():
        if value.const_value is not None:
            found[name] = value.const_value.numpy()
    for name, attribute in _constant_nodes(model):
        found[name] = attribute.as_tensor().numpy()
    return found


def set_constant(model: ir.Model, name: str, array: NDArray[Any]) -> None:
    """Give an initializer or a Constant node of the main graph other numbers."""
    tensor = ir.tensor(array, name=name)
    value = model.graph.initializers.get(name)
    if value is not None:
        value.const_value, value.shape = tensor, ir.Shape(array.shape)
        return
    node = next(n for n in model.graph if n.op_type == "Constant" and n.outputs[0].name == name)
    node.attributes["value"] = ir.AttrTensor("value", tensor)


def _constant_nodes(model: ir.Model) -> Iterator[tuple[str, ir.Attr]]:
    for node in model.graph:
        attribute = node.attributes.get("value")
        if node.domain in ("", "ai.onnx") and node.op_type == "Constant" and attribute is not None:
            yield str(node.outputs[0].name), attribute


def write_source(model: ir.Model, source: ir.Model, left_out: Collection[str]) -> None:
    """Keep `source` in the metadata of a program, without the numbers of some constants.

    One that is too large for that is not kept.
    """
    small = source.clone()
    for name, array in constants_of(source).items():
        if name in left_out:
            set_constant(small, name, np.zeros(0, array.dtype))
    try:
        proto = ir.to_proto(small)
        for tensor in _tensors(proto):
            if tensor.name in left_out:
                array = constants_of(source)[tensor.name]
                tensor.doc_string = GIVEN_BACK
                del tensor.dims[:]
                tensor.dims.extend(array.shape)
        content = proto.SerializeToString(deterministic=True)
    except Exception:  # noqa: BLE001  protobuf's, of a message above 2 GB
        return
    if len(content) <= MOST_BYTES:
        packed = zlib.compress(content, level=6)
        model.metadata_props[SOURCE] = base64.b64encode(packed).decode("ascii")


def read_source(model: ir.Model) -> tuple[ir.Model, dict[str, tuple[int, ...]]] | None:
    """Return the model that a program keeps, and the constants whose numbers it lacks, with shapes.

    None where it keeps none. Raises ValueError where it is damaged.
    """
    text = model.metadata_props.get(SOURCE)
    if text is None:
        return None
    proto = _unpacked(text)
    lacking = {}
    for tensor in _tensors(proto):
        if tensor.doc_string == GIVEN_BACK:
            lacking[tensor.name] = tuple(tensor.dims)
            if math.prod(tensor.dims) > 2**40 or any(dim < 0 for dim in tensor.dims):
                raise ValueError(f"its constant {tensor.name!r} has an impossible size")
            del tensor.dims[:]
            tensor.dims.append(0)
            tensor.doc_string = ""
    try:
        _check(proto)
        return ir.from_proto(proto), lacking
    except Exception as error:  # a damaged message can fail anywhere in there
        raise ValueError("it is no ONNX model") from error


def _check(proto: onnx.ModelProto) -> None:
    """Run onnx's checker, as lenient as the importer is with old files."""
    checked = onnx.ModelProto()
    checked.CopyFrom(proto)
    checked.ir_version = max(checked.ir_version, IR_VERSION)
    for info in (*checked.graph.input, *checked.graph.output):
        info.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(checked)


def _unpacked(text: str) -> onnx.ModelProto:
    try:
        packed = base64.b64decode(text.encode("ascii"), validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, MOST_BYTES)
        if not unpacker.eof:
            raise ValueError("it is cut off, or larger than what is kept")
        proto = onnx.ModelProto()
        proto.ParseFromString(content)
    except (UnicodeEncodeError, binascii.Error, zlib.error) as error:
        raise ValueError("it cannot be unpacked") from error
    except Exception as error:
        if isinstance(error, ValueError):
            raise
        raise ValueError("it is no ONNX model") from error
    return proto


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield the constants of the main graph, each under its name."""
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                attribute.t.name = node.output[0]
                yield attribute.t
