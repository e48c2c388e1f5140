from __future__ import annotations

import runpy
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from rpucc.models.data import mnist_mini_path
from rpucc.runtime.data import load_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_mnist_mini.py"


def test_the_file_is_plain_and_small() -> None:
    path = mnist_mini_path()
    assert path.stat().st_size < 1_500_000
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"x_train", "y_train", "x_test", "y_test"}
        assert all(array.dtype == np.uint8 for array in arrays.values())
        assert arrays["x_train"].shape == (6000, 28, 28)
        assert arrays["x_test"].shape == (1000, 28, 28)
    licence = (path.parent / "LICENSE-DATA.md").read_text(encoding="utf-8")
    for part in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0"):
        assert part in licence


def test_it_is_balanced_and_shuffled() -> None:
    data = load_dataset("mnist-mini")
    assert data.name == "mnist-mini"
    assert data.sample_shape == (1, 28, 28)
    assert data.classes == 10
    assert data.x_train.dtype == np.uint8
    assert np.bincount(data.y_train).tolist() == [600] * 10
    assert np.bincount(data.y_test).tolist() == [100] * 10
    for start in range(0, 6000, 500):  # each stretch of 500 holds about 50 of each digit
        counts = np.bincount(data.y_train[start : start + 500], minlength=10)
        assert counts.min() > 25
        assert counts.max() < 80


def test_the_parts_share_no_image_and_repeat_none() -> None:
    data = load_dataset("mnist-mini")
    train = {image.tobytes() for image in data.x_train}
    test = {image.tobytes() for image in data.x_test}
    assert len(train) == 6000
    assert len(test) == 1000
    assert not train & test


def test_the_script_reproduces_it(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "mnist.npz"
    if not source.is_file():
        pytest.skip("the full MNIST is absent")
    output = tmp_path / "mini.npz"
    script = runpy.run_path(str(SCRIPT))
    assert script["main"]([str(source), "-o", str(output)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mini.npz"]
    with zipfile.ZipFile(output) as new, zipfile.ZipFile(mnist_mini_path()) as old:
        assert new.namelist() == old.namelist()
        for name in new.namelist():
            assert new.read(name) == old.read(name)
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:  # zlib-ng compresses to other bytes
        assert output.read_bytes() == mnist_mini_path().read_bytes()


def test_it_equals_images_of_the_full_set(shared: Path) -> None:
    source = shared / "data" / "mnist.npz"
    if not source.is_file():
        pytest.skip("the full MNIST is absent")
    full, mini = load_dataset(source), load_dataset("mnist-mini")
    for part in ("train", "test"):
        x, y = getattr(full, f"x_{part}"), getattr(full, f"y_{part}")
        known = {(image.tobytes(), int(label)) for image, label in zip(x, y, strict=True)}
        pairs = zip(getattr(mini, f"x_{part}"), getattr(mini, f"y_{part}"), strict=True)
        assert all((image.tobytes(), int(label)) in known for image, label in pairs)
