"""Reads of columns between vectors, in a list: which column is read after which vector.

For devices that are pulsed one by one. A device's pulses and reads depend on those of no other row,
so a row is pulsed with all vectors of a step in turn, and its columns are read where the list says.
The other way, for devices that a kernel pulses with many vectors at once, is `column_windows.py`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.column_windows import scale_errors, turn_sign
from rpucc.runtime.kernels.jit import kernel

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64


@kernel
def _sign(x, signed, chopped):
    """Rows x [n, C] with the signs of their columns."""
    for q in range(x.shape[0]):
        for c in range(x.shape[1]):
            signed[q, c] = (f32(1) - f32(2) * chopped[c]) * x[q, c]


@kernel
def list_reads(X, D, scaled, chopping, turns, sample0, col_cuts, k0, k1, prepared, reads):
    """Make of X [G, M, C] and D [G, M, R] what `Prepared` says, of signs and sizes the next.

    reads: `runtime/cells/buffered_arguments.py` says what is listed; scaled: whether D is divided
    by the sizes of a vector.
    """
    signed, errors, products, signs, sizes = (
        prepared.before,
        prepared.errors,
        prepared.products,
        prepared.signs,
        prepared.sizes,
    )
    trains = turns.trains
    vectors = X.shape[1] // trains
    if scaled:
        scale_errors(X, D, trains, sizes, products, errors)
    reads.number[:] = i32(0)
    for v in range(vectors):
        n = turns.before + (1 if turns.by_minibatch else v + 1)
        if chopping.period > 0:
            for g in range(X.shape[0]):
                rows = slice(v * trains, (v + 1) * trains)
                _sign(X[g, rows], signed[g, rows], signs.chopped)
        if n % turns.every != 0 or (turns.by_minibatch and v + 1 < vectors):
            continue
        event = n // turns.every - 1
        sample = v // turns.each
        before = (
            event if turns.by_minibatch else (turns.before + sample * turns.each) // turns.every
        )
        for s in range(col_cuts.shape[0] - 1):
            c0, columns = col_cuts[s], col_cuts[s + 1] - col_cuts[s]
            taken = min(i64(turns.columns), columns)
            for turn in range(taken):
                number = event * taken + turn
                k, passes = number % columns, number // columns
                place = (event - before) * taken + turn
                i = reads.number[s]
                reads.after[s, i] = i32((v + 1) * trains - 1)
                reads.column[s, i] = i32(k)
                reads.place[s, i] = i32(place)
                reads.chopped[s, i] = signs.chopped[c0 + k]
                reads.switched[s, i] = signs.switched[c0 + k]
                reads.warming[s, i] = i32(passes <= chopping.held)
                reads.size[s, i] = products[v]
                reads.number[s] = i32(i + 1)
                turn_sign(signs, c0 + k, passes, place, sample0 + sample, chopping, k0, k1)
