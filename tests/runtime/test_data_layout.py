"""Which axes of stored samples are channels: decided by the model's shape, and said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rpucc.errors import DataError, DataWarning
from rpucc.runtime.data import arranged, fitted, load_inputs

from .test_data_dataset import LABELS, images, make

AS_STORED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((8, 6, 3), (8, 6, 3)),
    ((3, 8, 6), (3, 8, 6)),
    ((3, 8, 3), (3, 8, 3)),  # height and channels alike: the model's own shape
    ((3, 3, 3), (3, 3, 3)),
    ((8, 6), (1, 8, 6)),
    ((8, 6), (8, 6, 1)),
    ((8, 6), (8, 6)),
    ((8, 6, 1), (1, 8, 6)),
    ((1, 8, 6), (8, 6, 1)),
    ((8, 6, 1), (8, 6)),
    ((12,), (1, 12)),
    ((1, 12), (12, 1)),
    ((9, 12), (9, 12)),
    ((5, 4, 8, 6), (5, 4, 8, 6)),
    ((5, 8, 6), (1, 5, 8, 6)),
    ((8, 6), (48,)),
    ((1, 8, 6), (48,)),
    ((48,), (1, 8, 6)),
]
TURNED = [
    ((8, 6, 3), (3, 8, 6), (0, 3, 1, 2), "channels last"),
    ((8, 8, 3), (3, 8, 8), (0, 3, 1, 2), "channels last"),
    ((8, 6, 5), (5, 8, 6), (0, 3, 1, 2), "channels last"),
    ((3, 8, 6), (8, 6, 3), (0, 2, 3, 1), "channels first"),
    ((3, 8, 8), (8, 8, 3), (0, 2, 3, 1), "channels first"),
    ((5, 8, 6, 2), (2, 5, 8, 6), (0, 4, 1, 2, 3), "channels last"),
    ((2, 5, 8, 6), (5, 8, 6, 2), (0, 2, 3, 4, 1), "channels first"),
    ((1, 8, 3), (3, 1, 8), (0, 3, 1, 2), "channels last"),
    ((8, 1, 8), (8, 8, 1), (0, 3, 1, 2), "channels last"),  # an image of one column, 8 channels
]


@pytest.mark.parametrize(("stored", "wanted"), AS_STORED)
def test_what_can_mean_one_thing_is_taken_without_a_word(
    stored: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    x = images((5, *stored))
    found = arranged(x, wanted, "x")  # a note would be a warning, and so an error
    assert found.shape == (5, *wanted)
    np.testing.assert_array_equal(found.ravel(), x.ravel())


@pytest.mark.parametrize(("stored", "wanted", "order", "said"), TURNED)
def test_channels_on_the_other_side_are_moved_and_said(
    stored: tuple[int, ...], wanted: tuple[int, ...], order: tuple[int, ...], said: str
) -> None:
    x = images((5, *stored))
    with pytest.warns(DataWarning) as caught:
        found = arranged(x, wanted, "d.npz: x_train")
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, x.transpose(order))
    (line,) = (str(each.message) for each in caught)
    assert line == (
        f"d.npz: x_train: samples {list(stored)} are taken as {said} and transposed to the model's "
        f"{list(wanted)}"
    )


@pytest.mark.parametrize(
    ("stored", "wanted", "said"),
    [
        ((4, 4, 3), (48,), "save x.transpose(0, 3, 1, 2)"),
        ((3, 4, 4), (48,), "save x.transpose(0, 2, 3, 1)"),
        ((2, 4, 4, 3), (96,), "save x.transpose(0, 2, 3, 4, 1)"),
        ((48,), (3, 4, 4), "if they hold another order, save them as images"),
    ],
)
def test_an_order_that_cannot_be_known_is_said(
    stored: tuple[int, ...], wanted: tuple[int, ...], said: str
) -> None:
    x, lines = images((5, *stored)), list[str]()
    found = arranged(x, wanted, "x.npy", lines.append)
    np.testing.assert_array_equal(found, x.reshape(5, *wanted))
    assert len(lines) == 1
    assert said in lines[0]
    assert "last axis varying fastest" in lines[0]


@pytest.mark.parametrize(
    ("stored", "wanted", "advice"),
    [
        ((12, 9), (9, 12), r"save x\.transpose\(0, 2, 1\)"),  # a signal, or an image on its side
        ((6, 8, 3), (8, 6, 3), r"save x\.transpose\(0, 2, 1, 3\)"),
        ((8, 3, 6), (3, 8, 6), r"save x\.transpose\(0, 2, 1, 3\)"),
        ((8, 6), (3, 8, 6), "resize or reshape the data"),
        ((8, 6, 3), (1, 8, 6), "resize or reshape the data"),
        ((8, 6, 3), (145,), "resize or reshape the data"),
    ],
)
def test_anything_else_is_refused_by_the_stored_shape(
    stored: tuple[int, ...], wanted: tuple[int, ...], advice: str
) -> None:
    with pytest.raises(DataError, match=advice) as caught:
        arranged(images((5, *stored)), wanted, "x")
    assert f"shape {list(stored)} but the model takes {list(wanted)}" in str(caught.value)


@pytest.mark.parametrize("wanted", [(8, 6, 3), (3, 8, 6)])
@pytest.mark.parametrize("stored", [(8, 6, 3), (3, 8, 6)])
def test_a_data_set_is_fitted_and_said_once(
    stored: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    lines: list[str] = []
    data = make(images((5, *stored)), LABELS)
    found = fitted(data, {"x": wanted}, (3,), "cross-entropy", lines.append)
    assert found.x_train.shape == found.x_test.shape == (5, *wanted)
    assert len(lines) == (stored != wanted)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("stored", "wanted", "order"),
    [
        ((8, 6, 3), (8, 6, 3), (0, 1, 2, 3)),
        ((3, 8, 6), (8, 6, 3), (0, 2, 3, 1)),
        ((8, 6, 3), (3, 8, 6), (0, 3, 1, 2)),
        ((8, 6), (8, 6, 1), (0, 1, 2)),
        ((8, 6, 3), (144,), (0, 1, 2, 3)),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_inputs_of_every_layout(
    tmp_path: Path,
    suffix: str,
    dtype: str,
    stored: tuple[int, ...],
    wanted: tuple[int, ...],
    order: tuple[int, ...],
    alone: bool,
) -> None:
    x = images((1 if alone else 4, *stored), "uint8")
    pixels = x if dtype == "uint8" else (x / 127.5 - 1).astype(np.float32)
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(path, pixels[0] if alone else pixels)
    else:
        np.savez(path, x=pixels[0] if alone else pixels)
    found = load_inputs(path, wanted, (-1.0, 1.0), list[str]().append)
    expected = (x / 127.5 - 1).transpose(order).reshape(len(x), *wanted)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "wanted", [(3, 8, 6), (8, 6, 3), (144,), (1, 8, 6), (8, 6, 1), (8, 6), (48,)]
)
def test_a_picture_for_every_layout(tmp_path: Path, wanted: tuple[int, ...]) -> None:
    pixels, lines = images((8, 6, 3)), list[str]()
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = load_inputs(tmp_path / "x.png", wanted, (0.0, 255.0), lines.append)
    if math.prod(wanted) == 48:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    expected = pixels.transpose(2, 0, 1) if wanted[0] == 3 else pixels
    np.testing.assert_allclose(found[0], expected.reshape(wanted), atol=1e-4)
    assert len(lines) == (wanted == (144,))
