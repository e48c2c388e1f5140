from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rpucc.errors import DataError
from rpucc.runtime.data import load_inputs

GREY = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6) * 5
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
UNIT = (0.0, 1.0)


def refused(path: Path, shape: tuple[int, ...], *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        load_inputs(path, shape, UNIT)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


@pytest.mark.parametrize(
    ("stored", "shape", "n"),
    [
        ((8, 6), (1, 8, 6), 1),
        ((1, 8, 6), (1, 8, 6), 1),
        ((4, 8, 6), (1, 8, 6), 4),
        ((4, 1, 8, 6), (1, 8, 6), 4),
        ((4, 8, 6, 3), (3, 8, 6), 4),
        ((8, 6, 3), (3, 8, 6), 1),
        ((48,), (48,), 1),
        ((4, 48), (48,), 4),
        ((4, 8, 6), (48,), 4),
        ((4, 2, 9), (2, 9), 4),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays(
    tmp_path: Path, stored: tuple[int, ...], shape: tuple[int, ...], n: int, suffix: str
) -> None:
    x = np.random.default_rng(2).integers(0, 256, stored).astype(np.uint8)
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(path, x)
    else:
        np.savez(path, other=np.zeros(3), x=x)
    said: list[str] = []
    result = load_inputs(path, shape, (-1.0, 1.0), said.append)
    assert len(said) == (stored[-1] != shape[-1] == 6)
    assert result.dtype == np.float32
    assert result.shape == (n, *shape)
    if stored[-1] == 3 and shape[0] == 3:
        x = np.moveaxis(x, -1, -3)
    np.testing.assert_allclose(result.ravel(), x.ravel() / 127.5 - 1, atol=1e-6)


def test_first_array_of_an_npz_and_floats(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    x = np.array([[0.5, -2.0]])
    np.savez(path, first=x, second=np.zeros(7))
    np.testing.assert_array_equal(load_inputs(str(path), (2,), UNIT), x)


def test_array_refusals(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    refused(path, (2,), "no such file")
    np.save(path, np.zeros((4, 9, 6), np.uint8))
    refused(path, (1, 8, 6), "has shape [4, 9, 6] but the model takes samples of shape [1, 8, 6]")
    np.save(path, np.array([[0.0, np.nan]]))
    refused(path, (2,), "[0, 1] is NaN")
    np.save(path, np.zeros((4, 2), np.int64))
    refused(path, (2,), "has type int64; pixels must be uint8")
    np.save(path, np.zeros((0, 2), np.uint8))
    refused(path, (2,), "is empty")
    path.write_bytes(path.read_bytes()[:20])
    refused(path, (2,), "damaged .npy header")
    np.save(path, np.zeros((4, 2), np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, (2,), "claims 8 bytes", "holds 7")
    path.write_bytes(b"")
    refused(path, (2,), "is empty")
    other = tmp_path / "x.jpeg"
    other.write_bytes(b"123")
    refused(other, (2,), "is not a PNG or JPEG image")
    empty = tmp_path / "x.npz"
    np.savez(empty)
    refused(empty, (2,), "holds no arrays")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_png_to_grey_and_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.png"
    image = Image.fromarray(COLOUR)
    if mode == "RGBA":
        image.putalpha(255)
    image = image.convert(mode)
    image.save(path)
    for channels, wanted in ((1, "L"), (3, "RGB")):
        result = load_inputs(path, (channels, 8, 6), UNIT)
        expected = np.asarray(image.convert(wanted)).reshape(8, 6, channels).transpose(2, 0, 1)
        np.testing.assert_allclose(result[0], expected / 255, atol=1e-6)
        assert result.dtype == np.float32


def test_png_pixels_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path)
    expected = GREY / 255
    np.testing.assert_allclose(load_inputs(path, (1, 8, 6), UNIT)[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(load_inputs(path, (48,), UNIT)[0], expected.ravel(), atol=1e-6)
    np.testing.assert_allclose(load_inputs(path, (3, 8, 6), UNIT)[0, 2], expected, atol=1e-6)


def test_png_of_16_bits_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY.astype(np.uint16) * 257).save(path)
    with Image.open(path) as image:
        assert image.mode.startswith("I")
    np.testing.assert_allclose(load_inputs(path, (1, 8, 6), UNIT)[0, 0], GREY / 255, atol=1e-6)


def test_png_refusals(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path)
    refused(path, (1, 6, 8), "is 6×8 pixels (width × height) but the model takes 8×6; resize")
    refused(path, (6, 8, 3), "is 6×8 pixels (width × height) but the model takes 8×6; resize")
    refused(path, (3, 8, 3), "but the model takes 3×8 or 8×3; resize")
    refused(path, (6, 8), "but the model takes 8×6; resize")
    refused(path, (784,), "6×8 = 48 pixels", "vector of 784")
    refused(path, (2, 8, 6), "shape [2, 8, 6]", "save the sample as .npy")
    good = path.read_bytes()
    path.write_bytes(good[:60])
    refused(path, (1, 8, 6), "truncated or damaged image")
    path.write_bytes(b"")
    refused(path, (1, 8, 6), "is not a PNG or JPEG image")
    Image.fromarray(GREY).save(path, format="BMP")
    refused(path, (1, 8, 6), "is not a PNG or JPEG image")
    see_through = Image.fromarray(COLOUR)
    see_through.putalpha(128)
    see_through.save(path)
    refused(path, (3, 8, 6), "transparent pixels; flatten")


def test_a_huge_png_is_refused_undecoded(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("1", (20000, 20000)).save(path)  # beyond Pillow's own limit
    refused(path, (1, 8, 6), "far too large")
    Image.new("1", (10000, 10000)).save(path)  # Pillow would warn
    refused(path, (1, 8, 6), "10000×10000 pixels")


def test_missing_pillow_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(path, (1, 8, 6), "needs Pillow", "pip install 'rpucc[image]'")


def test_slow_packages_are_imported_late() -> None:
    code = (
        "import sys, rpucc.runtime.data; "
        "print([m for m in ('PIL', 'pooch', 'requests', 'platformdirs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
