"""A loss of a user's own: an ONNX model that becomes part of the program, with its gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.constant_weights import digital_weights
from rpucc.errors import ModelError, RpuccError, UnsupportedError
from rpucc.passes.frontend.source import read_model
from rpucc.step_contract import StepContract

from .gradient_check import session
from .graphs import checked
from .test_differentiate import DENSE, LR, X, dense, dense_gradient, run, step

HEADER = '<ir_version: 10, opset_import: ["" : 21]> own '

PSEUDO_HUBER = """(float[N,K] y, float[N,K] t) => (float loss) {
    e = Sub (y, t)  s = Mul (e, e)  one = Constant <value_float = 1.0> ()  u = Add (s, one)
    r = Sqrt (u)  loss = ReduceMean <keepdims = 0> (r)
}"""

FOCAL = """(float[N,K] logits, int64[N] label) => (float loss) {
    p = Softmax <axis = 1> (logits)  log = LogSoftmax <axis = 1> (logits)
    shape = Shape <start = 1> (logits)  ends = Constant <value_floats = [0.0, 1.0]> ()
    hot = OneHot <axis = 1> (label, shape, ends)
    one = Constant <value_float = 1.0> ()  rest = Sub (one, p)  square = Mul (rest, rest)
    weighed = Mul (square, log)  each = Mul (weighed, hot)
    axes = Constant <value_ints = [1]> ()  sums = ReduceSum <keepdims = 0> (each, axes)
    mean = ReduceMean <keepdims = 0> (sums)  loss = Neg (mean)
}"""


def own(text: str, opset: int = 21) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER.replace("21", str(opset)) + text)


def focal(z: np.ndarray, y: np.ndarray) -> float:
    z = z.astype(np.float64)
    log = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    chosen = np.take_along_axis(log, y[:, None], axis=1)
    return -float(((1 - np.exp(chosen)) ** 2 * chosen).mean())


def differences(f: Any, z: np.ndarray) -> np.ndarray:
    z = z.astype(np.float64)
    found = np.zeros_like(z)
    for index in np.ndindex(z.shape):
        ends = []
        for shift in (-1e-5, 1e-5):
            moved = z.copy()
            moved[index] += shift
            ends.append(f(moved))
        found[index] = (ends[1] - ends[0]) / 2e-5
    return found


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("kind", ["classes", "targets"])
def test_one_run_is_one_step_by_differences(kind: str, opset: int) -> None:
    """The step of the layer before is that of the formula's gradient."""
    rng = np.random.default_rng(0)
    z = X @ DENSE["W"] + DENSE["b"]
    if kind == "classes":
        y: np.ndarray = rng.integers(0, 4, 5)
        name, text, formula = "labels", FOCAL, lambda z: focal(z, y)
    else:
        y = rng.normal(size=(5, 4)).astype(np.float32)
        name, text = "targets", PSEUDO_HUBER
        formula = lambda z: float(np.sqrt((z - y) ** 2 + 1).mean())  # noqa: E731
    model = step(dense("y = Identity(z)"), loss=read_model(own(text, opset)))
    found = run(model, x=X, lr=LR, **{name: y})
    assert found["loss"] == pytest.approx(formula(z), rel=1e-5)
    expected = np.column_stack([DENSE["W"].T, DENSE["b"]]) - dense_gradient(differences(formula, z))
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)
    contract = StepContract.of(model)
    assert (contract.loss, contract.labels) == (f"own-{kind}", name)
    assert (contract.metric("error") is None) == (kind == "targets")


def test_every_pass_keeps_it_and_the_program_is_sound(tmp_path: Path) -> None:
    onnx.save(own(FOCAL), tmp_path / "focal.onnx")
    program = rpucc.compile("mlp", "rpu-managed", loss=str(tmp_path / "focal.onnx"), verify=True)
    assert program.verified
    program.save(tmp_path / "mlp.onnx")
    loaded = rpucc.Program.load(tmp_path / "mlp.onnx")
    assert (loaded.loss, loaded.step) == ("own-classes", program.step)


def test_constants_of_a_loss_are_no_weights_and_its_products_no_layers() -> None:
    text = """(float[N,K] y, float[N,K] t) => (float loss) <float[10,10] C, float[10] s> {
        e = Sub (y, t)  m = MatMul (e, C)  n = Mul (m, s)  q = Mul (n, m)
        loss = ReduceMean <keepdims = 0> (q)
    }"""
    model = own(text)
    rng = np.random.default_rng(0)
    for name, shape in (("C", (10, 10)), ("s", (10,))):
        array = rng.normal(size=shape).astype("f4")
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    del model.graph.value_info[:]
    program = rpucc.compile("mlp", "ideal", loss=model, verify=True)
    assert [layer.name for layer in program.plan.layers] == ["fc1", "fc2", "fc3"]
    assert digital_weights(program.model) == ()
    assert sorted(program.updates) == ["fc1.W", "fc2.W", "fc3.W"]


def test_it_gets_a_class_for_each_pixel() -> None:
    text = FOCAL.replace("[N,K]", "[N,K,H,W]").replace("int64[N]", "int64[N,H,W]")
    text = text.replace("start = 1", "start = 1, end = 2")
    network = """(float[N,2,3,3] x) => (float[N,4,3,3] y) { [c] y = Conv (x, w) }"""
    model = onnx.parser.parse_model(HEADER + network.replace("y) {", "y) <float[4,2,1,1] w> {", 1))
    rng = np.random.default_rng(0)
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(rng.normal(size=(4, 2, 1, 1)).astype("f4"), "w")
    )
    program = rpucc.compile(model, "ideal", loss=own(text), verify=True)
    x = rng.random((20, 2, 3, 3)).astype("f4")
    data = (x, rng.integers(0, 4, (20, 3, 3)), x, rng.integers(0, 4, (20, 3, 3)))
    history = rpucc.Trainer(rpucc.Machine(program)).fit(data, epochs=2, batch_size=5, lr=0.1)
    assert history[1].train_loss < history[0].train_loss


def test_functions_and_results_of_one_element_are_taken() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
        own (float[N,K] y, float[N,K] t) => (float[1,1] loss) {
            s = mine.squared (y, t)  loss = ReduceMean <keepdims = 1> (s)
        }
        <opset_import: ["" : 21], domain: "mine"> squared (a, b) => (c) {
            d = Sub (a, b)  c = Mul (d, d)
        }"""
    mine = step(dense("y = Identity(z)"), loss=read_model(onnx.parser.parse_model(text)))
    targets = np.ones((5, 4), np.float32)
    standard = run(step(dense("y = Identity(z)"), loss="mse"), x=X, targets=targets, lr=LR)
    found = run(mine, x=X, targets=targets, lr=LR)
    assert found["loss"] == pytest.approx(float(standard["loss"]))
    np.testing.assert_allclose(found["fc.W.next"], standard["fc.W.next"], atol=1e-6)


BODY = "{ e = Sub (y, t)  s = Mul (e, e)  loss = ReduceMean <keepdims = 0> (s) }"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "(float[N,K] y, float[N,K] t) => (float loss) { e = Sub (y, t)  [odd] m = Sign (e) "
            "s = Mul (m, e) [bad] c = CumSum (s, a) loss = ReduceMean <keepdims = 0> (c) }",
            "node 'bad' (CumSum): no gradient rule for this op",
        ),
        (
            f"(float[N,K] y) => (float loss) {BODY.replace('t)', 'y)')}",
            "has 1 inputs and 1 outputs",
        ),
        (f"(double[N,K] y, double[N,K] t) => (double loss) {BODY}", "'y' is double, but the netw"),
        (f"(float[N,7] y, float[N,7] t) => (float loss) {BODY}", "'y' is [N, 7], but of this netw"),
        (f"(float[N] y, float[N] t) => (float loss) {BODY}", "'y' is [N], but of this network"),
        (
            f"(float[N,K] y, int64[N,K] t) => (float loss) "
            f"{BODY.replace('e = Sub (y, t)', 'u = CastLike (t, y) e = Sub (y, u)')}",
            "'t' is [N, K], but of this network it gets [N]",
        ),
        (
            "(float[N,K] y, float[N,K] t) => (float[N,K] loss) { loss = Sub (y, t) }",
            "its result 'loss' is [N, 4]",
        ),
        (
            "(float[N,K] y, float[N,K] t) => (float loss) { loss = ReduceMean <keepdims = 0> (t) }",
            "does not depend on the network's output",
        ),
    ],
)
def test_what_is_no_loss_is_refused_in_one_line(text: str, line: str) -> None:
    model = own(text)
    if "CumSum" in text:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "a"))
    with pytest.raises((ModelError, UnsupportedError)) as caught:
        step(dense("y = Identity(z)"), loss=read_model(model))
    assert line in str(caught.value)
    assert str(caught.value).startswith("loss model 'own': ")
    assert "\n" not in str(caught.value)


def test_an_operator_off_the_way_needs_no_gradient() -> None:
    text = """(float[N,K] y, float[N,K] t) => (float loss) {
        r = Round (t)  e = Sub (y, r)  s = Mul (e, e)  loss = ReduceMean <keepdims = 0> (s)
    }"""
    model = step(dense("y = Identity(z)"), loss=read_model(own(text)))
    found = run(model, x=X, targets=np.full((5, 4), 0.7, "f4"), lr=LR)
    (loss,) = session(own(text)).run(
        None, {"y": X @ DENSE["W"] + DENSE["b"], "t": np.full((5, 4), 0.7, "f4")}
    )
    assert found["loss"] == pytest.approx(float(loss), rel=1e-5)
    checked(model)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.onnx", str(tmp_path / "no.onnx")):
        with pytest.raises(RpuccError, match=r"no\.onnx: no such file"):
            rpucc.compile("mlp", loss=path)
    with pytest.raises(UnsupportedError, match="class weights: belong to cross-entropy"):
        rpucc.compile("mlp", loss=own(FOCAL), class_weights=[1] * 10)
