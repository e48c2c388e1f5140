"""Augmentation: samples that are changed by chance before each training step.

Functions of a batch, those that are there by name and a user's own, and the generator that each
batch gets. Not for what is stored: that stays as it is, and tests see it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.kernels.philox import AUGMENT, GROUP, fill_words
from rpucc.runtime.scoring import Scoring

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.feed import Feed

Array = NDArray[Any]
Key = tuple[np.uint32, np.uint32]
Shapes = Mapping[str, tuple[int, ...]]

Augment: TypeAlias = Callable[[Any, np.random.Generator], Any]
"""f(x, rng) -> x: float32 [B, ...] in the program's input range, of several inputs a dictionary."""


@dataclass(frozen=True)
class Builtin:
    """An augmentation that has a name."""

    make: Callable[[float], Augment]
    number: str
    """What its number is, "" for none."""
    summary: str
    moves: bool = False
    """Whether values change their places, which labels of pixels would not follow."""
    whole: bool = False
    """Whether the number counts something."""


def _flip(_: float) -> Augment:
    def flip(x: Array, rng: np.random.Generator) -> Array:
        chosen = rng.random(len(x)) < 0.5
        x[chosen] = x[chosen, ..., ::-1]
        return x

    return flip


def _shift(most: float) -> Augment:
    def shift(x: Array, rng: np.random.Generator) -> Array:
        for axis in range(2, x.ndim):
            by = rng.integers(-int(most), int(most), len(x), endpoint=True)
            places = np.arange(x.shape[axis]) - by[:, None]
            index = np.clip(places, 0, x.shape[axis] - 1)
            shape = [len(x), *[1] * (x.ndim - 1)]
            shape[axis] = -1
            x = np.take_along_axis(x, index.reshape(shape), axis)
        return x

    return shift


def _noise(sigma: float) -> Augment:
    def noise(x: Array, rng: np.random.Generator) -> Array:
        return np.asarray(x + np.float32(sigma) * rng.standard_normal(x.shape, np.float32))

    return noise


BUILTINS: dict[str, Builtin] = {
    "flip": Builtin(_flip, "", "half of the samples with their last axis reversed", moves=True),
    "shift": Builtin(
        _shift,
        "PIXELS",
        "moved by up to so many places along each axis of space, the edge repeated",
        moves=True,
        whole=True,
    ),
    "noise": Builtin(_noise, "SIGMA", "normal noise of this standard deviation added"),
}
"""Name -> augmentation; `--augment` and `fit(augment=...)` take them as NAME or NAME:NUMBER."""

ALLOWED = ", ".join(f"{n}:{b.number}" if b.number else n for n, b in BUILTINS.items())
FUNCTION = f"a function of (x, rng), one of {ALLOWED}, or a list of these"


def named(text: str) -> tuple[Builtin, float]:
    """Return the augmentation that a text names, and its number; raises ArgumentError.

    >>> named("shift:2")[1]
    2.0
    """
    name, colon, number = text.partition(":")
    known = BUILTINS.get(name)
    pattern = r"\d{1,6}" if known is not None and known.whole else r"\d*\.?\d+(?:e-?\d{1,2})?"
    fits = re.fullmatch(pattern, number) is not None and float(number) > 0
    if known is None or bool(colon) != bool(known.number) or (colon and not fits):
        raise ArgumentError(f"augment {text[:60]!r}: allowed: {ALLOWED}, a NUMBER above 0")
    return known, float(number) if colon else 0.0


class Augmentation:
    """The augmentations of a training, applied to the data inputs of each of its batches.

    given: one or several, as `Trainer.fit` takes them, in their order. labels: those of training,
    as the program takes them. Raises ArgumentError for what is none, or does not fit the data.
    """

    def __init__(self, given: object, program: Program, feed: Feed, labels: Array) -> None:
        several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
        items: list[Any] = list(given) if several else [given]  # type: ignore[call-overload]
        self._functions: list[tuple[str, Augment]] = []
        for i, each in enumerate(items):
            if isinstance(each, str):
                known, number = named(each)
                _check_fit(each, known, feed.shapes, Scoring.of(program, labels), labels)
                self._functions.append((f"augment {each}", known.make(number)))
            elif callable(each) and not isinstance(each, type):
                self._functions.append((f"augment[{i}]" if several else "augment", each))
            else:
                raise arguments.wrong("augment", each, FUNCTION)
        self._shapes, self._range = feed.shapes, feed.range
        self._words = np.zeros(GROUP, np.uint32)

    def __bool__(self) -> bool:
        return bool(self._functions)

    def apply(self, buffers: Sequence[Array], sample: int, key: Key) -> None:
        """Change a batch in place. buffers: [B, elements] of each data input; sample: its first."""
        rng = self._generator(sample, key)
        arrays = {
            name: buffer.reshape(len(buffer), *shape)
            for buffer, (name, shape) in zip(buffers, self._shapes.items(), strict=True)
        }
        alone = next(iter(arrays)) if len(arrays) == 1 else None
        for where, function in self._functions:
            found = function(arrays[alone] if alone is not None else dict(arrays), rng)
            if alone is not None:
                found = {alone: found}
            if not isinstance(found, Mapping) or set(found) != set(arrays):
                raise DataError(f"{where}: returns no array for each of {', '.join(arrays)}")
            # All are looked at before any is written: one may be a view of another.
            checked = [self._checked(found[name], arrays[name].shape, where) for name in arrays]
            for array, changed in zip(arrays.values(), checked, strict=True):
                array[...] = changed

    def _checked(self, found: object, shape: tuple[int, ...], where: str) -> Array:
        """What a function returned, within the program's range; raises DataError."""
        array = np.asarray(found)
        if array.dtype.kind not in "fiub" or array.shape != shape:
            raise DataError(
                f"{where}: returns {array.dtype} {list(array.shape)}; needs numbers {list(shape)}"
            )
        low, high = self._range
        clipped = np.clip(array, low, high)
        if not np.isfinite(clipped).all():
            raise DataError(f"{where}: returns NaN")
        return np.asarray(clipped)

    def _generator(self, sample: int, key: Key) -> np.random.Generator:
        """The generator of the batch that begins with a sample, of all that were ever trained."""
        fill_words(self._words, 0, 4, 0, AUGMENT << 24, sample, *key)
        words = [int(word) for word in self._words[[0, 16, 32, 48]]]
        seed = np.array([words[0] | words[1] << 32, words[2] | words[3] << 32], np.uint64)
        return np.random.Generator(np.random.Philox(key=seed))


def _check_fit(text: str, known: Builtin, shapes: Shapes, scoring: Scoring, labels: Array) -> None:
    """Refuse what would do something else than its name says to these data."""
    if len(shapes) > 1:
        raise ArgumentError(
            f"augment {text}: the network has the inputs {', '.join(shapes)}; from Python give a "
            "function of your own, which gets and returns all of them"
        )
    (shape,) = shapes.values()
    if not known.moves:
        return
    if len(shape) < 2:
        raise ArgumentError(
            f"augment {text}: a sample {list(shape)} has no axes of space, [channels, *space]"
        )
    if labels.ndim > (1 if scoring.kind == "classes" else 2):
        raise ArgumentError(
            f"augment {text}: moves pixels, but not the labels that each of them has; take noise, "
            "or augment images and labels beforehand"
        )
