"""Zero-shifting through the command line: what it prints and stores, what it does to training."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import rpucc

SHIFT = ("--set", "calibration.zero_shift=true")


def test_it_rescues_training_on_asymmetric_devices() -> None:
    """A LeNet on the built-in digits, one epoch, one seed: 9 % wrong, 91 % and 9 % when written."""
    data = rpucc.load_dataset("mnist-mini")

    def error(target: str, *overrides: str) -> float:
        program = rpucc.compile("lenet", target, overrides=overrides, verify=False)
        trainer = rpucc.Trainer(rpucc.Machine(program, seed=0))
        (metrics,) = trainer.fit(data, epochs=1)
        assert metrics.test_error is not None
        return metrics.test_error

    symmetric = error("soft-bounds")
    unshifted = error("soft-bounds-asymmetric")
    shifted = error("soft-bounds-asymmetric", SHIFT[1])
    assert symmetric < 0.15
    assert unshifted > 0.8
    assert shifted < symmetric + 0.04


def test_what_train_says_and_stores(cli, tiny_model: Path, tiny_data: Path) -> None:
    arguments = ("train", tiny_model, "-t", "soft-bounds-asymmetric", "--data", tiny_data, *SHIFT)
    done = cli(*arguments, "-o", "run", "--json")
    assert done.code == 0
    said = re.search(
        r"131 devices zero-shifted: symmetry points (\S+) ± (\S+) before, (\S+) ± (\S+) after",
        done.stderr,
    )
    assert said is not None
    before, spread, after, left = map(float, said.groups())
    assert before > 0.8
    assert spread > 0.4
    assert abs(after) < 0.1
    assert left < 0.15
    with open("run/calibration.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["hidden", "classes"]
    assert sum(int(row["devices"]) for row in rows) == 131
    records = json.loads(done.stdout)["calibration"]
    assert [{key: str(value) for key, value in each.items()} for each in records] == rows
    first = Path("run/calibration.csv").read_bytes(), Path("run/metrics.csv").read_bytes()
    assert cli(*arguments, "-o", "again").code == 0
    again = Path("again/calibration.csv").read_bytes(), Path("again/metrics.csv").read_bytes()
    assert again == first


def test_resumed_training_gives_the_same_bits(cli, tiny_model: Path, tiny_data: Path) -> None:
    arguments = ("train", tiny_model, "-t", "soft-bounds-asymmetric", "--data", tiny_data, *SHIFT)
    assert cli(*arguments, "--epochs", 2, "-o", "through").code == 0
    assert cli(*arguments, "--epochs", 1, "-o", "stopped").code == 0
    assert cli("train", "stopped", "--resume", "--epochs", 2).code == 0
    for name in ("checkpoint.safetensors", "metrics.csv", "calibration.csv"):
        assert (Path("stopped") / name).read_bytes() == (Path("through") / name).read_bytes()


def test_starting_over_without_it_leaves_no_report(cli, tiny_model: Path, tiny_data: Path) -> None:
    arguments = ("train", tiny_model, "-t", "soft-bounds-asymmetric", "--data", tiny_data)
    assert cli(*arguments, *SHIFT, "-o", "run").code == 0
    done = cli(*arguments, "-o", "run", "--force")
    assert done.code == 0
    assert "zero-shifted" not in done.stderr
    assert not Path("run/calibration.csv").exists()


def test_devices_without_symmetry_points_are_refused(
    cli, tiny_model: Path, tiny_data: Path
) -> None:
    done = cli("train", tiny_model, "-t", "rpu-managed", "--data", tiny_data, *SHIFT, "-o", "run")
    assert done.code == 1
    (line,) = (text for text in done.stderr.splitlines() if "Error" in text)
    assert "layer 'hidden': calibration.zero_shift: device 'constant-step' has no symmetry" in line
    assert not Path("run").exists()
