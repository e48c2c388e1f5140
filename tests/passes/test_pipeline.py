"""The pipeline: order, modes, events, and what the callbacks do between passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import onnx
import onnx_ir as ir
import pytest

from rpucc.errors import OutputError, VerificationError
from rpucc.models import build
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import Dump, PassEvent, StructureCheck, Timing
from rpucc.passes.pipeline import PASSES, Options, build_pipeline, run_pipeline
from rpucc.passes.verify import Verify
from rpucc.step_contract import StepContract
from rpucc.target.target import Target

from .lowering import SIZES, imported, with_arrays

TRAINING = [
    "draw_dropouts",
    "normalise_products",
    "fold_batchnorm",
    "select_analog",
    "equalise",
    "unroll",
    "scale_weights",
    "differentiate",
    "tile",
    "mask_weights",
    "replicate",
    "manage_noise",
    "manage_bounds",
    "assign_update",
    "place",
    "schedule",
]


def test_table_is_the_pipeline_in_order() -> None:
    target = Target.load("ideal")
    assert [row.name for row in PASSES] == TRAINING
    assert [p.name for p in build_pipeline(Options(target))] == TRAINING
    inference = [p.name for p in build_pipeline(Options(target, training=False))]
    assert inference == [n for n in TRAINING if n not in ("differentiate", "assign_update")]


def test_every_pass_says_what_it_does_requires_and_leaves_behind() -> None:
    for row in PASSES:
        assert row.summary.endswith("."), row.name
        text = row.cls.__doc__ or ""
        for part in ("before:", "after:"):
            assert part in text, (row.name, part)
        assert "requires" in text.lower(), row.name
        assert "leaves behind" in text.lower(), row.name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_every_pass_verifies(name: str, training: bool, size: tuple[int, int]) -> None:
    target = with_arrays(size, overrides=('management.noise_forward="always"',))
    passes = build_pipeline(Options(target, training=training))
    verify = Verify()
    run_pipeline(imported(build(name), target), passes, [StructureCheck(), verify])
    assert list(verify.results) == [each.name for each in passes]
    assert max(found.worst_difference for found in verify.results.values()) <= 1e-5


def test_events_come_in_order_with_the_import_first() -> None:
    events: list[PassEvent] = []
    target = Target.load("ideal")
    model = imported(build("mlp"), target)
    run_pipeline(model, build_pipeline(Options(target)), [events.append], import_seconds=0.25)
    assert [event.name for event in events] == ["import", *TRAINING]
    assert [event.index for event in events] == list(range(len(TRAINING) + 1))
    assert events[0].seconds == 0.25
    assert all(event.model is model for event in events)
    # all products are layers, no dropout, no batch norm, and an ideal target manages nothing
    unmodified = [event.name for event in events if not event.modified]
    scaling = ["equalise", "scale_weights"]
    managing = ["mask_weights", "replicate", "manage_noise", "manage_bounds"]
    first = ["draw_dropouts", "normalise_products", "fold_batchnorm"]
    assert unmodified == [*first, *scaling, *managing]


def test_function_bodies_follow_the_ops_in_use() -> None:
    target = with_arrays((100, 60))
    bodies: dict[str, set[str]] = {}

    def note(event: PassEvent) -> None:
        bodies[event.name] = {name for _, name, _ in event.model.functions}

    run_pipeline(imported(build("lenet"), target), build_pipeline(Options(target)), [note])
    assert bodies["select_analog"] == set()
    assert bodies["unroll"] == {"Im2Col", "AppendOne", "Read"}
    assert bodies["differentiate"] == bodies["tile"] == bodies["unroll"] | {"Update"}
    assert bodies["manage_noise"] == bodies["tile"] | {"NoiseManage", "Rescale"}
    assert bodies["schedule"] == bodies["manage_noise"] | {"BoundedRead"}


def test_timing_and_dump(tmp_path: Path) -> None:
    target = Target.load("rpu-managed")
    timing, dump = Timing(), Dump(tmp_path / "new" / "folder")
    passes = build_pipeline(Options(target))
    for _ in range(2):  # a second run starts anew
        model = imported(build("mlp"), target)
        run_pipeline(model, passes, [timing, dump], import_seconds=1.0)
    assert list(timing.seconds) == ["import", *TRAINING]
    assert timing.total == pytest.approx(sum(timing.seconds.values()))
    assert 1.0 <= timing.total < 1.0 + 60
    names = [f"{i:02d}_{name}.onnx" for i, name in enumerate(["import", *TRAINING])]
    assert [path.name for path in dump.files] == names
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(names)
    for path in dump.files:
        onnx.checker.check_model(str(path), full_check=True)
    assert not any(node.domain == "rpu" for node in onnx.load(dump.files[0]).graph.node)
    assert any(node.op_type == "Update" for node in onnx.load(dump.files[-1]).graph.node)


def test_dump_into_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    target = Target.load("ideal")
    with pytest.raises(OutputError, match=r"taken: cannot make the folder") as caught:
        run_pipeline(imported(build("mlp"), target), [], [Dump(tmp_path / "taken")])
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- structure


def two_nodes_of_one_name(model: ir.Model) -> None:
    nodes = list(model.graph)
    nodes[1].name = nodes[0].name


def untyped_value(model: ir.Model) -> None:
    next(iter(model.graph)).outputs[0].type = None


def unnamed_node(model: ir.Model) -> None:
    next(iter(model.graph)).name = None


def dangling_metadata(model: ir.Model) -> None:
    replace(StepContract.of(model), output="nothing").write(model)


def dangling_update(model: ir.Model) -> None:
    replace(StepContract.of(model), state={"no.W": str(model.graph.outputs[0].name)}).write(model)


def invalid_onnx(model: ir.Model) -> None:
    node = next(node for node in model.graph if node.op_type == "Gemm")
    node.attributes["transB"] = ir.AttrString("transB", "yes")


@dataclass(frozen=True)
class Broken(RpuPass):
    """A pass that leaves something wrong."""

    what: str

    name: ClassVar[str] = "broken"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        globals()[self.what](model)
        return ir.passes.PassResult(model, modified=True)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("two_nodes_of_one_name", "two nodes are named"),
        ("untyped_value", "has no type"),
        ("unnamed_node", "has no name"),
        ("dangling_metadata", "metadata rpucc.step: 'nothing' is no result of a node"),
        ("dangling_update", "'no.W' is no initializer"),
        ("invalid_onnx", "onnx.checker: "),
    ],
)
def test_structure_check_catches(what: str, message: str) -> None:
    model = imported(build("mlp"), Target.load("ideal"))
    with pytest.raises(VerificationError) as caught:
        run_pipeline(model, [Broken(what)], [StructureCheck()])
    assert str(caught.value).startswith("after pass 'broken': ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
