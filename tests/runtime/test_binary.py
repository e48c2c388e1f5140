"""Outputs that say 0 or 1: errors at a half, metrics of training, and learning on arrays."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.errors import DataError
from rpucc.program import Program
from rpucc.runtime.data import Dataset

from .small import train

NAME = "binary-cross-entropy"
RANDOM = np.random.default_rng(0)
X = RANDOM.random((260, 8)).astype(np.float32)
ONE = (X[:, :4].sum(axis=1) > X[:, 4:].sum(axis=1)).astype(int)
SETS = np.stack([X[:, k] > X[:, k + 4] for k in range(3)], axis=1)


def network(outputs: int, tail: str) -> onnx.ModelProto:
    """A dense layer and what follows: sigmoid, or nothing."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]> binary (float[N,8] x) => (float y) {{
        h = Gemm (x, w) t = Tanh (h) z = Gemm (t, v) {tail}
    }}"""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(1)
    for name, shape in {"w": (8, 12), "v": (12, outputs)}.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


@cache
def program(outputs: int, tail: str, target: str = "ideal", loss: str = NAME) -> Program:
    return rpucc.compile(network(outputs, tail), target, loss=loss, verify=False)


def data(labels: np.ndarray) -> Dataset:
    return Dataset("binary", X[:200], labels[:200], X[200:], labels[200:])


@pytest.mark.parametrize("tail", ["y = Sigmoid (z)", "y = Identity (z)"])
@pytest.mark.parametrize("labels", [ONE, SETS], ids=["one", "sets"])
def test_errors_are_counted_at_a_half(tail: str, labels: np.ndarray) -> None:
    """With a vanishing rate nothing changes, so they can be computed from the first weights."""
    compiled = program(1 if labels.ndim == 1 else 3, tail)
    machine, (metrics,) = train(compiled, data(labels), epochs=1, batch_size=7, lr=1e-30)
    trainer = rpucc.Trainer(machine)
    found = trainer.predict(X)
    p = found if "Sigmoid" in tail else 1 / (1 + np.exp(-found))
    y = labels.reshape(len(X), -1)
    losses = -np.where(y == 1, np.log(p), np.log(1 - p))
    wrong = (p > 0.5) != y
    assert metrics.train_error == pytest.approx(wrong[:200].mean())
    assert metrics.test_error == pytest.approx(wrong[200:].mean())
    assert metrics.train_loss == pytest.approx(losses[:200].mean(), rel=1e-4)
    assert metrics.test_loss == pytest.approx(losses[200:].mean(), rel=1e-4)
    result = trainer.evaluate(X, labels)
    assert result.error == pytest.approx(wrong.mean())
    assert result.labels_per_sample == y.shape[1]


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8", "float32"])
def test_the_type_of_the_labels_does_not_matter(dtype: str) -> None:
    compiled = program(1, "y = Sigmoid (z)", loss="auto")
    assert compiled.loss == NAME
    first, second = (
        train(compiled, data(y), epochs=1, batch_size=5, lr=0.1)[1]
        for y in (ONE, ONE.astype(dtype))
    )
    assert first[0].reproducible() == second[0].reproducible()


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
@pytest.mark.parametrize("labels", [ONE, SETS], ids=["one", "sets"])
def test_it_learns(target: str, labels: np.ndarray) -> None:
    compiled = program(1 if labels.ndim == 1 else 3, "y = Sigmoid (z)", target)
    rate = 0.05 if labels.ndim == 1 else 0.15  # the loss is a mean over the outputs
    _, metrics = train(compiled, data(labels), epochs=6, batch_size=1, lr=rate)
    assert metrics[-1].test_loss < 0.8 * metrics[0].train_loss
    assert metrics[-1].test_error is not None
    assert metrics[-1].test_error < 0.2


def test_a_program_for_inference_is_scored_alike() -> None:
    model = network(1, "y = Sigmoid (z)")
    compiled = rpucc.compile(model, "ideal", training=False, verify=False)
    trainer = rpucc.Trainer(rpucc.Machine(compiled))
    wrong = (trainer.predict(X)[:, 0] > 0.5) != ONE
    assert trainer.evaluate(X, ONE).error == pytest.approx(wrong.mean())
    assert trainer.evaluate(X, ONE.astype(float)).error is None  # targets of a regression
    with pytest.raises(DataError, match=r"labels\[0\] is label 7"):
        trainer.evaluate(X, ONE + 7)


def test_a_squeezed_output_trains_on_the_probabilities() -> None:
    tail = "p = Sigmoid (z) s = Constant <value_ints = [-1]> () y = Reshape (p, s)"
    compiled = program(1, tail, loss="auto")
    assert (compiled.loss, compiled.outputs) == (NAME, ("p", "y"))
    _, metrics = train(compiled, data(ONE), epochs=1, batch_size=5, lr=0.1)
    assert metrics[0].test_error is not None
