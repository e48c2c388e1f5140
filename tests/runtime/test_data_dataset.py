from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.errors import DataError
from rpucc.runtime.data import Dataset, check_fits, fitted, scaled


def make(x: np.ndarray, y: np.ndarray, x_test: np.ndarray | None = None) -> Dataset:
    return Dataset("d.npz", x, y, x if x_test is None else x_test, y)


def images(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 255, shape)
    return values.astype(dtype)


LABELS = np.array([0, 2, 1, 0, 2])


@pytest.mark.parametrize(
    ("stored", "layout"),
    [
        ((5, 8, 6), (1, 8, 6)),
        ((5, 8, 6, 3), (3, 8, 6)),
        ((5, 8, 6, 1), (1, 8, 6)),
        ((5, 3, 8, 6), (3, 8, 6)),
        ((5, 1, 8, 3), (1, 8, 3)),
        ((5, 7), (7,)),
        ((5, 2, 3, 4, 5), (2, 3, 4, 5)),
    ],
)
def test_layouts(stored: tuple[int, ...], layout: tuple[int, ...]) -> None:
    x = images(stored)
    data = make(x, LABELS)
    assert data.sample_shape == layout
    assert data.x_train.dtype == np.uint8
    assert data.x_train.flags.c_contiguous
    expected = x.transpose(0, 3, 1, 2) if stored[1:] == (8, 6, 3) else x.reshape(5, *layout)
    np.testing.assert_array_equal(data.x_train, expected)


def test_labels_become_int64_and_targets_float32() -> None:
    data = make(images((5, 7)), LABELS.astype(np.uint8)[:, None])
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == LABELS.tolist()
    assert data.classes == 3
    data = make(images((5, 7)), LABELS.astype(np.float64))
    assert data.y_train.dtype == np.float32
    assert data.classes == 0


def test_big_endian_data_become_native() -> None:
    x = images((5, 7)).astype(">f4")
    data = make(x, LABELS.astype(">i4"))
    assert data.x_train.dtype.isnative
    np.testing.assert_array_equal(data.x_train, x)
    assert data.y_train.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (images((5, 7)), LABELS[:4], "d.npz: x_train has 5 samples but y_train has 4; "),
        (images((0, 7)), LABELS[:0], r"d.npz: x_train is empty \(shape \[0, 7\]\); "),
        (images((5, 7)), LABELS[:0], "d.npz: y_train is empty .*; at least one label"),
        (images((5, 7), "int64"), LABELS, r"x_train has type int64; pixels must be .*\.astype"),
        (np.array([["a"]]), LABELS[:1], "x_train has type <U1; pixels must be"),
        (images((5,)), LABELS, r"x_train has shape \[5\]; samples must be"),
        (images((5, 7)), np.eye(5, dtype=int), r"y_train has shape \[5, 5\]; .*argmax"),
        (images((5, 7)), np.array(list("abcde")), "y_train has type <U1; labels must be integers"),
        (images((5, 7)), np.zeros((5, 1, 1)), r"targets must be \[n\] or \[n, k\]"),
    ],
)
def test_refused_when_made(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(x, y)
    assert "\n" not in str(caught.value)


def test_parts_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \[7\] .* x_test of shape \[8\] .*alike"):
        make(images((5, 7)), LABELS, images((5, 8)))
    with pytest.raises(DataError, match=r"type uint8 but x_test of .* type float32"):
        make(images((5, 7)), LABELS, images((5, 7), "float32"))


def test_check_fits_accepts_data_that_fit() -> None:
    check_fits(make(images((5, 8, 6)), LABELS), (1, 8, 6), 3)
    check_fits(make(images((5, 8), "float32"), np.ones((5, 2), np.float32)), (8,), 2)


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((1, 28, 28), 3, r"x_train has samples of shape \[1, 8, 6\] but the model takes \[1, 28"),
        ((48,), 3, r"shape \[1, 8, 6\] but the model takes \[48\]; resize or reshape"),
        ((1, 8, 6), 2, r"y_train\[1\] is label 2, but the model has 2 outputs .*; 2 of 5 labels"),
    ],
)
def test_check_fits_refuses(shape: tuple[int, ...], classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        check_fits(make(images((5, 8, 6)), LABELS), shape, classes)
    assert str(caught.value).startswith("d.npz: ")


def test_check_fits_names_bad_labels_and_pixels() -> None:
    x = images((5, 1, 2, 2), "float32")
    with pytest.raises(DataError, match=r"y_train\[3\] is label -1, but the model has 3 outputs"):
        check_fits(make(x, np.array([0, 1, 2, -1, 0])), (1, 2, 2), 3)
    huge = np.array([0, 1, 2, 2**64 - 1, 0], np.uint64)
    with pytest.raises(DataError, match=r"y_train\[3\] is label 9223372036854775807"):
        check_fits(make(x, huge), (1, 2, 2), 3)
    test = x.copy()
    test[4, 0, 1, 0] = np.nan
    with pytest.raises(DataError, match=r"x_test\[4, 0, 1, 0\] is NaN \(1 of 20 values"):
        check_fits(make(x, LABELS, test), (1, 2, 2), 3)
    x[2, 0, 0, 1] = -np.inf
    with pytest.raises(DataError, match=r"x_train\[2, 0, 0, 1\] is an infinite value"):
        check_fits(make(x, LABELS), (1, 2, 2), 3)


def test_check_fits_checks_regression_targets() -> None:
    x = images((5, 7))
    with pytest.raises(DataError, match=r"1 floating-point value.* 3 outputs; labels .*integers"):
        check_fits(make(x, LABELS.astype(float)), (7,), 3)
    with pytest.raises(DataError, match=r"y_train\[1\] is NaN"):
        check_fits(make(x, np.array([0, np.nan, 0, 0, 0])), (7,), 1)


@pytest.mark.parametrize("wanted", [(48,), (8, 6), (8, 6, 1), (1, 8, 6)])
def test_fitted_reshapes_where_there_is_one_meaning(wanted: tuple[int, ...]) -> None:
    data = make(images((5, 8, 6)), LABELS)
    result = fitted(data, wanted, 3)
    assert result.sample_shape == wanted
    assert result.x_test.shape == (5, *wanted)
    np.testing.assert_array_equal(result.x_train.ravel(), data.x_train.ravel())
    assert data.sample_shape == (1, 8, 6)


@pytest.mark.parametrize("wanted", [(1, 6, 8), (2, 24), (3, 8, 6), (47,)])
def test_fitted_refuses_other_shapes(wanted: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"d.npz: x_train has samples of shape \[1, 8, 6\] but"):
        fitted(make(images((5, 8, 6)), LABELS), wanted, 3)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(low=st.floats(-10, 10), span=st.floats(0.01, 20))
def test_scaled_is_linear_and_hits_both_ends(low: float, span: float) -> None:
    y = scaled(np.arange(256, dtype=np.uint8), (low, low + span))
    assert y.dtype == np.float32
    assert y[0] == np.float32(low)
    assert y[255] == np.float32(low + (low + span - low))
    expected = low + span * np.arange(256) / 255
    np.testing.assert_allclose(y, expected, atol=1e-6 * (abs(low) + span))


def test_scaled_passes_floats_and_refuses_the_rest() -> None:
    x = np.array([[-3.0, 7.5]])
    assert scaled(x, (0.0, 1.0)).tolist() == x.tolist()
    assert scaled(x, (0.0, 1.0), dtype=np.float64).dtype == np.float64
    with pytest.raises(DataError, match=r"f.npy\[0, 1\] is NaN"):
        scaled(np.array([[0.0, np.nan]]), (0.0, 1.0), name="f.npy")
    with pytest.raises(DataError, match="infinite"):
        scaled(np.array([1e300]), (0.0, 1.0))
    with pytest.raises(DataError, match="has type int64"):
        scaled(np.array([1]), (0.0, 1.0))
    with pytest.raises(DataError, match=r"input range 1\.0 0\.0 must be two finite numbers"):
        scaled(x, (1.0, 0.0))
