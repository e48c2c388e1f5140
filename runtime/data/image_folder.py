"""Data sets as folders of PNG and JPEG files, a folder for each class.

Sizes and colours of all files are looked at before the first is decoded. Not for one file:
that is images.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from rpucc.errors import DataError
from rpucc.runtime.data import images
from rpucc.runtime.data.class_names import numbered
from rpucc.runtime.data.dataset import Array, Dataset
from rpucc.runtime.data.npy import MAX_BYTES, unreadable
from rpucc.runtime.data.split import class_tails

TEST_FOLDERS = ("test", "val", "valid", "validation")
"""What the folder of the test part may be called, the first that is there."""

RESIZE = re.compile(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})")

HINT = "FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png, or FOLDER/CLASS/*.png"


def load_image_folder(
    folder: Path, name: str | None = None, resize: str = "", shape: Sequence[int] = ()
) -> Dataset:
    """Return the images of a folder as uint8 [n, channels, H, W] with their classes.

    Folders train/CLASS and test/CLASS (or val/CLASS), or CLASS alone: then the last tenth of each
    class, by name, is the test part. Classes are numbered by their names as text, from 0. Folders
    in a class belong to it. name: what messages call the data set. resize: "WIDTHxHEIGHT", what
    every image becomes; "" refuses sizes that differ. shape: of a model's sample, for whose
    channels (grey or RGB) and size they are; else they are grey where all are, and all have the
    size of the first. Raises DataError, which names the file.
    """
    name = name or str(folder)
    train, test = _parts(folder)
    classes = _classes(train)
    found = _Files(folder, classes)
    found.add(train)
    labels = np.array(found.labels, np.int64)
    if test is None:
        tail = class_tails(labels)
    else:
        found.add(test)
        labels = np.array(found.labels, np.int64)
        tail = np.arange(len(labels)) >= found.counts[0]
    if tail.all() or not tail.any():
        raise DataError(f"{name}: {len(labels)} images are too few for a training and a test part")
    pixels, notes = _decoded(found.paths, name, _size(resize, name), shape)
    if test is None:
        notes.append(f"{name}: the last tenth of each class, by file name, is the test part")
    notes.insert(0, f"{name}: {len(classes)} classes, numbered by name: {numbered(classes)}")
    notes += found.notes(name)
    return Dataset(
        name,
        pixels[~tail],
        labels[~tail],
        pixels[tail],
        labels[tail],
        class_names=classes,
        notes=tuple(notes),
    )


def load_flat_folder(
    folder: Path, resize: str = "", shape: Sequence[int] = ()
) -> tuple[Array, list[str]]:
    """Return the images that lie in a folder itself, by name, and what is to be said of them."""
    paths = [path for path in _entries(folder) if images.is_image(path)]
    return _decoded(paths, str(folder), _size(resize, str(folder)), shape)


def holds_images(folder: Path) -> bool:
    """Whether images lie in a folder itself."""
    return any(images.is_image(path) for path in _entries(folder))


def holds_classes(folder: Path) -> bool:
    """Whether a folder has folders with images in them, at any depth."""
    return any(_images_below(path) for path in _entries(folder) if path.is_dir())


# ---------------------------------------------------------------- files


@dataclass
class _Files:
    """The images of the parts of a data set, class by class."""

    folder: Path
    classes: tuple[str, ...]
    paths: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """How many there were after each part."""
    others: list[Path] = field(default_factory=list)
    """Files that are no images."""

    def add(self, part: Path) -> None:
        """Take the images of all classes below a folder; DataError for a class that is new."""
        for path in _entries(part):
            if not path.is_dir():
                self._leave_out(path)
                continue
            below = [each for each in sorted(path.rglob("*")) if each.is_file()]
            found = [each for each in below if images.is_image(each)]
            for each in below:
                if not images.is_image(each):
                    self._leave_out(each)
            if found and path.name not in self.classes:
                raise DataError(
                    f"{path}: a class that the training part has no images of; its classes are "
                    f"{', '.join(self.classes[:20])}"
                )
            self.paths += found
            self.labels += [self.classes.index(path.name)] * len(found) if found else []
        self.counts.append(len(self.paths))

    def _leave_out(self, path: Path) -> None:
        if path.is_file() and not path.name.startswith("."):
            self.others.append(path)

    def notes(self, name: str) -> list[str]:
        """What is to be said of files that are not read."""
        if not self.others:
            return []
        first = self.others[0].relative_to(self.folder)
        many = f"{len(self.others)} files are" if len(self.others) > 1 else "one file is"
        return [f"{name}: {many} no .png or .jpg and left out, such as {first}"]


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """Return the folders of both parts; None where the training part is to be divided."""
    found = {path.name.lower(): path for path in _entries(folder) if path.is_dir()}
    train = found.get("train") or found.get("training")
    if train is None or not holds_classes(train):
        return folder, None
    test = next((found[each] for each in TEST_FOLDERS if each in found), None)
    return train, test


def _classes(folder: Path) -> tuple[str, ...]:
    classes = []
    for path in _entries(folder):
        if path.is_dir():
            if not _images_below(path):
                raise DataError(
                    f"{path} holds no .png or .jpg file, but a folder is a class; take it out, or "
                    f"put its images in: {HINT}"
                )
            classes.append(path.name)
    return tuple(classes)


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder by name, without what is hidden; raises DataError."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from error


def _images_below(folder: Path) -> bool:
    try:
        return any(images.is_image(path) for path in folder.rglob("*"))
    except OSError as error:
        raise unreadable(folder, error) from error


# ---------------------------------------------------------------- pixels


def _size(resize: str, name: str) -> images.Size | None:
    if not resize:
        return None
    match = RESIZE.fullmatch(resize)
    if match is None:
        raise DataError(
            f"{name}:{resize}: behind the colon of a folder of images stands what they are resized "
            "to, WIDTHxHEIGHT, as in photos:32x32"
        )
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class _Header:
    """What an image says before it is decoded."""

    size: images.Size
    grey: bool
    turned: bool


def _decoded(
    paths: Sequence[Path], name: str, resize: images.Size | None, shape: Sequence[int]
) -> tuple[Array, list[str]]:
    """Return images as uint8 [n, channels, H, W], and what is to be said of them."""
    headers = [
        images.opened(
            path,
            lambda image: _Header(
                images.upright_size(image), images.is_grey(image), images.turned(image) != 1
            ),
        )
        for path in paths
    ]
    size = resize or headers[0].size
    for path, header in zip(paths, headers, strict=True):
        if resize is None and header.size != size:
            raise DataError(
                f"{path} is {_text(header.size)} pixels (width × height) but {paths[0]} "
                f"{_text(size)}; resize them to one size, or write {name}:{size[0]}x{size[1]}"
            )
    if shape:
        channels, _ = _channels(paths[0], size, shape, name)
    else:
        channels = 1 if all(header.grey for header in headers) else 3
    bytes_ = len(paths) * channels * size[0] * size[1]
    if bytes_ > MAX_BYTES:
        raise DataError(
            f"{name}: {len(paths):,} images of {channels}×{size[1]}×{size[0]} are {bytes_:,} "
            f"bytes; the limit is {MAX_BYTES:,}: save them once as .npy files, which stay on disk, "
            "or give Trainer.fit a DataLoader"
        )
    pixels = np.empty((len(paths), channels, size[1], size[0]), np.uint8)
    for row, path in zip(pixels, paths, strict=True):
        found = images.opened(path, partial(images.pixels, path, channels=channels, size=size))
        row[...] = found.transpose(2, 0, 1)
    return pixels, _notes(headers, name, channels, size)


def _channels(path: Path, size: images.Size, shape: Sequence[int], name: str) -> tuple[int, bool]:
    """Return what `images.channels_for` says; its refusal has the way out for a folder."""
    try:
        return images.channels_for(path, size, shape)
    except DataError as error:
        ways = list(images.spaces(shape).values())
        if not ways:
            raise
        high, wide = ways[0]
        raise DataError(f"{error}, or write {name}:{wide}x{high}") from None


def _notes(headers: Sequence[_Header], name: str, channels: int, size: images.Size) -> list[str]:
    """Return a line about each thing that was done to some of the images."""
    counted = Counter[str]()
    for header in headers:
        counted["turned as their EXIF orientation says"] += header.turned
        counted[f"resized to {_text(size)}, whatever their proportions"] += header.size != size
        if channels == 1:
            counted["turned to grey"] += not header.grey
        else:
            counted["grey, and have it in all three channels"] += header.grey
    return [
        f"{name}: {count} of {len(headers)} images are {what}"
        for what, count in counted.items()
        if count
    ]


def _text(size: images.Size) -> str:
    return f"{size[0]}×{size[1]}"
