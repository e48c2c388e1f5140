"""One PNG or JPEG file as pixels: in grey or RGB, upright, opaque, and of a size that is asked for.

For single inputs (run_inputs.py) and folders of them (image_folder.py). Pillow is imported where a
file is opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError, one_line
from rpucc.runtime.data.npy import unreadable

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a model's number of input channels."""
GREY_MODES = ("1", "L", "LA", "I", "F")
ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held; from 5 on it lay on its side."""

Size = tuple[int, int]
"""Width and height, as messages and Pillow have them."""


def is_image(path: Path) -> bool:
    """Whether a file is called as images are."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def opened(path: Path, use: Callable[[Image.Image], T]) -> T:
    """Return what `use` makes of an image file, whose pixels are not decoded yet.

    Raises DataError, which names the file, for what is no image, or a damaged one.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise DataError(
            f"{path}: reading images needs Pillow; install it with pip install 'rpucc[image]'"
        ) from error
    try:
        with warnings.catch_warnings():  # a large image is refused by its size
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return use(image)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is far too large: {one_line(error)}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a PNG or JPEG image; convert it first") from error
    except (DataError, MemoryError):
        raise
    except (PermissionError, FileNotFoundError, IsADirectoryError) as error:
        raise unreadable(path, error) from error
    except Exception as error:  # Pillow raises a dozen unrelated classes for damaged files
        raise DataError(
            f"{path} is a truncated or damaged image ({one_line(error)}); save it again"
        ) from error


def upright_size(image: Image.Image) -> Size:
    """Return width and height as the image is to be seen, its EXIF orientation heeded."""
    width, height = image.size
    return (height, width) if turned(image) >= 5 else (width, height)


def turned(image: Image.Image) -> int:
    """Return the EXIF orientation: 1 for an image that lies as it is to be seen."""
    found = image.getexif().get(ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colours by its mode; a palette may have any."""
    return image.mode in GREY_MODES or image.mode.startswith("I;")


def pixels(
    path: Path, image: Image.Image, channels: int, size: Size | None = None
) -> npt.NDArray[Any]:
    """Return an image's pixels, upright, as uint8 [H, W, channels], grey (1) or RGB (3).

    size: what it is resized to; None leaves it. Raises DataError where it is not opaque.
    """
    from PIL import Image, ImageOps

    if turned(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise DataError(f"{path} has transparent pixels; flatten it onto a background first")
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip at 255
        wide = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))
    image = image.convert(MODES[channels])
    if size is not None and image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    found = np.asarray(image)
    return found.reshape(*found.shape[:2], channels)


def channels_for(path: Path, size: Size, shape: Sequence[int]) -> tuple[int, bool]:
    """Return how many channels a model takes of an image, and whether they are its first axis.

    shape: of the model's sample. Raises a DataError unless the size is the model's.
    """
    width, height = size
    if len(shape) == 1:
        for channels in MODES:
            if channels * width * height == shape[0]:
                return channels, False
        raise DataError(
            f"{path} is {width}×{height} = {width * height} pixels, grey or 3 times as many values "
            f"in colour, but the model takes a vector of {shape[0]}; resize it first"
        )
    ways = spaces(shape)
    for way, space in ways.items():
        if space == (height, width):
            return way
    if not ways:
        raise DataError(
            f"{path}: the model takes samples of shape {list(shape)}; an image can only be "
            "[1, H, W], [H, W, 1] or [H, W] (grey), [3, H, W] or [H, W, 3] (RGB) or a flat "
            "vector: save the sample as .npy"
        )
    sizes = " or ".join(f"{wide}×{high}" for high, wide in dict.fromkeys(ways.values()))
    raise DataError(
        f"{path} is {width}×{height} pixels (width × height) but the model takes {sizes}; "
        "resize it first"
    )


def spaces(shape: Sequence[int]) -> dict[tuple[int, bool], tuple[int, ...]]:
    """Return the ways in which a sample can be an image, (channels, whether first), to [H, W].

    >>> spaces((3, 8, 6)), spaces((8, 6))
    ({(3, True): (8, 6)}, {(1, False): (8, 6)})
    """
    found: dict[tuple[int, bool], tuple[int, ...]] = {}
    if len(shape) == 3 and shape[0] in MODES:
        found[shape[0], True] = tuple(shape[1:])
    if len(shape) == 3 and shape[2] in MODES:
        found[shape[2], False] = tuple(shape[:2])
    if len(shape) == 2:
        found[1, False] = tuple(shape)
    return found
