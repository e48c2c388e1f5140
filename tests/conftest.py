"""Fixtures that every test may use."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.pop("COLUMNS", None)  # which processes of pytest-xdist get: tables have their own width


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder with the full MNIST and a trained model; skips where it is absent."""
    folder = Path(os.environ.get("RPUCC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared folder with the full MNIST and the trained model is absent")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        help="run the tests that every backend must pass on module:NAME, not on those of rpucc; "
        "with -m conformance no others",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `backend` runs on each: it is one of those that every backend must pass."""
    if "backend" in metafunc.fixturenames:
        chosen = backends(metafunc.config.getoption("--backend"))
        metafunc.parametrize("backend", chosen, ids=lambda each: each.name, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "backend" in getattr(item, "fixturenames", ()):
            item.add_marker("conformance")


def backends(chosen: str | None) -> list[Any]:
    """The backend that the command line names, or all of rpucc's."""
    if chosen is None:
        from rpucc.runtime.cpu import CPU

        return [CPU]
    module, _, name = chosen.partition(":")
    return [getattr(importlib.import_module(module), name)]
