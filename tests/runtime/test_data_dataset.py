from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.errors import DataError
from rpucc.runtime.data import Dataset, scaled


def make(x: np.ndarray, y: np.ndarray, x_test: np.ndarray | None = None) -> Dataset:
    return Dataset("d.npz", x, y, x if x_test is None else x_test, y)


def images(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 255, shape)
    return values.astype(dtype)


LABELS = np.array([0, 2, 1, 0, 2])


@pytest.mark.parametrize("stored", [(5, 8, 6), (5, 8, 6, 3), (5, 3, 8, 6), (5, 7), (5, 2, 3, 4, 5)])
def test_samples_stay_in_their_shape_until_there_is_a_model(stored: tuple[int, ...]) -> None:
    x = np.asfortranarray(images(stored))
    data = make(x, LABELS)
    assert data.sample_shape == stored[1:]
    assert data.x_train.dtype == np.uint8
    assert data.x_train.flags.c_contiguous
    np.testing.assert_array_equal(data.x_train, x)


def test_labels_become_int64_and_targets_float32() -> None:
    data = make(images((5, 7)), LABELS.astype(np.uint8)[:, None])
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == LABELS.tolist()
    assert data.classes == 3
    data = make(images((5, 7)), LABELS.astype(np.float64))
    assert data.y_train.dtype == np.float32
    assert data.classes == 0


def test_labels_of_pixels_keep_their_type_and_target_images_become_float32() -> None:
    mask = (images((5, 8, 6)) > 127).astype(np.uint8)
    for stored in (np.uint8, np.int32, ">i2"):
        data = make(images((5, 8, 6)), mask.astype(stored))
        assert data.y_train.dtype == np.dtype(stored).newbyteorder("=")
        np.testing.assert_array_equal(data.y_train, mask)
        assert data.classes == 2
    assert make(images((5, 8, 6)), mask.astype(bool)).y_train.dtype == np.uint8
    target = make(images((5, 8, 6)), mask[:, None].astype(np.float64))
    assert (target.y_train.dtype, target.y_train.shape) == (np.float32, (5, 1, 8, 6))


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
        (images((5, 7)), np.array(list("abcde")), "y_train has type <U1; labels must be integers"),
        (images((5, 7)), np.int64(3), "y_train is a single number; labels must be"),
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
