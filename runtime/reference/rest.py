"""What happens to devices of one tile besides pulses, in NumPy; the same draws as the kernels.

Equations: docs/devices.md. Source: aihwkit's pulsed devices (Rasch et al. 2021, arXiv 2104.02184).
All matrices are [R, C] of a tile, whose device (r, c) is element r * C + c of every stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals
from rpucc.runtime.scalars.philox import DIFFUSION, RESET, WRITE_NOISE

Array = NDArray[np.float64]
Bound = Array | float
Key = tuple[int, int]


def drawn(
    shape: tuple[int, ...], index: int, purpose: int, tile: int, sample: int, key: Key
) -> Array:
    """A standard normal for each device of a tile."""
    elements = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    return normals(elements, index, purpose << 24 | tile, sample, key)


def settle(
    seen: Array, W: Array, written: NDArray[np.bool_], std: float, tile: int, sample: int, key: Key,
    position: int = -1,
) -> None:  # fmt: skip
    """What reads see of the devices that were written: w + std ξ; in place, and none is left.

    position: after which a column was read within a step; -1: behind its updates.
    """
    noise = drawn(W.shape, position + 1, WRITE_NOISE, tile, sample, key)
    seen[written] = (W + std * noise)[written]
    written[...] = False


def rest(
    W: Array, diffusion: Array, lifetime: Array, targets: Array, bounds: tuple[Bound, Bound],
    tile: int, sample: int, key: Key,
) -> Array:  # fmt: skip
    """The weights after a step: w + D ξ, clipped, then b + (w - b)(1 - 1 / t), clipped.

    lifetime: t, infinite where there is none; all is gone where it is 1 or less.
    """
    walked = np.clip(W + diffusion * drawn(W.shape, 0, DIFFUSION, tile, sample, key), *bounds)
    left = 1 - 1 / np.maximum(lifetime, 1)
    return np.asarray(np.clip(targets + (walked - targets) * left, *bounds))


def reset(
    W: Array, column: int, targets: Array, std: float, bounds: tuple[Array, Array], position: int,
    tile: int, sample: int, key: Key,
) -> None:  # fmt: skip
    """Reset a column of W in place: b + std ξ, clipped."""
    noise = drawn(W.shape, position + 1, RESET, tile, sample, key)
    W[:, column] = np.clip(targets + std * noise, *bounds)[:, column]


def drift(
    origin: Array, seconds: Array, nu: Array, t_0: float, noise: Array, bounds: tuple[Array, Array]
) -> Array:
    """The weights so many seconds after they were written as `origin`: w0 (t / t_0)^-ν + noise."""
    return np.asarray(np.clip(origin * np.maximum(seconds / t_0, 1) ** -nu + noise, *bounds))
