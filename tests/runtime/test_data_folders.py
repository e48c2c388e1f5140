"""Folders of PNG and JPEG files, a folder for each class: what becomes of them, what is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rpucc.errors import DataError
from rpucc.runtime.data import fitted, image_folder, load_dataset, load_run_inputs

GREY = np.arange(48, dtype=np.uint8).reshape(8, 6)
COLOUR = np.arange(144, dtype=np.uint8).reshape(8, 6, 3)


def image(path: Path, pixels: Any = GREY, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    found.save(path, **options)
    return path


def classes(folder: Path, names: str = "cat dog owl", n: int = 3, start: int = 0) -> Path:
    """Grey images whose first pixel says which they are."""
    for c, name in enumerate(names.split()):
        for i in range(n):
            pixels = GREY.copy()
            pixels[0, 0] = start + 10 * c + i
            image(folder / name / f"{i}.png", pixels)
    return folder


def refused(spec: object, *parts: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(spec, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_parts_in_folders(tmp_path: Path) -> None:
    classes(tmp_path / "train", n=3)
    classes(tmp_path / "test", "dog owl", n=2, start=100)
    data = load_dataset(tmp_path)
    assert data.x_train.shape == (9, 1, 8, 6)
    assert data.x_train[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert data.y_train.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.x_test[:, 0, 0, 0].tolist() == [100, 101, 110, 111]
    assert data.y_test.tolist() == [1, 1, 2, 2]
    assert data.class_names == ("cat", "dog", "owl")
    assert data.notes == (f"{tmp_path}: 3 classes, numbered by name: cat 0, dog 1, owl 2",)
    (tmp_path / "test").rename(tmp_path / "val")
    assert load_dataset(tmp_path).y_test.tolist() == [1, 1, 2, 2]


def test_of_one_level_the_last_tenth_of_each_class_is_the_test_part(tmp_path: Path) -> None:
    classes(tmp_path, "b a", n=20)
    data = load_dataset(str(tmp_path))
    assert data.class_names == ("a", "b")
    assert data.y_test.tolist() == [0, 0, 1, 1]
    assert data.x_test[:, 0, 0, 0].tolist() == [18, 19, 8, 9]  # by file name: 10, 11, …, 8, 9
    assert "the last tenth of each class, by file name, is the test part" in data.notes[1]


def test_jpeg_and_files_in_deeper_folders(tmp_path: Path) -> None:
    image(tmp_path / "a" / "1.jpg", COLOUR, quality=95)
    image(tmp_path / "a" / "deep" / "2.JPEG", COLOUR, quality=95)
    image(tmp_path / "b" / "1.png", COLOUR)
    image(tmp_path / "b" / "2.png", COLOUR)
    data = load_dataset(tmp_path)
    assert data.x_train.shape == (2, 3, 8, 6)
    np.testing.assert_array_equal(data.x_test[1], COLOUR.transpose(2, 0, 1))
    assert np.abs(data.x_train[0].astype(int) - COLOUR.transpose(2, 0, 1)).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_mode_becomes_what_the_model_takes(tmp_path: Path, mode: str) -> None:
    kind = "jpg" if mode == "CMYK" else "png"
    found = Image.fromarray(COLOUR).convert(mode)
    for name in ("a/1", "a/2", "b/1"):
        image(tmp_path / f"{name}.{kind}", found)
    grey = load_dataset(tmp_path, inputs={"x": (1, 8, 6)})
    rgb = load_dataset(tmp_path, inputs={"x": (3, 8, 6)})
    last = load_dataset(tmp_path, inputs={"x": (8, 6, 3)})
    assert grey.x_train.shape[1:] == (1, 8, 6)
    assert rgb.x_train.shape[1:] == last.x_train.shape[1:] == (3, 8, 6)
    with Image.open(tmp_path / f"a/1.{kind}") as stored:
        np.testing.assert_array_equal(grey.x_train[0, 0], stored.convert("L"))
        np.testing.assert_array_equal(rgb.x_train[0].transpose(1, 2, 0), stored.convert("RGB"))
    own = load_dataset(tmp_path).x_train.shape[1]
    assert own == (1 if mode in ("1", "L", "LA") else 3)
    lines: list[str] = []
    fitted(last, {"x": (8, 6, 3)}, (2,), "cross-entropy", lines.append)
    assert ("turned to grey" in " ".join(grey.notes)) == (own == 3)
    assert ("in all three channels" in " ".join(rgb.notes)) == (own == 1)


def test_grey_among_colours_and_16_bits(tmp_path: Path) -> None:
    image(tmp_path / "a" / "1.png", GREY.astype(np.uint16) * 257)
    image(tmp_path / "a" / "2.png", COLOUR)
    image(tmp_path / "b" / "1.png", GREY)
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(data.x_train[0], np.stack([GREY] * 3))
    assert f"{tmp_path}: 2 of 3 images are grey, and have it in all three channels" in data.notes


def test_the_exif_orientation_is_heeded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the first row is the right side
    for name in ("1", "2"):
        image(tmp_path / "a" / f"{name}.png", GREY)
        image(tmp_path / "b" / f"{name}.png", np.ascontiguousarray(np.rot90(GREY)), exif=exif)
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(data.x_train[1], data.x_train[0])
    assert "2 of 4 images are turned as their EXIF orientation says" in " ".join(data.notes)
    sideways = image(tmp_path / "s.jpg", np.zeros((4, 9), np.uint8), exif=exif)
    assert load_run_inputs(sideways, {"x": (1, 9, 4)}, (0, 1)).samples == 1


def test_another_size_is_refused_with_the_way_out(tmp_path: Path) -> None:
    classes(tmp_path)
    odd = image(tmp_path / "dog" / "9.png", np.zeros((5, 7), np.uint8))
    refused(
        tmp_path,
        f"{odd} is 7×5 pixels (width × height) but {tmp_path / 'cat' / '0.png'} 6×8; resize them",
        f"or write {tmp_path}:6x8",
    )
    data = load_dataset(f"{tmp_path}:6x8")
    assert data.x_train.shape[2:] == (8, 6)
    assert (
        f"{tmp_path}: 1 of 10 images are resized to 6×8, whatever their proportions" in data.notes
    )
    assert load_dataset(f"{tmp_path}:3×4").x_test.shape == (3, 1, 4, 3)


def test_the_size_of_the_model_is_the_way_out(tmp_path: Path) -> None:
    classes(tmp_path)
    for shape in ((1, 4, 5), (4, 5)):
        refused(
            tmp_path,
            f"0.png is 6×8 pixels (width × height) but the model takes 5×4; resize it first, or "
            f"write {tmp_path}:5x4",
            inputs={"x": shape},
        )
    assert load_dataset(f"{tmp_path}:5x4", inputs={"x": (1, 4, 5)}).sample_shape == (1, 4, 5)
    refused(tmp_path, "but the model takes a vector of 47", inputs={"x": (47,)})
    refused(tmp_path, "shape [2, 8, 6]; an image can only be", inputs={"x": (2, 8, 6)})
    for wrong in ("6", "6x", "0x4", "6x8x3", "1e3x4"):
        refused(f"{tmp_path}:{wrong}", "WIDTHxHEIGHT, as in photos:32x32")


def test_damaged_and_transparent_images_are_named(tmp_path: Path) -> None:
    classes(tmp_path)
    bad = tmp_path / "dog" / "1.png"
    good = bad.read_bytes()
    bad.write_bytes(good[:50])
    refused(tmp_path, f"{bad} is a truncated or damaged image")
    bad.write_bytes(b"text")
    refused(tmp_path, f"{bad} is not a PNG or JPEG image")
    bad.write_bytes(good[:-30])
    refused(tmp_path, f"{bad} is a truncated or damaged image")
    clear = Image.fromarray(COLOUR)
    clear.putalpha(100)
    image(bad, clear)
    refused(tmp_path, f"{bad} has transparent pixels; flatten it")


def test_what_is_no_image_is_left_out_and_said(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "dog" / ".DS_Store").write_text("x")
    data = load_dataset(tmp_path)
    said = f"{tmp_path}: 2 files are no .png or .jpg and left out, such as cat/notes.txt"
    assert said in data.notes
    assert len(data.class_names) == 3


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    refused(tmp_path, "holds no data set; expected IDX files")
    image(tmp_path / "1.png")
    refused(tmp_path, "its images lie in no folder of a class; expected FOLDER/train/CLASS/*.png")
    refused(tmp_path / "1.png", "is a single image; name the folder of images")
    classes(tmp_path)
    (tmp_path / "empty").mkdir()
    refused(tmp_path, f"{tmp_path / 'empty'} holds no .png or .jpg file, but a folder is a class")
    (tmp_path / "empty").rmdir()
    classes(tmp_path / "tree" / "train", n=1)
    refused(tmp_path / "tree", "3 images are too few for a training and a test part")
    classes(tmp_path / "tree" / "test", "cat eel", n=1)
    refused(
        tmp_path / "tree",
        f"{tmp_path / 'tree' / 'test' / 'eel'}: a class that the training part has no images of; "
        "its classes are cat, dog, owl",
    )


def test_too_many_pixels_are_refused_undecoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path)
    monkeypatch.setattr(image_folder, "MAX_BYTES", 400)
    refused(tmp_path, "9 images of 1×8×6 are 432 bytes; the limit is 400: save them once as .npy")


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused(tmp_path, "needs Pillow", "pip install 'rpucc[image]'")


def test_run_takes_folders_of_images(tmp_path: Path) -> None:
    classes(tmp_path / "split", n=20)
    lines: list[str] = []
    found = load_run_inputs(tmp_path / "split", {"x": (1, 8, 6)}, (0.0, 255.0), lines.append)
    assert (found.samples, found.part) == (6, "its test part")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert "cat 0, dog 1, owl 2" in lines[0]
    image(tmp_path / "flat" / "b.png", COLOUR)
    image(tmp_path / "flat" / "a.png", GREY)
    flat = load_run_inputs(tmp_path / "flat", {"x": (1, 8, 6)}, (0.0, 255.0), lines.append)
    assert (flat.samples, flat.part, flat.labels) == (2, "its images, by name", None)
    np.testing.assert_array_equal(flat.x[0, 0], GREY)  # type: ignore[index]
    small = load_run_inputs(f"{tmp_path / 'flat'}:3x4", {"x": (1, 4, 3)}, (0, 1), lines.append)
    assert small.samples == 2
