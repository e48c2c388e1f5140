"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder with the full MNIST and a trained model; skips where it is absent."""
    folder = Path(os.environ.get("RPUCC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared folder with the full MNIST and the trained model is absent")
    return folder
