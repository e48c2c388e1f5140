"""What a network is built from in a line, such as "c16k5 p2 c32k5 p2 f128 f10": items and shapes.

Not for the ONNX model that becomes of them: `built.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rpucc.errors import UsageError

HINT = (
    "c16k5 (convolution: 16 channels, kernel 5; s2 stride, p2 padding, g16 groups), p2 and a2 "
    "(largest and mean of 2 × 2; s2 stride), g (mean of all positions), f128 (dense layer)"
)
MAX_WEIGHTS = 500_000_000
"""A file of ONNX ends at 2 GB, which is as many float32 numbers."""
MAX_SIZE = 10_000_000
"""Channels, units and sizes of an image; no layer of so many would fit into a file."""

_ITEM = re.compile(r"(?P<kind>[cpafg])(?P<count>\d*)(?P<options>(?:[kspg]\d+)*)", re.ASCII)
_OPTIONS = {"c": "kspg", "p": "s", "a": "s", "f": "", "g": ""}


@dataclass(frozen=True)
class Item:
    """One item of a specification. Sizes are those of every axis of space."""

    text: str
    kind: str
    """c: convolution, p: largest, a: mean, g: mean of all positions, f: dense layer."""
    count: int = 0
    """Channels, units, or the size of a pool's window."""
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def has_weights(self) -> bool:
        """Whether it is a layer with weights."""
        return self.kind in "cf"


def parse(spec: str) -> list[Item]:
    """Return the items of a specification, between blanks or commas; raises UsageError.

    >>> [(item.kind, item.count, item.kernel, item.stride) for item in parse("c16k5s2 p3s2 f10")]
    [('c', 16, 5, 2), ('p', 3, 1, 2), ('f', 10, 1, 1)]
    """
    texts = spec.replace(",", " ").split()
    items = [_item(text, f"{text[:40]!r} (item {i})") for i, text in enumerate(texts, 1)]
    if not any(item.has_weights for item in items):
        raise UsageError(f"spec {spec[:40]!r} has no layer with weights; items are {HINT}")
    return items


def _item(text: str, where: str) -> Item:
    match = _ITEM.fullmatch(text)
    if match is None or bool(match["count"]) == (match["kind"] == "g"):
        raise UsageError(f"{where}: not understood; items are {HINT}")
    kind = match["kind"]
    pairs = re.findall(r"([kspg])(\d+)", match["options"])
    given = {letter: int(number[:12]) for letter, number in pairs}
    wrong = [letter for letter, _ in pairs if letter not in _OPTIONS[kind]]
    if wrong or len(given) < len(pairs):
        found = f"{wrong[0]!r} means nothing here" if wrong else "an option is there twice"
        raise UsageError(f"{where}: {found}; items are {HINT}")
    if kind == "c" and "k" not in given:
        raise UsageError(f"{where}: a convolution needs its kernel, as in {text}k3")
    count = int(match["count"][:12] or 0)
    sizes = [count, *given.values()] if kind != "g" else []
    least = [size for letter, size in given.items() if letter != "p"]
    if any(size > MAX_SIZE for size in sizes) or not all([kind == "g" or count, *least]):
        raise UsageError(f"{where}: sizes are from 1 to {MAX_SIZE:,}, paddings from 0")
    stride = given.get("s", count if kind in "pa" else 1)
    padding, groups = given.get("p", 0), given.get("g", 1)
    return Item(text, kind, count, given.get("k", 1), stride, padding, groups)


def shapes(items: Sequence[Item], sample: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the shape of a sample before each item and behind the last; raises UsageError.

    sample: [C, *space], or [features] for dense layers alone.

    >>> shapes(parse("c16k5 p2 f10"), (1, 28, 28))
    [(1, 28, 28), (16, 24, 24), (16, 12, 12), (10,)]
    """
    found, weights = [tuple(sample)], 0
    for number, item in enumerate(items, 1):
        before, where = found[-1], f"{item.text!r} (item {number})"
        if item.kind == "f":
            weights += math.prod(before) * item.count
            found.append((item.count,))
        elif len(before) == 1:
            what = "the input is a vector" if number == 1 else "there is no image any more"
            raise UsageError(
                f"{where}: {what} ({before[0]:,} numbers a sample): only dense layers (f128) work"
            )
        elif item.kind == "g":
            found.append((before[0],))
        else:
            if item.kind == "c":
                _check_groups(item, before[0], where)
                weights += item.count * before[0] // item.groups * item.kernel ** (len(before) - 1)
            found.append(_window(item, before, where))
        if weights > MAX_WEIGHTS:
            raise UsageError(
                f"{where}: up to here there are {weights:,} weights; an ONNX file holds "
                f"{MAX_WEIGHTS:,}"
            )
    return found


def _check_groups(item: Item, channels: int, where: str) -> None:
    if channels % item.groups or item.count % item.groups:
        raise UsageError(
            f"{where}: {item.groups} groups divide neither or only one of {channels} channels that "
            f"come in and {item.count} that go out; both must be multiples"
        )


def _window(item: Item, before: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Return the shape behind a convolution or a pool."""
    size = item.kernel if item.kind == "c" else item.count
    room = [n + 2 * item.padding - size for n in before[1:]]
    if min(room) < 0:
        image = " × ".join(map(str, before[1:]))
        padded = f" with {item.padding} around" if item.padding else ""
        raise UsageError(f"{where}: a window of {size} does not fit into {image}{padded}")
    channels = item.count if item.kind == "c" else before[0]
    return (channels, *(n // item.stride + 1 for n in room))
