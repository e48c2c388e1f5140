"""What is compared where stock onnxruntime does not run the file, and what is said about it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import rpucc
from rpucc.cli.main import cli
from rpucc.compiler.check import check_model
from rpucc.errors import VerificationError
from rpucc.passes.callbacks import PassEvent

from .importer_models import net

CONV = '(float[N,3,9,9] x) => (float y) {{ [c] y = Conv <auto_pad = "{}", dilations = {}> (x, w) }}'
BFLOAT = """(float[{},4,8] x) => (float y) {{
    h = MatMul (x, w) c = Cast <to = 16> (h) d = Relu (c) y = Cast <to = 1> (d)
}}"""


def opset6() -> onnx.ModelProto:
    """Dense layers as PyTorch 0.3 wrote them: broadcast, a batch of 1, weights among the inputs."""
    random = np.random.default_rng(0)
    shapes = {"w1": (7, 6), "b1": (7,), "w2": (5, 7), "b2": (5,)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype("f4"), name)
        for name, shape in shapes.items()
    ]
    gemm = {"transB": 1, "broadcast": 1}
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "fc1", **gemm),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "fc2", **gemm),
    ]
    shapes = {"x": (1, 6), **shapes}
    inputs = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info("y", 1, [1, 5])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opset = [helper.make_opsetid("", 6)]
    return helper.make_model(graph, opset_imports=opset, ir_version=3)


def two_of_one_name() -> onnx.ModelProto:
    model = net(
        "(float[N,6] x) => (float y) { h = Gemm (x, w) y = Gemm (h, v) }", w=(6, 7), v=(7, 5)
    )
    for node in model.graph.node:
        node.name = "fc"
    return model


FILES = {
    "opset 6": opset6(),
    "same upper": net(CONV.format("SAME_UPPER", "[2, 2]"), w=(4, 3, 3, 3)),
    "same lower": net(CONV.format("SAME_LOWER", "[1, 3]"), w=(4, 3, 2, 2)),
    "two of one name": two_of_one_name(),
}


def stock_runs(model: onnx.ModelProto, shape: tuple[int, ...]) -> bool:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
        session.run(None, {"x": np.zeros(shape, np.float32)})
    except Exception:  # noqa: BLE001  onnxruntime raises a dozen unrelated classes
        return False
    return True


@pytest.mark.parametrize("case", list(FILES))
@pytest.mark.parametrize("training", [True, False])
def test_an_equal_form_is_compared(case: str, training: bool) -> None:
    model = FILES[case]
    shape = (1, 3, 9, 9) if case.startswith("same") else (1, 6)
    assert not stock_runs(model, shape)
    program = rpucc.compile(model, "ideal", training=training, loss="mse", verify=True)
    assert program.verified
    assert "the file in an equal form, because onnxruntime cannot run" in program.verification


@pytest.mark.parametrize("case", list(FILES))
def test_check_and_the_command_line_agree(case: str, tmp_path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(FILES[case], path)
    assert check_model(str(path), "ideal", training=False).compiles
    arguments = ["compile", str(path), "-t", "ideal", "--inference", "--verify"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "verified    every value" in done.stdout


@pytest.mark.parametrize("case", ["same upper", "same lower"])
def test_wrong_pads_are_seen_by_onnx_itself(case: str) -> None:
    """Both sides take their pads from one place, so that place is held against onnx's reference."""
    model = FILES[case]
    x = np.random.default_rng(3).random((2, 3, 9, 9)).astype(np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    program = rpucc.compile(model, "ideal", training=False, verify=False)
    found = rpucc.Trainer(rpucc.Machine(program)).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_wrong_import_of_such_a_file_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The equal form is made from the file: a pass that breaks a value differs from it."""

    def flips(event: PassEvent) -> None:
        if event.name == "import":
            value = event.model.graph.initializers["w1"]
            value.const_value = ir.tensor(-value.const_value.numpy(), name="w1")

    with pytest.raises(VerificationError, match=r"relative difference|keeps its name"):
        rpucc.compile(opset6(), "ideal", callbacks=[flips], verify=True)


@pytest.mark.parametrize("verify", [True, None])
def test_what_onnxruntime_cannot_run_at_all_is_said_and_compiles(verify: bool | None) -> None:
    model = net(BFLOAT.format("N"), w=(8, 8))
    assert not stock_runs(model, (1, 4, 8))
    program = rpucc.compile(model, "ideal", training=False, verify=verify)
    assert not program.verified
    assert program.verification.startswith("no, because onnxruntime cannot run the model: Could")


def test_a_batch_that_nobody_can_free_says_why() -> None:
    program = rpucc.compile(net(BFLOAT.format(1), w=(8, 8)), "ideal", training=False)
    assert program.fixed_batch == 1
    assert "onnxruntime, which would tell" in program.plan.notes[0]


def test_an_import_that_breaks_a_running_file_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the file does not run either is the comparison left out."""

    def breaks(event: PassEvent) -> None:
        if event.name == "import":
            next(iter(event.model.graph)).op_type = "NoSuchOp"

    model = net("(float[N,6] x) => (float y) { t = Tanh (x) y = Gemm (t, w) }", w=(6, 7))
    monkeypatch.setattr("rpucc.passes.callbacks.check_structure", lambda *_: None)
    with pytest.raises(VerificationError, match="pass 'import': onnxruntime cannot run"):
        rpucc.compile(model, "ideal", training=False, callbacks=[breaks], verify=True)


def test_a_model_over_the_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpucc.passes.execute._MAX_BYTES", 100)
    program = rpucc.compile(two_of_one_name(), "ideal", verify=True)
    assert not program.verified
    assert "over 2 GB" in program.verification


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_a_file_that_draws_within_a_function_is_not_compared(domain: str) -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21, "own" : 1]>
        g (float[N,6] x) => (float[N,7] y) { n = own.noisy (x)  y = Gemm (n, w) }
        <opset_import: ["" : 21], domain: "own">
        noisy (x) => (y) { r = RandomNormalLike (x)  y = Add (x, r) }
    """)
    w = np.random.default_rng(0).normal(0, 0.3, (6, 7)).astype("f4")
    model.graph.initializer.append(numpy_helper.from_array(w, "w"))
    (function,) = model.functions
    function.node[0].domain = domain
    program = rpucc.compile(model, "ideal", training=False, verify=True)
    assert not program.verified
    assert program.verification.startswith("no, because an unnamed RandomNormalLike node")
    assert program.verification.endswith("draws other numbers in each run")
