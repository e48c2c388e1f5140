"""Mean and variance of channels over samples that come batch by batch, in double precision.

Each sample has its own sums, and they are put together one after the other, so that the numbers do
not depend on how samples are parted into batches or shared out among threads. Source: Chan, Golub &
LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
"""

from __future__ import annotations

from rpucc.runtime.kernels.jit import kernel


@kernel
def sample_moments(x, mean, squares, n0, n1):
    """Mean [N, C] and sum of squares about it [N, C] of each channel of the samples n0 to n1.

    x: [N, C, S].
    """
    _, C, S = x.shape
    for n in range(n0, n1):
        for c in range(C):
            row = x[n, c]
            total = 0.0
            for s in range(S):
                total += row[s]
            middle = total / S
            apart = 0.0
            for s in range(S):
                apart += (row[s] - middle) * (row[s] - middle)
            mean[n, c], squares[n, c] = middle, apart


@kernel
def add_moments(mean, squares, each, count, total_mean, total_squares):
    """Add samples [N, C] of `each` numbers a channel to [C] of `count` numbers a channel."""
    N, C = mean.shape
    for n in range(N):
        before = count + n * each
        share = each / (before + each)
        for c in range(C):
            apart = mean[n, c] - total_mean[c]
            total_mean[c] += apart * share
            total_squares[c] += squares[n, c] + apart * apart * before * share
