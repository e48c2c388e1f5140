"""Binary cross-entropy: its value, its gradient, and which models end in what it is made for."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.errors import UnsupportedError
from rpucc.opset import add_functions
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.gradients.losses import binary_cross_entropy
from rpucc.step_contract import StepContract

from .gradient_check import parse, session
from .graphs import normal, program
from .importer_models import net
from .test_differentiate import DENSE, LR, X, dense, dense_gradient, run, step

NAME = "binary-cross-entropy"
TARGETS = np.random.default_rng(0).integers(0, 2, (5, 4)).astype(np.float32)


def loss_model(text: str) -> onnx.ModelProto:
    """The graph with its loss and the gradient at the logits as its outputs."""
    model = ir.from_proto(parse(text))
    e = GradientEmitter(model)
    loss = binary_cross_entropy(e, model.graph.outputs[0])
    assert loss.at.name == "z"
    model.graph.outputs[:] = [loss.value, loss.gradient]
    add_functions(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


@pytest.mark.parametrize(
    "text",
    [
        "(float[N,3] x) => (float[N,3] y) { z = Neg(x) y = Sigmoid(z) }",
        "(float[N,3] x) => (float[N,3] z) { z = Neg(x) }",
        "(float[N,2,4] x) => (float[N,2,4] y) { z = Neg(x) y = Sigmoid(z) }",
    ],
    ids=["probabilities", "logits", "pixels"],
)
def test_the_gradient_is_that_of_the_loss(text: str) -> None:
    """By central differences (onnxruntime has no Softplus in double precision) and by formula."""
    runner = session(loss_model(text))
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, (5, 2, 4) if "2,4" in text else (5, 3)).astype(np.float32)
    targets = rng.random(x.shape).round(1).astype(np.float32)  # also between 0 and 1
    value, gradient = runner.run(None, {"x": x, "targets": targets})
    p = 1 / (1 + np.exp(x.astype(np.float64)))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient * x.size, p - targets, atol=1e-6)
    for index in np.ndindex(x.shape):
        ends = []
        for shift in (-1e-2, 1e-2):
            moved = x.copy()
            moved[index] -= shift  # z = -x
            ends.append(float(runner.run(None, {"x": moved, "targets": targets})[0]))
        difference = (ends[1] - ends[0]) / 2e-2
        assert gradient[index] * x.size == pytest.approx(difference * x.size, abs=2e-3)


def test_it_is_finite_where_a_probability_is_rounded_to_0_or_1() -> None:
    text = "(float[N,1] x) => (float[N,1] y) { [g] z = Identity(x) y = Sigmoid(z) }"
    model = ir.from_proto(parse(text))
    loss = binary_cross_entropy(GradientEmitter(model), model.graph.outputs[0])
    model.graph.outputs[:] = [loss.value, loss.gradient]
    runner = session(ir.to_proto(model))
    for z, target, expected in ((200, 0, 200), (-200, 1, 200), (200, 1, 0), (-200, 0, 0)):
        feeds = {"x": np.array([[z]], "f4"), "targets": np.array([[target]], "f4")}
        value, gradient = runner.run(None, feeds)
        assert value == pytest.approx(expected)
        assert gradient[0, 0] == pytest.approx(np.sign(z) if expected else 0)


@pytest.mark.parametrize(
    "tail", ["y = Sigmoid(z)", "p = Sigmoid(z) y = Identity(p)", "y = Identity(z)"]
)
def test_one_run_is_one_step(tail: str) -> None:
    model = step(dense(tail), loss=NAME)
    found = run(model, x=X, targets=TARGETS, lr=LR)
    z = X @ DENSE["W"] + DENSE["b"]
    p = 1 / (1 + np.exp(-z))
    d = (p - TARGETS) / p.size
    expected = np.column_stack([DENSE["W"].T, DENSE["b"]]) - dense_gradient(d)
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)
    assert found["loss"] == pytest.approx((np.logaddexp(0, z) - TARGETS * z).mean(), rel=1e-5)
    output = StepContract.of(model).output
    np.testing.assert_allclose(found[output], p if "Sigmoid" in tail else z, atol=1e-5)
    assert StepContract.of(model).loss == NAME
    assert StepContract.of(model).labels == "targets"


def one(tail: str, shape: str = "N,1") -> ir.Model:
    text = f"(float[N,3] x) => (float[{shape}] y) {{ [fc] z = MatMul(x, W) {tail} }}"
    return program(text, W=normal(3, 1))


def test_auto_is_it_where_a_single_output_comes_out_of_a_sigmoid() -> None:
    for tail, shape in (
        ("y = Sigmoid(z)", "N,1"),
        ("p = Sigmoid(z) y = Identity(p)", "N,1"),
        ("p = Sigmoid(z) s = Constant<value_ints = [-1]>() y = Reshape(p, s)", "N"),
    ):
        model = step(one(tail, shape))
        assert StepContract.of(model).loss == NAME
        last = "y" if "p =" not in tail else "p"
        assert StepContract.of(model).output == last
    assert StepContract.of(step(one("y = Tanh(z)"))).loss == "mse"
    assert StepContract.of(step(dense("y = Sigmoid(z)"))).loss == "cross-entropy"
    pixels = "(float[N,3,4] x) => (float[N,1,4] y) { [c] z = Conv(x, K) y = Sigmoid(z) }"
    assert StepContract.of(step(program(pixels, K=normal(1, 3, 1)))).loss == NAME


def test_a_vector_of_outputs_without_an_axis_for_them_is_refused() -> None:
    tail = "t = Tanh(z) s = Constant<value_ints = [-1]>() y = Reshape(t, s)"
    with pytest.raises(UnsupportedError, match=r"output 'y': binary-cross-entropy needs \[N, out"):
        step(one(tail, "N"), loss=NAME)


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
@pytest.mark.parametrize("tail", ["y = Sigmoid (z)", "y = Identity (z)"])
def test_every_pass_keeps_it(target: str, tail: str) -> None:
    model = net(
        f"""(float[N,8] x) => (float y) {{
            h = Gemm (x, w) t = Tanh (h) z = Gemm (t, v) {tail}
        }}""",
        w=(8, 6),
        v=(6, 2),
    )
    assert rpucc.compile(model, target, loss=NAME, verify=True).verified
