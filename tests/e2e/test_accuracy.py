"""The 2017 paper's main comparison on full MNIST, through the command line. Minutes: slow."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


EPOCHS = 2


def test_errors(shared: Path, cli) -> None:
    """Managed arrays learn, unmanaged ones hardly, the ideal target as floating point does."""
    errors = {}
    for target in ("ideal", "rpu-baseline", "rpu-managed", "rpu-managed-um"):
        data = shared / "data" / "mnist.npz"
        options = ["-t", target, "--data", data, "--epochs", EPOCHS, "-o", target]
        assert cli("train", "lenet", *options).code == 0
        with open(Path(target) / "metrics.csv", newline="", encoding="utf-8") as file:
            errors[target] = [float(row["test_error"]) for row in csv.DictReader(file)]
    assert errors["rpu-managed"][0] <= 0.04
    assert errors["rpu-managed-um"][0] <= 0.04
    assert min(errors["rpu-baseline"]) >= 2 * max(errors["rpu-managed"])
    assert errors["ideal"][-1] <= 0.02
