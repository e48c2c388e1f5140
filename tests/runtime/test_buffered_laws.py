"""What cells with digital memory must do where devices are ideal: equalities, drifts, sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rpucc

Array = np.ndarray[Any, np.dtype[Any]]

R, C, LR = 4, 6, 0.5
STEP = 0.001


def exact(model: str, **cell: Any) -> rpucc.Array:
    """Ideal devices; every vector moves A by d xᵀ, H's unit is that of W's pulses."""
    keys = {"fast_lr": 1.0, "auto_scale": False, "auto_granularity": 0.0, "transfer_lr": 0.02}
    return rpucc.Array(
        {"model": "ideal", "dw_min": STEP}, R, C, update={"pulsed": False},
        cell={"model": model, **keys, **cell},
    )  # fmt: skip


def vectors(n: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, n, C)), 0.01 * rng.normal(size=(1, n, R))


def state_of(array: rpucc.Array, *names: str) -> list[Array]:
    found = {"W": array.planes["slow"].W, "A": array.planes["fast"].W, **array.buffers}
    return [found[name].copy() for name in names]


def test_it_is_a_loop_over_columns() -> None:
    """AGAD written from its equations, one vector after the other."""
    T, beta, momentum, most, every = 4, 0.5, 0.1, 2, 2
    array = exact(
        "agad", in_chop_prob=1 / T, tail_weightening=beta * T, momentum=momentum, transfer_bl=most,
        transfer_every=every, transfer_lr=0.2,
    )  # fmt: skip
    X, D = vectors(800)
    for part in range(8):  # several calls: every one begins where the last one ended
        array.update(X[:, 100 * part : 100 * part + 100], D[:, 100 * part : 100 * part + 100], LR)
    A, W, H, P, start = (np.zeros((R, C)) for _ in range(5))
    sign, switched, k, passes = np.ones(C), [False] * C, 0, 0
    for n, (x, d) in enumerate(zip(X[0], D[0], strict=True), 1):
        A -= np.outer(d, sign * x)
        if n % every:
            continue
        v = A[:, k].copy()
        if switched[k]:
            start[:, k], switched[k] = P[:, k], False
        H[:, k] += 0.2 * LR / STEP * sign[k] * (v - start[:, k])
        if passes <= T:
            H[:, k] = 0
        pulses = np.clip(np.trunc(H[:, k]), -most, most)
        H[:, k] -= (1 - momentum) * pulses
        W[:, k] += pulses * STEP
        P[:, k] += beta * (v - P[:, k])
        if passes % T + 1 == T:
            sign[k], switched[k] = -sign[k], True
        k = (k + 1) % C
        passes += k == 0
    found = state_of(array, "W", "A", "recent", "offset")
    for one, expected in zip(found, (W, A, P, start), strict=True):
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(array.buffers["buffer"], H, rtol=0, atol=5e-3)  # of 100 a unit
    assert np.abs(W).sum() / STEP > 200
    np.testing.assert_array_equal(1 - 2 * array.buffers["chopped"], sign)


def test_without_choppers_they_are_tiki_taka_2() -> None:
    """c-TTv2 and AGAD whose signs never change, and H in the same unit."""
    X, D = vectors(300)
    results = []
    for model, keys in (
        ("tiki-taka-2", {}),
        ("chopped-tiki-taka", {"in_chop_prob": 0.0}),
        ("agad", {"in_chop_prob": 0.0}),
    ):
        array = exact(model, transfer_every=2, transfer_lr=0.05, transfer_bl=5, **keys)
        array.update(X, D, LR)
        results.append(state_of(array, "W", "A", "buffer"))
        assert np.mean(results[0][0] != 0) > 0.5
    for W, A, H in results[1:]:
        np.testing.assert_array_equal(W, results[0][0])
        np.testing.assert_array_equal(A, results[0][1])
        # c-TTv2 has the very kernel of TTv2; AGAD's subtracts 0 on the way.
        np.testing.assert_allclose(H, results[0][2], rtol=0, atol=1e-4 if W is results[2][0] else 0)


def test_the_last_read_is_the_whole_mean_with_all_the_weight() -> None:
    array = exact("agad", in_chop_prob=0.2, tail_weightening=5.0)
    X, D = vectors(3 * C, 1)
    array.update(X, D, LR)
    last = array.planes["fast"].W[:, C - 1]
    np.testing.assert_allclose(array.buffers["recent"][:, C - 1], last, rtol=0, atol=1e-7)


T = 6


@pytest.mark.parametrize(
    ("model", "keys", "expected"),
    [
        ("tiki-taka-2", {}, [T, 2 * T, 3 * T, 4 * T, 5 * T]),
        ("chopped-tiki-taka", {"in_chop_prob": 1 / T}, [T, 0, T, 0, T]),
        (
            "agad", {"in_chop_prob": 1 / T, "tail_weightening": T, "warm_up": False},
            [T, T, T, T, T],
        ),
        (
            "agad", {"in_chop_prob": 1 / T, "tail_weightening": T / 2, "warm_up": False},
            [6, 5.90625, 5.907715, 5.907692, 5.907692],
        ),
        ("agad", {"in_chop_prob": 1 / T}, [0, 0, 0, 0, 0]),
    ],
    ids=["tiki-taka-2", "chopped", "agad", "agad, mean", "agad, held"],
)  # fmt: skip
def test_an_array_at_rest_off_zero_drifts_as_stated(
    model: str, keys: dict[str, Any], expected: list[float]
) -> None:
    """H in units of scale times the offset, after each period, without any gradient."""
    offset, scale = 0.37, 1e-3 / LR * STEP
    array = exact(model, transfer_lr=scale, **keys)
    array.planes["fast"].W[...] = offset
    found = []
    for _ in expected:
        array.update(np.zeros((1, C * T, C)), np.zeros((1, C * T, R)), LR)
        found.append(array.buffers["buffer"] / (1e-3 * offset))
    held = model == "agad" and keys.get("warm_up", True)
    atol = 0.02 if held else 2e-5  # the mean of ten reads' tails is not the offset to the digit
    for one, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, value, rtol=0, atol=atol)


def test_a_constant_gradient_gains_the_same_in_every_period() -> None:
    """AGAD with the last read as reference: T (T + 1) / 2 sums of what lies between two reads."""
    T, d, every, scale = 5, 0.002, 2, 1e-4
    array = exact(
        "agad", in_chop_prob=1 / T, tail_weightening=T, warm_up=False, transfer_every=every,
        transfer_lr=scale / LR * STEP,
    )  # fmt: skip
    before, gains = np.zeros((R, C)), []
    for _ in range(5):
        n = C * every * T
        array.update(np.ones((1, n, C)), np.full((1, n, R), d), LR)
        gains.append(array.buffers["buffer"] - before)
        before = array.buffers["buffer"].copy()
    each = -scale * every * C * d
    for gain in gains[1:]:
        np.testing.assert_allclose(gain / each, T * (T + 1) / 2, rtol=1e-3)
    first = [T * (T - 1) / 2 + T * (k + 1) / C for k in range(C)]
    np.testing.assert_allclose(gains[0][0] / each, first, rtol=1e-3)


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("forget", [False, True])
def test_what_is_read_is_written_or_kept(most: int, forget: bool) -> None:
    """H and all pulses together are all that was read; forgetting at a write loses some of it."""
    array = exact(
        "agad", in_chop_prob=0.1, warm_up=False, transfer_bl=most, forget_buffer=forget,
        transfer_lr=0.1,
    )  # fmt: skip
    X, D = vectors(150, 2)
    total = np.zeros((R, C))
    for n in range(X.shape[1]):
        sign = 1 - 2 * array.buffers["chopped"].copy()
        array.update(X[:, n : n + 1], D[:, n : n + 1], LR)
        k = n % C
        v, start = array.planes["fast"].W[:, k], array.buffers["offset"][:, k]
        total[:, k] += 0.1 * LR / STEP * sign[k] * (v - start)
    kept = array.buffers["buffer"] + array.planes["slow"].W / STEP
    gap = float(np.max(np.abs(kept - total)))
    assert (gap < 1e-2) != forget
    assert np.mean(array.planes["slow"].W != 0) > 0.5


def test_memory_is_a_decaying_mean_in_residual_learning() -> None:
    """At rest H comes to the read itself, 1 - b of the way a read."""
    array = exact("residual-2", momentum=0.5, transfer_lr=1e-4, gamma=0.0)
    array.planes["fast"].W[...] = 0.4
    for reads in range(1, 5):
        array.update(np.zeros((1, C, C)), np.zeros((1, C, R)), LR)
        expected = 1e-4 / STEP * 0.4 * (1 - 0.5**reads)
        np.testing.assert_allclose(array.buffers["buffer"], expected, rtol=1e-5)
