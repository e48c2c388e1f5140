"""Exponentials and powers against float64, over all that devices ask of them."""

from __future__ import annotations

import numpy as np

from rpucc.runtime.scalars.powers import exp, power


def test_exponentials() -> None:
    x = np.linspace(-86.9, 86.9, 801).astype(np.float32)
    found = np.array([exp(each) for each in x], np.float64)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=4e-7)
    assert exp(np.float32(0)) == 1
    assert exp(1e9) == exp(87.0)
    assert 0 < exp(-1e9) == exp(-87.0)


def test_powers() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, 500).astype(np.float32), rng.uniform(0, 4, 500).astype(np.float32)
    found = np.array([power(a, b) for a, b in zip(x, y, strict=True)], np.float64)
    np.testing.assert_allclose(found, x.astype(np.float64) ** y, rtol=5e-6)
    assert [power(0.0, 1.5), power(0.0, 0.0), power(1.0, 3.0)] == [0, 1, 1]
