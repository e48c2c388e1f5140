""".pt2 files: the ways in, and what a hostile one may not do."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.frameworks.files import kind_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")

from rpucc.frameworks.torch_archive import checked_archive, read_program  # noqa: E402

from .networks import batch_normed_cnn  # noqa: E402


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a CNN's file, of an open batch."""
    path = tmp_path_factory.mktemp("pt2") / "cnn.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    example = (torch.zeros(2, 1, 28, 28),)
    exported = torch.export.export(batch_normed_cnn().eval(), example, dynamic_shapes=shapes)
    torch.export.save(exported, path)
    return path.read_bytes()


def changed(saved: bytes, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the archive with members that `change` has worked on: JSON as tables."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    tables: dict[str, Any] = {
        name: json.loads(content) if name.endswith(".json") else content
        for name, content in members.items()
    }
    change(tables)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in tables.items():
            text = content if isinstance(content, bytes) else json.dumps(content)
            archive.writestr(name, text)
    return path


def test_it_compiles_as_the_module_does(saved: bytes, tmp_path: Path):
    path = tmp_path / "cnn.pt2"
    path.write_bytes(saved)
    program = rpucc.compile(path, "ideal", verify=True)
    assert program.name == "cnn"
    assert program.fixed_batch is None
    assert program.plan.notes == ("batch norms: 2 folded into the layer before",)
    of_module = rpucc.compile(
        rpucc.from_torch(batch_normed_cnn(), torch.zeros(1, 1, 28, 28)), "ideal"
    )
    mine, other = (p.model.graph.initializers for p in (program, of_module))
    assert mine.keys() == other.keys()
    assert all((mine[n].const_value.numpy() == other[n].const_value.numpy()).all() for n in mine)


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def graph_of(tables: dict[str, Any]) -> dict[str, Any]:
    (name,) = (name for name in tables if name.endswith("models/model.json"))
    return tables[name]["graph_module"]["graph"]


def sized(tables: dict[str, Any], expression: str) -> None:
    """Let every size that is open be this expression."""

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "expr_str" in part:
                part["expr_str"] = expression
            for each in part.values():
                walk(each)
        elif isinstance(part, list):
            for each in part:
                walk(each)

    walk(graph_of(tables))


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("sample inputs", None),
        ("weight", "weight '0.weight' is a pickle, which could run code"),
        ("object", "weight 'obj' is a pickle, which could run code"),
        ("size", "size .*__import__.* of the program is none that torch.export writes"),
        ("size of powers", "size '9\\*\\*9"),
        ("operator", "operator 'torch.os.system' is none of PyTorch's own"),
        ("operator of Python", "operator '_operator.methodcaller' is none"),
        ("argument that is an operator", "operator 'torch.os.system' is none"),
        ("name", "name .x=__import__.* of the program is none"),
        ("structure", "structure .* of the program is none"),
        ("compiled code alone", "has compiled code alone"),
        ("two programs", "has 2 programs"),
    ],
)
def test_nothing_of_a_hostile_file_runs(
    saved: bytes, tmp_path: Path, attack: str, message: str | None
):
    """Each of these runs or imports something in torch.export.load, or in the graph behind it."""
    mark = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{mark}').touch()"

    def change(tables: dict[str, Any]) -> None:
        root = next(iter(tables)).partition("/")[0]
        config = tables[f"{root}/data/weights/model_weights_config.json"]["config"]
        if attack == "sample inputs":
            tables[f"{root}/data/sample_inputs/model.pt"] = pickle.dumps(Evil(mark))
        elif attack == "weight":
            config["0.weight"]["use_pickle"] = True
            tables[f"{root}/data/weights/weight_0"] = pickle.dumps(Evil(mark))
        elif attack == "object":
            constants = tables[f"{root}/data/constants/model_constants_config.json"]["config"]
            constants["obj"] = {"path_name": "opaque_obj_0", "use_pickle": True}
            tables[f"{root}/data/constants/opaque_obj_0"] = pickle.dumps(Evil(mark))
        elif attack == "size":
            sized(tables, code)
        elif attack == "size of powers":
            sized(tables, "9**9**9**9")
        elif attack == "operator":
            graph_of(tables)["nodes"][0]["target"] = "torch.os.system"
        elif attack == "operator of Python":
            graph_of(tables)["nodes"][0]["target"] = "_operator.methodcaller"
        elif attack == "argument that is an operator":
            graph_of(tables)["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}
        elif attack == "name":
            graph_of(tables)["inputs"][-1]["as_tensor"]["name"] = f"x={code}"
        elif attack == "structure":
            model = tables[f"{root}/models/model.json"]
            signature = model["graph_module"]["module_call_graph"][0]["signature"]
            enum = '{"__enum__": true, "fqn": "this:x", "name": "y"}'
            spec = {"type": "builtins.dict", "context": f"[{enum}]", "children_spec": []}
            signature["in_spec"] = json.dumps([1, spec])
        elif attack == "compiled code alone":
            tables[f"{root}/data/aotinductor/model/x.so"] = b"code"
            del tables[f"{root}/models/model.json"]
        elif attack == "two programs":
            tables[f"{root}/models/other.json"] = tables[f"{root}/models/model.json"]

    path = changed(saved, tmp_path / "evil.pt2", change)
    if message is None:
        read_program(path)
    else:
        with pytest.raises(rpucc.ModelError, match=message) as caught:
            read_program(path)
        assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_torch_alone_would_run_it(saved: bytes, tmp_path: Path):
    """The attacks are real: else the checks might be about nothing."""
    mark = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{mark}').touch()"
    path = changed(saved, tmp_path / "evil.pt2", lambda tables: sized(tables, code))
    with contextlib.suppress(Exception):  # it has run by then
        torch.export.load(path)
    assert mark.exists()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_cut_file_is_one_line(saved: bytes, tmp_path: Path, share: float):
    path = tmp_path / "cut.pt2"
    path.write_bytes(saved[: int(len(saved) * share)])
    with pytest.raises(rpucc.ModelError, match=r"cut.pt2: a damaged archive"):
        rpucc.compile(path)


def test_members_that_are_missing_or_packed(saved: bytes, tmp_path: Path):
    def lose(tables: dict[str, Any]) -> None:
        (name,) = (name for name in tables if name.endswith("weight_0"))
        del tables[name]

    path = changed(saved, tmp_path / "lost.pt2", lose)
    with pytest.raises(rpucc.ModelError, match="has no data/weights/weight_0"):
        read_program(path)
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in content.items():
            archive.writestr(name, each)
    with pytest.raises(rpucc.ModelError, match="is compressed: no archive of torch"):
        read_program(path)
    assert kind_of(path) == "pt2"


def test_damaged_weights_are_one_line(saved: bytes, tmp_path: Path):
    """Also where the process that reads them would die of it."""

    def shrink(tables: dict[str, Any]) -> None:
        (name,) = (name for name in tables if name.endswith("weight_0"))
        tables[name] = tables[name][:40]

    path = changed(saved, tmp_path / "short.pt2", shrink)
    with pytest.raises(
        rpucc.ModelError, match=r"short.pt2: torch cannot read the program"
    ) as caught:
        rpucc.compile(path)
    assert "\n" not in str(caught.value)


def test_any_damage_is_a_model_error(saved: bytes, tmp_path: Path):
    """Bytes that are others, missing or too many: before torch has seen any of them."""
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pt2"
    refused = 0
    for _ in range(300):
        content = bytearray(saved)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(content)))
            what = rng.integers(3)
            if what == 0:
                content[at] = rng.integers(256)
            elif what == 1:
                del content[at : at + int(rng.integers(1, 40))]
            else:
                content[at:at] = rng.bytes(int(rng.integers(1, 40)))
        path.write_bytes(content)
        try:
            if kind_of(path) == "pt2":
                checked_archive(path)
        except rpucc.ModelError:
            refused += 1
    assert 100 < refused < 300


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_is_refused_unread(tmp_path: Path, new: bool):
    path = tmp_path / "net.pt"
    mark = tmp_path / "ran"
    torch.save({"x": Evil(mark)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(
        rpucc.ModelError, match=r"net.pt: is a pickle of PyTorch, .*torch.export.save"
    ):
        rpucc.compile(path)
    assert not mark.exists()
