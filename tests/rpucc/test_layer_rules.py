"""Rules about layers: which names they know, and what is said of a rule that is about none."""

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper

import rpucc
from rpucc.cli.main import cli
from rpucc.errors import TargetError
from rpucc.layer_rules import bound
from rpucc.patterns import matches, pattern_of
from rpucc.target.target import Target

IDEAL = Target.load("ideal")


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rpu(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments], prog_name="rpucc")


def with_rules(*patterns: str) -> Target:
    return Target.load("ideal", [f"layer.{pattern}.update.lr_scale=2" for pattern in patterns])


def scaled(target: Target, *names: str) -> list[str]:
    """Those of the layers that the rules are about."""
    return [name for name in names if target.for_layer(name).update.lr_scale == 2]


# --- one network's exports -------------------------------------------------------------------


def convolutional(*names: str, weights: tuple[str, str, str]) -> onnx.ModelProto:
    """Conv, BatchNormalization, Gemm on images [N, 1, 4, 4], with these names of nodes."""
    rng = np.random.default_rng(0)
    conv, norm, dense = weights
    nodes = [
        helper.make_node("Conv", ["x", conv], ["c"], names[0], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("BatchNormalization", ["r", norm, "s", "m", "v"], ["n"], names[1]),
        helper.make_node("Flatten", ["n"], ["f"]),
        helper.make_node("Gemm", ["f", dense], ["y"], names[2], transB=1),
    ]
    arrays = {conv: rng.normal(size=(2, 1, 3, 3)), dense: rng.normal(size=(3, 8))}
    arrays |= {norm: np.ones(2), "s": np.zeros(2), "m": np.zeros(2), "v": np.ones(2)}
    return model_of(nodes, [1, 4, 4], 3, arrays)


def model_of(nodes: list, sample: list[int], classes: int, arrays: dict) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *sample])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", classes])],
        [onnx.numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


TORCH = ("f.0.weight", "f.1.weight", "f.3.weight")
EXPORTS = {
    "dynamo": convolutional(
        "node_Conv_19", "node__native_batch_norm_1", "node_linear", weights=TORCH
    ),
    "dynamo, a torch later": convolutional(
        "node_conv2d", "node_BatchNormalization_2", "node_Gemm_4", weights=TORCH
    ),
    "TorchScript": convolutional(
        "/f/f.0/Conv", "/f/f.1/BatchNormalization", "/f/f.3/Gemm", weights=TORCH
    ),
    "TorchScript, old": convolutional("Conv_0", "BatchNormalization_2", "Gemm_4", weights=TORCH),
    "no names": convolutional("", "", "", weights=TORCH),
}


@pytest.mark.parametrize("exporter", EXPORTS)
def test_a_rule_survives_an_export_by_another_exporter(exporter: str) -> None:
    target = with_rules("f.0", "f.1", "f.3").model_copy()
    program = rpucc.compile(EXPORTS[exporter], target, verify=False)
    assert [layer.name for layer in program.plan.layers] == ["f.0", "f.3"]
    assert scaled(program.target, "f.0", "f.1", "f.3") == ["f.0", "f.1", "f.3"]
    assert program.plan.notes[-1].startswith("'f.1': mean and variance of the file were never")


@pytest.mark.parametrize(
    ("exporter", "names"),
    [
        ("dynamo", ("node_Conv_19", "node__native*", "node_linear")),
        ("TorchScript", ("/f/f.0/Conv", "/f/f.1/BatchNormalization", "/f/f.3/Gemm")),
        ("TorchScript", ("f/f.0", "f/f.1", "f/f.3")),
        ("no names", ("conv_1", "batchnormalization_1", "gemm_1")),
    ],
)
def test_the_names_of_the_nodes_are_accepted_too(exporter: str, names: tuple[str, ...]) -> None:
    program = rpucc.compile(EXPORTS[exporter], with_rules(*names), verify=False)
    assert scaled(program.target, "f.0", "f.1", "f.3") == ["f.0", "f.1", "f.3"]


def test_a_glob_on_other_names_is_about_these_layers_alone() -> None:
    program = rpucc.compile(EXPORTS["TorchScript"], with_rules("f/*"), verify=False)
    assert [rule.match for rule in program.target.layers] == ["f.0", "f.1", "f.3"]
    program = rpucc.compile(EXPORTS["dynamo"], with_rules("node_C*"), verify=False)
    assert scaled(program.target, "f.0", "f.3") == ["f.0"]


def test_keras_layers_are_named_alike_whether_their_weights_are_folded_or_not() -> None:
    nodes = ("model/conv2d/Conv2D", "model/bn/FusedBatchNormV3", "model/dense/MatMul")
    read = tuple(f"{name}/ReadVariableOp:0" for name in nodes)
    folded = ("const_fold_opt__12", "const_fold_opt__13", "const_fold_opt__14")
    for weights in (read, folded):
        program = rpucc.compile(
            convolutional(*nodes, weights=weights), with_rules("model/conv2d/Conv2D"), verify=False
        )
        assert [layer.name for layer in program.plan.layers] == ["model/conv2d", "model/dense"]
        assert scaled(program.target, "model/conv2d", "model/dense") == ["model/conv2d"]


def test_a_name_that_someone_gave_stays() -> None:
    program = rpucc.compile(
        convolutional("stem", "norm", "head", weights=TORCH), with_rules("f.0"), verify=False
    )
    assert [layer.name for layer in program.plan.layers] == ["stem", "head"]
    assert scaled(program.target, "stem", "head") == ["stem"]
    assert rpucc.compile("lenet", "ideal", verify=False).other_names == {}


def test_weights_that_reach_a_layer_through_a_transpose_or_by_their_bias() -> None:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Transpose", ["a.weight"], ["t"], "node_t"),
        helper.make_node("MatMul", ["x", "t"], ["h"], "node_MatMul_1"),
        helper.make_node("MatMul", ["h", "val_3"], ["p"], "node_MatMul_2"),
        helper.make_node("Add", ["p", "b.bias"], ["y"], "node_Add_3"),
    ]
    arrays = {"a.weight": rng.normal(size=(4, 3)), "val_3": rng.normal(size=(4, 2))}
    model = model_of(nodes, [3], 2, {**arrays, "b.bias": np.zeros(2)})
    program = rpucc.compile(model, "ideal", verify=False)
    assert [layer.name for layer in program.plan.layers] == ["a", "b"]
    assert program.other_names == {"a": ["node_MatMul_1"], "b": ["node_MatMul_2"]}


def test_two_uses_of_a_weight_are_one_matrix_with_the_names_of_both() -> None:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "f.weight"], ["h"], "node_MatMul_1"),
        helper.make_node("MatMul", ["h", "f.weight"], ["y"], "node_MatMul_2"),
    ]
    model = model_of(nodes, [3], 3, {"f.weight": rng.normal(size=(3, 3))})
    program = rpucc.compile(model, "ideal", training=False, verify=False)
    assert program.other_names == {"f": ["node_MatMul_1", "f_2", "node_MatMul_2"]}


def test_every_command_shows_the_same_name_and_takes_the_others() -> None:
    onnx.save(EXPORTS["dynamo"], "net.onnx")
    done = rpu("compile", "net.onnx", "-t", "ideal", "-o", "net.rpu.onnx")
    assert done.exit_code == 0, done.output
    assert "node_Conv_19" not in done.stdout
    checked = json.loads(rpu("check", "net.onnx", "-t", "ideal", "--json").stdout)
    assert next(node["layer"] for node in checked["nodes"]) == "f.0"
    summary = rpu("check", "net.onnx", "-t", "ideal").stdout
    assert "f.0" in summary
    assert "node_" not in summary
    assert "f.0 = node_Conv_19" in rpu("check", "net.onnx", "-t", "ideal", "--all").stdout
    shown = [rpu("inspect", "net.rpu.onnx", "--layer", n).stdout for n in ("f.0", "node_Conv_19")]
    assert shown[0] == shown[1]
    assert shown[0].startswith("f.0 (Conv)")
    rpu("inspect", "net.rpu.onnx", "--write-plan", "plan.toml")
    plan = Path("plan.toml").read_text()
    assert 'match = "f.0"' in plan
    Path("plan.toml").write_text(plan.replace('"f.0"', '"node_Conv_19"'))
    again = rpu("compile", "net.onnx", "-t", "ideal", "--plan", "plan.toml")
    assert again.exit_code == 0, again.output
    wrong = rpu("inspect", "net.rpu.onnx", "--layer", "node_Conv_18")
    assert wrong.stderr == (
        "Error: --layer node_Conv_18: no such layer; did you mean 'node_Conv_19'? layers: f.0, "
        "f.3\n"
    )


# --- exact names -----------------------------------------------------------------------------


def test_an_exact_name_is_about_that_layer_alone() -> None:
    layers = {"f[0]": (), "f0": (), "a*": (), "ab": ()}
    target = bound(with_rules("f[0]"), layers, "net")
    assert scaled(target, *layers) == ["f[0]"]
    assert scaled(bound(with_rules("a*"), layers, "net"), *layers) == ["a*"]
    assert scaled(bound(with_rules("[fa]?"), layers, "net"), *layers) == ["f0", "a*", "ab"]
    assert scaled(bound(with_rules("f[0]"), {"f0": ()}, "net"), "f0") == ["f0"]
    assert matches("f[0]", "f[0]")
    assert [name for name in layers if matches(pattern_of("a*"), name)] == ["a*"]


def test_brackets_in_rules_and_in_written_plans() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"], "f[0]"),
        helper.make_node("MatMul", ["h", "w"], ["y"], "f0"),
    ]
    arrays = {"v": np.eye(3), "w": np.eye(3)}
    onnx.save(model_of(nodes, [3], 3, arrays), "net.onnx")
    done = rpu(
        *("compile", "net.onnx", "-t", "ideal", "-o", "a.onnx"),
        *("--set", "layer.f[0].analog=false"),
    )
    assert done.exit_code == 0, done.output
    program = rpucc.Program.load("a.onnx")
    assert [layer.name for layer in program.plan.analog_layers] == ["f0"]
    rpu("inspect", "a.onnx", "--write-plan", "plan.toml")
    assert rpu("compile", "net.onnx", "-t", "ideal", "--plan", "plan.toml").exit_code == 0
    program = rpucc.compile("net.onnx", IDEAL.with_plan("plan.toml"))
    assert [layer.name for layer in program.plan.analog_layers] == ["f0"]


# --- rules about no layer --------------------------------------------------------------------


UNMATCHED = (
    "target ideal: layer rule 'fc9' matches no layer of model 'mlp'; did you mean 'fc3'? layers: "
    "fc1, fc2, fc3"
)


def test_a_rule_about_no_layer_is_an_error() -> None:
    with pytest.raises(TargetError) as refused:
        rpucc.compile("mlp", with_rules("fc9"), verify=False)
    assert str(refused.value) == UNMATCHED
    with pytest.raises(TargetError) as refused:
        rpucc.compile("mlp", with_rules("fc9", "fc1", "conv*"), verify=False)
    first, second = refused.value.args
    assert (first, "'conv*' matches no layer" in second) == (UNMATCHED, True)


@pytest.mark.parametrize(
    "command",
    [
        ("compile", "mlp"),
        ("check", "mlp"),
        ("train", "mlp", "-o", "new"),
        ("run", "mlp", "x.npy"),
    ],
)
def test_every_command_that_takes_rules_refuses_it(command: tuple[str, ...]) -> None:
    np.save("x.npy", np.zeros((1, 784), np.float32))
    refused = rpu(*command, "-t", "ideal", "--set", "layer.fc9.update.bl=1")
    assert refused.exit_code == 1
    assert UNMATCHED in " ".join(refused.output.split())
    assert not Path("new").exists()


def test_a_plan_file_for_another_network_is_refused() -> None:
    Path("plan.toml").write_text('[[layer]]\nmatch = "fc9"\nanalog = false\n')
    refused = rpu("compile", "mlp", "-t", "ideal", "--plan", "plan.toml")
    assert (refused.exit_code, refused.stderr) == (1, f"Error: {UNMATCHED}\n")


def test_check_lists_every_such_rule_and_the_nodes() -> None:
    rules = ("--set", "layer.fc9.update.bl=1", "--set", "layer.b.analog=false")
    found = json.loads(rpu("check", "mlp", "-t", "ideal", *rules, "--json").stdout)
    assert found["problems"][0] == UNMATCHED
    assert "layer rule 'b' matches no layer" in found["problems"][1]
    assert next(node["layer"] for node in found["nodes"] if node["fate"] == "array") == "fc1"
    refused = rpu("compile", "mlp", "-t", "ideal", *rules)
    assert refused.stderr.splitlines() == [f"Error: {text}" for text in found["problems"]]


def test_a_network_without_layers_says_so() -> None:
    with pytest.raises(TargetError, match="it has no layers with constant weights"):
        bound(with_rules("a"), {}, "net")


def test_a_long_list_of_names_is_cut() -> None:
    layers = {f"layer{i}": () for i in range(100)}
    with pytest.raises(TargetError, match=r"layer23 and 76 more"):
        bound(with_rules("nothing"), layers, "net")


@pytest.mark.parametrize("pattern", ["conv1", "conv{}", "c*"])
@pytest.mark.parametrize("table", ["mapping", "update"])
def test_a_thousand_rules_are_read_in_no_time(pattern: str, table: str) -> None:
    """A plan file has one for every layer; a damaged one may have the same one many times."""
    value = {"mapping": {"bias": "array"}, "update": {"bl": 3}}[table]
    rules = [{"match": pattern.format(i), table: value} for i in range(1000)]
    data = json.loads(Target.load("rpu-managed").to_json())
    started = time.process_time()
    target = Target.load({**data, "layer": rules})
    assert time.process_time() - started < 1.0
    assert getattr(target.for_layer("conv1"), table).model_dump().items() >= value.items()
