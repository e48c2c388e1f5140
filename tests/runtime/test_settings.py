"""Trainings at settings of all kinds: each is refused in one line, or trains."""

from __future__ import annotations

import pytest

from .settings import attempt, keys, main


@pytest.mark.parametrize("seed", range(8))
def test_a_setting_is_refused_or_trains(seed: int) -> None:
    attempt(seed)


def test_all_tables_are_tried() -> None:
    """Keys that are added to a target are among them without being listed here."""
    tables = {key.split(".")[0] for key in keys()}
    assert {"mapping", "periphery", "device", "cell", "management", "update"} <= tables
    assert len(keys()) > 60


@pytest.mark.slow
def test_many_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """Half an hour; with NUMBA_BOUNDSCHECK=1 kernels check every index."""
    main(20_000, 1000)
    assert "trained" in capsys.readouterr().out
