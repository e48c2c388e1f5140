"""Agreement with aihwkit in distribution; and that the comparison itself tells distributions apart.

The comparison needs the interpreter of an environment with aihwkit: RPUCC_PEER_PYTHON, else this
one. `pytest -m slow tests/runtime/test_aihwkit_agreement.py`, about two minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the benchmarks are not installed

from benchmarks.agreement import __main__ as agreement
from benchmarks.agreement import ours, page
from benchmarks.agreement.cases import CASES, Read, Response, Update, moments, request, with_sums
from benchmarks.agreement.compare import bound, compare

PEER = os.environ.get("RPUCC_PEER_PYTHON", sys.executable)


@pytest.mark.slow
def test_reads_updates_and_devices_agree_with_aihwkit() -> None:
    found = agreement.run(PEER)
    if found.absent:
        pytest.skip(f"{PEER}: aihwkit is not there ({found.absent}); set RPUCC_PEER_PYTHON")
    assert not found.left_out
    assert len(found.comparisons) == len(agreement.ALL)
    limit = bound(found.comparisons)
    beyond = {c.name: (c.means, c.variances) for c in found.comparisons}
    assert {n: z for n, z in beyond.items() if max(z) > limit} == {}


def test_without_a_peer_the_run_says_why(tmp_path: Path) -> None:
    found = agreement.run(str(tmp_path / "python"))
    assert found.comparisons == []
    assert "No such file" in found.absent


# --- the comparison ----------------------------------------------------------------------------


def draws(seed: int, mean: float = 0.0, sigma: float = 1.0, n: int = 20_000) -> dict[str, object]:
    values = np.random.default_rng(seed).normal(mean, sigma, (n, 200))
    return moments(values.astype(np.float32))


def test_equal_distributions_are_within_the_bound_and_others_are_not() -> None:
    a = draws(1)
    same = compare("same", "read", a, draws(2))
    limit = bound([same])
    assert limit == pytest.approx(6.0, abs=0.2)  # of 400 numbers at 1e-6
    assert max(same.means, same.variances) < limit
    assert compare("mean", "read", a, draws(2, mean=0.1)).means > limit
    assert compare("mean", "read", a, draws(2, mean=0.1)).variances < limit
    wider = compare("variance", "read", a, draws(2, sigma=1.08))
    assert wider.variances > limit > wider.means
    assert wider.ratio == pytest.approx(1 / 1.08, rel=0.01)


def test_what_does_not_vary_has_to_be_the_same() -> None:
    fixed, other = np.ones((100, 3), np.float32), np.ones((100, 3), np.float32)
    other[:, 1] += 1e-3
    assert compare("", "read", moments(fixed), moments(fixed)).means == 0
    assert compare("", "read", moments(fixed), moments(other)).means == np.inf


def test_sums_of_lines_are_beside_the_changes() -> None:
    found = with_sums(np.arange(12, dtype=np.float32).reshape(1, 3, 4))
    assert found[0, 12:].tolist() == [6, 22, 38, 12, 15, 18, 21]


# --- our side and the page ---------------------------------------------------------------------


def test_our_samples_have_the_moments_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """σ of a read; BL Δw² (1 + std²) p of a weight that an update changes with probability p."""
    monkeypatch.setattr(ours, "READS", 2000)
    monkeypatch.setattr(ours, "UPDATES", 2000)
    read = ours.measure(request(Read("noise", read_noise=0.06)))
    assert np.mean(read["variance"]) == pytest.approx(0.06**2, rel=0.05)
    update = ours.measure(request(Update("BL 10", 10)))
    largest = 3 * 30 + 3  # d[3] = x[3] = 1: it fires in every slot
    assert update["mean"][largest] == pytest.approx(-0.01, rel=0.01)
    assert update["variance"][largest] == pytest.approx(10 * 0.0003**2, rel=0.2)


def test_the_page_names_what_is_beyond_the_bound() -> None:
    a, b = draws(1), draws(2, mean=1)
    pair = [compare("noise", "read", a, a), compare("moved", "read", a, b)]
    text = page.text(pair, {"soft-bounds": "absent"}, {"aihwkit": "1.2.0"})
    assert "Beyond it: moved." in text
    assert "- soft-bounds: absent" in text
    assert not page.all_within(pair)
    assert "None does." in page.text(pair[:1], {}, {})
    curve = next(case for case in CASES if isinstance(case, Response))
    few = moments(np.random.default_rng(1).normal(size=(50, 18)).astype(np.float32))
    text = page.text([compare(curve.name, "response", few, few)], {}, {})
    assert "| 1000 up, 10 down |" in text
