"""Inputs of `rpucc run`: .npy and .npz arrays and PNG images, as samples for a model.

Not for data sets with labels: that is load.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Samples, as_samples, scaled
from rpucc.runtime.data.layout import Note, arranged, fits, shape_advice, warn
from rpucc.runtime.data.npy import Array, read_npy_file, unreadable
from rpucc.runtime.data.npz import npz_part, one_line, read_npz

if TYPE_CHECKING:
    from PIL import Image

PNG_MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a model's number of input channels."""


def load_inputs(
    path: str | Path,
    sample_shape: Sequence[int],
    input_range: tuple[float, float],
    note: Note = warn,
) -> npt.NDArray[np.float32]:
    """Return the samples in a file as float32 [n, *sample_shape] in the model's input range.

    .npy: samples, or one sample without the batch axis. .npz: `npz_part` of it.
    .png: one image, converted to grey or RGB as the model's channels ask; its size must be the
    model's (a flat model takes the grey image row by row, or the colour image if it is that long).
    uint8 maps 0..255 to `input_range`; floating point passes unchanged. `note` gets a line about a
    choice of axes (`layout.arranged`). Raises DataError: nothing is resized or clipped silently.
    """
    path = Path(path).expanduser()
    shape = tuple(sample_shape)
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected an .npy, .npz or .png file")
    kind = path.suffix.lower()
    if kind == ".npy":
        x = _batched(read_npy_file(path), shape, str(path), note)
    elif kind == ".npz":
        part = npz_part(path)
        (key,) = part.x
        x = _batched(part.of(read_npz(path, part.x)[key]), shape, f"{path}: array {key!r}", note)
    elif kind == ".png":
        x = _read_png(path, shape, note)
    else:
        raise DataError(
            f"{path}: cannot read {kind or 'a file without suffix'}; expected an .npy, "
            ".npz or .png file"
        )
    result: npt.NDArray[np.float32] = scaled(x, input_range, name=str(path))
    return result


def load_samples(
    path: str | Path,
    inputs: Mapping[str, Sequence[int]],
    input_range: tuple[float, float],
    note: Note = warn,
) -> Samples:
    """Return the samples in a file for each data input, name to shape of a sample.

    Of one input as `load_inputs`; of several a dictionary, from an .npz file with an array for each
    (`npz_part`). Raises DataError.
    """
    if len(inputs) == 1:
        return load_inputs(path, next(iter(inputs.values())), input_range, note)
    path = Path(path).expanduser()
    if not path.is_file() or path.suffix.lower() != ".npz":
        raise DataError(
            f"{path}: the model has the inputs {', '.join(inputs)}; expected an .npz file with an "
            "array for each, by its name"
        )
    part = npz_part(path, tuple(inputs))
    arrays = read_npz(path, part.x)
    found = {}
    for key, (name, shape) in zip(part.x, inputs.items(), strict=True):
        where = f"{path}: array {key!r}"
        x = _batched(arrays[key], tuple(shape), where, note)
        found[name] = scaled(x, input_range, name=where)
    return found


def _batched(x: Array, shape: tuple[int, ...], where: str, note: Note) -> Array:
    """Return an array as [n, *shape]; a single sample gets its batch axis."""
    if x.ndim and not fits(x.shape[1:], shape):
        if not fits(x.shape, shape):
            raise DataError(
                f"{where} has shape {list(x.shape)} but the model takes samples of shape "
                f"{list(shape)}; {shape_advice(x.shape[1:], shape)}"
            )
        x = x[None]
    return arranged(as_samples(x, where), shape, where, note)


def _read_png(path: Path, shape: tuple[int, ...], note: Note) -> Array:
    """Return a PNG as uint8 [1, *shape]; raises DataError when it does not fit."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise DataError(
            f"{path}: reading PNG needs Pillow; install it with pip install 'rpucc[image]'"
        ) from error
    try:
        with warnings.catch_warnings():  # a large image is refused by its size below
            warnings.simplefilter("ignore")
            with Image.open(path, formats=["PNG"]) as image:
                channels, first = _channels(path, image.size, shape)
                pixels = _pixels(path, image, channels)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is far too large; the model takes {list(shape)}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a PNG image; convert it to PNG first") from error
    except (DataError, MemoryError):
        raise
    except PermissionError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # Pillow raises a dozen unrelated classes for damaged files
        raise DataError(
            f"{path} is a truncated or damaged PNG ({one_line(error)}); save it again"
        ) from error
    if first:
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return arranged(pixels[None], shape, str(path), note)


def _channels(path: Path, size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, bool]:
    """Return how many channels the model takes of an image, and whether they are its first axis.

    Raises a DataError unless width × height is the model's; pixels are not decoded yet.
    """
    width, height = size
    found = f"{path} is {width}×{height} pixels (width × height)"
    if len(shape) == 1:
        for channels in PNG_MODES:
            if channels * width * height == shape[0]:
                return channels, False
        raise DataError(
            f"{path} is {width}×{height} = {width * height} pixels, grey or 3 times as many values "
            f"in colour, but the model takes a vector of {shape[0]}; resize it first"
        )
    spaces: dict[tuple[int, bool], tuple[int, ...]] = {}
    if len(shape) == 3 and shape[0] in PNG_MODES:
        spaces[shape[0], True] = shape[1:]
    if len(shape) == 3 and shape[2] in PNG_MODES:
        spaces[shape[2], False] = shape[:2]
    if len(shape) == 2:
        spaces[1, False] = shape
    for way, space in spaces.items():
        if space == (height, width):
            return way
    if not spaces:
        raise DataError(
            f"{path}: the model takes samples of shape {list(shape)}; an image can only be "
            "[1, H, W], [H, W, 1] or [H, W] (grey), [3, H, W] or [H, W, 3] (RGB) or a flat "
            "vector: save the sample as .npy"
        )
    sizes = " or ".join(f"{wide}×{high}" for high, wide in dict.fromkeys(spaces.values()))
    raise DataError(f"{found} but the model takes {sizes}; resize it first")


def _pixels(path: Path, image: Image.Image, channels: int) -> npt.NDArray[Any]:
    """Return an image's pixels as uint8 [H, W, channels]."""
    from PIL import Image

    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise DataError(f"{path} has transparent pixels; flatten it onto a background first")
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip at 255
        wide = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))
    pixels = np.asarray(image.convert(PNG_MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)
