from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.errors import DataError
from rpucc.runtime.data import load_dataset, load_inputs, npy, npz

X = np.arange(20 * 6, dtype=np.uint8).reshape(20, 2, 3)
Y = np.arange(20, dtype=np.uint8) % 4


def keras(**changes: object) -> dict[str, np.ndarray]:
    return {"x_train": X, "y_train": Y, "x_test": X[:3], "y_test": Y[:3], **changes}  # type: ignore[dict-item]


def refused(path: Path, *parts: str) -> None:
    """Loading must raise one line that holds the file's name and each of the parts."""
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message


def npy_bytes(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2, "little") + text + data


def plain(descr: str, shape: str, data: bytes = b"") -> bytes:
    return npy_bytes(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}", data)


def archive(path: Path, x_train: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a Keras-keyed .npz whose x_train member has the given bytes."""
    with zipfile.ZipFile(path, "w", compression) as out:
        for key, array in keras().items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            out.writestr(f"{key}.npy", x_train if key == "x_train" else buffer.getvalue())
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_keras_keys(tmp_path: Path, save: object) -> None:
    path = tmp_path / "d.npz"
    save(path, **keras(extra=np.ones(3)))  # type: ignore[operator]
    data = load_dataset(str(path))
    np.testing.assert_array_equal(data.x_train, X)
    assert data.y_train.tolist() == Y.tolist()
    assert len(data.x_test) == 3
    assert data.name == str(path)
    data.x_train[0] = 0  # writable


@pytest.mark.parametrize(("n", "n_test"), [(20, 2), (19, 1), (9, 1), (2, 1)])
def test_x_and_y_are_split_at_the_last_tenth(tmp_path: Path, n: int, n_test: int) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=X[:n], y=Y[:n])
    data = load_dataset(path)
    np.testing.assert_array_equal(data.x_train, X[: n - n_test])
    np.testing.assert_array_equal(data.x_test, X[n - n_test : n])
    assert data.y_test.tolist() == Y[n - n_test : n].tolist()


def test_x_and_y_need_two_samples_of_equal_length(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=X[:1], y=Y[:1])
    refused(path, "x has shape [1, 2, 3] and y [1]", "at least 2")
    np.savez(path, x=X, y=Y[:5])
    refused(path, "equal lengths")


def test_fortran_order_and_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **keras(x_train=np.asfortranarray(X), y_train=Y.astype(">i4")))
    data = load_dataset(path)
    np.testing.assert_array_equal(data.x_train, X)
    assert data.y_train.tolist() == Y.tolist()


def test_wrong_keys_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, train=X, labels=Y)
    refused(path, "'train', 'labels'", "expected x_train, y_train, x_test, y_test, or x and y")
    np.savez(path, **{f"key{i}": Y for i in range(12)})
    refused(path, "and 4 more")
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a\nb.npy", b"")
    refused(path, "'a\\nb'")


def test_wrong_types(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **keras(x_train=X.astype(np.int64)))
    refused(path, "x_train has type int64; pixels must be uint8")
    np.savez(path, **keras(x_train=X.astype(complex)))
    refused(path, "'x_train' has type complex128; only real numbers")
    np.savez(path, **keras(y_train=Y.astype(str)))
    refused(path, "'y_train' has type <U3; only real numbers")


def test_pickle_is_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (marker,)

    path = tmp_path / "d.npz"
    np.savez(path, **keras(x_train=np.array([Evil()], dtype=object)), allow_pickle=True)
    refused(path, "'x_train' holds Python objects and needs pickle", "np.savez_compressed")
    archive(path, pickle.dumps(Evil()))
    refused(path, "'x_train' is a pickle", "np.savez_compressed")
    path.write_bytes(pickle.dumps(Evil()))
    refused(path, "is a pickle", "np.savez_compressed")
    single = tmp_path / "d.npy"
    np.save(single, np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"d\.npy holds Python objects and needs pickle"):
        load_inputs(single, (1,), (0.0, 1.0))
    assert not marker.exists()


def test_damaged_archives(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, **keras())
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    refused(path, "truncated or damaged .npz archive", "download it again")
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"hello, this is text\n" * 10)
    refused(path, "is not an .npz archive", "np.savez_compressed")
    flipped = bytearray(good)
    flipped[120] ^= 0xFF  # inside the first member's deflate stream
    path.write_bytes(flipped)
    refused(path, "array 'x_train'", "damaged")


def test_encrypted_archive(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **keras())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as stored:
        start = stored.start_dir
    content[6] |= 1  # the encryption flags, in the local header and in the directory
    content[start + 8] |= 1
    path.write_bytes(content)
    refused(path, "'x_train' cannot be unpacked", "encrypted")


@pytest.mark.parametrize(
    ("member", "part"),
    [
        (b"", "'x_train' is empty"),
        (b"not an array", "'x_train' is not a NumPy array"),
        (plain("|u1", "(4,)"), "holds 0"),
        (plain("|u1", "(4,)", b"12345"), "holds 5"),
        (plain("|u1", "(-4,)"), "impossible shape"),
        (
            plain("|u1", str((1,) * 70)),
            "impossible",
        ),
        (plain("<f8", "(10**9, 9)"), "header"),
        (
            plain("<f8", "(99999999, 99999999)"),
            "limit",
        ),
        (
            plain("oops", "(1,)"),
            "damaged .npy header",
        ),
        (npy_bytes("{'descr': '|u1'}"), "damaged .npy header"),
        (npy_bytes("{" * 200), "damaged .npy header"),
        (npy_bytes("{}", version=(3, 0)), ".npy version 3.0"),
        (plain("|V0", "(9,)"), "only real numbers"),
    ],
)
def test_hostile_members(tmp_path: Path, member: bytes, part: str) -> None:
    refused(archive(tmp_path / "d.npz", member), "array 'x_train'", part)


def test_zip_bomb_is_refused_by_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (npy, npz):
        monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    header = plain("|u1", "(1000000, 1)")
    path = archive(tmp_path / "d.npz", header + bytes(1_000_000))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(npz, "read_npy", lambda *_: pytest.fail("must not be unpacked"))
    refused(path, "unpacks to 1,000,", "the limit is 100,000")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    position=st.integers(0, 2000), value=st.integers(0, 255), cut=st.integers(0, 2000) | st.none()
)
def test_any_damage_gives_data_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    np.savez(path, **keras())
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content[:cut])
    try:
        outcome = f"fuzzed.npz: {len(load_dataset(path).x_train)} samples"
    except DataError as error:
        outcome = str(error)
    assert "\n" not in outcome
    assert "fuzzed.npz" in outcome
