"""The sizes of an input that a model's file leaves open, as the data have them.

Not for whether the data fit: that is fit.py, once the model is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rpucc.errors import DataError
from rpucc.runtime.data import images
from rpucc.runtime.data.archives import is_archive, open_archive, part_of
from rpucc.runtime.data.load import located
from rpucc.runtime.data.npy import read_npy_file
from rpucc.runtime.data.run_inputs import EXPECTED

Sizes = tuple[int | None, ...]
"""The shape of one sample as a file states it; None is open."""


def filled(stated: Sizes, sample: Sequence[int]) -> tuple[int, ...] | None:
    """Return the stated sizes with the open ones as a sample has them; None where it does not fit.

    The sample's axes count as they are stored, else with a channel of one, else with the channels
    on the other side (`layout.axis_order` moves them).

    >>> filled((3, None, None), (8, 6, 3)), filled((1, None, None), (8, 6))
    ((3, 8, 6), (1, 8, 6))
    >>> filled((None, None, 3), (3, 8, 6))
    (8, 6, 3)
    """
    sample = tuple(sample)
    last_first, first_last = (*sample[-1:], *sample[:-1]), (*sample[1:], *sample[:1])
    for sizes in (sample, (1, *sample), (*sample, 1), last_first, first_last):
        if len(sizes) == len(stated) and all(
            a in (None, b) for a, b in zip(stated, sizes, strict=True)
        ):
            return sizes
    return None


def filled_by_inputs(stated: Sizes, path: str | Path) -> tuple[int, ...] | None:
    """Return `filled` for the samples in a file of `rpucc run`; raises DataError."""
    for sample in _samples(Path(path).expanduser(), len(stated)):
        sizes = filled(stated, sample)
        if sizes is not None:
            return sizes
    return None


def _samples(path: Path, rank: int) -> list[tuple[int, ...]]:
    """The shapes that a sample in the file may have, the likelier first."""
    path, _ = located(path)
    if not path.exists():
        raise DataError(f"{path}: no such file; {EXPECTED}")
    kind = path.suffix.lower() if path.is_file() else ""
    if path.is_dir() and not is_archive(path):
        path = next((each for each in sorted(path.rglob("*")) if images.is_image(each)), path)
    if images.is_image(path):
        return _image_samples(path)
    if kind == ".npy":
        shape = read_npy_file(path).shape
    elif is_archive(path):
        archive = open_archive(path)
        part = part_of(archive)
        shape = archive.read(part.x)[part.x[0]].shape
    else:
        return []
    return [shape, shape[1:]] if len(shape) == rank else [shape[1:], shape]


def _image_samples(path: Path) -> list[tuple[int, ...]]:
    """Grey, then RGB; none where the file is no image, which reading it will say."""
    try:
        width, height = images.opened(path, images.upright_size)
    except DataError:
        return []
    return [(height, width), (3, height, width), (height, width, 3)]
