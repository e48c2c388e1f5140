"""The sizes of an input that a model's file leaves open, as the data have them.

Not for whether the data fit: that is fit.py, once the model is compiled.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from rpucc.errors import DataError
from rpucc.runtime.data.npy import read_npy_file
from rpucc.runtime.data.npz import npz_part, read_npz

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
    kind = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected an .npy, .npz or .png file")
    if kind == ".png":
        return _image_samples(path)
    if kind == ".npy":
        shape = read_npy_file(path).shape
    elif kind == ".npz":
        part = npz_part(path)
        shape = read_npz(path, part.x)[part.x[0]].shape
    else:
        return []
    return [shape, shape[1:]] if len(shape) == rank else [shape[1:], shape]


def _image_samples(path: Path) -> list[tuple[int, ...]]:
    """Grey, then RGB; none where the file is no image, which reading it will say."""
    try:
        from PIL import Image
    except ImportError:
        return []
    try:
        with warnings.catch_warnings():  # reading a large image says what is wrong with it
            warnings.simplefilter("ignore")
            with Image.open(path, formats=["PNG"]) as image:
                width, height = image.size
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        return []
    return [(height, width), (3, height, width), (height, width, 3)]
