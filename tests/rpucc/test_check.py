"""`check_model` and `rpucc check`: what they say is what a compilation does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import rpucc
from rpucc.cli.main import cli
from rpucc.compiler.check import Check, check_model
from rpucc.compiler.check_trail import FATES
from rpucc.errors import ModelError, RpuccError, TargetError
from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.report.text.check import ORDER

HEADER = '<ir_version: 10, opset_import: ["" : {}]>\ng '


def net(text: str, opset: int = 21, **weights: object) -> onnx.ModelProto:
    """Parse a graph; a weight is an array or a shape, which is filled with seeded numbers."""
    model = onnx.parser.parse_model(HEADER.format(opset) + text)
    rng = np.random.default_rng(0)
    for name, value in weights.items():
        if isinstance(value, tuple):
            value = rng.random(value, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return model


MIXED = """(float[1,2,8,8] x) => (float y) {
    k = Constant <value_floats = [1.0, 2.0, 3.0]> ()
    ["/block/conv/Conv"] a = Conv (x, w) ["/block/bn"] b = BatchNormalization (a, s, t, m, v)
    ["/block/act"] c = Relu (b) [drop] d = Dropout (c)
    [norm] e = BatchNormalization (d, s, t, m, v) [pool] p = AveragePool <kernel_shape=[2,2]> (e)
    [shape] h = Shape (p) [gather] g = Gather (h, zero) [unsqueeze] n = Unsqueeze (g, axis)
    [concat] r = Concat <axis = 0> (n, minus) [flat] f = Reshape (p, r)
    [transpose] ut = Transpose (u) [fc] z = MatMul (f, ut) [bias] q = Add (z, k)
    [head] y = Gemm (q, o) [idle] unused = Relu (q)
}"""


def mixed() -> onnx.ModelProto:
    return net(
        MIXED,
        w=(3, 2, 3, 3),
        **dict.fromkeys("stmv", (3,)),
        zero=np.array(0),
        axis=np.array([0]),
        minus=np.array([-1]),
        u=(3, 75),
        o=(3, 4),
    )


def fates(check: Check) -> dict[str, tuple[str, str]]:
    return {node.node or node.output: (node.fate, node.into or node.runs) for node in check.nodes}


def test_every_node_has_its_fate_under_the_name_in_the_file() -> None:
    check = check_model(mixed(), overrides=["layer.head.analog=false"])
    assert fates(check) == {
        "k": ("constant", ""),
        "/block/conv/Conv": ("array", ""),
        "/block/bn": ("folded", "block/conv"),
        "/block/act": ("digital", "native"),
        "drop": ("digital", "native"),
        "norm": ("digital", "onnxruntime"),
        "pool": ("digital", "onnxruntime"),
        "shape": ("constant", ""),
        "gather": ("constant", ""),
        "unsqueeze": ("constant", ""),
        "concat": ("constant", ""),
        "flat": ("digital", "native"),
        "transpose": ("constant", ""),
        "fc": ("array", ""),
        "bias": ("folded", "fc"),
        "head": ("digital", "onnxruntime"),
        "idle": ("removed", ""),
    }
    why = {node.node: node.why for node in check.nodes}
    assert why["norm"] == "frozen: it follows Dropout, not a layer with constant weights"
    assert why["drop"] == "draws its mask in training, ratio 0.5"
    assert why["head"] == "a layer rule of the target"
    layers = {node.node: node.layer for node in check.nodes}
    assert layers["/block/conv/Conv"] == "block/conv"
    assert layers["drop"] == "drop"
    assert check.compiles
    assert (
        check.notes
        == rpucc.compile(mixed(), overrides=["layer.head.analog=false"], verify=False).plan.notes
    )


def test_nodes_of_functions_and_of_the_converter() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,3] x) => (float[N,3] y) { [one] a = my.twice (x) y = Neg (a) }
        <domain: "my", opset_import: ["" : 21]>
        twice (p) => (q) { [r] r = Relu (p) [s] q = Add (r, r) }"""
    check = check_model(onnx.parser.parse_model(text), training=False)
    assert sorted(node.op for node in check.nodes) == ["Add", "Neg", "Relu"]
    assert {node.fate for node in check.nodes} == {"digital"}
    old = net("(float[N,3] x) => (float y) { [c] y = Clip <min = 0.2> (x) }", 10)
    assert fates(check_model(old, training=False)) == {"c": ("digital", "onnxruntime")}


# ---------------------------------------------------------------- true


RESIDUAL = """(float[N,2,6,6] x) => (float y) {
    [c1] a = Conv <pads = [1,1,1,1]> (x, w) [relu] b = Relu (a)
    [c2] c = Conv <pads = [1,1,1,1]> (b, v) [add] d = Add (c, x)
    [pool] e = GlobalAveragePool (d) [flat] f = Flatten (e) [fc] y = Gemm (f, u)
}"""
MODELS = {
    "lenet": lambda: build("lenet"),
    "mlp": lambda: build("mlp"),
    "mixed": mixed,
    "residual": lambda: net(RESIDUAL, w=(2, 2, 3, 3), v=(2, 2, 3, 3), u=(2, 3)),
    "nothing to train": lambda: net("(float[N,3] x) => (float y) { y = Relu (x) }"),
    "no gradient": lambda: net(
        """(float[N,3,8] x) => (float y) {
            [a] a = Conv (x, w) [f] f = Floor (a) [g] g = Ceil (f) [r] r = Flatten (g)
            [fc] y = Gemm (r, u) }""",
        w=(2, 3, 3),
        u=(12, 2),
    ),
    "two outputs": lambda: net(
        "(float[N,3] x) => (float y, float z) { [a] y = Gemm (x, w) [b] z = Floor (y) }", w=(3, 2)
    ),
    "shared": lambda: net(
        "(float[N,3] x) => (float y) { [a] a = Gemm (x, w) [b] y = Gemm (a, w) }", w=(3, 3)
    ),
    "grouped": lambda: net(
        """(float[N,4,6] x) => (float y) { [c] a = Conv <group = 2> (x, w) [f] f = Flatten (a)
            [fc] y = Gemm (f, u) }""",
        w=(4, 2, 3),
        u=(16, 2),
    ),
    "transposed": lambda: net(
        "(float[N,2,4] x) => (float y) { [t] a = ConvTranspose (x, w) [f] y = Flatten (a) }",
        w=(2, 3, 2),
    ),
    "lstm": lambda: net(
        """(float[5,1,4] x) => (float y) {
            [l] y = LSTM <hidden_size = 2> (x, w, r) }""",
        w=(1, 8, 4),
        r=(1, 8, 2),
    ),
    "softmax over samples": lambda: net(
        "(float[N,3] x) => (float y) { [a] a = Gemm (x, w) [s] y = Softmax <axis = 0> (a) }",
        w=(3, 2),
    ),
    "computed bias": lambda: net(
        """(float[N,3] x) => (float y) {
            [r] b = ReduceMean <keepdims = 0> (x) [a] y = Gemm (x, w, b) }""",
        w=(3, 2),
    ),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_it_is_true(name: str, training: bool) -> None:
    """Refused if and only if a compilation refuses, and then with its message; layers agree."""
    check = check_model(MODELS[name](), "ideal", training=training)
    assert {node.fate for node in check.nodes} <= set(FATES)
    if not check.compiles:
        with pytest.raises(RpuccError) as caught:
            rpucc.compile(MODELS[name](), "ideal", training=training, verify=False)
        assert check.problems[0] == str(caught.value)
        return
    program = rpucc.compile(MODELS[name](), "ideal", training=training, verify=False)
    on_arrays = [node.layer for node in check.nodes if node.fate == "array"]
    layers = analog_layers(program.model)
    assert on_arrays == [read.metadata_props["rpucc.layer"] for la in layers for read in la.forward]
    left = {node.name for node in program.model.graph}
    for node in check.nodes:
        if node.fate in ("folded", "removed", "constant"):
            assert node.layer not in left
        if node.into:
            assert node.into in on_arrays


@pytest.mark.parametrize("name", ["lenet", "mixed", "residual"])
def test_native_or_onnxruntime_is_what_the_executor_does(name: str) -> None:
    from rpucc.runtime.cpu import CPU
    from rpucc.runtime.executor import Executor

    sessions: set[str] = set()

    def noting(builder, node):  # type: ignore[no-untyped-def]
        sessions.add(node.name)
        return CPU.other(builder, node)

    program = rpucc.compile(MODELS[name](), "ideal", training=False, verify=False)
    machine = rpucc.Machine(program, seed=0)
    Executor(machine, 1, [program.output], backend=replace(CPU, other=noting))
    check = check_model(MODELS[name](), "ideal", training=False)
    said = {node.layer for node in check.nodes if node.runs == "onnxruntime"}
    assert said == sessions & {node.layer for node in check.nodes}


# ---------------------------------------------------------------- all problems at once


def test_all_missing_gradients_are_found() -> None:
    check = check_model(MODELS["no gradient"](), "ideal")
    refused = [node.node for node in check.nodes if node.fate == "refused"]
    assert refused == ["f", "g"]
    assert len(check.problems) == 2
    assert check.problems[0].startswith("model 'g': node 'g' (Ceil): no gradient rule for this op")


def test_several_outputs_do_not_hide_a_missing_gradient() -> None:
    text = """(float[N,3] x) => (float y, float z) {
        [a] a = Gemm (x, w) [f] f = Floor (a) [b] y = Gemm (f, v) [r] z = Relu (y) }"""
    check = check_model(net(text, w=(3, 3), v=(3, 2)), "ideal")
    assert len(check.problems) == 2
    assert check.problems[0].startswith("model 'g': the model has 2 outputs (y, z)")
    assert "node 'f' (Floor)" in check.problems[1]


def test_refused_operators_and_wrong_layers_together() -> None:
    text = """(float[N,3,8] x) => (float y, float h) {
        [c1] a = Conv (x, w) [q] i = DynamicQuantizeLinear (a)
        [l] l, h = LSTM <hidden_size = 2> (a, b, b)
        [c2] d = Conv <group = 5> (a, v) [c3] e = Conv (d, w) y = Relu (a)
    }"""
    model = net(text, w=(4, 2, 3), v=(5, 2, 3), b=(1, 8, 2))
    model.graph.node[1].output.extend(["i2", "i3"])
    check = check_model(model, "ideal")
    refused = [node.node for node in check.nodes if node.fate == "refused"]
    assert refused == ["c1", "q", "l"]  # c2's input has no shape that could be right
    assert len(check.problems) == len(refused)
    with pytest.raises(ModelError) as caught:
        rpucc.compile(model, "ideal")
    assert check.problems[0] == str(caught.value)


def test_nodes_that_the_import_does_not_reach_are_undecided() -> None:
    """Weights behind Constant nodes are not known to be weights when the input is refused."""
    text = """(float[N,3,H] x) => (float y) {
        w = Constant <value = float[2,3,1] {1, 2, 3, 4, 5, 6}> () y = Conv (x, w)
    }"""
    check = check_model(net(text), "ideal")
    assert "Only the batch dimension may be dynamic" in check.problems[0]
    assert [node.fate for node in check.nodes] == ["undecided", "undecided"]


def test_bad_weights_are_all_found() -> None:
    bad = np.full((3, 3), np.nan, np.float32)
    text = "(float[N,3] x) => (float y) { [a] a = Gemm (x, v) [b] y = Gemm (a, w) }"
    check = check_model(net(text, v=bad, w=bad), "ideal")
    assert len(check.problems) == 2
    assert [node.fate for node in check.nodes] == ["array", "array"]


# ---------------------------------------------------------------- what is no model, no target


def test_there_is_nothing_to_say_about_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        check_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        check_model(net("(float[N,3] x) => (float y) { y = Relu (z) }"))
    with pytest.raises(TargetError):
        check_model("lenet", "nowhere")


# ---------------------------------------------------------------- the command


def command(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "100"})
    return runner.invoke(cli, ["check", *map(str, arguments)], prog_name="rpucc")


def test_command_on_a_model_that_compiles() -> None:
    shown = command("lenet")
    assert shown.exit_code == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "lenet on rpu-managed: 10 nodes"
    assert "array 2 Conv conv1, conv2 constant weights" in lines
    assert "digital 3 Tanh tanh1, tanh2, tanh3 no weights; native" in lines
    assert lines[-1] == "would compile for training, 4 layers on arrays"
    every = command("lenet", "--all", "--inference").stdout.splitlines()
    assert [line.split()[0] for line in every[4:14]] == [n.name for n in build("lenet").graph.node]
    assert every[-1] == "would compile for inference, 4 layers on arrays"


def test_command_on_a_model_that_does_not(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(MODELS["no gradient"](), path)
    shown = command(path)
    assert shown.exit_code == 1
    assert shown.stderr == ""
    text = " ".join(shown.stdout.split())
    assert "node 'f' (Floor): no gradient rule" in text
    assert text.endswith(
        "would not compile for training: 2 problems; would compile for inference (--inference)"
    )
    assert command(path, "--inference").exit_code == 0
    onnx.save(MODELS["lstm"](), path)
    shown = command(path)
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[-1].endswith("1 problem; nor for inference")


def test_command_json(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(MODELS["no gradient"](), path)
    done = command(path, "--json")
    data = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (data["compiles"], data["compiles_for_inference"]) == (False, True)
    assert len(data["problems"]) == 2
    assert data["nodes"][0] == {
        "node": "a",
        "layer": "a",
        "output": "a",
        "op": "Conv",
        "fate": "array",
        "why": "constant weights",
        "into": "",
        "runs": "",
    }


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model\n")
    done = command(tmp_path / "m.onnx")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_every_fate_has_its_place_in_the_report() -> None:
    assert set(ORDER) == set(FATES)


def test_a_product_is_called_what_it_would_be_also_where_the_import_stops() -> None:
    model = net(
        """(float[N,3,4] x) => (float y) {
            [product] a = Einsum <equation = "bld,dk->blk"> (x, w)
            [bad] y = Conv <group = 3> (a, u)
        }""",
        w=(4, 2),
        u=(4, 1, 1),
    )
    check = check_model(model, training=False)
    assert not check.compiles
    assert [node.fate for node in check.nodes] == ["array", "refused"]
