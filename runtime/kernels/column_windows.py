"""Vectors between reads of columns: which of them a column is pulsed with before its read.

A transfer after every vector would let a pulsed update take one vector at a time. But what is done
to a column of cells depends on no other column: its pulses, its read, its memory, its write, its
sign. So a window of vectors in which no column is read twice is pulsed in two goes: every column
with the vectors before its read, then, when all are read, every column with those after it. The
pulses are the very same, at the same addresses. A column has a 0 in place of the inputs that are
not its own; the largest input of a vector, which gains of trains follow from, stands behind its
last column. Not for what a read and a write do: `runtime/cells/buffered_template.py.txt`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.floats import float_of, magnitude_bits
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import CHOPPER, philox

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32
NEW = 0.01
"""The weight of a minibatch in a running mean."""


@inlined
def next_window(m, n, vectors, turns):
    """(end, transfers, vector of the first of them) of the window that begins with vector m.

    n: vectors, or minibatches, before m. Where there is no transfer the window has all that is
    left.
    """
    if turns.by_minibatch:
        return vectors, i64((n + 1) % turns.every == 0), vectors - 1
    first = m + turns.every - n % turns.every - 1
    if first >= vectors:
        return vectors, i64(0), vectors
    last = vectors if turns.across else min(vectors, (first // turns.each + 1) * turns.each)
    events = min(i64(turns.most), 1 + (last - 1 - first) // turns.every)
    return first + (events - 1) * turns.every + 1, events, first


@inlined
def first_event(m, n, first, turns):
    """The number of the transfer after vector `first` of a window that begins with vector m."""
    if turns.by_minibatch:
        return (n + 1) // turns.every - 1
    return (n + first - m + 1) // turns.every - 1


@inlined
def read_place(i, event0, first, taken, width, turns):
    """(column in the tile, pass, vector, sample, number in the sample) of read i of a window.

    event0, first: number and vector of its first transfer; taken: columns that a transfer reads of
    a tile, one after the other.
    """
    number = event0 * taken + i
    event = event0 + i // taken
    vector, before = first, event0
    if not turns.by_minibatch:
        vector = first + (i // taken) * turns.every
        before = (turns.before + vector // turns.each * turns.each) // turns.every
    return (
        number % width, number // width, vector, vector // turns.each,
        (event - before) * taken + i % taken,
    )  # fmt: skip


@inlined
def turn_sign(signs, column, passes, j, sample, chopping, k0, k1):
    """What becomes of a column's sign behind its read, number j of the sample."""
    flips = False
    if chopping.period > 0:
        if chopping.level < 0:
            flips = passes % chopping.period + 1 == chopping.period
        else:
            word = u32(u32(CHOPPER << 24) | u32(chopping.tile))
            drawn, _, _, _ = philox(u32(column), u32(j), word, u32(sample), u32(k0), u32(k1))
            flips = i32(drawn >> u32(8)) < i32(chopping.level)
    if flips:
        signs.chopped[column] = f32(1) - signs.chopped[column]
    signs.switched[column] = f32(1) if flips else f32(0)


@inlined
def _largest(values, row):
    """The largest magnitude in a row of values [M, n]."""
    largest = i32(0)
    for i in range(values.shape[1]):
        largest = max(largest, magnitude_bits(values[row, i]))
    return float_of(largest)


@inlined
def _measure(x_most, d_most, new, sizes):
    """Bring the sizes up to date with a vector; returns their product, 1 where nothing is known."""
    if x_most > f32(0):
        sizes[0] = sizes[0] + new * (x_most - sizes[0]) if sizes[0] > f32(0) else x_most
    if d_most > f32(0):
        sizes[1] = sizes[1] + new * (d_most - sizes[1]) if sizes[1] > f32(0) else d_most
    product = sizes[0] * sizes[1]
    return product if product > f32(0) else f32(1)


@kernel
def _split(x, ahead, behind, vector, trains, old, now, read_at):
    """Rows x [n, C] from a vector on, by what their columns have in them before and after reads."""
    C = x.shape[1]
    for q in range(x.shape[0]):
        v = i32(vector + q // trains)
        for c in range(C):
            ahead[q, c] = old[c] * x[q, c] if v < read_at[c] else f32(0)
        for c in range(C):
            behind[q, c] = f32(0) if v < read_at[c] else now[c] * x[q, c]
        if ahead.shape[1] > C:
            ahead[q, C] = behind[q, C] = _largest(x, q)


@kernel
def scale_errors(X, D, trains, sizes, products, errors):
    """Bring the sizes up to date with the vectors of a step; errors: D over those of each."""
    vectors = X.shape[1] // trains
    new = f32(NEW) / f32(vectors)
    for v in range(vectors):
        x_most, d_most = f32(0), f32(0)
        for g in range(X.shape[0]):
            x_most = max(x_most, _largest(X[g], v * trains))
            d_most = max(d_most, _largest(D[g], v * trains))
        products[v] = _measure(x_most, d_most, new, sizes)
    for g in range(X.shape[0]):
        _divide(D[g], errors[g], products, trains)


@kernel
def _divide(d, errors, products, trains):
    for q in range(d.shape[0]):
        factor = f32(1) / products[q // trains]
        for r in range(d.shape[1]):
            errors[q, r] = d[q, r] * factor


@kernel
def prepare(X, D, scaled, chopping, turns, sample0, col_cuts, k0, k1, prepared):
    """Make of X [G, M, C] and D [G, M, R] what `Prepared` says, and of signs and sizes the next.

    scaled: whether D is divided by the sizes of a vector.
    """
    before, after, errors, products, signs, sizes, read_at, old, now = prepared
    trains, C = turns.trains, X.shape[2]
    vectors = X.shape[1] // trains
    n = turns.before
    m = 0
    while m < vectors:
        stop, events, first = next_window(m, n, vectors, turns)
        for c in range(C):
            read_at[c] = i32(stop)
            old[c] = f32(1) - f32(2) * signs.chopped[c]
        event0 = first_event(m, n, first, turns)
        for s in range(col_cuts.shape[0] - 1):
            c0, columns = col_cuts[s], col_cuts[s + 1] - col_cuts[s]
            taken = min(i64(turns.columns), columns)
            for i in range(events * taken):
                k, passes, vector, sample, j = read_place(i, event0, first, taken, columns, turns)
                read_at[c0 + k] = i32(vector + 1)
                turn_sign(signs, c0 + k, passes, j, sample0 + sample, chopping, k0, k1)
        for c in range(C):
            now[c] = f32(1) - f32(2) * signs.chopped[c]
        for g in range(X.shape[0]):
            rows = slice(m * trains, stop * trains)
            _split(X[g, rows], before[g, rows], after[g, rows], m, trains, old, now, read_at)
        n += stop - m
        m = stop
    if scaled:
        scale_errors(X, D, trains, sizes, products, errors)
