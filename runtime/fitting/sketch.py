"""A first look at curves: ranges, straight lines through the steps, noise; where a fit begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rpucc.runtime.fitting.curves import Curves, DeviceCurve, Floats
from rpucc.runtime.fitting.models import Sketch

STRETCHES = 20
"""Parts of a leg that steps are taken over: the noise of single reads is large beside a step."""


@dataclass(frozen=True)
class Noise:
    """Variances: of a step, relative to its square, of a read and of errors that last."""

    cycle: float
    read: float
    lasting: float = 0.0
    rest: float = 0.0
    """What part of the latter a pulse leaves."""


def sketch(curve: DeviceCurve) -> Sketch:
    """Look at a device."""
    upper, lower = float(curve.smooth.max()), float(curve.smooth.min())
    lines = [_line(curve, sign, (upper, lower)) for sign in (1, -1)]
    return Sketch(upper, lower, *lines[0], *lines[1])


def _line(curve: DeviceCurve, sign: int, ends: tuple[float, float]) -> tuple[float, float]:
    """Mean size of a step at weight 0 and its slope, of pulses of one direction."""
    found = np.array(list(_stretches(curve, sign)))
    if not len(found):
        return 0.0, 0.0
    middle, step, pulses = found.T
    weights = pulses / pulses.sum()
    mean, size = float(weights @ middle), float(weights @ step)
    spread = float(weights @ (middle - mean) ** 2)
    if spread < 1e-4 * (ends[0] - ends[1]) ** 2:
        return size, 0.0
    slope = float(weights @ ((middle - mean) * step)) / spread
    return size - slope * mean, slope


def _stretches(curve: DeviceCurve, sign: int) -> Iterator[tuple[float, float, int]]:
    """Yield (mean weight, step a pulse along the direction, pulses) of parts of its legs."""
    length = max(1, curve.pulses // (curve.legs * STRETCHES))
    start, pulses = None, 0
    for count, seen, fresh, value in zip(
        curve.counts, curve.seen, curve.fresh, curve.values, strict=True
    ):
        if fresh or count * sign < 0:
            start, pulses = (float(value) if seen else None), 0
            continue
        pulses += abs(int(count))
        if not seen:
            continue
        if start is None:
            start, pulses = float(value), 0
        elif pulses >= length:
            yield (start + float(value)) / 2, sign * (float(value) - start) / pulses, pulses
            start, pulses = float(value), 0


def noise(curves: Curves, sketches: list[Sketch]) -> Noise:
    """Look at what is left of single steps when the lines are taken off, and at its neighbours."""
    squares, products, sizes = [], [], []
    for curve, seen in zip(curves.devices, sketches, strict=True):
        rest, step = _rests(curve, seen)
        squares.append(rest**2)
        products.append(rest[1:] * rest[:-1])
        sizes.append(step**2)
    square, size = float(_mean(squares)), float(_mean(sizes))
    least = 1e-6 * size
    read = min(max(-float(_mean(products)), least), square / 2)
    return Noise(max(square - 2 * read, 1e-4 * size) / max(size, 1e-300), max(read, least))


def _mean(parts: list[Floats]) -> float:
    every = np.concatenate(parts)
    return float(np.mean(every)) if len(every) else 0.0


def _rests(curve: DeviceCurve, seen: Sketch) -> tuple[Floats, Floats]:
    known = curve.seen[1:] & curve.seen[:-1] & ~curve.fresh[1:] & (np.abs(curve.counts[1:]) == 1)
    before = np.clip(curve.values[:-1], seen.lower, seen.upper)
    up, down = seen.up + seen.up_slope * before, seen.down + seen.down_slope * before
    step = np.where(curve.counts[1:] > 0, up, -down)
    rest = np.diff(curve.values) - step
    return rest[known], step[known]
