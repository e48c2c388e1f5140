"""Philox words: Random123's known answers, the address scheme, unrelated streams, shuffling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.kernels import philox as kernels
from rpucc.runtime.kernels.philox import GROUP, fill_words, seed_key, shuffle
from rpucc.runtime.reference import philox as reference
from rpucc.runtime.scalars import philox as scalars

from ..bounds import correlation, deviations

WORD = st.integers(0, 2**32 - 1)

# Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds: (counter, key, words).
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def words(first: int, n: int, c1: int, c2: int, c3: int, key: tuple[int, int]) -> np.ndarray:
    """The words of elements first .. first + n - 1, without the rest of their groups."""
    groups = (first % GROUP + n + GROUP - 1) // GROUP
    out = np.zeros(groups * GROUP, np.uint32)
    fill_words(out, first, n, c1, c2, c3, np.uint32(key[0]), np.uint32(key[1]))
    return out[first % GROUP :][:n]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    arguments = [np.uint32(word) for word in (*counter, *key)]
    assert tuple(int(w) for w in kernels.philox(*arguments)) == expected
    plain = reference.philox(np.array(counter, np.uint32), key)
    assert tuple(int(w) for w in plain) == expected


@given(
    first=st.one_of(st.integers(0, 200), st.integers(0, 2**33)), n=st.integers(1, 300),
    c=st.tuples(WORD, WORD, WORD), key=st.tuples(WORD, WORD),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_words_equal_the_reference(
    first: int, n: int, c: tuple[int, int, int], key: tuple[int, int]
) -> None:
    expected = reference.words(first + np.arange(n), *c, key)
    np.testing.assert_array_equal(words(first, n, *c, key), expected)


def test_addresses_are_the_documented_ones() -> None:
    """Element e is word (e >> 4) & 3 of counter c0 = (e >> 6) * 16 + (e & 15)."""
    key, c = (11, 12), (21, 22, 23)
    for e in (0, 1, 15, 16, 31, 32, 47, 48, 63, 64, 100, 12345):
        counter = np.array([(e >> 6) * 16 + (e & 15), *c], np.uint32)
        expected = reference.philox(counter, key)[(e >> 4) & 3]
        assert words(e, 1, *c, key)[0] == expected


def test_nothing_is_written_outside_the_groups() -> None:
    out = np.full(4 * GROUP, 5, np.uint32)
    fill_words(out, GROUP + 60, 8, 1, 2, 3, np.uint32(0), np.uint32(0))  # groups 1 and 2
    assert np.all(out[2 * GROUP :] == 5)
    assert not np.any(out[: 2 * GROUP] == 5)


def test_no_two_elements_share_a_word() -> None:
    counters = {((e >> 6) * 16 + (e & 15), (e >> 4) & 3) for e in range(5000)}
    assert len(counters) == 5000
    assert len(np.unique(words(0, 5000, 1, 2, 3, (4, 5)))) > 4990  # 2^32 values: 3e-3 collisions


PURPOSES = [
    *(value for name, value in vars(scalars).items() if name.isupper() and name != "GROUP"),
    *(scalars.DAC_ROUNDING + value for name, value in vars(scalars).items() if name[:5] == "READ_"),
]


def test_purposes_are_distinct_bytes() -> None:
    assert len(set(PURPOSES)) == len(PURPOSES)
    assert all(0 < p < 256 for p in PURPOSES)


@pytest.mark.parametrize(
    ("index", "purpose", "tile", "sample", "seed"),
    [
        (1, 1, 5, 7, 9), (0, 2, 5, 7, 9), (0, 1, 6, 7, 9), (0, 1, 5, 8, 9), (0, 1, 5, 7, 10),
        (0, 1, 5, 7, 9 + 2**32), (5, 1, 0, 7, 9), (7, 1, 5, 0, 9),
    ],
    ids=["index", "purpose", "tile", "sample", "seed", "seed-high", "swapped", "swapped-sample"],
)  # fmt: skip
def test_streams_are_unrelated(index: int, purpose: int, tile: int, sample: int, seed: int) -> None:
    n = 1 << 16
    base = words(0, n, 0, 1 << 24 | 5, 7, (9, 0))
    key = tuple(int(word) for word in seed_key(seed))
    other = words(0, n, index, purpose << 24 | tile, sample, (key[0], key[1]))
    assert len(np.intersect1d(base, other)) < 10  # 2^16 * 2^16 / 2^32 = 1 expected by chance
    agreeing = 32 * n - int(np.bitwise_count(base ^ other).sum())
    assert abs(agreeing - 16 * n) < deviations() * np.sqrt(8 * n)
    for lag in (0, 1, 16, 64):
        r, error = correlation(base[: n - lag], other[lag:])
        assert abs(r) < deviations(4) * error


def test_seed_key_splits_64_bits() -> None:
    assert seed_key(0x0123456789ABCDEF) == (0x89ABCDEF, 0x01234567)


def order(n: int, epoch: int, seed: int) -> np.ndarray:
    result = np.arange(n)
    shuffle(result, epoch, *seed_key(seed))
    return result


def test_shuffle_is_a_repeatable_permutation() -> None:
    a = order(1000, 3, 4)
    np.testing.assert_array_equal(np.sort(a), np.arange(1000))
    np.testing.assert_array_equal(a, order(1000, 3, 4))
    for other in (order(1000, 4, 4), order(1000, 3, 5)):
        assert np.mean(a == other) < 0.02  # 0.001 expected
    for short in (0, 1):
        np.testing.assert_array_equal(order(short, 0, 0), np.arange(short))


def test_shuffle_is_uniform() -> None:
    """Each of the 24 orders of 4 elements comes up equally often (chi squared, 23 degrees)."""
    epochs = 12000
    places = np.array([order(4, epoch, 1) for epoch in range(epochs)])
    _, counts = np.unique(places @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    chi2 = np.sum((counts - epochs / 24) ** 2) / (epochs / 24)
    assert chi2 < 23 + 6 * np.sqrt(2 * 23)
