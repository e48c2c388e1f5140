"""Losses of targets, and of classes with weights and smoothing: formulas, differences, stock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import rpucc
from rpucc.constant_weights import digital_weights
from rpucc.errors import ArgumentError, UnsupportedError
from rpucc.opset import add_functions
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.gradients.losses import Loss, cross_entropy
from rpucc.passes.gradients.regression import huber, mae, mse
from rpucc.step_contract import StepContract

from .gradient_check import parse, session
from .test_differentiate import DENSE, LR, X, dense, dense_gradient, run, step

WEIGHTS = (0.5, 3.0, 0.0, 1.25)
SHAPES = {"vectors": (7, 4), "signals": (3, 4, 5), "pixels": (2, 4, 3, 5)}

Emit = Callable[[GradientEmitter, ir.Value], Loss]


def runner(emit: Emit, shape: tuple[int, ...], element: str = "double") -> Any:
    """A run of a loss of `x`, with the gradient there; the weight where there is one.

    In double precision by onnx's reference: onnxruntime has no SoftmaxCrossEntropyLoss in it.
    """
    dims = ",".join(["N", *map(str, shape[1:])])
    model = ir.from_proto(parse(f"({element}[{dims}] x) => ({element}[{dims}] z) {{ z = Neg(x) }}"))
    loss = emit(GradientEmitter(model), model.graph.outputs[0])
    weight = [] if loss.weight is None else [loss.weight]
    model.graph.outputs[:] = [loss.value, loss.gradient, *weight]
    add_functions(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return session(proto) if element == "float" else ReferenceEvaluator(proto)


def draw(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, targets and labels."""
    rng = np.random.default_rng(1)
    x, targets = rng.normal(0, 2, shape), rng.normal(0, 2, shape)
    return x, targets, rng.integers(0, shape[1], (shape[0], *shape[2:]))


def check_differences(ran: Any, feeds: dict[str, np.ndarray]) -> None:
    """The gradient is that of the loss, at every entry."""
    gradient = ran.run(None, feeds)[1]
    x = feeds["x"]
    for index in np.ndindex(x.shape):
        ends = []
        for shift in (-1e-5, 1e-5):
            moved = x.copy()
            moved[index] -= shift  # z = -x
            ends.append(float(ran.run(None, {**feeds, "x": moved})[0]))
        assert gradient[index] == pytest.approx((ends[1] - ends[0]) / 2e-5, abs=1e-8)


# --- targets --------------------------------------------------------------------------------------

REGRESSION: dict[str, tuple[Emit, Callable[[np.ndarray], np.ndarray]]] = {
    "mse": (mse, np.square),
    "mae": (mae, np.abs),
    "huber": (
        lambda e, y: huber(e, y, 1.0),
        lambda d: np.where(abs(d) < 1, d**2 / 2, abs(d) - 0.5),
    ),
    "huber:0.5": (
        lambda e, y: huber(e, y, 0.5),
        lambda d: np.where(abs(d) < 0.5, d**2 / 2, 0.5 * (abs(d) - 0.25)),
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("name", REGRESSION)
def test_a_loss_of_targets_is_the_mean_of_its_formula(name: str, shape: tuple[int, ...]) -> None:
    emit, formula = REGRESSION[name]
    ran = runner(emit, shape)
    x, targets, _ = draw(shape)
    feeds = {"x": x, "targets": targets}
    assert float(ran.run(None, feeds)[0]) == pytest.approx(formula(-x - targets).mean(), rel=1e-12)
    check_differences(ran, feeds)


@pytest.mark.parametrize("name", REGRESSION)
def test_one_run_is_one_step(name: str) -> None:
    targets = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    model = step(dense("y = Identity(z)"), loss=name)
    found = run(model, x=X, targets=targets, lr=LR)
    d = X @ DENSE["W"] + DENSE["b"] - targets
    delta = float(name.partition(":")[2] or 1)
    slope = {"mse": 2 * d, "mae": np.sign(d)}.get(name, np.clip(d, -delta, delta))
    expected = np.column_stack([DENSE["W"].T, DENSE["b"]]) - dense_gradient(slope / d.size)
    np.testing.assert_allclose(found["fc.W.next"], expected, atol=1e-5)
    assert StepContract.of(model).loss == name.partition(":")[0]
    assert StepContract.of(model).metric("error") is None


def test_no_other_name_is_a_loss() -> None:
    for wrong in ("l1", "mse:2", "huber:", "huber:0", "huber:nan", "huber:inf", "huber:-1"):
        with pytest.raises(ArgumentError, match=r"loss: found .*huber:DELTA"):
            rpucc.CompileOptions(loss=wrong)


# --- classes --------------------------------------------------------------------------------------


def torch_like(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, smoothing: float
) -> tuple[float, float]:
    """PyTorch's documented formulas, in loops: the loss and what it is divided by."""
    z = np.moveaxis(z, 1, -1).reshape(-1, z.shape[1])
    total = weight = 0.0
    for row, label in zip(z, y.reshape(-1), strict=True):
        log = row - np.logaddexp.reduce(row)
        total -= (1 - smoothing) * w[label] * log[label]
        total -= smoothing / len(row) * float((w * log).sum())
        weight += w[label]
    return total / weight, weight


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_cross_entropy_is_pytorchs(
    shape: tuple[int, ...], weights: tuple[float, ...] | None, smoothing: float
) -> None:
    ran = runner(lambda e, z: cross_entropy(e, z, weights, smoothing), shape)
    x, _, labels = draw(shape)
    feeds = {"x": x, "labels": labels}
    value, _, *weight = ran.run(None, feeds)
    expected = torch_like(-x, labels, np.array(weights or [1.0] * 4), smoothing)
    assert float(value) == pytest.approx(expected[0], rel=1e-9)
    assert [float(each) for each in weight] == pytest.approx([expected[1]] if weights else [])
    check_differences(ran, feeds)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_class_weights_are_those_of_the_standard_operator(shape: tuple[int, ...]) -> None:
    """onnxruntime's SoftmaxCrossEntropyLoss(logits, labels, weights), reduction mean."""
    ran = runner(lambda e, z: cross_entropy(e, z, WEIGHTS), shape, "float")
    x, _, labels = (
        array.astype("f4") if array.dtype.kind == "f" else array for array in draw(shape)
    )
    tensor = helper.make_tensor_value_info
    node = helper.make_node("SoftmaxCrossEntropyLoss", ["z", "y", "w"], ["loss"], reduction="mean")
    graph = helper.make_graph(
        [node],
        "standard",
        [
            tensor("z", TensorProto.FLOAT, shape),
            tensor("y", TensorProto.INT64, labels.shape),
            tensor("w", TensorProto.FLOAT, [4]),
        ],
        [tensor("loss", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    feeds = {"z": -x, "y": labels, "w": np.array(WEIGHTS, "f4")}
    (expected,) = session(model).run(None, feeds)
    value = ran.run(None, {"x": x, "labels": labels})[0]
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_labels_that_weigh_nothing_move_nothing() -> None:
    ran = runner(lambda e, z: cross_entropy(e, z, WEIGHTS), (3, 4))
    x = np.random.default_rng(0).normal(size=(3, 4))
    value, gradient, _ = ran.run(None, {"x": x, "labels": np.full(3, 2)})
    assert float(value) == 0
    assert not gradient.any()


def test_weights_are_an_initializer_of_the_program_that_is_none_of_its_weights() -> None:
    program = rpucc.compile("mlp", "ideal", class_weights=np.arange(10), verify=True)
    assert program.verified
    value = program.model.graph.initializers["class_weights"].const_value
    assert value is not None
    assert value.numpy().tolist() == list(range(10))
    assert digital_weights(program.model) == ()


def test_options_of_labels_belong_to_cross_entropy_with_a_weight_a_class() -> None:
    for options, line in (
        ({"class_weights": [1] * 9}, "has 10 classes, but there are 9 class weights"),
        ({"class_weights": [1] * 10, "loss": "mse"}, "class weights: belong to cross-entropy"),
        ({"label_smoothing": 0.1, "loss": "mae"}, "label smoothing: belong to cross-entropy"),
    ):
        with pytest.raises(UnsupportedError, match=line):
            rpucc.compile("mlp", "ideal", **options)
    for wrong in ([], [0, 0], [-1, 2], [float("nan"), 1], "1,2", 3):
        with pytest.raises(ArgumentError, match="class_weights"):
            rpucc.CompileOptions(class_weights=wrong)  # type: ignore[arg-type]
    for share in (1, -0.1, float("nan"), "0.1", True):
        with pytest.raises(ArgumentError, match="label_smoothing"):
            rpucc.CompileOptions(label_smoothing=share)  # type: ignore[arg-type]
