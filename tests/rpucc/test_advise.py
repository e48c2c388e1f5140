"""`rpucc advise`: what a device is like in numbers, and what algorithms made of such devices."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rpucc.advice import Condition, Measured, measured
from rpucc.cells import CELLS
from rpucc.cli.main import cli
from rpucc.runtime.device_traits import device_traits
from rpucc.runtime.devices import device_of, make_device
from rpucc.target.target import Target

RESULTS = Path(__file__).parents[2] / "docs/results"
ROWS = {
    "plain": ("sgd", "sgd-slow"),
    "tiki-taka-2": ("ttv2",),
    "chopped-tiki-taka": ("c-ttv2",),
    "agad": ("agad",),
}
"""Cell -> the rows of the experiment that it was trained in; of several rates the best counts."""


def advise(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, ["advise", *map(str, arguments)])


def test_figures_are_those_of_the_experiment() -> None:
    figures = measured()
    results = json.loads((RESULTS / figures.experiment / "results.json").read_text("utf-8"))
    means = {row["name"]: row["means"] for row in results["rows"]}
    assert len(figures.condition) == len(means) / 5 * len(results["values"])
    for condition in figures.condition:
        at = results["values"].index(condition.offset)
        assert condition.errors.keys() == ROWS.keys() <= CELLS.keys()
        for cell, names in ROWS.items():
            best = min(means[f"{name}-{condition.states:g}"][at] for name in names)
            assert condition.errors[cell] == float(f"{best:.3g}"), (condition, cell)


def test_the_nearest_condition_is_no_milder() -> None:
    rows = [(20, 0.0), (20, 0.1), (20, 0.5), (1000, 0.0), (1000, 0.1)]
    figures = Measured(
        experiment="some",
        what="errors",
        condition=tuple(Condition(states=s, offset=o, errors={}) for s, o in rows),
    )
    for asked, found in [
        ((5, 0.0), (20, 0.0)),
        ((141, 0.02), (20, 0.1)),
        ((142, 0.2), (1000, 0.1)),
        ((30, 0.9), (20, 0.5)),
        ((math.inf, 0.0), (1000, 0.0)),
    ]:
        nearest = figures.nearest(*asked)
        assert (nearest.states, nearest.offset) == found, asked


def test_what_a_device_is_like() -> None:
    """Of soft bounds ± 0.5 in steps of 0.002 that differ by 20 % up and down: closed forms."""
    device = make_device(
        "soft-bounds",
        {
            "dw_min": 0.002, "dw_min_dtod": 0.3, "dw_min_std": 0.4, "up_down": 0.2,
            "up_down_dtod": 0.0, "w_max": 0.5, "w_max_dtod": 0.0, "w_min": -0.5, "w_min_dtod": 0.0,
        },
    )  # fmt: skip
    count = 4000
    found = device_traits(device, count, pairs=3000, seed=3)
    assert (found.lowest, found.highest) == pytest.approx((-0.5, 0.5))
    assert found.states == pytest.approx(500)
    assert found.asymmetry.mean == pytest.approx(0.2, abs=1e-5)
    assert found.asymmetry.std < 1e-5
    assert found.symmetry is not None
    assert found.shifted is not None
    assert found.symmetry.mean == pytest.approx(0.1, abs=1e-5)  # β w_max
    assert found.offset == pytest.approx(0.2, abs=1e-4)
    # Pulses up from 0: steps 1.2 (1 + 0.3 ζ) with noise of 0.4 of each; the variance of a normal's
    # square is 2, that of (1 + 0.3 ζ)² ξ² about 3 (1 + 6 · 0.09) - (1 + 0.09)².
    noise = 0.4 * 1.2 * math.sqrt(1.09)
    spread = noise * math.sqrt((3 * (1 + 6 * 0.09 + 3 * 0.0081) / 1.09**2 - 1) / (4 * count))
    assert found.noise == pytest.approx(noise, abs=4 * spread)
    assert abs(found.shifted.mean) < 0.02
    assert (found.immovable, found.without) == (0, 0)


def test_text_and_json_say_the_same() -> None:
    shown = advise("soft-bounds-asymmetric", "--devices", 200, "--pairs", 500)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 100
    assert "rpucc reproduce rasch2024-offsets" in " ".join(shown.output.split())
    told = advise("soft-bounds-asymmetric", "--devices", 200, "--pairs", 500, "--json")
    (found,) = json.loads(told.output)
    assert f"{found['states']:.4g} of 0.002 between" in shown.output
    table = dict(line.split(None, 1) for line in shown.output.splitlines() if " %" in line)
    for cell, error in found["nearest"]["as it is"]["errors"].items():
        assert f"{error:.3g} %" in table[cell].replace("  ", " "), cell


def test_devices_without_symmetry_points_or_bounds() -> None:
    none = advise("constant-step", "--devices", 20)
    assert none.exit_code == 0
    assert "there are none to compare it with: it has no symmetry points" in none.output
    assert "any number of 0.001: it has no bounds" in advise("ideal", "--devices", 20).output
    (pair,) = json.loads(advise("pcm", "--devices", 20, "--pairs", 5, "--json").output)
    assert pair["nearest"] == {}
    shown = advise("pcm", "--devices", 20, "--pairs", 5).output
    assert 'only pulsed up (cell.model = "one-sided"' in " ".join(shown.split())
    wrong = advise("no-such-device")
    assert wrong.exit_code == 1


def test_devices_that_are_driven_to_a_bound_are_shifted_there() -> None:
    """Some of these devices have no symmetry point above their lower bound; the others have one."""
    device = device_of(Target.load("reram-es").for_layer(""))
    traits = device_traits(device, 1000, 100)
    assert 0 < traits.without < 50
    assert traits.shifted is not None


def test_the_page_has_these_figures() -> None:
    page = (RESULTS.parent / "algorithms.md").read_text("utf-8")
    for each in measured().condition:
        numbers = (each.states, each.offset, *each.errors.values())
        assert f"| {' | '.join(f'{number:g}' for number in numbers)} |" in page
