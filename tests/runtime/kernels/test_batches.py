"""Samples in, errors out."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.kernels.batches import count_errors, gather


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_gather(dtype: type) -> None:
    data = np.random.default_rng(1).integers(0, 256, (10, 6)).astype(dtype)
    order = np.random.default_rng(2).permutation(10)
    out = np.zeros((3, 6), np.float32)
    gather(data, order, 4, out, np.float32(1 / 255), np.float32(-0.5))
    expected = data[order[4:7]].astype(float) / 255 - 0.5
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)


def test_count_errors() -> None:
    outputs = np.array([[1, 2, 0], [5, -1, -1], [0, 0, 3], [-3, -2, -1]], np.float32)
    assert count_errors(outputs, np.array([1, 0, 2, 2])) == 0
    assert count_errors(outputs, np.array([0, 0, 2, 1])) == 2
    tie = np.array([[4, 4]], np.float32)  # the first of equals is the answer
    assert count_errors(tie, np.array([0])) == 0
    assert count_errors(tie, np.array([1])) == 1
