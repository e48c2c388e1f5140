"""Whether data fit a model: shapes of samples, labels and targets; clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data import Dataset, fitted

from .test_data_dataset import LABELS, images, make


def classes(data: Dataset, sample: tuple[int, ...], output: tuple[int, ...]) -> Dataset:
    return fitted(data, {"x": sample}, output, "cross-entropy")


def test_data_that_fit_are_taken_as_they_are() -> None:
    data = make(images((5, 1, 8, 6)), LABELS)
    assert np.shares_memory(classes(data, (1, 8, 6), (3,)).x_train, data.x_train)
    fitted(make(images((5, 8), "float32"), np.ones((5, 2), np.float32)), {"x": (8,)}, (2,), "mse")


@pytest.mark.parametrize(
    ("shape", "count", "message"),
    [
        ((1, 28, 28), 3, r"x_train has samples of shape \[1, 8, 6\] but the model takes \[1, 28"),
        ((47,), 3, r"shape \[1, 8, 6\] but the model takes \[47\]; resize or reshape"),
        ((1, 8, 6), 2, r"y_train\[1\] is label 2, but the model has 2 outputs .*; 2 of 5 labels"),
    ],
)
def test_data_that_do_not_fit_are_refused(shape: tuple[int, ...], count: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        classes(make(images((5, 1, 8, 6)), LABELS), shape, (count,))
    assert str(caught.value).startswith("d.npz: ")


def test_errors_name_bad_labels_and_pixels() -> None:
    x = images((5, 1, 2, 2), "float32")
    with pytest.raises(DataError, match=r"y_train\[3\] is label -1, but the model has 3 outputs"):
        classes(make(x, np.array([0, 1, 2, -1, 0])), (1, 2, 2), (3,))
    huge = np.array([0, 1, 2, 2**64 - 1, 0], np.uint64)
    with pytest.raises(DataError, match=r"y_train\[3\] is label 9223372036854775807"):
        classes(make(x, huge), (1, 2, 2), (3,))
    test = x.copy()
    test[4, 0, 1, 0] = np.nan
    with pytest.raises(DataError, match=r"x_test\[4, 0, 1, 0\] is NaN \(1 of 20 values"):
        classes(make(x, LABELS, test), (1, 2, 2), (3,))
    x[2, 0, 0, 1] = -np.inf
    with pytest.raises(DataError, match=r"x_train\[2, 0, 0, 1\] is an infinite value"):
        classes(make(x, LABELS), (1, 2, 2), (3,))


def test_fitted_checks_regression_targets() -> None:
    x = images((5, 7))
    with pytest.raises(DataError, match=r"targets of shape \[\] but .* \[3\] .*integers"):
        fitted(make(x, LABELS.astype(float)), {"x": (7,)}, (3,), "mse")
    with pytest.raises(DataError, match=r"y_train\[1\] is NaN"):
        fitted(make(x, np.array([0, np.nan, 0, 0, 0])), {"x": (7,)}, (1,), "mse")


@pytest.mark.parametrize("wanted", [(48,), (8, 6), (8, 6, 1), (1, 8, 6)])
def test_fitted_reshapes_where_there_is_one_meaning(wanted: tuple[int, ...]) -> None:
    data = make(images((5, 8, 6)), LABELS)
    result = classes(data, wanted, (3,))
    assert result.sample_shape == wanted
    assert result.x_test.shape == (5, *wanted)
    np.testing.assert_array_equal(result.x_train.ravel(), data.x_train.ravel())
    assert data.sample_shape == (8, 6)


@pytest.mark.parametrize("wanted", [(1, 6, 8), (2, 24), (3, 8, 6), (47,)])
def test_fitted_refuses_other_shapes(wanted: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"d.npz: x_train has samples of shape \[8, 6\] but"):
        classes(make(images((5, 8, 6)), LABELS), wanted, (3,))


# Labels of pixels -----------------------------------------------------------------------------

MASKS = (images((5, 8, 6)) > 127).astype(np.uint8)


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 1, 8, 6), (5, 8, 6, 1)])
def test_fitted_gives_labels_the_shape_of_the_output(shape: tuple[int, ...]) -> None:
    found = classes(make(images((5, 8, 6)), MASKS.reshape(shape)), (1, 8, 6), (2, 8, 6))
    np.testing.assert_array_equal(found.y_train, MASKS)
    np.testing.assert_array_equal(found.y_test, MASKS)


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 1, 8, 6)])
def test_fitted_gives_target_images_the_shape_of_the_output(shape: tuple[int, ...]) -> None:
    y = MASKS.reshape(shape).astype(np.float32)
    found = fitted(make(images((5, 8, 6)), y), {"x": (1, 8, 6)}, (1, 8, 6), "mse")
    np.testing.assert_array_equal(found.y_train, y.reshape(5, 1, 8, 6))


@pytest.mark.parametrize(
    ("y", "output", "message"),
    [
        (
            LABELS,
            (2, 8, 6),
            r"labels of shape \[\] a sample, .* \[2, 8, 6\]: a label for each pixel",
        ),
        (
            MASKS,
            (2, 4, 3),
            r"labels of shape \[8, 6\] a sample, .*, integers \[n, 4, 3\], is needed",
        ),
        (MASKS, (3,), r"labels of shape \[8, 6\] a sample, .* \[3\]: one label a sample, integers"),
        (MASKS.astype(float), (2, 8, 6), "floating-point targets, but .* cross-entropy"),
        (MASKS + 1, (2, 8, 6), r"y_train\[0, 0, \d\] is label 2, but the model has 2 outputs"),
    ],
)
def test_fitted_refuses_labels_of_another_shape(
    y: np.ndarray, output: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        classes(make(images((5, 8, 6)), y), (1, 8, 6), output)
    assert str(caught.value).startswith("d.npz: y_train")
    assert "\n" not in str(caught.value)
