"""Mean, variance and covariances of the pulsed update over 2 x 10^5 trials.

physics.md section 3. Let q_i = min(1, Cd |d_i|), p_j = min(1, Cx |x_j|), s_ij = -sign(d_i x_j),
and let A_i^n ~ Bernoulli(q_i), B_j^n ~ Bernoulli(p_j) be independent over lines and over the slots
n = 1 .. BL. A device of step w0 = dw_min with pulse noise v, without bounds that matter, moves by

    Δw_ij = s_ij w0 Σ_n A_i^n B_j^n (1 + v ξ),    ξ ~ N(0, 1), new for every pulse.

The slots are independent, so moments add over them. With E[A B] = q p and E[(1 + v ξ)²] = 1 + v²:

    E[Δw_ij]               = BL w0 s_ij q_i p_j          ( = -BL w0 Cx Cd x_j d_i without clipping)
    Var[Δw_ij]             = BL w0² (q p (1 + v²) - q² p²) = BL w0² [q p (1 - q p) + v² q p]
    Cov[Δw_ij, Δw_ik]      = BL w0² s_ij s_ik (E[A² B_j B_k] - q² p_j p_k)
                           = BL w0² s_ij s_ik q_i (1 - q_i) p_j p_k              (a row shares A)
    Cov[Δw_ij, Δw_lj]      = BL w0² s_ij s_lj p_j (1 - p_j) q_i q_l              (a column shares B)
    Cov[Δw_ij, Δw_lk]      = 0                                                   (nothing shared)

Trials: the tiles of one plane are independent updates, so a call gives one trial for each tile.
Each estimate's standard error comes from the trials themselves; bounds from their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from rpucc.runtime.array import Array
from rpucc.runtime.backend import Backend
from rpucc.runtime.devices import make_device

from ..bounds import deviations, z_score
from ..stand import updating_on
from ..tilings import Pulsing, Tiling, make_plane

STEP, NOISE = 0.001, 0.3
TILES, CALLS = 500, 400  # 2 x 10^5 trials
X = np.array([0.9, -0.5, 0.2, 1.4, 0.0], np.float32)  # 1.4 is clipped to probability 1 where Cx = 1
D = np.array([0.6, -0.3, 0.05, 0.0], np.float32)
PAIRS = np.triu_indices(X.size * D.size)


@dataclass
class Moments:
    """What the formulas of the module's docstring give: mean [RC], covariance [RC, RC]."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def formulas(
    how: Pulsing, noise: float = NOISE, shared_rows: bool = True, shared_columns: bool = True
) -> Moments:
    """The moments of one update in row-major order; without a shared stream for the power check."""
    x, d = X.astype(float), D.astype(float)
    k = np.sqrt(how.lr / (how.bl * STEP))
    m = np.sqrt(np.abs(d).max() / np.abs(x).max()) if how.managed else 1.0
    p, q = np.minimum(1, k * m * np.abs(x)), np.minimum(1, k / m * np.abs(d))
    size = len(q) * len(p)
    i, j = np.divmod(np.arange(size), len(p))
    sign = -np.sign(d[i] * x[j])
    both, one = q[i] * p[j], how.bl * STEP**2
    covariance = np.zeros((size, size))
    for a in range(size):
        for b in range(size):
            if a == b:
                covariance[a, a] = one * (both[a] * (1 + noise**2) - both[a] ** 2)
            elif i[a] == i[b] and shared_rows:
                r = q[i[a]]
                covariance[a, b] = one * sign[a] * sign[b] * r * (1 - r) * p[j[a]] * p[j[b]]
            elif j[a] == j[b] and shared_columns:
                c = p[j[a]]
                covariance[a, b] = one * sign[a] * sign[b] * c * (1 - c) * q[i[a]] * q[i[b]]
    return Moments(how.bl * STEP * sign * both, covariance)


def trials(backend: Backend, how: Pulsing) -> NDArray[np.float64]:
    """The weight changes of single updates, [trials, RC]."""
    device = make_device(
        "constant-step",
        {
            "dw_min": STEP, "dw_min_std": NOISE, "dw_min_dtod": 0, "up_down_dtod": 0,
            "w_max": 1e3, "w_max_dtod": 0, "w_min": -1e3, "w_min_dtod": 0,
        },
    )  # fmt: skip
    rows, columns = len(D), len(X)
    plane = make_plane(
        device, Tiling(tuple(range(0, TILES * rows + 1, rows)), (0, columns)), seed=7
    )
    array, results = Array("fc", plane.layout, {"weight": plane}), []
    update = updating_on(backend, array, X[None, None], np.tile(D, TILES)[None, None], how)
    for call in range(CALLS):
        plane.W[:] = 0
        update(call)
        results.append(plane.W.reshape(TILES, rows * columns).copy())
    return np.concatenate(results).astype(np.float64)


def mean_scores(changes: NDArray[np.float64], moments: Moments) -> NDArray[np.float64]:
    return z_score(changes, moments.mean)


def covariance_scores(changes: NDArray[np.float64], moments: Moments) -> NDArray[np.float64]:
    """z scores of all variances and covariances, about the exact means."""
    off = changes - moments.mean
    expected = moments.covariance[PAIRS]
    scores = [
        z_score(off[:, a] * off[:, b], value) for a, b, value in zip(*PAIRS, expected, strict=True)
    ]
    return np.array(scores)


SETTINGS = [
    Pulsing(0.01, 10, False), Pulsing(0.01, 10, True), Pulsing(0.002, 1, False),
    Pulsing(0.001, 1, True), Pulsing(0.004, 31, True), Pulsing(0.004, 40, True),
]  # fmt: skip


@pytest.mark.parametrize("how", SETTINGS, ids=lambda h: f"bl{h.bl}-{'UM' if h.managed else 'no'}")
def test_moments(backend: Backend, how: Pulsing) -> None:
    changes = trials(backend, how)
    assert len(changes) >= 10**5
    moments = formulas(how)
    size = changes.shape[1]
    assert mean_scores(changes, moments).max() < deviations(size)
    assert covariance_scores(changes, moments).max() < deviations(len(PAIRS[0]))


def test_mean_is_gradient_descent() -> None:
    """Where no probability is clipped, E[Δw] = -lr x d, with and without update management."""
    x = np.where(np.abs(X) > 1, 0, X)
    for managed in (False, True):
        moments = formulas(Pulsing(0.01, 10, managed))
        clipped = np.abs(np.outer(D, X)) != np.abs(np.outer(D, x))
        expected = -0.01 * np.outer(D, X).astype(float)
        np.testing.assert_allclose(moments.mean.reshape(expected.shape)[~clipped],
                                   expected[~clipped], rtol=1e-6)  # fmt: skip


def test_these_tests_reject_wrong_formulas(backend: Backend) -> None:
    """A mean off by 2 %, missing pulse noise, independent rows or columns: each is far outside."""
    how = SETTINGS[0]
    changes, right = trials(backend, how), formulas(how)
    bound = 2 * deviations(len(PAIRS[0]))
    assert mean_scores(changes, Moments(1.02 * right.mean, right.covariance)).max() > bound
    assert covariance_scores(changes, formulas(how, noise=0.0)).max() > bound
    assert covariance_scores(changes, formulas(how, shared_rows=False)).max() > bound
    assert covariance_scores(changes, formulas(how, shared_columns=False)).max() > bound
    assert covariance_scores(changes, formulas(SETTINGS[1])).max() > bound  # with UM
