"""`rpucc diff`: what differs between two programs, and between their JSON files."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.compiler.compile import compile_model
from rpucc.models import build
from rpucc.report.plan_file import as_toml
from rpucc.report.text.diff import Change, diff
from rpucc.report.text.program import describe
from rpucc.target.keys import ModelSection, Section, mark
from rpucc.target.target import Target
from rpucc.target.values import Allowed

Data = dict[str, Any]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


def data_of(*overrides: str, model: str = "lenet", **options: Any) -> Data:
    program = compile_model(model, "rpu-managed", overrides=overrides, verify=False, **options)
    return describe(program)


@pytest.fixture(scope="module")
def before() -> Data:
    return data_of()


def test_a_program_is_the_same_as_itself(before: Data) -> None:
    found = diff(before, json.loads(json.dumps(before)))
    assert found.same
    assert found.same_layers == 4
    assert not found.layers
    assert not found.settings
    assert not found.missing


def test_policy_time_and_energy(before: Data) -> None:
    found = diff(before, data_of("update.bl=5"))
    assert set(found.layers) == {"conv1", "conv2", "fc1", "fc2"}
    assert found.layers["fc2"][0] == Change("update bl", 10, 5)
    keys = {change.key for change in found.layers["fc2"]}
    assert keys == {"update bl", "training_seconds", "training_joules"}
    totals = {c.key: (c.before, c.after) for c in found.totals}
    assert totals["training_image_seconds"][0] > totals["training_image_seconds"][1]
    assert totals["training_joules"][0] > totals["training_joules"][1]
    assert totals["training_images_per_second"][0] < totals["training_images_per_second"][1]
    assert found.settings == (Change("target.update.bl", 10, 5),)


def test_cuts_kind_and_arrays(before: Data) -> None:
    found = diff(before, data_of("array.0.cols=300"))
    assert set(found.layers) == {"conv1", "conv2", "fc2"}
    keys = {change.key: (change.before, change.after) for change in found.layers["conv2"]}
    assert keys["array"] == ("small", "large") or keys["grid"] == ([1, 1], [1, 2])
    assert found.same_layers == 1


def test_the_same_grid_cut_elsewhere_differs(before: Data) -> None:
    moved = copy.deepcopy(before)
    moved["plan"]["layers"][1]["col_cuts"] = [0, 400]
    (change,) = diff(before, moved).layers["conv2"]
    assert change == Change("col_cuts", [0, 401], [0, 400])


def test_layers_come_go_and_move(before: Data) -> None:
    found = diff(before, data_of(model="mlp"))
    assert found.added
    assert set(found.removed) == {"conv1", "conv2"}
    swapped = copy.deepcopy(before)
    swapped["plan"]["layers"].reverse()
    assert diff(before, swapped).moved
    assert not diff(before, swapped).same


def test_rounding_is_no_difference(before: Data) -> None:
    rounded = copy.deepcopy(before)
    rounded["plan"]["layers"][0]["seconds"] *= 1 + 1e-12
    assert diff(before, rounded).same
    rounded["plan"]["layers"][0]["seconds"] *= 1 + 1e-6
    assert not diff(before, rounded).same


# ---------------------------------------------------------------- everything that a program carries

OTHER: dict[str, Any] = {
    "name": "another", "description": "another", "array": "large", "count": 60,
    "row_cuts": [0, 5, 10], "col_cuts": [0, 100, 129], "remove": ["dtod"], "model": "reference",
    "mask": "zeros",
}  # fmt: skip
"""Key of a target -> another legal value, where the range of the key does not give one."""

START = (
    "device.model=soft-bounds", "calibration.zero_shift=true", "calibration.pairs=20",
    "layer.conv1.mapping.replicas=4", "layer.conv1.mapping.replica_updates=shared",
    "layer.conv2.management.bound_mode=worst-case", "layer.conv2.mapping.weight_scaling=0.1",
    "batch_norm.policy=fold", "layer.fc2.update.feedback=random",
    "layer.fc1.cell.model=tiki-taka", "layer.conv1.cell.model=multi-tile",
    "layer.fc2.cell.model=mixed-precision",
    "cell.model=one-sided",  # of conv2
    "layer.conv2.update.pulses=deterministic-implicit", "layer.fc1.update.update_management=true",
    "array.0.rows=20", "array.0.cols=260", "array.1.rows=100", "array.1.cols=300",
)  # fmt: skip
"""A target on which as many keys as possible have an effect."""

NO_EFFECT = {
    "description": "for people alone",
    "policy": "LeNet has no batch norm",
    "mask": "LeNet has no zeros",
}
"""Keys that change nothing of the programs below."""

RULES = {
    "row_cuts": "layer.fc2.mapping", "col_cuts": "layer.fc2.mapping",
    "replicas": "layer.conv2.mapping", "replica_updates": "layer.conv1.mapping",
    "assumed_w_max": "layer.conv2.management", "bound_mode": "layer.conv1.management",
    "feedback_seed": "layer.fc2.update", "x_res_implicit": "layer.conv2.update",
    "d_res_implicit": "layer.conv2.update", "overflow": "layer.fc1.update",
}  # fmt: skip
"""Keys that are changed by a rule: not every layer can have the other value."""


def keys_of_a_target() -> Iterator[tuple[str, str, Any]]:
    """(table, key, another value) of every key that a target file may have."""
    start = Target.load("soft-bounds", START)
    for name, section in start:
        if name in ("name", "description"):
            yield "", name, OTHER[name]
        elif name == "arrays":
            yield from _keys_of("array.small", section[0])
        elif name == "device":
            yield from _keys_of_devices(name, section)
        elif name == "cell":
            yield name, "model", OTHER["model"]
            cell = start.for_layer("fc1").cell
            yield from _keys_of("layer.fc1.cell", cell.settings)
            yield from _keys_of_devices("layer.fc1.cell.fast", start.device)
            yield from _keys_of("layer.fc2.cell", start.for_layer("fc2").cell.settings)
            yield from _keys_of(name, start.for_layer("conv2").cell.settings)
            chain = start.for_layer("conv1").cell.settings
            own = set(type(chain).model_fields) - set(type(cell.settings).model_fields)
            yield from (row for row in _keys_of("layer.conv1.cell", chain) if row[1] in own)
        elif isinstance(section, Section):
            yield from _keys_of(name, section)


def _keys_of_devices(table: str, section: ModelSection) -> Iterator[tuple[str, str, Any]]:
    values = {**section.parameters, "dw_min": 0.002}
    yield from ((table, key, 1.5 * value or 0.1) for key, value in values.items())


def _keys_of(table: str, section: Section) -> Iterator[tuple[str, str, Any]]:
    policy = Target.load("soft-bounds", START)
    for key, field in type(section).model_fields.items():
        place = RULES.get(key, "").split(".")
        of_layer = getattr(policy.for_layer(place[1]), table) if place[0] else section
        allowed = mark(field, Allowed)
        assert allowed is not None
        yield table, key, OTHER[key] if key in OTHER else other(getattr(of_layer, key), allowed)


def other(value: Any, allowed: Allowed) -> Any:
    """A legal value that is not this one."""
    numbers = (2 * value, value / 2, value + 1) if isinstance(value, int | float) else ()
    every = (*allowed.choices, *numbers, 0.1, 8, 2)
    return next(each for each in every if each != value and allowed.test(each))


def start_of(*overrides: str) -> Data:
    program = compile_model("lenet", "soft-bounds", overrides=(*START, *overrides), verify=False)
    return describe(program)


@pytest.fixture(scope="module")
def start() -> Data:
    return start_of()


@pytest.mark.parametrize(("table", "key", "other"), list(keys_of_a_target()))
def test_every_key_of_a_target_that_acts_is_a_difference(
    table: str, key: str, other: Any, start: Data
) -> None:
    place = table if table.startswith("layer.") else RULES.get(key, table)
    path = f"{place}.{key}" if place else key
    found = diff(start, start_of(f"{path}={json.dumps(other)}"))
    written = "target.layer" if place.startswith("layer.") else f"target.{path}"
    if path != "array.small.name":  # a kind by another name is another kind
        names = {change.key for change in (*found.settings, *found.totals)}
        assert {"target" if key == "name" else written, path} & names, "the setting is named"
    assert found.same == (key in NO_EFFECT)
    assert not found.missing


def test_another_mask_is_a_difference(tmp_path: Path) -> None:
    """Two of the same file name, and of as many fixed weights."""
    found = []
    for fixed in (0, 1):
        mask = np.ones((10, 128))
        mask[fixed] = 0
        np.savez(tmp_path / "mask.npz", fc2=mask)
        rule = f"layer.fc2.update.mask={json.dumps(str(tmp_path / 'mask.npz'))}"
        program = compile_model("lenet", "ideal", overrides=(rule,), verify=False)
        found.append(describe(program))
    assert not diff(*found).same


def test_what_no_table_of_a_plan_shows(before: Data) -> None:
    model = build("lenet")
    for tensor in model.graph.initializer:
        if list(tensor.dims) == [128, 512]:
            tensor.raw_data = (np.frombuffer(tensor.raw_data, np.float32) * 2).tobytes()
    found = diff(before, describe(compile_model(model, "rpu-managed", verify=False)))
    assert list(found.layers) == ["fc1"]
    assert [change.key for change in found.layers["fc1"]] == ["initial_weights"]

    relu = build("lenet")
    for node in relu.graph.node:
        node.op_type = "Relu" if node.name == "tanh2" else node.op_type
    found = diff(before, describe(compile_model(relu, "rpu-managed", verify=False)))
    settings = {change.key: (change.before, change.after) for change in found.settings}
    assert settings["operations.Tanh forward"] == (3, 2)
    assert settings["operations.Relu forward"] == (None, 1)
    assert "digests.network" in settings


def subtraction(first: str, second: str, names: str) -> Data:
    """Two layers of the input, one subtracted from the other."""
    nodes = [
        oh.make_node("MatMul", [f"x{names}", "A"], ["a"], "a"),
        oh.make_node("MatMul", [f"x{names}", "B"], ["b"], "b"),
        oh.make_node("Sub", [first, second], [f"s{names}"], f"sub{names}"),
        oh.make_node("Tanh", [f"s{names}"], [f"y{names}"], f"tanh{names}"),
    ]
    ends = [oh.make_tensor_value_info(f"{end}{names}", 1, ["N", 3]) for end in "xy"]
    weights = [onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), name) for name in "AB"]
    graph = oh.make_graph(nodes, "subtraction", ends[:1], ends[1:], weights)
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 21)], ir_version=10)
    return describe(compile_model(model, "ideal", training=False, verify=False))


def test_the_wiring_of_the_digital_part_counts_and_its_names_do_not() -> None:
    assert diff(subtraction("a", "b", ""), subtraction("a", "b", "_2")).same
    found = diff(subtraction("a", "b", ""), subtraction("b", "a", ""))
    assert [change.key for change in found.settings] == ["digests.network"]
    assert not found.same


def test_loss_and_range_and_batch_norms(before: Data) -> None:
    found = diff(before, data_of(input_range=(-1.0, 1.0), loss="mse"))
    settings = {change.key: (change.before, change.after) for change in found.settings}
    assert settings["program.input_range"] == ([0.0, 1.0], [-1.0, 1.0])
    assert settings["program.loss"] == ("cross-entropy", "mse")
    folded = data_of(model="mobilenet-v2-cifar")
    trained = data_of("batch_norm.policy=train", model="mobilenet-v2-cifar")
    keys = [change.key for change in diff(folded, trained).settings]
    assert sum(key.startswith("batch_norms.") for key in keys) > 10


def test_a_rule_that_says_the_same_in_other_words_is_no_difference(before: Data) -> None:
    found = diff(before, data_of("layer.*.update.bl=10", "layer.conv1.mapping.row_cuts=[0, 16]"))
    assert found.same
    assert [change.key for change in found.settings] == ["target.layer"]


def test_a_plan_file_that_nobody_edited_changes_nothing(before: Data, tmp_path: Path) -> None:
    program = compile_model("lenet", "rpu-managed", verify=False)
    (tmp_path / "plan.toml").write_text(as_toml(program), encoding="utf-8")
    target = Target.load("rpu-managed").with_plan(tmp_path / "plan.toml")
    again = describe(compile_model("lenet", target, verify=False))
    assert diff(before, again).same


def test_other_arrays_are_named_and_the_layers_are_alike(before: Data) -> None:
    found = diff(before, data_of("layer.fc1.arrays=[7]", "layer.conv1.arrays=[5]"))
    assert (found.elsewhere, found.same_layers) == (("conv1", "conv2", "fc1", "fc2"), 4)
    assert not found.same


OLD = ("target", "policies", "digests", "batch_norms", "version", "fixed_batch")


def older(data: Data) -> Data:
    """The JSON that the first version wrote of a program."""
    found = {key: copy.deepcopy(value) for key, value in data.items() if key not in OLD}
    for layer in found["plan"]["layers"]:
        for key in ("joules", "training_joules", "array_ids", "places_digest"):
            del layer[key]
    totals = found["plan"]["totals"]
    for key in [key for key in totals if "images_per" in key or key.endswith(("joules", "watts"))]:
        del totals[key]
    del totals["tops_per_watt"]
    return found


def test_files_of_an_older_version_have_no_false_differences(before: Data) -> None:
    for one, other in ((older(before), before), (before, older(before))):
        found = diff(one, other)
        assert found.same
        assert {"target", "policies", "digests", "joules"} <= set(found.missing)
    found = diff(older(before), data_of("update.bl=5", "cost.dac_energy=1e-12"))
    assert found.layers["fc2"][0] == Change("update bl", 10, 5)
    assert [change.key for change in found.settings] == ["cost.dac_energy"]
    assert diff({"plan": before["plan"]}, before).same  # what was called a plan alone


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    for name, overrides in (("a", []), ("b", ["update.bl=5"])):
        program = compile_model("lenet", "rpu-managed", overrides=overrides, verify=False)
        program.save(folder / f"{name}.onnx")
        shown = run("inspect", folder / f"{name}.onnx", "--json")
        (folder / f"{name}.json").write_text(shown.stdout, encoding="utf-8")
    return folder


@pytest.mark.parametrize("first", ["a.onnx", "a.json"])
@pytest.mark.parametrize("second", ["b.onnx", "b.json"])
def test_programs_and_json_compare_alike(first: str, second: str, files: Path) -> None:
    shown = run("diff", files / first, files / second)
    assert shown.exit_code == 0
    assert "update bl" in shown.stdout
    assert shown.stdout.rstrip().endswith("0 layers alike")
    assert run("diff", files / first, files / second, "--exit-code").exit_code == 1
    data = json.loads(run("diff", files / first, files / second, "--json").stdout)
    assert data["layers"]["fc1"]["update bl"] == [10, 5]
    assert data["totals"]["tiles"] == [4, 4]


def test_the_same_plan(files: Path) -> None:
    shown = run("diff", files / "a.onnx", files / "a.json", "--exit-code")
    assert (shown.exit_code, shown.stdout) == (0, "the same plan: 4 layers alike\n")


def test_totals_then_settings_then_one_row_a_layer(files: Path) -> None:
    lines = run("diff", files / "a.onnx", files / "b.onnx").stdout.splitlines()
    heads = [line.split("  ")[0].strip() for line in lines]
    order = ["images a second", "energy an image", "update.bl", "every layer", "conv1", "conv2"]
    assert [heads.index(head) for head in order] == sorted(heads.index(head) for head in order)
    for layer in ("conv1", "conv2", "fc1", "fc2"):
        assert heads.count(layer) == 1
    (row,) = (line for line in lines if line.startswith("every layer"))
    assert row.split(maxsplit=2)[2] == "update bl 10 → 5"


def test_read_noise_alone_is_a_difference(files: Path, tmp_path: Path) -> None:
    noisy = compile_model(
        "lenet", "rpu-managed", overrides=["periphery.read_noise=0.1"], verify=False
    )
    noisy.save(tmp_path / "noisy.onnx")
    shown = run("diff", files / "a.onnx", tmp_path / "noisy.onnx", "--exit-code")
    assert shown.exit_code == 1
    assert "every layer  periphery read noise 0.06 → 0.1" in shown.stdout
    assert json.loads(run("diff", files / "a.json", tmp_path / "noisy.onnx", "--json").stdout)[
        "layers"
    ]["conv2"] == {"periphery read_noise": [0.06, 0.1]}


def test_a_run_folder_compares_by_its_program(files: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    x, y = np.zeros((4, 1, 28, 28), np.float32), np.arange(4)
    np.savez(tmp_path / "few.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    few = "--data", tmp_path / "few.npz", "--epochs", 1, "--lr", 1e-4
    done = run("train", "lenet", "-t", "rpu-managed", *few, "-o", run_folder)
    assert done.exit_code == 0, done.stderr
    assert run("diff", files / "a.onnx", run_folder, "--exit-code").exit_code == 0


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("{", "no valid JSON"),
        ('{"a": 1}', "not of a plan"),
        ('{"plan": {"layers": [1], "totals": {}}}', "not of a plan"),
        ('{"plan": []}', "not of a plan (plan: "),
        (
            '{"plan": {"target": "t", "training": true, "layers": [], "totals": {}}, "cost": 1}',
            "cost",
        ),
        (
            '{"plan": {"target": "t", "training": 1, "layers": [{"name": []}]}}',
            "plan.layers.0.name",
        ),
        ("[]", "not an ONNX file"),
    ],
)
def test_what_is_no_plan_is_one_line(
    content: str, fragment: str, files: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    shown = run("diff", files / "a.json", wrong)
    assert shown.exit_code == 1
    assert fragment in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert "wrong.json" in shown.stderr


def test_a_missing_file_is_one_line(files: Path) -> None:
    shown = run("diff", files / "a.json", files / "missing.onnx")
    assert shown.exit_code == 1
    assert "missing.onnx" in shown.stderr
