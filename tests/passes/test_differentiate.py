"""One run of a differentiated program is one SGD step: against differences and against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx_ir as ir
import onnxruntime as rt
import pytest

from rpucc.errors import ArgumentError, ModelError, UnsupportedError
from rpucc.passes.learning.backprop import Differentiate
from rpucc.passes.learning.objective import Wanted
from rpucc.passes.select_analog import SelectAnalog
from rpucc.passes.unroll import Unroll
from rpucc.step_contract import Metric, StepContract

from .gradient_check import session
from .graphs import StubTarget, checked, digital, evaluate, normal, program


def lower(model: ir.Model, target: StubTarget | None = None) -> ir.Model:
    chosen = target or StubTarget()
    SelectAnalog(chosen)(model)  # type: ignore[arg-type]
    Unroll(chosen)(model)  # type: ignore[arg-type]
    return model


def step(
    model: ir.Model, target: StubTarget | None = None, loss: str | ir.Model = "auto", **options: Any
) -> ir.Model:
    chosen = target or StubTarget()
    Differentiate(chosen, Wanted(loss, **options))(lower(model, chosen))  # type: ignore[arg-type]
    return model


def run(model: ir.Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run the training graph; return its outputs by name."""
    proto = checked(model)
    names = [value.name for value in proto.graph.output]
    return dict(zip(names, session(proto).run(names, feeds), strict=True))


LENET = """(float[N,1,28,28] x) => (float[N,10] logits) {
  [conv1] c1 = Conv(x, K1, b1)  [tanh1] t1 = Tanh(c1)
  [pool1] p1 = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t1)
  [conv2] c2 = Conv(p1, K2, b2)  [tanh2] t2 = Tanh(c2)
  [pool2] p2 = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t2)
  [flatten] f = Flatten(p2)
  [fc1] h = Gemm<transB = 1>(f, W3, b3)  [tanh3] t3 = Tanh(h)
  [fc2] logits = Gemm<transB = 1>(t3, W4, b4)
}"""


def lenet_weights() -> dict[str, np.ndarray]:
    shapes = {"K1": (16, 1, 5, 5), "K2": (32, 16, 5, 5), "W3": (128, 512), "W4": (10, 128)}
    weights = {
        n: normal(*s, seed=i) / np.sqrt(np.prod(s[1:])) for i, (n, s) in enumerate(shapes.items())
    }
    for i, rows in enumerate((16, 32, 128, 10), start=1):
        weights[f"b{i}"] = 0.1 * normal(rows, seed=10 + i)
    return {name: array.astype(np.float32) for name, array in weights.items()}


def batch(count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "x": rng.random((count, 1, 28, 28), dtype=np.float32),
        "labels": rng.integers(0, 10, count),
        "lr": np.array(0.1, np.float32),
    }


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(np.take_along_axis(log_softmax, labels[:, None], axis=1).mean())


# --- an independent LeNet step ----------------------------------------------------------------


def windows(x: np.ndarray, k: int) -> np.ndarray:
    """[N, C, H, W] -> [N, H', W', C, k, k]."""
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    return view.transpose(0, 2, 3, 1, 4, 5)


def conv_back(d: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Gradient of a valid convolution's input: a full correlation with the flipped kernel."""
    k = K.shape[2]
    padded = np.pad(d, ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    return np.einsum("nhwrij,rcij->nchw", windows(padded, k), K[:, :, ::-1, ::-1])


def pool(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2 × 2 maxima, and where they are (as a 0/1 array of x's shape)."""
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // 2, 2, W // 2, 2)
    y = blocks.max(axis=(3, 5))
    return y, (blocks == y[:, :, :, None, :, None]).reshape(x.shape)


def unpool(d: np.ndarray, where: np.ndarray) -> np.ndarray:
    return d.repeat(2, axis=2).repeat(2, axis=3) * where


def numpy_lenet_step(
    w: dict[str, np.ndarray], x: np.ndarray, labels: np.ndarray, lr: float
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss and each layer's new [R, C+1] matrix, all in double precision."""
    w = {name: array.astype(np.float64) for name, array in w.items()}
    t1 = np.tanh(np.einsum("nhwcij,rcij->nrhw", windows(x, 5), w["K1"]) + w["b1"][:, None, None])
    p1, m1 = pool(t1)
    t2 = np.tanh(np.einsum("nhwcij,rcij->nrhw", windows(p1, 5), w["K2"]) + w["b2"][:, None, None])
    p2, m2 = pool(t2)
    f = p2.reshape(len(x), -1)
    t3 = np.tanh(f @ w["W3"].T + w["b3"])
    logits = t3 @ w["W4"].T + w["b4"]
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    d4 = (softmax - np.eye(10)[labels]) / len(x)
    d3 = (d4 @ w["W4"]) * (1 - t3**2)
    d2 = unpool((d3 @ w["W3"]).reshape(p2.shape), m2) * (1 - t2**2)
    d1 = unpool(conv_back(d2, w["K2"]), m1) * (1 - t1**2)
    kernels = {
        "conv1": np.einsum("nrhw,nhwcij->rcij", d1, windows(x.astype(np.float64), 5)),
        "conv2": np.einsum("nrhw,nhwcij->rcij", d2, windows(p1, 5)),
        "fc1": d3.T @ f,
        "fc2": d4.T @ t3,
    }
    biases = {
        "conv1": d1.sum((0, 2, 3)),
        "conv2": d2.sum((0, 2, 3)),
        "fc1": d3.sum(0),
        "fc2": d4.sum(0),
    }
    new = {}
    for layer, K, b in (
        ("conv1", "K1", "b1"),
        ("conv2", "K2", "b2"),
        ("fc1", "W3", "b3"),
        ("fc2", "W4", "b4"),
    ):
        rows = len(w[b])
        W = np.column_stack([w[K].reshape(rows, -1), w[b]])
        g = np.column_stack([kernels[layer].reshape(rows, -1), biases[layer]])
        new[layer] = W - lr * g
    return cross_entropy(logits, labels), new


@pytest.mark.parametrize("target", [StubTarget(), digital("conv2", "fc1")], ids=["analog", "mixed"])
def test_a_lenet_step_equals_numpys(target: StubTarget) -> None:
    weights, feeds = lenet_weights(), batch()
    found = run(step(program(LENET, **weights), target), **feeds)
    loss, new = numpy_lenet_step(weights, feeds["x"], feeds["labels"], 0.1)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    for layer, W in new.items():
        np.testing.assert_allclose(found[f"{layer}.W.next"], W, rtol=0, atol=1e-5 * np.abs(W).max())


@pytest.mark.parametrize("target", [StubTarget(), digital("conv1", "fc2")], ids=["analog", "mixed"])
def test_lenet_gradients_equal_differences(target: StubTarget) -> None:
    """The loss in double precision, 12 entries of each matrix; the gradient from W.next."""
    weights, feeds = lenet_weights(), batch(2)
    found = run(step(program(LENET, **weights), target), **{**feeds, "lr": np.array(1.0, "f")})
    double = {name: array.astype(np.float64) for name, array in weights.items()}
    forward = lower(program(LENET.replace("float[", "double["), **double), target)
    proto = checked(forward)
    compiled = session_with_weights(proto)
    x, rng = feeds["x"].astype(np.float64), np.random.default_rng(0)
    matrices = {t.name: t for t in proto.graph.initializer if t.name.endswith(".W")}
    assert set(matrices) == {"conv1.W", "conv2.W", "fc1.W", "fc2.W"}
    initial = {name: array_of(t) for name, t in matrices.items()}
    for name, W in initial.items():
        gradient = W - found[f"{name}.next"]
        for flat in rng.permutation(W.size)[:12]:
            losses = []
            for shift in (1e-5, -1e-5):
                moved = W.copy()
                moved.flat[flat] += shift
                (logits,) = compiled.run(["logits"], {"x": x, **initial, name: moved})
                losses.append(cross_entropy(logits, feeds["labels"]))
            expected = (losses[0] - losses[1]) / 2e-5
            assert abs(gradient.flat[flat] - expected) <= 1e-5 * max(1.0, np.abs(gradient).max())


def array_of(tensor: onnx.TensorProto) -> np.ndarray:
    return onnx.numpy_helper.to_array(tensor).astype(np.float64)


def session_with_weights(proto: onnx.ModelProto) -> rt.InferenceSession:
    """A session in which the matrices may be fed: initializers that are also inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.name.endswith(".W"):
            copy.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return session(copy)


def test_the_program_says_where_everything_is() -> None:
    model = step(program(LENET, **lenet_weights()))
    assert StepContract.of(model) == StepContract(
        inputs=("x",),
        output="logits",
        labels="labels",
        rates=("lr",),
        state={f"{layer}.W": f"{layer}.W.next" for layer in ("conv1", "conv2", "fc1", "fc2")},
        metrics=(
            Metric("loss", "logits", "cross-entropy", "samples", "loss"),
            Metric("error", "logits", "classes", "labels"),
        ),
    )
    assert set(model.metadata_props) == {"rpucc.step"}
    assert [value.name for value in model.graph.inputs] == ["x", "labels", "lr"]
    assert [value.name for value in model.graph.outputs][:2] == ["logits", "loss"]
    assert all(value.shape is not None for node in model.graph for value in node.outputs)


def test_each_node_says_its_layer_and_cycle() -> None:
    model = step(program(LENET, **lenet_weights()))
    reads = [
        (n.metadata_props["rpucc.layer"], n.metadata_props["rpucc.cycle"])
        for n in model.graph
        if n.op_type in ("Read", "Update")
    ]
    layers = ["conv1", "conv2", "fc1", "fc2"]
    assert sorted(reads) == sorted(
        [(layer, "forward") for layer in layers]
        + [(layer, "backward") for layer in layers[1:]]  # no backward read of the first layer
        + [(layer, "update") for layer in layers]
    )
    names = [node.name for node in model.graph]
    assert len(set(names)) == len(names)


def test_forward_values_do_not_change() -> None:
    weights, feeds = lenet_weights(), batch()
    before = evaluate(lower(program(LENET, **weights)), **feeds)
    after = evaluate(step(program(LENET, **weights)), **feeds)
    assert before.keys() <= after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


# --- outputs and losses -----------------------------------------------------------------------

DENSE = {"W": normal(3, 4), "b": normal(4, seed=1)}
X = normal(5, 3, seed=2)
LABELS = np.array([0, 3, 1, 1, 2])
LR = np.array(1.0, np.float32)


def dense(tail: str, out: str = "N,4", more_outputs: str = "") -> ir.Model:
    text = f"(float[N,3] x) => (float[{out}] y{more_outputs}) {{ [fc] z = Gemm(x, W, b) {tail} }}"
    return program(text, **DENSE)


def dense_gradient(d: np.ndarray) -> np.ndarray:
    return np.column_stack([d.T @ X, d.sum(axis=0)])


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def check_cross_entropy_step(model: ir.Model, output: str) -> None:
    found = run(step(model), x=X, labels=LABELS, lr=LR)
    assert StepContract.of(model).output == output
    z = X @ DENSE["W"] + DENSE["b"]
    assert found["loss"] == pytest.approx(cross_entropy(z, LABELS), rel=1e-5)
    np.testing.assert_allclose(found[output], z, atol=1e-5)
    W = np.column_stack([DENSE["W"].T, DENSE["b"]])
    expected = W - dense_gradient((softmax(z) - np.eye(4)[LABELS]) / len(X))
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "tail", ["y = Softmax(z)", "y = LogSoftmax<axis = 1>(z)", "s = Softmax(z) y = Identity(s)"]
)
def test_a_final_softmax_is_differentiated_from_its_logits(tail: str) -> None:
    model = dense(tail)
    check_cross_entropy_step(model, "z")
    assert [value.name for value in model.graph.outputs] == ["y", "z", "loss", "fc.W.next"]


def test_trailing_ones_are_dropped_from_the_logits() -> None:
    shape = "s = Constant<value_ints = [0, 4, 1, 1]>() u = Reshape(z, s)"
    check_cross_entropy_step(dense(f"{shape} y = Identity(u)", "N,4,1,1"), "logits")
    check_cross_entropy_step(dense(f"{shape} y = Softmax<axis = 1>(u)", "N,4,1,1"), "logits")
    back = "t = Softmax<axis = 1>(u) y = Flatten(t)"
    check_cross_entropy_step(dense(f"{shape} {back}"), "logits")
    tail = f"{shape.replace('(z, s)', '(p, s)')} y = Identity(u)"
    check_cross_entropy_step(dense(f"p = Softmax(z) {tail}", "N,4,1,1"), "z")


def test_a_softmax_that_is_reshaped_otherwise_is_refused() -> None:
    tail = "p = Softmax(z) s = Constant<value_ints = [0, 2, 2]>() y = Reshape(p, s)"
    with pytest.raises(UnsupportedError, match=r"it reshapes the Softmax.*end the model at"):
        step(dense(tail, "N,2,2"))


def test_dense_labels_of_images() -> None:
    """Logits [N, K, *space] with labels [N, *space], as in segmentation."""
    model = program(
        "(float[N,2,4] x) => (float[N,3,4] y) { [c] y = Conv(x, K) }", K=normal(3, 2, 1)
    )
    x, labels = normal(2, 2, 4), np.random.default_rng(0).integers(0, 3, (2, 4))
    found = run(step(model), x=x, labels=labels, lr=LR)
    z = np.einsum("ncp,rc->nrp", x, normal(3, 2))
    flat = z.transpose(0, 2, 1).reshape(-1, 3)
    d = (softmax(flat) - np.eye(3)[labels.reshape(-1)]) / labels.size
    assert found["loss"] == pytest.approx(cross_entropy(flat, labels.reshape(-1)), rel=1e-5)
    expected = normal(3, 2) - d.T @ x.transpose(0, 2, 1).reshape(-1, 2)
    np.testing.assert_allclose(found["c.W.next"], expected, atol=1e-5)


def test_mean_squared_error() -> None:
    model = step(dense("y = Sigmoid(z)"), loss="mse")
    targets = normal(5, 4, seed=3)
    found = run(model, x=X, targets=targets, lr=LR)
    y = 1 / (1 + np.exp(-(X @ DENSE["W"] + DENSE["b"])))
    assert found["loss"] == pytest.approx(((y - targets) ** 2).mean(), rel=1e-5)
    d = 2 * (y - targets) / y.size * y * (1 - y)
    expected = np.column_stack([DENSE["W"].T, DENSE["b"]]) - dense_gradient(d)
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)
    assert StepContract.of(model).labels == "targets"
    assert StepContract.of(model).loss == "mse"


def test_a_bias_that_stays_digital_is_trained_and_other_constants_are_not() -> None:
    """The sum without the bias is used as well, so the Add cannot go onto the array."""
    model = program(
        "(float[N,3] x) => (float[N,4] y) { [fc] z = MatMul(x, W) [add] a = Add(z, b)"
        " [scale] s = Mul(z, c) y = Add(a, s) }",
        **DENSE,
        c=normal(4, seed=4),
    )
    found = run(step(model), x=X, labels=LABELS, lr=LR)
    assert set(StepContract.of(model).state) == {"fc.W", "b"}
    z = X @ DENSE["W"]
    y = z * (1 + normal(4, seed=4)) + DENSE["b"]
    d = (softmax(y) - np.eye(4)[LABELS]) / len(X)
    np.testing.assert_allclose(found["b.next"], DENSE["b"] - d.sum(axis=0), atol=1e-5)
    expected = DENSE["W"].T - (d * (1 + normal(4, seed=4))).T @ X
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)
    (update,) = (n for n in model.graph if n.outputs[0].name == "b.next")
    assert update.metadata_props == {"rpucc.cycle": "update", "rpucc.layer": "fc"}


def test_residual_branches_add_up() -> None:
    model = program(
        "(float[N,3] x) => (float[N,3] y) { [a] h = MatMul(x, A) t = Tanh(h) [b] g = MatMul(t, B)"
        " y = Add(t, g) }",
        A=normal(3, 3),
        B=normal(3, 3, seed=1),
    )
    labels = LABELS % 3
    found = run(step(model), x=X, labels=labels, lr=LR)
    t = np.tanh(X @ normal(3, 3))
    d = (softmax(t + t @ normal(3, 3, seed=1)) - np.eye(3)[labels]) / len(X)
    dt = (d + d @ normal(3, 3, seed=1).T) * (1 - t**2)
    np.testing.assert_allclose(found["a.W.next"], normal(3, 3).T - dt.T @ X, atol=1e-5)


# --- errors -----------------------------------------------------------------------------------


def test_nothing_to_train() -> None:
    with pytest.raises(ModelError, match=r"nothing to train.*--inference"):
        step(program("(float[N,3] x) => (float[N,3] y) { y = Tanh(x) }"))


def test_an_output_that_no_layer_reaches() -> None:
    text = "(float[N,3] x) => (float[N,3] o) { [fc] z = MatMul(x, W) y = Relu(z) o = Tanh(x) }"
    model = program(text, W=normal(3, 4))
    with pytest.raises(ModelError, match="does not depend on any layer"):
        step(model)


def test_two_outputs_need_a_choice() -> None:
    model = dense("y = Relu(z) w = Tanh(z)", more_outputs=", float[N,4] w")
    with pytest.raises(UnsupportedError, match=r"2 outputs \(y, w\)"):
        step(model)


def test_an_unknown_loss() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"^loss: found the str 'hinge'; allowed: one of auto, cross-entropy, binary",
    ):
        step(dense("y = Relu(z)"), loss="hinge")


def test_one_class_is_trained_with_mse_and_never_with_cross_entropy() -> None:
    """Cross-entropy over one class is 0 whatever the network says."""

    def one() -> ir.Model:
        text = "(float[N,3,4] x) => (float[N,1,4] y) { [c] y = Conv(x, K) }"
        return program(text, K=normal(1, 3, 1))

    assert StepContract.of(step(one())).loss == "mse"
    with pytest.raises(
        UnsupportedError,
        match=r"'y' \[N,1,4\].*one class is always 0.*binary-cross-entropy.* or mse",
    ):
        step(one(), loss="cross-entropy")


def test_a_softmax_over_the_wrong_axis() -> None:
    text = "(float[N,2,3] x) => (float[N,2,4] y) { [fc] z = MatMul(x, W) [sm] y = Softmax(z) }"
    with pytest.raises(UnsupportedError, match=r"'sm' \(Softmax\).*classes on axis 1.*mse"):
        step(program(text, W=normal(3, 4)))


def test_an_op_without_a_rule_behind_a_layer() -> None:
    text = "(float[N,3] x) => (float[N,4] y) { [fc] z = MatMul(x, W) [cs] y = Round(z) }"
    with pytest.raises(UnsupportedError, match=r"'cs' \(Round\): no gradient rule.*--inference"):
        step(program(text, W=normal(3, 4)))


def test_the_same_op_before_the_first_layer_is_fine() -> None:
    text = "(float[N,3] x) => (float[N,4] y) { [g] z = Gelu(x) [fc] y = MatMul(z, W) }"
    found = run(step(program(text, W=normal(3, 4))), x=X, labels=LABELS, lr=LR)
    assert found["fc.W.next"].shape == (4, 3)
