"""The bodies of cells' updates on onnxruntime against plain loops in NumPy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from .test_opset import build, normal, run

Array = np.ndarray[Any, np.dtype[Any]]

R, C, N, P = 3, 7, 2, 5
CUTS = (0, 4, 7)


def tiki_taka(
    W: Array, A: Array, count: int, x: Array, d: Array, lr: float, how: dict[str, float]
) -> tuple[Array, Array, int]:
    """W as reads see it, the fast array and the count, after all vectors, one after the other.

    W, A [G, R, C]; x [N, G, P, C]; d [N, G, P, R].
    """
    S, A = W - how["gamma"] * A, A.copy()
    vectors = [(i, p) for i in range(len(x)) for p in range(x.shape[2])]
    for i, p in vectors:
        A -= how["fast_lr"] * lr * d[i, :, p, :, None] * x[i, :, p, None, :]
        if how["transfer_by_minibatch"] and (i, p) != vectors[-1]:
            continue
        count += 1
        if count % how["transfer_every"]:
            continue
        event = int(count // how["transfer_every"]) - 1
        for first, end in pairwise(CUTS):
            columns = int(how["transfer_columns"])
            for turn in range(min(columns, end - first)):
                k = first + (event * columns + turn) % (end - first)
                S[:, :, k] += how["transfer_lr"] * lr * A[:, :, k]
                A[:, :, k] *= 1 - how["reset_fast"]
    return S + how["gamma"] * A, A, count


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"granularity": 0.25, "transfer_every": 2},
        {"transfer_rows": 1, "transfer_bl": 2},
        {"transfer_rows": 5, "transfer_every": 4},
    ],
    ids=["all", "own step", "cut", "rows"],
)
def test_mixed_precision_is_a_loop(groups: int, count: int, keys: dict[str, float]) -> None:
    how = {"transfer_every": 1, "transfer_rows": 0, "transfer_bl": 0, "granularity": 0.0, **keys}
    attributes = ", ".join(f"{key} = {value}" for key, value in how.items())
    rows, height = (0, 2, R), groups * R
    model = build(
        f"(float[{height},{C}] W, float[N,{groups},{P},{C}] x, float[N,{groups},{P},{R}] d, "
        f"float lr, float[{height},{C}] chi, int64 count) => "
        f"(float[{height},{C}] W2, float[{height},{C}] chi2, int64 count2) {{"
        f"W2, chi2, count2 = rpu.MixedPrecisionUpdate <row_cuts = {list(rows)}, col_cuts = "
        f"{list(CUTS)}, groups = {groups}, pulsed = 0, bl = 0, {attributes}, slow_step = 0.125> "
        "(W, x, d, lr, chi, count) }"
    )
    W, chi = normal(height, C, seed=1), normal(height, C, seed=2)
    x, d = normal(N, groups, P, C, seed=3), normal(N, groups, P, R, seed=4)
    found = run(model, W, x, d, np.array(0.5, np.float32), chi, np.array(count))
    total = chi.astype(float) + 0.5 * np.einsum(
        "ngpr,ngpc->grc", d.astype(float), x.astype(float)
    ).reshape(chi.shape)
    count += 1
    expected = W.astype(float)
    event, rest = divmod(count, int(how["transfer_every"]))
    for r in range(height if rest == 0 else 0):
        first, last = next(ends for ends in pairwise(rows) if ends[0] <= r % R < ends[1])
        taken = min(int(how["transfer_rows"]) or last - first, last - first)
        if (r % R - first - (event - 1) * taken) % (last - first) < taken:
            most, step = how["transfer_bl"] or np.inf, how["granularity"] or 0.125
            steps = np.clip(np.trunc(total[r] / step), -most, most)
            total[r] -= steps * step
            expected[r] -= steps * step
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(found[1], total, rtol=0, atol=2e-6)
    assert int(found[2]) == count
    moved = np.mean(found[0] != W)
    assert moved == 0 if rest else moved > 0.2


BASE = {
    "fast_lr": 0.5, "transfer_lr": 2.0, "transfer_every": 2, "transfer_by_minibatch": 0,
    "transfer_columns": 1, "transfer_bl": 31, "reset_fast": 0, "gamma": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"gamma": 0.3, "transfer_columns": 2},
        {"transfer_every": 1, "transfer_columns": 3, "reset_fast": 1},
        {"transfer_columns": 100, "transfer_every": 3, "gamma": 0.7, "reset_fast": 1},
        {"transfer_by_minibatch": 1, "transfer_every": 1},
        {"transfer_by_minibatch": 1, "transfer_every": 2, "gamma": 0.5, "transfer_columns": 2},
        {"transfer_every": 1000},
    ],
    ids=["columns", "seen", "reset", "all", "minibatch", "every other", "none"],
)
def test_tiki_taka_is_a_loop(groups: int, count: int, keys: dict[str, float]) -> None:
    how = {**BASE, **keys}
    attributes = ", ".join(f"{key} = {value}" for key, value in how.items())
    model = build(
        f"(float[{groups * R},{C}] W, float[N,{groups},{P},{C}] x, float[N,{groups},{P},{R}] d, "
        f"float lr, float[{groups * R},{C}] fast, int64 count) => "
        f"(float[{groups * R},{C}] W2, float[{groups * R},{C}] fast2, int64 count2) {{"
        f"W2, fast2, count2 = rpu.TikiTakaUpdate <row_cuts = [0, {R}], col_cuts = "
        f"{list(CUTS)}, groups = {groups}, pulsed = 0, bl = 0, {attributes}> "
        "(W, x, d, lr, fast, count) }"
    )
    W, A = normal(groups * R, C, seed=1), normal(groups * R, C, seed=2)
    x, d = normal(N, groups, P, C, seed=3), normal(N, groups, P, R, seed=4)
    found = run(model, W, x, d, np.array(0.1, np.float32), A, np.array(count))
    by_group = (groups, R, C)
    expected = tiki_taka(
        W.reshape(by_group).astype(float), A.reshape(by_group).astype(float), count,
        x.astype(float), d.astype(float), 0.1, how,
    )  # fmt: skip
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one.reshape(by_group), other, rtol=0, atol=2e-6)
    assert int(found[2]) == expected[2]
    assert found[2].dtype == np.int64
