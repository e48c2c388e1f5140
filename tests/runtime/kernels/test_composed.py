"""Read kernels that are compiled with stages behind the product.

Stages that are linear in the weights do what a plain read of other weights does: so every way
through the kernel is held to the reference, tile by tile with the tile's own number of inputs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rpucc.runtime.kernels.composed import SEAM, read_kernels
from rpucc.runtime.kernels.read import (
    FIRST_PROBE,
    PROBED_OUTPUTS,
    REREADS,
    SATURATED,
    read,
    read_groups,
)
from rpucc.stages import PRODUCT_STAGES, ProductStage

from ..further_stages import Fading, Gain
from ..tilings import Periphery, PlainRead, Tiling, off_dac_borders, plain_read, read_rows

BOTH = {Fading: (0.5, 0.25), Gain: (0.5,)}


def as_weights(W: np.ndarray, tiling: Tiling, back: bool) -> np.ndarray:
    """The weights that a plain read takes to the same outputs as one with BOTH."""
    (slope, share), (gain,) = BOTH[Fading], BOTH[Gain]
    seen = W.astype(float)
    for _, rows, cols in tiling.blocks():
        part = seen[rows, cols]
        n = len(part) if back else part.shape[1]
        at = np.arange(n)[:, None] if back else np.arange(n)
        part *= gain * (1 - slope * at / n - share)
    return seen.astype(np.float32)


def assert_equal(found: tuple[np.ndarray, np.ndarray], plain: PlainRead) -> None:
    Y, statistics = found
    np.testing.assert_array_equal(statistics, plain.statistics)
    assert np.mean(plain.slack == 0) > 0.95
    assert np.all(np.abs(Y - plain.Y) <= 2e-6 * max(1.0, np.abs(plain.Y).max()) + plain.slack)


@pytest.mark.parametrize(
    ("transpose", "managed", "halvings", "chance"),
    list(product((False, True), (False, True), (0, 3), (False, True))),
)
def test_equals_a_read_of_the_weights_that_are_seen(
    transpose: bool, managed: bool, halvings: int, chance: bool
) -> None:
    tiling = Tiling((0, 4, 7, 8), (0, 5, 11), first_tile=3)
    bits = 0 if chance else 7
    how = (0.03, 0.2, bits, 9, managed, halvings)
    rng = np.random.default_rng(1)
    W = rng.uniform(-0.6, 0.6, tiling.shape).astype(np.float32)
    X = off_dac_borders(rng, 12, tiling, Periphery(*how), transpose)
    X[1] = 0
    where = {"positions": 4, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(as_weights(W, tiling, transpose), X, tiling, Periphery(*how), **where)
    assert plain.statistics[SATURATED] > 0 or halvings
    assert_equal(read_rows(W, X, tiling, Periphery(*how, further=BOTH), **where), plain)


@pytest.mark.parametrize("transpose", [False, True])
def test_tiles_that_are_read_a_block_of_outputs_at_a_time(transpose: bool) -> None:
    """Bound management's early look: rows that saturate at once, late, and never."""
    lines, inputs = PROBED_OUTPUTS + 9, 9
    W = np.random.default_rng(1).uniform(-0.02, 0.02, (lines, inputs)).astype(np.float32)
    W[3, 0] = W[FIRST_PROBE + 5, 1] = 1
    X = np.random.default_rng(2).uniform(-0.1, 0.1, (12, inputs)).astype(np.float32)
    X[:, 0], X[:, 1] = [0.9, 0, 0] * 4, [0, 0.9, 0] * 4
    tiling = Tiling((0, lines), (0, 5, inputs))
    if transpose:
        W, tiling = np.ascontiguousarray(W.T), Tiling((0, 5, inputs), (0, lines))
    how = (0.02, 0.1, 0, 0, True, 3)
    where = {"positions": 4, "transpose": transpose}
    seen = as_weights(W, tiling, transpose)
    plain = plain_read(seen, X, tiling, Periphery(*how), **where)
    assert plain.statistics[REREADS] >= 8
    for block in (12, 5):
        found = read_rows(W, X, tiling, Periphery(*how, further=BOTH), block=block, **where)
        assert_equal(found, plain)


def test_without_stages_it_is_the_plain_kernel() -> None:
    assert read_kernels(()) == (read, read_groups)
    source = Path(sys.modules[read.py_func.__module__].__file__ or "").read_text(encoding="utf-8")
    assert source.count(SEAM) == 1


@pytest.mark.parametrize("stage", [*PRODUCT_STAGES, Gain, Fading])
def test_a_stage_in_plain_python_does_nothing_with_keys_at_their_defaults(
    stage: type[ProductStage],
) -> None:
    f = np.float32
    sums = stage.crosspoint(f(0.5), f(0.25), f(1), f(4))
    keys = [f(field.default) for field in stage.model_fields.values()]
    assert stage.output(f(0.125), *sums, f(4), *keys) == f(0.125)


AGAIN = """
import json, sys
sys.path.insert(0, {folder!r})
import numpy as np
from further_stages import Fading, Gain
from rpucc.runtime.kernels.composed import read_kernels
from tilings import Periphery, Tiling, read_rows

stages = {{Fading: (0.5, 0.25), Gain: (0.5,)}}
W, X = np.full((3, 4), 0.5, np.float32), np.ones((2, 4), np.float32)
Y, _ = read_rows(W, X, Tiling((0, 3), (0, 4)), Periphery(further=stages))
stats = read_kernels(tuple(stages))[0].stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), Y.tolist()]))
"""


def test_a_second_process_compiles_nothing() -> None:
    one = np.ones((1, 1), np.float32)
    read_rows(one, one, Tiling((0, 1), (0, 1)), Periphery(further=BOTH))  # is on disk from here on
    code = AGAIN.format(folder=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    y = pytest.approx(0.5 * 0.5 * (4 * 0.75 - 0.5 * 1.5))
    assert json.loads(done.stdout) == [1, 0, [[y] * 3] * 2]
