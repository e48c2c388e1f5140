"""Sliding windows spelt out: plain loops over positions and taps, for ranks 1 to 3."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from rpucc.runtime.kernels.windows import window_index


@dataclass(frozen=True)
class Window:
    """An image [N, C, *space] and a window over it."""

    batch: int
    channels: int
    space: tuple[int, ...]
    taps: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def out_space(self) -> tuple[int, ...]:
        rank = len(self.space)
        return tuple(
            (
                self.space[i] + self.pads[i] + self.pads[i + rank]
                - self.dilations[i] * (self.taps[i] - 1) - 1
            ) // self.strides[i] + 1
            for i in range(rank)
        )  # fmt: skip

    @property
    def index(self) -> np.ndarray:
        return window_index(self.space, self.taps, self.strides, self.pads, self.dilations)

    def runs(self) -> set[int]:
        """The `run` arguments that are legal: 1, and the kernel's width if it lies side by side."""
        return {1, self.taps[-1]} if self.dilations[-1] == 1 else {1}

    def places(self, position: tuple[int, ...]) -> list[tuple[int, ...] | None]:
        """Where each tap of a position lies; None in the padding."""
        result: list[tuple[int, ...] | None] = []
        for tap in product(*(range(k) for k in self.taps)):
            place = tuple(
                position[i] * self.strides[i] - self.pads[i] + tap[i] * self.dilations[i]
                for i in range(len(self.space))
            )
            inside = all(0 <= a < n for a, n in zip(place, self.space, strict=True))
            result.append(place if inside else None)
        return result

    def positions(self) -> list[tuple[int, ...]]:
        return list(product(*(range(n) for n in self.out_space)))

    def columns(self, x: np.ndarray) -> np.ndarray:
        """Im2col, spelt out: [N, P, C * taps]."""
        taps = prod(self.taps)
        out = np.zeros((self.batch, len(self.positions()), self.channels * taps), x.dtype)
        for p, position in enumerate(self.positions()):
            for k, place in enumerate(self.places(position)):
                if place is not None:
                    for c in range(self.channels):
                        out[:, p, c * taps + k] = x[:, c, *place]
        return out

    def image(self, columns: np.ndarray) -> np.ndarray:
        """Col2im, spelt out: [N, C, *space]."""
        taps = prod(self.taps)
        out = np.zeros((self.batch, self.channels, *self.space), columns.dtype)
        for p, position in enumerate(self.positions()):
            for k, place in enumerate(self.places(position)):
                if place is not None:
                    for c in range(self.channels):
                        out[:, c, *place] += columns[:, p, c * taps + k]
        return out


@st.composite
def windows(draw: st.DrawFn) -> Window:
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int, n: int = rank) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    window = Window(
        draw(st.integers(1, 2)), draw(st.integers(1, 5)), each(1, 9),
        each(1, 5, rank - 1) + each(1, 9, 1),  # 3 and 5 rows, and widths up to 8, are special
        each(1, 3), each(0, 2, 2 * rank), each(1, 2),
    )  # fmt: skip
    assume(min(window.out_space) > 0)
    return window


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    """Small integers, so that sums are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)
