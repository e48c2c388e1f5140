"""Read a model from a path, bytes, a ModelProto or an ir.Model, with its external weights.

A .pt2 file of PyTorch or a .keras file is converted on the way (`rpucc/frameworks/`).

Finds what is wrong with a *file*: missing, not ONNX, cut off, too large, weights elsewhere. Not
for what is wrong with the network in it: that is `support.py` and `layers.py`.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from rpucc import arguments
from rpucc.errors import ModelError, UnsupportedError
from rpucc.files import read_whole
from rpucc.frameworks import files
from rpucc.passes.frontend.messages import NAME_KEY, one_line
from rpucc.texts import text_problems

Source = str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model

PROTOBUF_LIMIT = 2**31 - 1  # bytes; protobuf cannot hold a larger message

WIDEST = 16  # bytes of a number, complex128

EXPORTERS = {
    "torch": "rpucc.from_torch(network, example)",
    "keras": "rpucc.from_keras(network)",
    "tensorflow": "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    "jax": "jax2onnx.to_onnx(network, shapes)",
    "sklearn": "skl2onnx.to_onnx(network, example)",
}
"""Package that a network's class or one of its bases comes from -> how it becomes ONNX."""

# First bytes of files that people mistake for ONNX models, and what to do about them.
_OTHER_FORMATS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the model: run `git lfs pull`"),
    (files.ZIP, "is a zip archive: give the path of a .pt2 or .keras file, not its bytes"),
    (b"\x80", files.PICKLE),
    (b"\x89HDF", "is an HDF5 file (of Keras?): load it in Keras and save it as .keras"),
    (b"\x1f\x8b", "is gzipped: unpack it first"),
)


def read_model(source: Source) -> ir.Model:
    """Read a model into an ir.Model that owns all its weights; the source stays untouched.

    Raises ModelError, with one line that names the file.
    """
    if isinstance(source, ir.Model):
        return source.clone()
    if isinstance(source, onnx.ModelProto):
        label = f"model {source.graph.name or '(unnamed)'!r}"
        return _from_proto(source, label, folder=None)
    if isinstance(source, bytes):
        return _from_proto(_parse(source, "model (bytes)"), "model (bytes)", folder=None)
    if not isinstance(source, str | os.PathLike):
        raise arguments.wrong("model", source, _advice(source))
    path = Path(source)
    content = _read_file(path)
    if not content.startswith(files.ZIP):
        return _from_proto(_parse(content, str(path)), str(path), folder=path.parent)
    with files.converted(path) as converted:
        proto = _parse(_read_file(converted), str(path))
        return _from_proto(proto, str(path), folder=converted.parent)


def _advice(source: object) -> str:
    """Say what a model may be, and how to make that of a network of another framework."""
    allowed = "a path, the bytes of an ONNX file, an onnx.ModelProto or an ir.Model"
    for base in type(source).__mro__:
        export = EXPORTERS.get(base.__module__.partition(".")[0])
        if export is not None:
            return f"{allowed}; export the network first: {export}"
    return allowed


def _read_file(path: Path) -> bytes:
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir():
        raise ModelError(f"{path}: is a folder, not an ONNX file")
    try:
        if path.is_file():
            with path.open("rb") as stream:
                start = stream.read(len(files.ZIP))
            if start == files.ZIP:
                return start  # its members are read by what converts it
        return read_whole(path, PROTOBUF_LIMIT)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ModelError(
                f"{path}: larger than 2 GB, which no ONNX file can be: save the weights as "
                "external data (onnx.save with save_as_external_data=True)"
            ) from error
        raise ModelError(f"{path}: cannot read the file: {error.strerror or error}") from error


def _parse(content: bytes, label: str) -> onnx.ModelProto:
    """Decode the protobuf message; says what the bytes are where they are not a model."""
    if not content:
        raise ModelError(f"{label}: the file is empty")
    for magic, message in _OTHER_FORMATS:
        if content.startswith(magic):
            raise ModelError(f"{label}: {message}")
    if _is_text(content):
        raise ModelError(f"{label}: is a text file, not an ONNX model")
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError
        raise ModelError(
            f"{label}: not an ONNX model, or cut off ({len(content):,} bytes do not decode)"
        ) from error
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelError(f"{label}: not an ONNX model, or cut off (there is no graph in it)")
    return proto


def _is_text(content: bytes) -> bool:
    """Whether the bytes begin like a text; an ONNX file begins with the byte 8."""
    start = content[:512]
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)


def _from_proto(proto: onnx.ModelProto, label: str, folder: Path | None) -> ir.Model:
    external = [t for t in _tensors(proto) if t.data_location == onnx.TensorProto.EXTERNAL]
    if external:
        if folder is None:
            raise ModelError(
                f"{label}: the weights are in another file "
                f"({_external_location(external[0])!r}): give the model's path"
            )
        for tensor in external:
            _check_external(tensor, label, folder)
        try:
            onnx.load_external_data_for_model(proto, str(folder))
        except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
            raise ModelError(f"{label}: cannot load the weights: {one_line(error)}") from error
    _check_attributes(proto, label)
    sparse = _sparse_tensor(proto)
    if sparse is not None:
        raise UnsupportedError(f"{label}: weight {sparse!r} is sparse: export it as a dense tensor")
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # a malformed file can fail anywhere in there
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ModelError(f"{label}: not a valid ONNX model: {one_line(cause)}") from error
    problem = next(text_problems(model), None)
    if problem is not None:
        raise ModelError(f"{label}: not a valid ONNX model: {problem}")
    model.meta[NAME_KEY] = label
    _decode_weights(model, label)
    return model


def _check_attributes(proto: onnx.ModelProto, label: str) -> None:
    """Refuse attributes that have no value of their own, and texts that are none.

    protobuf keeps texts as bytes; only nodes of a function can refer to its attributes.
    """
    for node in proto.graph.node:
        for attribute in node.attribute:
            where = f"{label}: node {(node.name or ''.join(node.output[:1]))!r} ({node.op_type})"
            if attribute.ref_attr_name:
                raise ModelError(
                    f"{where}: attribute {attribute.name} refers to {attribute.ref_attr_name!r} of "
                    "a function, but the node is in none"
                )
            try:
                for text in (attribute.s, *attribute.strings):
                    text.decode()
            except UnicodeDecodeError as error:
                raise ModelError(
                    f"{where}: attribute {attribute.name} is no text in UTF-8: {text[:40]!r}"
                ) from error


def _sparse_tensor(proto: onnx.ModelProto) -> str | None:
    """Name of the first sparse weight or Constant, or None."""
    for sparse in proto.graph.sparse_initializer:
        return str(sparse.values.name)
    for node in proto.graph.node:
        if any(attribute.HasField("sparse_tensor") for attribute in node.attribute):
            return str(node.output[0])
    return None


def _decode_weights(model: ir.Model, label: str) -> None:
    """Decode every weight, once: a bad one would fail much later, and each reading would copy."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        try:
            if tensor is None:
                raise ValueError("no data")
            if isinstance(tensor, ir.serde.TensorProtoTensor):
                value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ModelError(f"{label}: cannot read weight {name!r}: {one_line(error)}") from error


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model that may lie in another file: initializers and attributes."""
    yield from proto.graph.initializer
    yield from _attribute_tensors(proto.graph.node)
    for function in proto.functions:
        yield from _attribute_tensors(function.node)


def _attribute_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from graph.initializer
                yield from _attribute_tensors(graph.node)


def _external_entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _external_location(tensor: onnx.TensorProto) -> str:
    return _external_entries(tensor).get("location", "")


def _check_external(tensor: onnx.TensorProto, label: str, folder: Path) -> None:
    """Refuse a weight whose file is missing, too short, or outside the model's own folder."""
    location = _external_location(tensor)
    what = f"{label}: weight {tensor.name!r}"
    shown = location[:100]
    root = folder.resolve()
    path = root / location
    try:
        inside = path.resolve().is_relative_to(root)
        if not location or Path(location).is_absolute() or not inside:
            raise ModelError(
                f"{what}: its data file {shown!r} lies outside the model's folder, which is refused"
            )
        if not path.is_file():
            raise ModelError(
                f"{what}: its data file {shown!r} is missing: it belongs beside the model"
            )
    except (OSError, ValueError, RuntimeError) as error:  # no name for a file, or links in a ring
        reason = getattr(error, "strerror", None) or one_line(error)
        raise ModelError(f"{what}: its data file {shown!r}: {reason}") from None
    entries = _external_entries(tensor)
    there = path.stat().st_size
    try:
        offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
    except ValueError as error:
        raise ModelError(f"{what}: offset or length in {shown!r} is no number") from error
    if min(offset, length) < 0:
        raise ModelError(f"{what}: offset or length in {shown!r} is below 0")
    if offset + length > there:
        raise ModelError(
            f"{what}: its data file {shown!r} is cut off: it has {there:,} bytes, "
            f"and this weight ends at {offset + length:,}"
        )
    taken = length or there - offset  # without a length, all that is left of the file
    if taken > WIDEST * math.prod(max(size, 0) for size in tensor.dims):
        raise ModelError(
            f"{what}: its data file {shown!r} has {taken:,} bytes for it, more than "
            f"{list(tensor.dims)} numbers of any type take"
        )
