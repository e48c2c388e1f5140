"""Data sets in safetensors files and in folders of .npy files, which are archives as .npz is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rpucc.errors import DataError
from rpucc.runtime.data import load_dataset, load_inputs, load_run_inputs, load_samples

X = np.arange(20 * 6, dtype=np.uint8).reshape(20, 2, 3)
Y = np.arange(20, dtype=np.int64) % 4
SPLIT = {"x_train": X, "y_train": Y, "x_test": X[:3], "y_test": Y[:3]}


def saved(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays as safetensors, or as a folder of .npy files where the name has no ending."""
    if path.suffix:
        save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, path)
        return path
    path.mkdir()
    for key, each in arrays.items():
        np.save(path / f"{key}.npy", each)
    return path


@pytest.mark.parametrize("name", ["data.safetensors", "data"])
def test_both_forms_of_a_data_set(tmp_path: Path, name: str) -> None:
    data = load_dataset(saved(tmp_path / name, SPLIT | {"other": X}))
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.y_test, Y[:3])
    (tmp_path / "whole").mkdir()
    whole = load_dataset(saved(tmp_path / "whole" / name, {"x": X, "y": Y}))
    np.testing.assert_array_equal(whole.x_test, X[18:])
    (tmp_path / "wrong").mkdir()
    with pytest.raises(DataError, match=rf"{name} holds the arrays 'a'; expected x_train"):
        load_dataset(saved(tmp_path / "wrong" / name, {"a": X}))


@pytest.mark.parametrize("name", ["data.safetensors", "data"])
def test_several_inputs_and_what_run_takes(tmp_path: Path, name: str) -> None:
    inputs = {"a": (2, 3), "b": (6,)}
    arrays = {f"{each}_{part}": X for each in inputs for part in ("train", "test")}
    path = saved(tmp_path / name, arrays | {"y_train": Y, "y_test": Y})
    assert list(load_dataset(path, inputs=inputs).sample_shape) == ["a", "b"]
    found = load_samples(path, inputs, (0.0, 255.0))
    np.testing.assert_array_equal(found["b"], X.reshape(20, 6))
    (tmp_path / "one").mkdir()
    one = saved(tmp_path / "one" / name, SPLIT)
    np.testing.assert_array_equal(load_inputs(one, (2, 3), (0.0, 255.0)), X[:3])
    run = load_run_inputs(one, {"x": (2, 3)}, (0.0, 1.0))
    assert (run.part, run.samples, list(run.labels)) == ("its test part, x_test", 3, [0, 1, 2])


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"])
def test_types_of_labels(tmp_path: Path, dtype: str) -> None:
    y = (Y % 2).astype(dtype)
    data = load_dataset(saved(tmp_path / "d.safetensors", {"x": X, "y": y}))
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), Y % 2)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_types_of_samples(tmp_path: Path, dtype: str) -> None:
    x = (X / 256).astype(dtype)
    data = load_dataset(saved(tmp_path / "d.safetensors", {"x": x, "y": Y}))
    assert data.x_train.dtype == dtype
    np.testing.assert_array_equal(data.x_test, x[18:])


def written(path: Path, header: object, data: bytes = bytes(4)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4)) -> object:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}, "y": {}}


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (b"", "is not a safetensors file: its header is no JSON"),
        (b"{", "header is no JSON"),
        (b"[" * 100_000, "header is no JSON"),
        (b"[]", "header is no JSON object"),
        ({}, "holds no arrays; save the samples with safetensors.numpy.save_file"),
        (entry("BF16"), "array 'x' has type 'BF16'; BOOL, U8"),
        (entry(3), "array 'x' has a damaged header"),
        (entry(shape=[-4]), "array 'x' has a damaged header"),
        (entry(shape=[True]), "array 'x' has a damaged header"),
        (entry(offsets=[0]), "U8 [4] at bytes [0], of 4; the file is cut off or damaged"),
        (entry(offsets=[0, 5], shape=[5]), "at bytes [0, 5], of 4"),
        (entry(offsets=[2**70, 2**70 + 4]), "cut off or damaged"),
        (entry(shape=[1] * 60 + [4]), "cut off or damaged"),
    ],
)
def test_hostile_headers(tmp_path: Path, header: object, part: str) -> None:
    path = written(tmp_path / "d.safetensors", header)
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert part in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_longer_than_its_file(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    path.write_bytes(b"\xff" * 8 + bytes(20))
    with pytest.raises(DataError, match="announce a header of 18,446,744,073,709,551,615 bytes"):
        load_dataset(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is not a safetensors file, or cut off"):
        load_dataset(path)
