"""Initial weights by name: a row of INITS each, and the weights of networks that are built from a
specification.

Not for the zoo's large networks, which draw their own (`network.py`), nor for drawing those of a
file anew (`rpucc/compiler/initial_weights.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto, numpy_helper

from rpucc.errors import UsageError
from rpucc.models.layers import initial_parameters

UNIFORM = "uniform"

INITS: dict[str, Callable[[float, float], float]] = {
    UNIFORM: lambda fan_in, fan_out: 1 / (3 * (fan_in + 1)),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
"""The variance of a weight by the inputs of an output and the outputs of an input. uniform: ±1/√C
with C = fan-in + 1, biases too, as the networks of the papers begin (layers.py); he: He et al.
2015, arXiv 1502.01852; glorot: Glorot & Bengio 2010; lecun: LeCun et al. 1998. All are drawn
uniformly, so that no weight is far beyond what devices hold."""


def draw(
    init: str, rng: np.random.Generator, layer: str, shape: Sequence[int], group: int, *, bias: bool
) -> list[TensorProto]:
    """Draw `<layer>.weight` [R, C/group, *kernel] and, with `bias`, `<layer>.bias` [R].

    Raises UsageError for a name that INITS does not have.
    """
    if checked_init(init) == UNIFORM:
        return initial_parameters(rng, layer, shape)[: 2 if bias else 1]
    taps = int(np.prod(shape[2:]))
    fan_in, fan_out = shape[1] * taps, shape[0] // group * taps
    weight = rng.random(tuple(shape), np.float32)
    weight -= np.float32(0.5)
    weight *= np.float32((12 * INITS[init](fan_in, fan_out)) ** 0.5)
    found = [numpy_helper.from_array(weight, f"{layer}.weight")]
    zeros = np.zeros(shape[0], np.float32)
    return [*found, numpy_helper.from_array(zeros, f"{layer}.bias")] if bias else found


def checked_init(init: str) -> str:
    """Return the name of a row of INITS; raises UsageError for another."""
    if init not in INITS:
        raise UsageError(f"init {init!r} is unknown; there are {', '.join(INITS)}")
    return init
