"""The importer's reading: every kind of bad file is one clear line that names the file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from rpucc.errors import ModelError, UnsupportedError
from rpucc.models import build
from rpucc.passes.importer import load_model


@pytest.fixture(scope="module")
def lenet() -> bytes:
    return build("lenet").SerializeToString()


def refuse(source, error=ModelError) -> str:
    """Load, expect the refusal, check its form, return the line."""
    with pytest.raises(error) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    if isinstance(source, Path):
        assert str(caught.value).startswith(f"{source}: ")
        return str(caught.value).removeprefix(f"{source}: ")
    return str(caught.value)


def test_a_path_a_string_bytes_a_proto_and_an_ir_model_give_the_same(tmp_path: Path, lenet: bytes):
    path = tmp_path / "lenet.onnx"
    path.write_bytes(lenet)
    proto = onnx.load(path)
    expected = ir.to_proto(load_model(path)).SerializeToString(deterministic=True)
    for source in (str(path), lenet, proto, ir.load(path)):
        found = ir.to_proto(load_model(source)).SerializeToString(deterministic=True)
        assert found == expected
    assert proto == onnx.load(path), "the source must stay untouched"


def test_an_ir_model_stays_untouched(lenet: bytes):
    source = ir.from_proto(onnx.load_model_from_string(lenet))
    before = ir.to_proto(source)
    load_model(source)
    assert ir.to_proto(source) == before


def test_missing_file(tmp_path: Path):
    assert refuse(tmp_path / "none.onnx") == "no such file"


def test_folder(tmp_path: Path):
    assert refuse(tmp_path) == "is a folder, not an ONNX file"


def test_empty_file(tmp_path: Path):
    path = tmp_path / "m.onnx"
    path.touch()
    assert refuse(path) == "the file is empty"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, this is no model\n", "is a text file, not an ONNX model"),
        (b"PK\x03\x04rest", "a damaged archive"),
        (b"\x89HDF\r\n", "is an HDF5 file (of Keras?): load it in Keras"),
        (b"\x1f\x8b\x08\x00", "is gzipped: unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the model"),
        (bytes(range(256)), "not an ONNX model, or cut off (256 bytes do not decode)"),
        (b"\x08\x0a", "not an ONNX model, or cut off (there is no graph in it)"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert refuse(path).startswith(message)


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_file(tmp_path: Path, lenet: bytes, share: float):
    path = tmp_path / "m.onnx"
    path.write_bytes(lenet[: int(len(lenet) * share)])
    assert "cut off" in refuse(path)


def test_file_above_two_gigabytes(tmp_path: Path):
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # sparse: takes no space
    assert refuse(path).startswith("larger than 2 GB, which no ONNX file can be: save the weights")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every file")
def test_unreadable_file(tmp_path: Path, lenet: bytes):
    path = tmp_path / "m.onnx"
    path.write_bytes(lenet)
    path.chmod(0)
    assert refuse(path).startswith("cannot read the file")


def save_external(folder: Path) -> Path:
    """A LeNet with its weights in folder/weights.bin."""
    path = folder / "m.onnx"
    onnx.save(
        build("lenet"), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path


def set_location(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_external_weights_are_read(tmp_path: Path, lenet: bytes):
    path = save_external(tmp_path)
    model = load_model(path)
    (tmp_path / "weights.bin").unlink()  # the model owns its weights now
    expected = load_model(lenet)
    for name, value in expected.graph.initializers.items():
        found = model.graph.initializers[name].const_value.numpy()
        np.testing.assert_array_equal(found, value.const_value.numpy())


def test_external_weights_missing(tmp_path: Path):
    path = save_external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    assert refuse(path) == (
        "weight 'conv1.weight': its data file 'weights.bin' is missing: it belongs beside the model"
    )


def test_external_weights_cut_off(tmp_path: Path):
    path = save_external(tmp_path)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(1000)
    assert "data file 'weights.bin' is cut off: it has 1,000 bytes" in refuse(path)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin", ""])
def test_external_weights_outside_the_folder(tmp_path: Path, location: str):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = save_external(folder)
    (tmp_path / "weights.bin").write_bytes((folder / "weights.bin").read_bytes())
    set_location(path, location)
    assert refuse(path) == (
        f"weight 'conv1.weight': its data file {location!r} lies outside the model's folder, "
        "which is refused"
    )


@pytest.mark.parametrize(
    ("location", "reason"),
    [("a\0b", "embedded null byte"), ("x" * 5000, "File name too long"), ("loop", "Symlink loop")],
)
def test_external_weights_in_what_no_system_takes(tmp_path: Path, location: str, reason: str):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = save_external(tmp_path)
    set_location(path, location)
    message = refuse(path)
    assert reason in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("offset", "-8", "is below 0"),
        ("length", "-1", "is below 0"),
        ("length", "0x10", "is no number"),
        ("length", "9" * 5000, "is no number"),
        ("offset", str(2**64), "is cut off"),
        ("length", None, "more than [16, 1, 5, 5] numbers of any type take"),
    ],
)
def test_external_weights_with_places_that_cannot_be(
    tmp_path: Path, key: str, value: str | None, reason: str
):
    path = save_external(tmp_path)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(2**40)  # a hole: on the disk it takes nothing
    model = onnx.load(path, load_external_data=False)
    entries = model.graph.initializer[0].external_data
    for entry in [each for each in entries if each.key == key]:
        entries.remove(entry)
    if value is not None:
        entries.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    assert reason in refuse(path)


def test_external_weights_behind_a_link_out_of_the_folder(tmp_path: Path):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = save_external(folder)
    (folder / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "lies outside the model's folder" in refuse(path)


def test_external_weights_need_a_path(tmp_path: Path):
    path = save_external(tmp_path)
    message = "the weights are in another file ('weights.bin'): give the model's path"
    assert refuse(path.read_bytes()) == f"model (bytes): {message}"
    proto = onnx.load(path, load_external_data=False)
    assert refuse(proto) == f"model 'lenet': {message}"


def test_weight_with_too_few_bytes(tmp_path: Path):
    model = build("lenet")
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert refuse(path).startswith("cannot read weight 'conv1.weight': ")


def test_sparse_weight(tmp_path: Path):
    model = build("lenet")
    sparse = model.graph.sparse_initializer.add(dims=[10])
    sparse.values.name = "thin"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    message = refuse(path, UnsupportedError)
    assert message == "weight 'thin' is sparse: export it as a dense tensor"


# --- more than protobuf can hold -----------------------------------------------------------------


LOW_LIMIT = 100_000


def lower_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "2 GB" be 100 kB, for what rpucc reads and writes, and for protobuf itself."""
    monkeypatch.setattr("rpucc.passes.frontend.source.PROTOBUF_LIMIT", LOW_LIMIT)
    monkeypatch.setattr("rpucc.write_model.EXTERNAL_DATA_BYTES", LOW_LIMIT)
    serialise = onnx.ModelProto.SerializeToString

    def limited(self, **options):
        if self.ByteSize() > LOW_LIMIT:
            raise ValueError("the message is larger than protobuf can serialise")
        return serialise(self, **options)

    monkeypatch.setattr(onnx.ModelProto, "SerializeToString", limited)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_model_above_the_limit_works_with_external_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | None
):
    import rpucc

    model = build("lenet")
    if batch is not None:  # onnxruntime then tells whether the samples are independent
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=1024)
    assert path.stat().st_size < LOW_LIMIT < (tmp_path / "w.bin").stat().st_size
    lower_limit(monkeypatch)
    program = rpucc.compile(path, "rpu-managed", verify=False)
    assert program.fixed_batch is None
    program.save(tmp_path / "p.onnx")
    assert (tmp_path / "p.onnx.data").stat().st_size > LOW_LIMIT
    loaded = rpucc.Program.load(tmp_path / "p.onnx")
    assert loaded.plan.weights == program.plan.weights == 80_202


def test_a_model_above_the_limit_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenet: bytes
):
    path = tmp_path / "m.onnx"
    path.write_bytes(lenet)
    lower_limit(monkeypatch)
    assert "save the weights as external data" in refuse(path)
    with pytest.raises(ValueError, match="larger than protobuf"):
        onnx.load(path).SerializeToString()
