"""Program files: what is saved comes back, and what is no program is refused in one line."""

from __future__ import annotations

import doctest
import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.compiler.compile import compile_model
from rpucc.errors import ModelError, OutputError, RpuccError
from rpucc.models import build
from rpucc.passes.verify import compare_models
from rpucc.program import Program, read_model
from rpucc.write_model import write_model


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model("mlp", "rpu-managed", verify=False)


@pytest.fixture
def saved(program: Program, tmp_path: Path) -> Path:
    path = tmp_path / "mlp.onnx"
    program.save(path)
    return path


def test_round_trip(program: Program, saved: Path) -> None:
    loaded = Program.load(saved)
    assert loaded.training
    assert loaded.name == program.name
    assert loaded.target == program.target
    assert loaded.plan == program.plan
    assert loaded.updates == program.updates
    assert loaded.input_range == program.input_range == (0.0, 1.0)
    assert (loaded.inputs, loaded.loss) == (("x",), "cross-entropy")
    assert loaded.step == program.step
    assert compare_models(program.model, loaded.model).worst_difference == 0.0
    assert os.listdir(saved.parent) == ["mlp.onnx"], "no temporary file stays"


def test_a_saved_program_is_plain_onnx(saved: Path) -> None:
    import onnxruntime as ort

    onnx.checker.check_model(str(saved), full_check=True)
    session = ort.InferenceSession(saved, providers=["CPUExecutionProvider"])
    assert {each.name for each in session.get_inputs()} == {"x", "labels", "lr"}


def test_inference_program() -> None:
    program = compile_model("mlp", "ideal", training=False)
    assert not program.training
    assert program.loss == "none"
    assert program.updates == {}
    assert program.output == program.model.graph.outputs[0].name
    assert "inference" in repr(program)


def test_saving_replaces_whole_files_only(saved: Path, program: Program) -> None:
    before = saved.read_bytes()
    program.save(saved)
    assert saved.read_bytes() == before
    with pytest.raises(OutputError, match="is a folder"):
        program.save(saved.parent)
    with pytest.raises(OutputError, match="cannot write"):
        program.save(saved.parent / "absent" / "mlp.onnx")
    assert os.listdir(saved.parent) == ["mlp.onnx"]


def test_large_weights_go_beside_the_model(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpucc.write_model.EXTERNAL_DATA_BYTES", 1000)
    path = tmp_path / "big.onnx"
    program.save(path)
    assert sorted(os.listdir(tmp_path)) == ["big.onnx", "big.onnx.data"]
    assert path.stat().st_size < 100_000 < (tmp_path / "big.onnx.data").stat().st_size
    loaded = Program.load(path)
    assert compare_models(program.model, loaded.model).worst_difference == 0.0
    loaded.save(path)  # onto the file that it came from
    assert compare_models(program.model, Program.load(path).model).worst_difference == 0.0
    (tmp_path / "big.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"big\.onnx"):
        Program.load(path)


def test_external_data_stays_in_its_folder(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = folder / "model.onnx"
    proto = ir.to_proto(program.model)
    tensor = proto.graph.initializer[0]
    (tmp_path / "secret").write_bytes(bytes(10_000_000))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for location in ("../secret", str(tmp_path / "secret")):
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=location)
        path.write_bytes(proto.SerializeToString())
        with pytest.raises(ModelError, match=r"outside the directory|absolute path"):
            read_model(path)


# ---------------------------------------------------------------- what is no program


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Program.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, this is a text\n", "not an ONNX file, or a damaged one"),
        (b"\x00" * 100, "not an ONNX file, or a damaged one"),
        (b"\x08\x0a", "not an ONNX file, or a damaged one"),  # an IR version and nothing else
    ],
)
def test_no_onnx_at_all(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    assert message in refused(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.onnx")
    assert "Is a directory" in refused(tmp_path)


def test_a_model_that_is_not_compiled(tmp_path: Path) -> None:
    path = tmp_path / "lenet.onnx"
    onnx.save(build("lenet"), path)
    assert "not an rpucc program" in refused(path)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_program(saved: Path, keep: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * keep)])
    refused(saved)


def broken(program: Program, path: Path, key: str, text: str | None) -> str:
    model = program.model.clone()
    if text is None:
        del model.metadata_props[key]
    else:
        model.metadata_props[key] = text
    write_model(model, path)
    return refused(path)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("rpucc.target", "{"),
        ("rpucc.target", '{"name": "x"}'),
        ("rpucc.input_range", "0"),
        ("rpucc.input_range", "zero one"),
        ("rpucc.input_range", None),
        ("rpucc.step", "{"),
        ("rpucc.step", "[1]"),
        ("rpucc.step", "{}"),
        ("rpucc.step", None),
        ("rpucc.target", None),
    ],
)
def test_damaged_metadata(program: Program, tmp_path: Path, key: str, text: str | None) -> None:
    assert "damaged program" in broken(program, tmp_path / "bad.onnx", key, text)


@pytest.mark.parametrize(
    ("op", "key", "value"),
    [
        ("Read", "col_cuts", [0, 3]),
        ("BoundedRead", "col_cuts", [0, 3]),
        ("BoundedRead", "row_cuts", []),
        ("Read", "first_tile", 5),
        ("Update", "groups", 2),
        ("Update", "row_cuts", [0, 1]),
    ],
)
def test_damaged_nodes(
    program: Program, tmp_path: Path, op: str, key: str, value: int | list[int]
) -> None:
    model = program.model.clone()
    node = next(node for node in model.graph if node.op_type == op)
    one = isinstance(value, int)
    node.attributes[key] = ir.AttrInt64(key, value) if one else ir.AttrInt64s(key, value)
    write_model(model, tmp_path / "bad.onnx")
    assert "damaged program" in refused(tmp_path / "bad.onnx")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_any_damage_is_an_rpucc_error_or_harmless(seed: int, count: int) -> None:
    """Bytes changed at random, outside the weights: a clear error or a program, never a crash."""
    rng = np.random.default_rng(seed)
    content = bytearray(_bytes())
    places = np.concatenate([np.arange(3000), np.arange(len(content) - 20_000, len(content))])
    for place in rng.choice(places, count):
        content[place] = rng.integers(256)
    path = _folder / "damaged.onnx"
    path.write_bytes(content)
    message = ""
    try:
        _ = Program.load(path).plan
    except RpuccError as error:
        message = str(error)
    assert "\n" not in message


_cache: list[bytes] = []
_folder = Path()


def _bytes() -> bytes:
    if not _cache:
        compile_model("mlp", "ideal", verify=False).save(_folder / "whole.onnx")
        _cache.append((_folder / "whole.onnx").read_bytes())
    return _cache[0]


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    globals()["_folder"] = tmp_path_factory.mktemp("programs")


def test_docstring_examples_run() -> None:
    import rpucc.compiler.compile
    import rpucc.placement.cuts
    import rpucc.plan.plan

    for module in (rpucc.program, rpucc.plan.plan, rpucc.compiler.compile, rpucc.placement.cuts):
        result = doctest.testmod(module)
        assert result.failed == 0
        assert result.attempted > 0
