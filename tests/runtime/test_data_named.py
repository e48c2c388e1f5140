from __future__ import annotations

import gzip
import hashlib
import io
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data import DATASETS, data_folder, load_dataset, named
from rpucc.runtime.data.named import NamedDataset, RemoteFile


def npz_content(n: int = 12) -> bytes:
    x = np.zeros((n, 4, 5), np.uint8)
    y = np.arange(n) % 3
    buffer = io.BytesIO()
    np.savez(buffer, x_train=x, y_train=y, x_test=x, y_test=y)
    return buffer.getvalue()


def idx_content(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


IMAGES = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2)
SERVED = {
    "mnist.npz": npz_content(),
    "train-images-idx3-ubyte.gz": idx_content(IMAGES),
    "train-labels-idx1-ubyte.gz": idx_content(np.array([0, 1, 2], np.uint8)),
    "t10k-images-idx3-ubyte.gz": idx_content(IMAGES[:2]),
    "t10k-labels-idx1-ubyte.gz": idx_content(np.array([2, 1], np.uint8)),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = SERVED.get(self.path[1:])
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine that offers SERVED; yields its URL."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(logging.getLogger("pooch"), "disabled", True)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def remote(name: str, *mirrors: str, sha256: str = "") -> RemoteFile:
    return RemoteFile(name, sha256 or hashlib.sha256(SERVED[name]).hexdigest(), mirrors)


def closed_port() -> str:
    """URL of a server that is not there."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        return f"http://127.0.0.1:{server.server_port}/"


def test_the_table() -> None:
    assert set(DATASETS) == {
        *("mnist-mini", "mnist", "fashion-mnist", "cifar-10", "cifar-100"),
    }
    for row in DATASETS.values():
        assert row.description
        assert "\n" not in row.description
        assert bool(row.resource) != bool(row.files)
        for file in row.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert all(mirror.endswith("/") for mirror in file.mirrors)


def test_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPUCC_DATA", str(tmp_path / "env"))
    assert data_folder(tmp_path / "arg") == tmp_path / "arg"
    assert data_folder() == tmp_path / "env"
    monkeypatch.delenv("RPUCC_DATA")
    assert data_folder().parts[-2:] == ("rpucc", "data") or sys.platform == "win32"


def test_local_npz_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_download", lambda *_: pytest.fail("must not download"))
    (tmp_path / "mnist.npz").write_bytes(npz_content(7))
    assert len(load_dataset("mnist", tmp_path).x_train) == 7
    monkeypatch.setenv("RPUCC_DATA", str(tmp_path))
    assert len(load_dataset("mnist").x_train) == 7


def test_local_idx_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "_download", lambda *_: pytest.fail("must not download"))
    (tmp_path / "fashion-mnist").mkdir()
    for name in list(SERVED)[1:]:
        (tmp_path / "fashion-mnist" / name).write_bytes(SERVED[name])
    data = load_dataset("fashion-mnist", tmp_path)
    np.testing.assert_array_equal(data.x_train[:, 0], IMAGES)


def test_download_of_one_file(tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = NamedDataset("test", files=(remote("mnist.npz", mirror),))
    monkeypatch.setitem(DATASETS, "mnist", row)
    folder = tmp_path / "new" / "data"
    assert len(load_dataset("mnist", folder).x_train) == 12
    assert [path.name for path in folder.iterdir()] == ["mnist.npz"]
    monkeypatch.setattr(named, "_download", lambda *_: pytest.fail("must not download again"))
    load_dataset("mnist", folder)


def test_download_of_four_files_from_the_second_mirror(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = closed_port()
    files = tuple(remote(name, dead, mirror) for name in list(SERVED)[1:])
    monkeypatch.setitem(DATASETS, "fashion-mnist", NamedDataset("test", files=files))
    data = load_dataset("fashion-mnist", tmp_path)
    np.testing.assert_array_equal(data.x_train[:, 0], IMAGES)
    assert data.y_test.tolist() == [2, 1]
    assert len(list((tmp_path / "fashion-mnist").iterdir())) == 4


def test_wrong_checksum_leaves_nothing(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = NamedDataset("test", files=(remote("mnist.npz", mirror, sha256="0" * 64),))
    monkeypatch.setitem(DATASETS, "mnist", row)
    with pytest.raises(DataError, match=r"mnist\.npz has another SHA-256 than expected") as caught:
        load_dataset("mnist", tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar-10", "cifar-100"])
def test_offline_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(logging.getLogger("pooch"), "disabled", True)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    dead = closed_port()
    files = tuple(RemoteFile(file.name, file.sha256, (dead,)) for file in DATASETS[name].files)
    monkeypatch.setitem(DATASETS, name, NamedDataset("test", files=files))
    with pytest.raises(DataError) as caught:
        load_dataset(name, tmp_path / "new" / "data")
    assert list(tmp_path.iterdir()) == []
    message = str(caught.value)
    folder = tmp_path / "new" / "data"
    target = folder if name != "fashion-mnist" else folder / name
    assert "\n" not in message
    assert f"data set {name!r} is not in {folder} and cannot be downloaded" in message
    assert f"from {dead} and put {'it' if len(files) == 1 else 'them'} into {target}, " in message
    assert all(file.name in message for file in files)
    assert "--data-dir or RPUCC_DATA" in message


def test_data_folder_that_cannot_be_made(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        DATASETS, "mnist", NamedDataset("test", files=(remote("mnist.npz", mirror),))
    )
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file/data: cannot be made: .*--data-dir") as caught:
        load_dataset("mnist", tmp_path / "file" / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("mnist-mni", ["not found", "did you mean 'mnist-mini'?", "mnist, fashion-mnist"]),
        ("no/such/file.npz", ["'no/such/file.npz' not found", "names: mnist-mini"]),
        ("a\0b\n", ["'a\\x00b\\n' not found"]),
        ("x" * 5000, ["xxx"]),
    ],
)
def test_unknown_specs(spec: str, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(spec)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_other_files(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(DataError, match=r"notes.txt is not a data set; expected an .npz, "):
        load_dataset(text)
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=r"x.npy is a single array; save x and y together"):
        load_dataset(tmp_path / "x.npy")
