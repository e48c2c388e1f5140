"""Bounds for statistical tests, from the sample size and a chance of a false alarm of 1e-6."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

FALSE_ALARM = 1e-6


def deviations(comparisons: int = 1) -> float:
    """Standard errors that the largest of so many normal estimates stays within."""
    return float(norm.isf(FALSE_ALARM / (2 * comparisons)))


def kolmogorov_smirnov(n: int) -> float:
    """The bound of the statistic D of n draws: P(D > b) = 2 exp(-2 n b²), asymptotically."""
    return float(np.sqrt(-np.log(FALSE_ALARM / 2) / (2 * n)))


def correlation(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """(sample correlation, its standard error if there is none)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1]), float(1 / np.sqrt(a.size))


def z_score(samples: NDArray[np.float64], expected: ArrayLike) -> NDArray[np.float64]:
    """How many standard errors the means over axis 0 lie from what is expected of them.

    The standard errors are the samples' own; where the samples do not vary they must be exact
    (0 where they are, infinity where not).
    """
    error = samples.std(axis=0) / np.sqrt(len(samples))
    off = np.abs(samples.mean(axis=0) - expected)
    exact = np.where(off < 1e-12, 0.0, np.inf)
    return np.where(error > 0, off / np.where(error > 0, error, 1), exact)
