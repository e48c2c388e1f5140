"""Gradients of the normalisations, of their inputs, scales and biases, by central differences."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.errors import UnsupportedError

from .gradient_check import check_grads, gradient_model, parse


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


PER_CHANNEL = {
    "InstanceNormalization": "y = InstanceNormalization<epsilon = 0.1>(x, s, b)",
    "GroupNormalization": "y = GroupNormalization<num_groups = 2, epsilon = 0.1>(x, s, b)",
    "one group": "y = GroupNormalization<num_groups = 1>(x, s, b)",
}


@pytest.mark.parametrize("space", [(5,), (3, 2), (2, 3, 2)])
@pytest.mark.parametrize("body", PER_CHANNEL.values(), ids=PER_CHANNEL.keys())
def test_statistics_of_channels(body: str, space: tuple[int, ...]) -> None:
    shape = ",".join(map(str, ("N", 4, *space)))
    text = f"(float[{shape}] x, float[4] s, float[4] b) => (float[{shape}] y) {{ {body} }}"
    feeds = {"x": normal(2, 4, *space), "s": normal(4, seed=1), "b": normal(4, seed=2)}
    check_grads(text, feeds, double=False)


@pytest.mark.parametrize("axis", [-1, -2, 1])
def test_layer_normalization(axis: int) -> None:
    scale = ",".join("34"[axis if axis < 0 else 0 :])
    text = (
        f"(float[N,3,4] x, float[{scale}] s, float[{scale}] b) => (float[N,3,4] y) "
        f"{{ y = LayerNormalization<axis = {axis}, epsilon = 0.01>(x, s, b) }}"
    )
    sizes = [int(d) for d in scale.split(",")]
    feeds = {"x": normal(2, 3, 4), "s": normal(*sizes, seed=1), "b": normal(*sizes, seed=2)}
    check_grads(text, feeds, tolerance=1e-6)


def test_layer_normalization_without_bias_and_with_a_scale_that_broadcasts() -> None:
    text = (
        "(float[N,3,4] x, float[3,1] s) => (float[N,3,4] y) "
        "{ y = LayerNormalization<axis = 1>(x, s) }"
    )
    check_grads(text, {"x": normal(2, 3, 4), "s": normal(3, 1, seed=1)}, double=False)


@pytest.mark.parametrize("wrt", [["x"], ["s", "b"], ["x", "s", "b"]], ids=str)
def test_batch_normalization_in_inference_mode(wrt: list[str]) -> None:
    constants = (
        "m = Constant<value = float[3] {0,1,-1}>() v = Constant<value = float[3] {0.5,2,1}>()"
    )
    text = (
        "(float[N,3,4] x, float[3] s, float[3] b) => (float[N,3,4] y) "
        f"{{ {constants} y = BatchNormalization<epsilon = 0.01>(x, s, b, m, v) }}"
    )
    feeds = {"x": normal(2, 3, 4), "s": normal(3, seed=1), "b": normal(3, seed=2)}
    check_grads(text, feeds, wrt=wrt)


@pytest.mark.parametrize("axis", [1, -1])
def test_lp_normalization(axis: int) -> None:
    text = f"(float[N,3,4] x) => (float[N,3,4] y) {{ y = LpNormalization<axis = {axis}>(x) }}"
    check_grads(text, {"x": normal(2, 3, 4)})


@pytest.mark.parametrize("attributes", ["size = 3", "size = 1, beta = 0.5, bias = 2.0", "size = 5"])
def test_lrn(attributes: str) -> None:
    # A large alpha, so that the part through the neighbours counts.
    text = f"(float[N,7,3,2] x) => (float[N,7,3,2] y) {{ y = LRN<{attributes}, alpha = 0.9>(x) }}"
    check_grads(text, {"x": normal(2, 7, 3, 2)}, double=False)


def test_computed_statistics_are_refused_by_name() -> None:
    text = (
        "(float[N,3] x, float[3] s) => (float[N,3] y) "
        "{ v = Exp(s) y = BatchNormalization(x, s, s, s, v) }"
    )
    with pytest.raises(UnsupportedError, match=r"BatchNormalization.*constant mean and variance"):
        gradient_model(parse(text), ["x"])
