"""Inputs of `rpucc run`: arrays, images and data sets in files, as samples for a model.

Not for data sets to train on: that is load.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError
from rpucc.runtime.data import images
from rpucc.runtime.data.archives import is_archive, load_labels, open_archive, part_of
from rpucc.runtime.data.cifar import is_cifar_archive
from rpucc.runtime.data.dataset import Samples, as_samples, named, scaled
from rpucc.runtime.data.image_folder import holds_classes, holds_images, load_flat_folder
from rpucc.runtime.data.layout import Note, arranged, fits, shape_advice, warn
from rpucc.runtime.data.load import FILES, load_dataset, located
from rpucc.runtime.data.npy import MAX_BYTES, Array, read_npy_file
from rpucc.runtime.data.tables import READERS, load_rows

if TYPE_CHECKING:
    from PIL.Image import Image

EXPECTED = f"expected an .npy, .png or .jpg file, or a data set: {FILES}"


@dataclass(frozen=True)
class RunInputs:
    """What a file holds for inference."""

    x: Samples
    """Float32 [n, ...] in the model's shape and range; of several inputs each by its name."""
    labels: Array | None
    """The samples' labels, if there are any."""
    part: str
    """Which part of a data set that is; empty where all was taken."""
    class_names: tuple[str, ...] = ()
    """Of classes that have names, by the number that they have in `labels`."""

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(next(iter(named(self.x, "x").values())))


def load_inputs(
    path: str | Path,
    sample_shape: Sequence[int],
    input_range: tuple[float, float],
    note: Note = warn,
) -> npt.NDArray[np.float32]:
    """Return the samples of `load_run_inputs` for a model with one input of this shape."""
    x = load_run_inputs(path, {"x": sample_shape}, input_range, note).x
    assert not isinstance(x, Mapping)
    return x


def load_samples(
    path: str | Path,
    inputs: Mapping[str, Sequence[int]],
    input_range: tuple[float, float],
    note: Note = warn,
) -> Samples:
    """Return the samples of `load_run_inputs`."""
    return load_run_inputs(path, inputs, input_range, note).x


def load_run_inputs(
    path: str | Path,
    inputs: Mapping[str, Sequence[int]],
    input_range: tuple[float, float],
    note: Note = warn,
) -> RunInputs:
    """Return the samples in a file for each data input, name to shape of a sample.

    .npy: samples, or one sample without the batch axis. .npz, .safetensors, a folder of .npy files:
    `archives.part_of` it. .png, .jpg: one image, converted to grey or RGB as the model's channels
    ask; its size must be the model's (a flat model takes the grey image row by row, or the colour
    image if it is that long). Other data sets (`load_dataset`): their test part. uint8 maps 0..255
    to `input_range`; floating point passes unchanged. `note` gets a line about a choice of axes
    (`layout.arranged`). Raises DataError: nothing is resized or clipped silently.
    """
    place, detail = located(path)
    if not os.path.exists(place):
        raise DataError(f"{path}: no such file; {EXPECTED}")
    found = _read(place, detail, inputs, note)
    x = {}
    for (key, array), (name, shape) in zip(found.x.items(), inputs.items(), strict=True):
        x[name] = _ready(
            array, tuple(shape), input_range, f"{path}: array {key!r}" if key else str(path), note
        )
    samples = x if len(inputs) > 1 else next(iter(x.values()))
    return RunInputs(samples, found.labels, found.part, found.class_names)


@dataclass(frozen=True)
class _Found:
    """What a file holds, as it is stored; its fields are those of RunInputs."""

    x: Mapping[str, Array]
    """By the names in an archive; what has none is called ""."""
    labels: Array | None = None
    part: str = ""
    class_names: tuple[str, ...] = ()


def _read(path: Path, detail: str, inputs: Mapping[str, Sequence[int]], note: Note) -> _Found:
    kind = path.suffix.lower() if path.is_file() else ""
    if is_archive(path):
        archive = open_archive(path)
        part = part_of(archive, tuple(inputs))
        arrays = archive.read(part.x)
        x = {key: part.of(arrays[key]) for key in part.x}
        return _Found(x, load_labels(archive, part), part.text)
    if len(inputs) > 1:
        raise DataError(
            f"{path}: the model has the inputs {', '.join(inputs)}; expected an .npz file with an "
            "array for each, by its name"
        )
    shape = tuple(next(iter(inputs.values())))
    if kind == ".npy":
        return _Found({"": read_npy_file(path)})
    if kind in images.SUFFIXES:
        return _Found({"": _read_image(path, shape)})
    if path.is_file() and kind not in READERS and not is_cifar_archive(path):
        raise DataError(f"{path}: cannot read {kind or 'a file without suffix'}; {EXPECTED}")
    if path.is_dir() and not holds_classes(path) and holds_images(path):
        pixels, lines = load_flat_folder(path, detail, shape)
        for line in lines:
            note(line)
        return _Found({"": pixels}, part="its images, by name")
    rows = load_rows(path) if kind in READERS and not detail else None
    if rows is not None:
        return _Found({"": rows}, part="its rows")
    dataset = load_dataset(path if not detail else f"{path}:{detail}", inputs=inputs)
    for line in dataset.notes:
        note(line)
    assert not isinstance(dataset.x_test, Mapping)
    return _Found({"": dataset.x_test}, dataset.y_test, "its test part", dataset.class_names)


def _ready(
    x: Array,
    shape: tuple[int, ...],
    input_range: tuple[float, float],
    where: str,
    note: Note,
) -> npt.NDArray[np.float32]:
    """Return an array as float32 [n, *shape] in the model's range; one sample gets its axis."""
    if x.nbytes > MAX_BYTES:
        raise DataError(
            f"{where} has {x.nbytes:,} bytes and rpucc run takes {MAX_BYTES:,}; give it a part, or "
            "use Trainer.predict in parts"
        )
    if x.ndim and not fits(x.shape[1:], shape):
        if not fits(x.shape, shape):
            raise DataError(
                f"{where} has shape {list(x.shape)} but the model takes samples of shape "
                f"{list(shape)}; {shape_advice(x.shape[1:], shape)}"
            )
        x = x[None]
    result: npt.NDArray[np.float32] = scaled(
        arranged(as_samples(x, where), shape, where, note), input_range, name=where
    )
    return result


def _read_image(path: Path, shape: tuple[int, ...]) -> Array:
    """Return one image as uint8 [1, *shape]; raises DataError when it does not fit."""

    def read(image: Image) -> Array:
        channels, first = images.channels_for(path, images.upright_size(image), shape)
        found = images.pixels(path, image, channels)
        return found.transpose(2, 0, 1) if first else found

    return images.opened(path, read)[None]
