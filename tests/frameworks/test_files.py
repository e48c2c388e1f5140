"""Files of other frameworks: the framework is absent, the file is another; one line each."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

import rpucc
from rpucc.frameworks import convert, files


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as whole:
        for name in names:
            whole.writestr(name, "{}")
    return path


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("config.json", "metadata.json", "model.weights.h5"), "keras"),
        (("net/archive_format", "net/models/model.json"), "pt2"),
    ],
)
def test_an_archive_says_what_it_is_whatever_it_is_called(
    tmp_path: Path, names: tuple[str, ...], kind: str
):
    assert files.kind_of(archive(tmp_path / "net.onnx", *names)) == kind


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("net/data.pkl", "net/version"), "is a pickle of PyTorch, and opening one can run any"),
        (("serialized_exported_program.json",), "a .pt2 file of torch before 2.8: save it again"),
        (("word/document.xml",), r"is a zip archive, but no .pt2 \(torch.export.save\) or .keras"),
        ((), "a damaged archive"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, names: tuple[str, ...], message: str):
    path = archive(tmp_path / "net.zip", *names)
    with pytest.raises(rpucc.ModelError, match=f"net.zip: {message}"):
        files.kind_of(path)
    with pytest.raises(rpucc.ModelError, match=r"net.zip: "):
        rpucc.compile(path)


def test_an_archive_in_a_damaged_archive_is_none(tmp_path: Path):
    """A .pt2 file holds others: what is left of it where its end is lost ends with one."""
    inner = archive(tmp_path / "inner.pt", "inner/data.pkl")
    path = tmp_path / "cut.pt2"
    path.write_bytes(files.ZIP + bytes(200) + inner.read_bytes())
    with pytest.raises(rpucc.ModelError, match=r"cut.pt2: a damaged archive: its end is cut off"):
        files.kind_of(path)


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ((), r"net.keras: a Keras model: needs keras: pip install 'rpucc\[keras\]'"),
        (("keras",), r"net.keras: a Keras model: needs one of torch, jax, tensorflow: pip install"),
    ],
)
def test_without_keras_or_a_backend(
    installed: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
):
    found = {name: object() for name in installed}
    monkeypatch.setattr(convert, "find_spec", found.get)
    with pytest.raises(rpucc.ModelError, match=message):
        convert.convert("keras", Path("net.keras"))


def test_without_torch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rpucc.frameworks.torch_export.find_spec", lambda name: None)
    message = (
        r"net.pt2: a PyTorch program: needs torch and onnxscript: pip install 'rpucc\[torch\]'"
    )
    with pytest.raises(rpucc.ModelError, match=message):
        convert.convert("pt2", Path("net.pt2"))


@pytest.mark.parametrize(
    ("stdout", "stderr", "kind", "message"),
    [
        (json.dumps(["UnsupportedError", "no such op"]), "", "UnsupportedError", "no such op"),
        ("", "Traceback\nMemoryError: x\n", "ModelError", "could not be converted: MemoryError: x"),
        ("half a li", "", "ModelError", "could not be converted: it ended with status -11"),
        ('["SystemExit", "x"]', "", "ModelError", "could not be converted: it ended with status"),
    ],
)
def test_a_process_that_dies_is_one_line(
    tmp_path: Path,
    stdout: str,
    stderr: str,
    kind: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
):
    path = archive(tmp_path / "net.pt2", "net/archive_format")
    done = subprocess.CompletedProcess([], -11, stdout.encode(), stderr.encode())
    monkeypatch.setattr(files.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(getattr(rpucc, kind), match=message) as caught:
        rpucc.compile(path)
    assert type(caught.value).__name__ == kind


def test_bytes_of_an_archive_and_pickles_of_old(tmp_path: Path):
    with pytest.raises(
        rpucc.ModelError, match=r"is a zip archive: give the path of a .pt2 or .kera"
    ):
        rpucc.compile(files.ZIP + b"rest")
    path = tmp_path / "old.pth"
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    with pytest.raises(rpucc.ModelError, match=r"old.pth: is a pickle of PyTorch"):
        rpucc.compile(path)


@pytest.mark.parametrize("function", ["from_torch", "from_keras"])
def test_what_is_no_network(function: str):
    with pytest.raises((rpucc.ArgumentError, rpucc.ModelError), match=function):
        getattr(rpucc, function)(3)
