"""Tiki-Taka's fast plane on linear devices is heavy ball: gradients fade as it is written.

Around its symmetry point 0, with bounds ±τ, E ΔA = -a g - (a |g| / τ) A: momentum 1 - a |g| / τ,
and a rest at -τ E g / E |g| (Tiki-Taka: Gokmen & Haensch 2020).
"""

from __future__ import annotations

import numpy as np

import rpucc

LINES, TAU, STEP, BL, P, UPDATES = 100, 0.6, 0.001, 20, 0.3, 1000
RATE = BL * STEP * P**2
"""With inputs of ±1, so that every line fires with the probability P in a slot."""

EQUAL = {
    "model": "soft-bounds",
    "dw_min": STEP,
    "w_max": TAU,
    "w_min": -TAU,
    **dict.fromkeys(("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0),
}


def bound() -> float:
    """Five standard deviations of the mean over the array, if nothing faded.

    In a slot the share of coincidences is the product of two shares of LINES draws: its variance is
    (P² + P (1 - P) / LINES)² - P⁴.
    """
    slot = (P**2 + P * (1 - P) / LINES) ** 2 - P**4
    return 5 * STEP * np.sqrt(UPDATES * BL * slot)


def test_ten_thousand_equal_devices_follow_the_recursion() -> None:
    array = rpucc.Array(EQUAL, LINES, LINES, seed=4, update={"bl": BL})
    signs = np.where(np.random.default_rng(1).random(UPDATES) < 0.75, 1.0, -1.0)
    x, A, wrong = np.ones(LINES), 0.0, 0.0
    for g in signs:
        array.update(x, np.full(LINES, g), RATE)
        A += -RATE * g - RATE / TAU * A
        wrong = max(wrong, abs(float(array.weights.mean()) - A))
    assert wrong < bound()
    rest = -TAU * signs.mean()
    assert abs(A - rest) < 0.15 * abs(rest), "long enough to come to rest"
    plain = -RATE * signs.sum()
    assert abs(plain - A) > 10 * bound(), "what does not fade is elsewhere"
