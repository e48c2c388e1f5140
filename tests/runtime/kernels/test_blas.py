"""Matrix products by address: leading dimensions, both transposes, and the ideal cycles."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.kernels.blas import address, blas_routines, gemm, gemm_outer
from rpucc.runtime.kernels.products import multiply, subtract_outer

from ..tilings import Periphery, Tiling, read_rows


@numba.njit
def _gemm(sgemm, out, o, ld_out, x, a, ld_x, w, b, ld_w, M, K, O, transpose, alpha, beta):  # type: ignore[no-untyped-def]  # noqa: E741
    gemm(
        sgemm, address(out, o), ld_out, address(x, a), ld_x, address(w, b), ld_w, M, K, O,
        transpose, alpha, beta,
    )  # fmt: skip


@numba.njit
def _gemm_outer(sgemm, w, b, ld_w, d, a, ld_d, x, o, ld_x, M, R, C, alpha):  # type: ignore[no-untyped-def]
    gemm_outer(sgemm, address(w, b), ld_w, address(d, a), ld_d, address(x, o), ld_x, M, R, C, alpha)


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    """Small integers, of which products are exact in float32."""
    return np.random.default_rng(seed).integers(-5, 6, shape).astype(np.float32)


SIZE = st.integers(1, 9)


@given(
    M=SIZE, K=SIZE, O=SIZE, row=st.integers(0, 3), column=st.integers(0, 3),
    transpose=st.booleans(), alpha=st.sampled_from([1.0, -0.5]), beta=st.sampled_from([0.0, 1.0]),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_gemm(
    M: int,
    K: int,
    O: int,  # noqa: E741
    row: int,
    column: int,
    transpose: bool,
    alpha: float,
    beta: float,
) -> None:
    """The operands are blocks at (row, column) of larger matrices; the rest stays as it was."""
    shape = (K, O) if transpose else (O, K)
    x, w, out = (
        numbers(row + rows + 1, column + columns + 2, seed=seed)
        for seed, (rows, columns) in enumerate([(M, K), shape, (M, O)])
    )
    block = (slice(row, row + M), slice(column, column + O))
    left = x[row : row + M, column : column + K]
    right = w[row : row + shape[0], column : column + shape[1]]
    expected = out.copy()
    expected[block] = alpha * left @ (right if transpose else right.T) + beta * out[block]
    offsets = [row * array.shape[1] + column for array in (out, x, w)]
    _gemm(
        blas_routines(), out, offsets[0], out.shape[1], x, offsets[1], x.shape[1], w, offsets[2],
        w.shape[1], M, K, O, transpose, np.float32(alpha), np.float32(beta),
    )  # fmt: skip
    np.testing.assert_array_equal(out, expected)


@given(M=SIZE, R=SIZE, C=SIZE, row=st.integers(0, 3), column=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_gemm_outer(M: int, R: int, C: int, row: int, column: int) -> None:
    w, d, x = (
        numbers(row + rows + 1, column + columns + 2, seed=seed)
        for seed, (rows, columns) in enumerate([(R, C), (M, R), (M, C)])
    )
    expected = w.copy()
    expected[row : row + R, column : column + C] += -0.5 * (
        d[row : row + M, column : column + R].T @ x[row : row + M, column : column + C]
    )
    offsets = [row * array.shape[1] + column for array in (w, d, x)]
    _gemm_outer(
        blas_routines(), w, offsets[0], w.shape[1], d, offsets[1], d.shape[1], x, offsets[2],
        x.shape[1], M, R, C, np.float32(-0.5),
    )  # fmt: skip
    np.testing.assert_array_equal(w, expected)


def test_beta_0_ignores_what_was_there() -> None:
    out, one = np.full((1, 1), np.nan, np.float32), np.ones((1, 1), np.float32)
    _gemm(blas_routines(), out, 0, 1, one, 0, 1, one, 0, 1, 1, 1, 1, False, np.float32(1),
          np.float32(0))  # fmt: skip
    assert out[0, 0] == 1


@pytest.mark.parametrize("transpose", [False, True])
def test_multiply_and_the_ideal_read(transpose: bool) -> None:
    """Y = X Wᵀ or X W; the tiled read without periphery is the same."""
    rng = np.random.default_rng(1)
    W = rng.standard_normal((7, 11)).astype(np.float32)
    X = rng.standard_normal((5, 7 if transpose else 11)).astype(np.float32)
    expected = X @ (W if transpose else W.T)
    Y = np.full_like(expected, 3)
    multiply(1, 4, blas_routines(), W, X, Y, transpose, False)
    np.testing.assert_allclose(Y[1:4], expected[1:4], rtol=1e-5, atol=1e-6)
    assert np.all(Y[[0, 4]] == 3)
    multiply(0, 5, blas_routines(), W, X, Y, transpose, False)
    multiply(0, 5, blas_routines(), W, X, Y, transpose, True)
    np.testing.assert_allclose(Y, 2 * expected, rtol=1e-5, atol=1e-6)
    tiling = Tiling((0, 3, 7), (0, 4, 9, 11))
    read, _ = read_rows(W, X, tiling, Periphery(), transpose=transpose)
    np.testing.assert_allclose(read, expected, rtol=1e-5, atol=1e-6)


def test_subtract_outer() -> None:
    """W -= lr * Dᵀ X on the rows of the range, the same bits however the pieces are run."""
    rng = np.random.default_rng(2)
    W = rng.standard_normal((7, 11)).astype(np.float32)
    X, D = rng.standard_normal((5, 11)).astype(np.float32), numbers(5, 7)
    lr = np.float32(0.1)
    expected = W.astype(float) - 0.1 * (D.T.astype(float) @ X)
    part = W.copy()
    subtract_outer(2, 5, blas_routines(), part, X, D, lr)
    np.testing.assert_allclose(part[2:5], expected[2:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(part[[0, 1, 5, 6]], W[[0, 1, 5, 6]])
    subtract_outer(5, 7, blas_routines(), part, X, D, lr)
    subtract_outer(0, 2, blas_routines(), part, X, D, lr)
    np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6)
