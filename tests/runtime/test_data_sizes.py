"""Sizes that a model leaves open, as the data have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data.sizes import Sizes, filled, filled_by_inputs

OPEN = (3, None, None)


@pytest.mark.parametrize(
    ("stated", "sample", "expected"),
    [
        (OPEN, (3, 8, 6), (3, 8, 6)),
        (OPEN, (8, 6, 3), (3, 8, 6)),
        ((None, None, 3), (8, 6, 3), (8, 6, 3)),
        ((1, None, None), (8, 6), (1, 8, 6)),
        ((None, None, 1), (8, 6), (8, 6, 1)),
        ((None,), (12,), (12,)),
        (OPEN, (2, 8, 6), None),
        (OPEN, (8, 6), None),
        ((3, 8, None), (3, 7, 6), None),
    ],
)
def test_filled(stated: Sizes, sample: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    assert filled(stated, sample) == expected


@pytest.mark.parametrize("shape", [(5, 3, 8, 6), (3, 8, 6), (5, 8, 6, 3), (8, 6, 3)])
def test_one_sample_or_many(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    assert filled_by_inputs(OPEN, tmp_path / "x.npy") == (3, 8, 6)
    np.savez(tmp_path / "x.npz", x=np.zeros(shape, np.float32))
    assert filled_by_inputs(OPEN, tmp_path / "x.npz") == (3, 8, 6)


def test_grey_images_are_many(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 6), np.uint8))
    assert filled_by_inputs((1, None, None), tmp_path / "x.npy") == (1, 8, 6)


def test_the_test_part_of_a_data_set(tmp_path: Path) -> None:
    x = np.zeros((4, 3, 8, 6))
    np.savez(tmp_path / "d.npz", y_train=np.zeros(4), x_train=x, y_test=np.zeros(4), x_test=x)
    assert filled_by_inputs(OPEN, tmp_path / "d.npz") == (3, 8, 6)


def test_images(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    Image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(tmp_path / "x.png")
    assert filled_by_inputs(OPEN, tmp_path / "x.png") == (3, 8, 6)
    assert filled_by_inputs((1, None, None), tmp_path / "x.png") == (1, 8, 6)
    assert filled_by_inputs((None, None, 3), tmp_path / "x.png") == (8, 6, 3)
    (tmp_path / "y.png").write_bytes(b"no image")  # which reading it will say
    assert filled_by_inputs(OPEN, tmp_path / "y.png") is None
    assert filled_by_inputs(OPEN, __file__) is None


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        filled_by_inputs(OPEN, tmp_path / "x.npy")
