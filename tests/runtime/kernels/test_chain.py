"""Chains of several planes against their plain statement, draw for draw."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rpucc.runtime.devices import Device
from rpucc.runtime.plane import Plane

from ..tilings import make_plane
from .test_cells import FAST, SLOW, SOFT, C, Ends, How, OneByOne, R, plain_chain, run_chain

PACKED = OneByOne(dw_min=0.004)


def chain(*devices: Device) -> list[Plane]:
    """Planes from the finest to the coarsest, with weights in all of them."""
    random = np.random.default_rng(2)
    starts = [random.uniform(-0.3, 0.3, (R, C)).astype(np.float32) for _ in devices]
    return [
        make_plane(device, replace(SLOW, first_tile=FAST.first_tile + 20 * i), start, seed=6)
        for i, (device, start) in enumerate(zip(devices, starts, strict=True))
    ]


def ends_of(planes: list[Plane], growth: int, rate: float) -> list[Ends]:
    """The links of a chain, the coarsest first; the finest is transferred every other vector."""
    pairs = list(pairwise(planes))
    return [(*pair, rate * 1.2**m, 2 * growth**m) for m, pair in enumerate(pairs)][::-1]


@pytest.mark.parametrize(
    ("devices", "how"),
    [
        ((SOFT, SOFT, SOFT), How(columns=2)),
        ((SOFT, PACKED, SOFT), How(columns=1, reset=True, bound=0.4, adc_bits=6)),
    ],
    ids=["alike", "several models"],
)
def test_equals_the_plain_statement(devices: tuple[Device, ...], how: How) -> None:
    planes = chain(*devices)
    before = [plane.W.copy() for plane in planes]
    ends = ends_of(planes, 2, 0.5)
    expected, pulses = plain_chain(ends, how)
    assert run_chain(ends, how) == pulses > 100
    for plane, one, start in zip(planes, expected, before, strict=True):
        np.testing.assert_allclose(plane.W, one.W, rtol=0, atol=2e-6)
        assert np.mean(np.abs(plane.W - start) > 1e-4) > 0.05


def test_rows_in_parts_give_the_same_bits() -> None:
    whole, parts = chain(SOFT, SOFT, SOFT), chain(SOFT, SOFT, SOFT)
    ranges = ((0, 2), (2, 5), (5, R))
    assert run_chain(ends_of(whole, 2, 0.5), How()) == run_chain(
        ends_of(parts, 2, 0.5), How(), ranges
    )
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.W, other.W)


def test_each_link_has_a_turn_of_its_own_and_draws_of_its_own() -> None:
    """Where all periods are one every link takes the same column; where they grow, others."""
    moved = []
    for growth in (1, 2):
        planes = chain(SOFT, SOFT, SOFT)
        start = [plane.W.copy() for plane in planes]
        run_chain(ends_of(planes, growth, 0.5), How(columns=1, lr=0.0, before=0))
        moved.append([(plane.W != W).any(axis=0) for plane, W in zip(planes, start, strict=True)])
    (_, middle, coarse), (_, same, fewer) = moved
    assert np.array_equal(middle, coarse)
    assert np.array_equal(middle, same)
    assert fewer.sum() < same.sum()
