"""Data sets known by name: one table, where their files are looked for, how they are downloaded.

A new data set is one row of DATASETS. Not for reading the files: archives.py, idx.py and cifar.py
do that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from rpucc.errors import DataError
from rpucc.files import temporary_folder
from rpucc.runtime.data.archives import load_archive
from rpucc.runtime.data.cifar import ADDRESS, CIFARS, found_cifar
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.data.idx import PARTS, find_idx_files, load_idx_folder
from rpucc.runtime.data.npz import one_line

KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
DATA_FOLDER_VARIABLE = "RPUCC_DATA"
TIMEOUT = 30
"""Seconds that a server may stay silent."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set: its name, SHA-256 and the folders (URLs) that offer it."""

    name: str
    sha256: str
    mirrors: tuple[str, ...]


@dataclass(frozen=True)
class NamedDataset:
    """A row of DATASETS.

    description: one line for lists. resource: file in rpucc.models.data, for built-in data.
    files: what to download otherwise; several are the IDX files of a folder, one is an .npz or the
    archive of a row of CIFARS.
    """

    description: str
    resource: str = ""
    files: tuple[RemoteFile, ...] = ()


# Sources of the checksums: keras/src/datasets/mnist.py and fashion_mnist.py of Keras 3; the MD5
# sums of the same Fashion-MNIST files are in their README and in torchvision. Those of CIFAR are
# what several readers of the binary version state (Flux's, gomlx's); the page of the data set has
# the MD5 sums c32a1d4ab5d03f1284b67883e8d87530 and 03b5dce01913d631647c71ecec9e9cb8.
DATASETS: dict[str, NamedDataset] = {
    "mnist-mini": NamedDataset(
        "handwritten digits, balanced MNIST subset, 6,000 + 1,000 of 1×28×28 (built in)",
        resource="mnist_mini.npz",
    ),
    "mnist": NamedDataset(
        "handwritten digits, 60,000 + 10,000 of 1×28×28 (11 MB download)",
        files=(
            RemoteFile(
                "mnist.npz",
                "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
                (KERAS,),
            ),
        ),
    ),
    "fashion-mnist": NamedDataset(
        "pictures of clothing in 10 classes, 60,000 + 10,000 of 1×28×28 (31 MB download)",
        files=(
            RemoteFile(
                "train-images-idx3-ubyte.gz",
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                (KERAS, ZALANDO),
            ),
            RemoteFile(
                "train-labels-idx1-ubyte.gz",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                (KERAS, ZALANDO),
            ),
            RemoteFile(
                "t10k-images-idx3-ubyte.gz",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                (KERAS, ZALANDO),
            ),
            RemoteFile(
                "t10k-labels-idx1-ubyte.gz",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                (KERAS, ZALANDO),
            ),
        ),
    ),
    "cifar-10": NamedDataset(
        "photographs in 10 classes, 50,000 + 10,000 of 3×32×32 (162 MB download)",
        files=(
            RemoteFile(
                CIFARS["cifar-10"].packed,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                (ADDRESS,),
            ),
        ),
    ),
    "cifar-100": NamedDataset(
        "photographs in 100 classes, 50,000 + 10,000 of 3×32×32 (161 MB download)",
        files=(
            RemoteFile(
                CIFARS["cifar-100"].packed,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                (ADDRESS,),
            ),
        ),
    ),
}


def load_named(name: str, data_dir: Path | None = None) -> Dataset:
    """Return the data set of a row of DATASETS.

    Built-in data come from the package. Others are taken from `<data folder>/<name>.npz`, the IDX
    files in `<data folder>/<name>/` or what `found_cifar` finds there (your own files: no
    checksum), else downloaded to there and checked by SHA-256. Raises DataError; offline it says
    what to put where.
    """
    row = DATASETS[name]
    if row.resource:
        with resources.as_file(resources.files("rpucc.models.data") / row.resource) as path:
            return _with_channel(load_archive(path, name))
    folder = data_folder(data_dir)
    dataset = _load_local(name, folder)
    if dataset is None:
        _download(name, row, folder)
        dataset = _load_local(name, folder)
    if dataset is None:
        raise DataError(f"{name}: the downloaded files in {folder} have vanished; try again")
    return _with_channel(dataset)


def _with_channel(dataset: Dataset) -> Dataset:
    """Return grey images [n, H, W] as [n, 1, H, W], which is what DATASETS says of them."""
    parts = {key: getattr(dataset, key) for key in ("x_train", "x_test")}
    grey = {key: x[:, None] for key, x in parts.items() if x.ndim == 3}
    return replace(dataset, **grey)


def data_folder(data_dir: Path | None = None) -> Path:
    """Return the folder of downloaded data: the argument, else $RPUCC_DATA, else the user cache."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if os.environ.get(DATA_FOLDER_VARIABLE):
        return Path(os.environ[DATA_FOLDER_VARIABLE]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("rpucc", appauthor=False)) / "data"


def _load_local(name: str, folder: Path) -> Dataset | None:
    """Return the data set if all of its files are in the data folder."""
    archive = folder / f"{name}.npz"
    if archive.is_file():
        return load_archive(archive)
    if (folder / name).is_dir() and len(find_idx_files(folder / name)) == len(PARTS):
        return load_idx_folder(folder / name)
    return found_cifar(name, folder) if name in CIFARS else None


def _download(name: str, row: NamedDataset, folder: Path) -> None:
    """Download the files of a data set into the data folder, each from the first good mirror."""
    target = folder if len(row.files) == 1 else folder / name
    new_folders = [path for path in (target, *target.parents) if not path.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"data folder {target}: cannot be made: {error.strerror}; name another one with "
            f"--data-dir or {DATA_FOLDER_VARIABLE}"
        ) from error
    for file in row.files:
        reasons = []
        for mirror in file.mirrors:
            reason = _retrieve(mirror + file.name, file, target)
            if not reason:
                break
            reasons.append(reason)
        else:
            _remove_empty(new_folders)
            names = ", ".join(file.name for file in row.files)
            raise DataError(
                f"data set {name!r} is not in {folder} and cannot be downloaded "
                f"({'; '.join(reasons)}); get {names} from {row.files[0].mirrors[0]} and put "
                f"{'it' if len(row.files) == 1 else 'them'} into {target}, "
                f"or name another data folder with --data-dir or {DATA_FOLDER_VARIABLE}"
            )


def _retrieve(url: str, file: RemoteFile, target: Path) -> str:
    """Download one file; return "" or the reason why that failed, as one short line.

    pooch writes to a temporary folder; the file moves into place once its checksum is right.
    """
    import pooch

    try:
        if _is_there(target / file.name, file.sha256):
            return ""
        with temporary_folder(target / file.name) as folder:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
            )
            os.replace(folder / file.name, target / file.name)
    except ValueError as error:
        if "hash" in str(error):
            return f"{url} has another SHA-256 than expected"
        return one_line(error)
    except OSError as error:  # those of requests are OSErrors too
        return f"{_host(url)}: {error.strerror or type(error).__name__}"
    return ""


def _is_there(path: Path, sha256: str) -> bool:
    """Whether an earlier download, of a folder that is not complete, has left this very file."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders (innermost first) that a failed download made and left empty."""
    for folder in folders:
        with contextlib.suppress(OSError):  # not made, or another process has put a file there
            folder.rmdir()


def _host(url: str) -> str:
    return url.split("/")[2]
