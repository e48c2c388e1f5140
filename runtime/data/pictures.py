"""Samples as pictures for people: uint8 pixels, where the samples are images.

Not for reading image files: `images.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rpucc.runtime.data.dataset import Samples

LEAST, MOST = 8, 112
"""Pixels of a side: what is shorter is no image, what is longer is shown smaller."""
GAP = 2
"""Pixels between images of several inputs."""

Array = NDArray[Any]
Pixels = NDArray[np.uint8]


def pictures(samples: Samples, chosen: Sequence[int], span: tuple[float, float]) -> list[Pixels]:
    """Return the chosen samples as pictures, [H, W] or [H, W, 3]; [] where they are no images.

    samples: [n, H, W], or [n, C, H, W] or [n, H, W, C] of 1 or 3 channels; of several inputs a
        dictionary of such arrays, whose pictures stand side by side.
    span: what is black and what is white in floating-point samples; uint8 stay as they are.
    """
    several = list(samples.values()) if isinstance(samples, Mapping) else [samples]
    parts = [
        [_picture(each[i], span) for i in chosen] for each in several if is_image(each.shape[1:])
    ]
    if not parts:
        return []
    return [_beside(images) for images in zip(*parts, strict=True)]


def is_image(shape: Sequence[int]) -> bool:
    """Whether samples of a shape are images: two sides, and 1 or 3 channels first or last."""
    sides = list(shape)
    if len(sides) == 3:
        if sides[0] in (1, 3):
            sides = sides[1:]
        elif sides[2] in (1, 3):
            sides = sides[:2]
    return len(sides) == 2 and min(sides) >= LEAST


def _picture(sample: Array, span: tuple[float, float]) -> Pixels:
    image = sample
    if image.ndim == 3:
        image = np.moveaxis(image, 0, -1) if image.shape[0] in (1, 3) else image
        image = image[..., 0] if image.shape[-1] == 1 else image
    low, high = (0.0, 255.0) if sample.dtype == np.uint8 else span
    image = _smaller(image.astype(np.float64))
    return np.clip((image - low) * (255 / ((high - low) or 1)) + 0.5, 0, 255).astype(np.uint8)


def _smaller(image: Array) -> Array:
    """Means of whole squares of pixels, where a side is too long."""
    every = -(-max(image.shape[:2]) // MOST)
    if every == 1:
        return image
    height, width = (side // every * every for side in image.shape[:2])
    cut = image[:height, :width]
    blocks = cut.reshape(height // every, every, width // every, every, *cut.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)))


def _beside(images: Sequence[Pixels]) -> Pixels:
    """Images side by side on grey; in colour where one is."""
    if len(images) == 1:
        return images[0]
    coloured = any(image.ndim == 3 for image in images)
    if coloured:
        images = [
            image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images
        ]
    height = max(len(image) for image in images)
    width = sum(image.shape[1] for image in images) + GAP * (len(images) - 1)
    whole = np.full((height, width, *((3,) if coloured else ())), 128, np.uint8)
    at = 0
    for image in images:
        whole[: len(image), at : at + image.shape[1]] = image
        at += image.shape[1] + GAP
    return whole
