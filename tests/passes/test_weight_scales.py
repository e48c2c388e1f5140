"""Factors that bring weights into their devices' range."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.models import build
from rpucc.passes.weight_scales import Scaling, beyond
from rpucc.target.target import Target

from .graphs import normal

ROWS = np.array([[0.3, -0.1], [1.2, 0.0], [0.1, -2.4], [0.0, 0.0]], np.float32)


def of(
    bounds: tuple[float, float], *overrides: str, model: ir.Model | None = None
) -> Scaling | None:
    policy = Target.load("rpu-managed", overrides).for_layer("conv1")
    plain = ir.Model(ir.Graph([], [], nodes=[]), ir_version=10)
    return Scaling.of(policy, lambda _: bounds, model or plain)


def test_auto_divides_only_lines_that_do_not_fit_and_no_more_than_that_takes() -> None:
    scaling = of((-0.6, 0.6))
    assert scaling is not None
    np.testing.assert_allclose(scaling.factors(ROWS), [1, 2, 4, 1], rtol=1e-6)


def test_each_sign_has_its_own_bound() -> None:
    scaling = of((-1.2, 0.6))
    assert scaling is not None
    np.testing.assert_allclose(scaling.factors(ROWS), [1, 2, 2, 1], rtol=1e-6)


def test_a_number_is_the_largest_weight_of_every_line() -> None:
    scaling = of((-0.6, 0.6), "mapping.weight_scaling=0.3")
    assert scaling is not None
    factors = scaling.factors(ROWS)
    np.testing.assert_allclose(factors, [1, 4, 8, 1], rtol=1e-6)
    smaller = scaling.factors(ROWS / 100)
    np.testing.assert_allclose(smaller[:3], factors[:3] / 100, rtol=1e-6)


def test_one_factor_for_a_layer() -> None:
    scaling = of((-0.6, 0.6), "mapping.weight_scaling_per=layer")
    assert scaling is not None
    np.testing.assert_allclose(scaling.factors(ROWS), [4, 4, 4, 4], rtol=1e-6)


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, 1.0), (-1.0, -0.5)])
def test_nothing_to_scale_to(bounds: tuple[float, float]) -> None:
    """Devices without bounds hold everything; those of one sign nothing that a factor mends."""
    assert of(bounds) is None


def test_off_is_off() -> None:
    assert of((-0.6, 0.6), "mapping.weight_scaling=off") is None


def test_initial_weights_are_scaled_by_a_number_only() -> None:
    model = ir.from_proto(build("mlp"))
    assert of((-0.6, 0.6), model=model) is None
    assert of((-0.6, 0.6), "mapping.weight_scaling=0.3", model=model) is not None


def test_masks_have_no_size() -> None:
    scaling = of((-0.6, 0.6))
    assert scaling is not None
    np.testing.assert_allclose(scaling.factors(np.array([[1.2, -np.inf]])), [2])


@given(
    st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 1000), st.sampled_from([1.0, 30.0])
)
def test_what_was_divided_fits(low: float, high: float, seed: int, size: float) -> None:
    scaling = of((-low, high))
    assert scaling is not None
    lines = size * normal(5, 7, seed=seed)
    factors = scaling.factors(lines)
    assert (factors >= 1).all()
    divided = (lines / factors[:, None]).astype(np.float32)
    assert beyond(divided, (-low, high)) == 0
    touched = factors > 1
    reached = np.maximum(divided.max(axis=1) / high, -divided.min(axis=1) / low)
    np.testing.assert_allclose(reached[touched], 1, rtol=1e-5)
