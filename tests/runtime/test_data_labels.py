"""Labels for each loss: which are taken, what becomes of them, and which refusal helps."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data import fitted_labels

from .test_data_dataset import images

BINARY = "binary-cross-entropy"
CLASSES = np.array([0, 2, 1, 0, 2])
MASKS = (images((5, 8, 6)) > 127).astype(np.uint8)
TYPES = ["int64", "uint8", "bool", "float32", "float64"]


def refused(y: np.ndarray, output: tuple[int, ...], loss: str, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        fitted_labels(y, output, loss, "d.npz: y_train")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("d.npz: y_train", *parts):
        assert part in message


# Classes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_one_hot_rows_of_any_type_are_classes(dtype: str) -> None:
    rows = np.eye(3)[CLASSES].astype(dtype)
    for loss in ("cross-entropy", "none"):
        found = fitted_labels(rows, (3,), loss, "y")
        assert found.dtype.kind == "i"
        assert found.tolist() == CLASSES.tolist()


@pytest.mark.parametrize("dtype", TYPES)
def test_one_hot_pixels_in_either_layout(dtype: str) -> None:
    labels = images((5, 8, 6)) % 3
    first = np.stack([labels == k for k in range(3)], 1).astype(dtype)
    last, said = np.moveaxis(first, 1, -1), list[str]()
    for rows in (first, last):
        found = fitted_labels(rows, (3, 8, 6), "cross-entropy", "y", said.append)
        np.testing.assert_array_equal(found, labels)
    assert len(said) == 1
    assert "channels last" in said[0]


def test_label_sets_are_refused_with_advice_that_can_be_followed() -> None:
    rows = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 1]])
    for dtype in TYPES:
        refused(rows.astype(dtype), (3,), "cross-entropy", "[1] holds 2 ones", f"--loss {BINARY}")
    rows[1] = 0
    refused(rows, (3,), "cross-entropy", "[1] holds no 1,", f"--loss {BINARY}")
    assert fitted_labels(rows, (3,), BINARY, "y").tolist() == rows.tolist()


def test_other_labels_for_classes_are_refused() -> None:
    refused(CLASSES.astype(float), (3,), "cross-entropy", "floating-point targets", "--loss mse")
    refused(np.ones((5, 3)) / 3, (3,), "cross-entropy", "floating-point targets", "--loss mse")
    refused(np.full((5, 3), 2), (3,), "cross-entropy", "one label a sample, integers [n], is")
    refused(CLASSES, (2,), "cross-entropy", "[1] is label 2, but the model has 2 outputs")
    refused(MASKS, (2, 4, 3), "cross-entropy", "integers [n, 4, 3], is needed")


# A 0 or 1 for each output -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("stored", [(5,), (5, 1)])
def test_a_single_output_takes_0_and_1_of_any_type(dtype: str, stored: tuple[int, ...]) -> None:
    y = np.array([0, 1, 1, 0, 1]).astype(dtype).reshape(stored)
    found = fitted_labels(y, (1,), BINARY, "y")
    assert found.shape == (5, 1)
    np.testing.assert_array_equal(found[:, 0], y.reshape(-1))


def test_masks_sets_and_targets_between_0_and_1() -> None:
    assert fitted_labels(MASKS, (1, 8, 6), BINARY, "y").shape == (5, 1, 8, 6)
    soft = np.array([[0.1, 0.9, 0.0], [1.0, 0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(fitted_labels(soft, (3,), BINARY, "y"), soft)


def test_what_is_neither_0_nor_1_is_refused_in_words_for_one_output() -> None:
    refused(CLASSES, (1,), BINARY, "[1] is label 2,", "labels 0 and 1; 2 of 5 are others")
    refused(CLASSES - 1, (1,), BINARY, "[0] is label -1,", "renumber them")
    refused(CLASSES / 1.0, (1,), BINARY, "[1] is 2,", "targets from 0 to 1")
    refused(np.array([0, np.nan, 1]), (1,), BINARY, "[1] is NaN")
    refused(CLASSES, (3,), BINARY, "outputs [3]", "compile with --loss cross-entropy")
    refused(
        np.zeros((5, 4), int), (3,), BINARY, "labels of shape [4] but the model's output is [3]"
    )


# Targets ----------------------------------------------------------------------------------------


def test_targets_take_the_shape_and_layout_of_the_output() -> None:
    y = images((5, 8, 6, 3), "float32")
    said: list[str] = []
    found = fitted_labels(y, (3, 8, 6), "mse", "y", said.append)
    np.testing.assert_array_equal(found, y.transpose(0, 3, 1, 2))
    assert len(said) == 1
    np.testing.assert_array_equal(
        fitted_labels(y[..., 0], (48,), "mse", "y"), y[..., 0].reshape(5, 48)
    )


def test_integers_for_mse_name_the_loss_that_takes_them() -> None:
    refused(CLASSES, (3,), "mse", "integer labels", "--loss cross-entropy")
    refused(CLASSES % 2, (1,), "mse", "integer labels", f"--loss {BINARY}")
    refused(np.eye(3, dtype=int), (3,), "mse", "integer labels", f"--loss {BINARY}")
    refused(CLASSES / 1.0, (3,), "mse", "targets of shape [] but the model's output is [3]")


# A program without a loss -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "output", "shape"),
    [
        (CLASSES, (3,), (5,)),
        (MASKS, (2, 8, 6), (5, 8, 6)),
        (CLASSES % 2, (1,), (5, 1)),
        (np.array([[1, 0, 1], [0, 0, 0]]), (3,), (2, 3)),
        (np.ones((5, 3)) / 3, (3,), (5, 3)),
    ],
)
def test_without_a_loss_the_labels_say_what_they_are(
    y: np.ndarray, output: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    assert fitted_labels(y, output, "none", "y").shape == shape
