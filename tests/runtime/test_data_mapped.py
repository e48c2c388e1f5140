"""Large arrays stay in their files: the same bits as read ones, and little memory."""

from __future__ import annotations

import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

import rpucc
from rpucc.errors import DataError
from rpucc.runtime.data import Dataset, load_dataset, mapped, npy

from .small import tiny_cnn

N = 40
TARGET = "rpu-managed"


def arrays(x: np.ndarray) -> dict[str, np.ndarray]:
    labels = np.arange(len(x)) % 3
    return {"x_train": x, "y_train": labels, "x_test": x[:8], "y_test": labels[:8]}


def as_npz(folder: Path, found: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "d.npz", **found)
    return folder / "d.npz"


def as_npy(folder: Path, found: dict[str, np.ndarray]) -> Path:
    for key, each in found.items():
        np.save(folder / f"{key}.npy", each)
    return folder


def as_safetensors(folder: Path, found: dict[str, np.ndarray]) -> Path:
    save_file({k: np.ascontiguousarray(v) for k, v in found.items()}, folder / "d.safetensors")
    return folder / "d.safetensors"


def as_idx(folder: Path, found: dict[str, np.ndarray]) -> Path:
    codes = {"u1": 0x08, "f4": 0x0D, "f8": 0x0E}
    for part, key in (("train", "train"), ("t10k", "test")):
        for kind, each in (("images", found[f"x_{key}"]), ("labels", found[f"y_{key}"])):
            each = each.astype("u1") if kind == "labels" else each
            code = codes[each.dtype.str[1:]]
            header = struct.pack(f">HBB{each.ndim}I", 0, code, each.ndim, *each.shape)
            axes = 3 if kind == "images" else 1
            content = header + each.astype(each.dtype.newbyteorder(">")).tobytes()
            (folder / f"{part}-{kind}-idx{axes}-ubyte").write_bytes(content)
    return folder


SAVERS = [as_npz, as_npy, as_safetensors, as_idx]
Saver = Callable[[Path, dict[str, np.ndarray]], Path]


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "LARGE", 1)


def trained(data: Dataset) -> tuple[list[np.ndarray], float, float]:
    machine = rpucc.Machine(rpucc.compile(tiny_cnn(), TARGET, verify=False), seed=1)
    trainer = rpucc.Trainer(machine)
    metrics = trainer.fit(data, epochs=2, batch_size=3, lr=0.1)[-1]
    return list(machine.state().values()), metrics.test_loss, trainer.predict(data).sum()


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", ">f4"])
def test_mapped_arrays_train_to_the_bits_of_read_ones(
    tmp_path: Path, save: Saver, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dtype == ">f4" and save is as_safetensors:
        pytest.skip("the format has one byte order")
    x = np.random.default_rng(0).integers(0, 256, (N, 1, 8, 8))
    x = x.astype("u1") if dtype == "u1" else (x / 255).astype(dtype)
    path = save(tmp_path, arrays(x))
    read = load_dataset(path)
    assert not mapped.is_large(read.x_train)
    weights = trained(read)
    monkeypatch.setattr(mapped, "LARGE", 1)
    found = load_dataset(path)
    assert mapped.is_large(found.x_train)
    again = trained(found)
    for one, other in zip(weights[0], again[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert weights[1:] == again[1:]


def test_channels_last_are_turned_batch_by_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]> net (float[N,3,4,6] x) => (float[N,3] y)
        { f = Flatten (x)  y = MatMul (f, W) }
    """)
    weights = np.random.default_rng(1).normal(size=(72, 3)).astype("f4") / 10
    network.graph.initializer.append(onnx.numpy_helper.from_array(weights, "W"))
    x = np.random.default_rng(0).integers(0, 256, (N, 4, 6, 3)).astype(np.uint8)
    path = as_npy(tmp_path, arrays(x))
    results = []
    for large in (1 << 30, 1):
        monkeypatch.setattr(mapped, "LARGE", large)
        machine = rpucc.Machine(rpucc.compile(network, TARGET, verify=False), seed=1)
        with pytest.warns(rpucc.DataWarning, match="taken as channels last and transposed"):
            rpucc.Trainer(machine).fit(load_dataset(path), epochs=1, batch_size=3, lr=0.1)
        results.append(machine.arrays[next(iter(machine.arrays))].weights)
    np.testing.assert_array_equal(*results)


def saved(folder: Path, x: np.ndarray) -> Path:
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


@pytest.mark.usefixtures("everything_is_large")
def test_what_cannot_be_mapped_is_read(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.uint8).reshape(4, 6)
    np.savez_compressed(tmp_path / "packed.npz", x=x, y=np.arange(4) % 2)
    assert not mapped.is_large(load_dataset(tmp_path / "packed.npz").x_train)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))
    assert not mapped.is_large(npy.read_npy_file(tmp_path / "fortran.npy"))


def test_only_what_cannot_be_mapped_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.zeros((50, 100), np.uint8)
    for module in (npy, rpucc.runtime.data.npz):
        monkeypatch.setattr(module, "MAX_BYTES", 2000)
    monkeypatch.setattr(mapped, "LARGE", 1000)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(50) % 2)
    assert mapped.is_large(load_dataset(tmp_path / "d.npz").x_train)
    np.savez_compressed(tmp_path / "p.npz", x=x, y=np.arange(50) % 2)
    with pytest.raises(DataError, match=r"limit is 2,000: .*uncompressed.*\(np.savez\)"):
        load_dataset(tmp_path / "p.npz")
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    with pytest.raises(DataError, match=r"limit is 2,000: store it in C order"):
        npy.read_npy_file(tmp_path / "f.npy")


@pytest.mark.usefixtures("everything_is_large")
def test_a_nan_in_a_map_is_found_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "PART", 700)
    x = np.zeros((N, 1, 8, 8), np.float32)
    x[21, 0, 3, 4] = np.nan
    x[35, 0, 1, 1] = np.inf
    data = load_dataset(as_npy(tmp_path, arrays(x)))
    with pytest.raises(DataError, match=r"x_train\[21, 0, 3, 4\] is NaN \(2 of 2560 values"):
        trained(data)


@pytest.mark.usefixtures("everything_is_large")
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((4, 6), np.uint8))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"claims 24 bytes .* but holds 21"):
        npy.read_npy_file(path)


@pytest.mark.usefixtures("everything_is_large")
def test_a_member_of_an_archive_begins_behind_its_own_header(tmp_path: Path) -> None:
    x = np.arange(60, dtype=np.uint8).reshape(10, 6)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(10) % 2)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as out:
        for key in "yx":
            info = zipfile.ZipInfo(f"{key}.npy")
            info.extra = struct.pack("<HH", 0x9999, 5) + b"extra"
            out.writestr(info, (tmp_path / f"{key}.npy").read_bytes())
    np.testing.assert_array_equal(load_dataset(tmp_path / "d.npz").x_train, x[:9])


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_training_on_a_map_takes_little_memory(
    tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is allocated is counted, not what the system keeps of the file: 48 MB, of bytes 16."""
    monkeypatch.setattr(mapped, "LARGE", 1 << 20)
    monkeypatch.setattr(mapped, "PART", 1 << 20)
    size = np.dtype(dtype).itemsize
    n = (min(48, 16 * size) << 20) // size // 64
    x = np.lib.format.open_memmap(tmp_path / "x_train.npy", "w+", dtype, (n, 8, 8))
    x[:5] = 1
    x.flush()
    np.save(tmp_path / "y_train.npy", np.zeros(n, np.uint8))
    np.save(tmp_path / "x_test.npy", np.zeros((8, 8, 8), dtype))
    np.save(tmp_path / "y_test.npy", np.zeros(8, np.uint8))
    program = rpucc.compile(tiny_cnn(), "ideal", verify=False)
    trainer = rpucc.Trainer(rpucc.Machine(program, seed=1))
    first = np.zeros((512, 8, 8), dtype)  # what is compiled, and the buffers, are not counted
    trainer.fit((first, np.zeros(512, int)), epochs=1, batch_size=512, lr=0.1)
    tracemalloc.start()
    try:
        data = load_dataset(tmp_path)
        trainer.fit(data, epochs=2, batch_size=512, lr=0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    order = 8 * n  # of the epoch's samples; and the labels
    assert peak < 2 * order + (8 << 20) < x.nbytes, f"{peak:,}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it was advised")
@pytest.mark.parametrize("save", [as_npz, as_npy])
@pytest.mark.usefixtures("everything_is_large")
def test_the_system_is_told_that_samples_come_at_random(tmp_path: Path, save: Saver) -> None:
    """Reading around each sample made training on cold files 20 times slower."""
    path = save(tmp_path, arrays(np.ones((N, 1, 8, 8), np.float32)))
    data = load_dataset(path)
    trained(data)
    flags, name = {}, ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0] and str(tmp_path) in line:
            name = line.split()[-1]
        elif line.startswith("VmFlags:") and name:
            flags.setdefault(Path(name).name, set()).update(line.split()[1:])
            name = ""
    assert "rr" in flags["d.npz" if save is as_npz else "x_train.npy"]
