"""The activations' gradient rules against central differences, away from their kinks."""

from __future__ import annotations

import numpy as np
import pytest

from .gradient_check import check_grads

X = "(float[N,3,4] x) => (float[N,3,4] y)"


def spread(*shape: int) -> np.ndarray:
    """Values from -4 to 4, at least 0.05 apart and 0.05 from whole numbers of sixths."""
    count = int(np.prod(shape))
    steps = np.random.default_rng(0).permutation(np.arange(count))
    values = (steps - count / 2) * (8 / count)
    kinks = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0])
    near = np.abs(values[:, None] - kinks).min(axis=1) < 0.05
    return np.where(near, values + 0.11, values).reshape(shape)


SMOOTH = {
    "Elu": "y = Elu(x)",
    "Elu alpha": "y = Elu<alpha = 0.4>(x)",
    "Selu": "y = Selu(x)",
    "Selu alpha": "y = Selu<alpha = 1.2, gamma = 0.7>(x)",
    "Celu": "y = Celu(x)",
    "Celu alpha": "y = Celu<alpha = 2.5>(x)",
    "ThresholdedRelu": "y = ThresholdedRelu(x)",
    "ThresholdedRelu alpha": "y = ThresholdedRelu<alpha = 2.5>(x)",
    "Softplus": "y = Softplus(x)",
    "Softsign": "y = Softsign(x)",
    "HardSigmoid": "y = HardSigmoid(x)",
    "HardSigmoid alpha": "y = HardSigmoid<alpha = 0.166667, beta = 0.5>(x)",
    "HardSwish": "y = HardSwish(x)",
    "Mish": "y = Mish(x)",
    "Erf": "y = Erf(x)",
    "Gelu": "y = Gelu(x)",
    "Gelu tanh": 'y = Gelu<approximate = "tanh">(x)',
    "Max of itself": "y = Max(x, x)",
}


@pytest.mark.parametrize("body", SMOOTH.values(), ids=SMOOTH.keys())
def test_activation(body: str) -> None:
    # onnxruntime has no double kernel for most of these; their slopes are all of order 1.
    check_grads(f"{X} {{ {body} }}", {"x": spread(2, 3, 4)}, double=False)


@pytest.mark.parametrize("slope", ["3,1", "1", "3,4", "4"])
def test_prelu(slope: str) -> None:
    shape = tuple(int(d) for d in slope.split(","))
    text = f"(float[N,3,4] x, float[{slope}] s) => (float[N,3,4] y) {{ y = PRelu(x, s) }}"
    feeds = {"x": spread(2, 3, 4), "s": np.random.default_rng(1).uniform(0.1, 0.5, shape)}
    check_grads(text, feeds, double=False)


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_extremum_of_several_inputs_that_broadcast(op: str) -> None:
    text = f"(float[N,3,4] a, float[4] b, float[3,1] c) => (float[N,3,4] y) {{ y = {op}(a, b, c) }}"
    values = 0.11 * np.random.default_rng(0).permutation(np.arange(31)) - 1.6
    feeds = {"a": values[:24].reshape(2, 3, 4), "b": values[24:28], "c": values[28:].reshape(3, 1)}
    check_grads(text, feeds, double=False)
