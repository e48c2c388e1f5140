"""Toys of `rpucc reproduce`: files, what they compute on arrays, conditions, page and plot."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import ExperimentError
from rpucc.experiments.load import experiment_names, load_experiment
from rpucc.experiments.toy_outcome import slope, toy_outcome, toy_results, values_csv
from rpucc.experiments.toy_problems import (
    PROBLEMS,
    LeastSquares,
    MatrixTarget,
    ScalarTarget,
    ZeroShiftCost,
)
from rpucc.experiments.toys import ToyExperiment
from rpucc.report.experiments.toy_page import toy_page, toy_state, toy_table
from rpucc.report.experiments.toy_plot import toy_drawing
from rpucc.runs.toys.least_squares import least_squares
from rpucc.runs.toys.matrix_target import matrix_target
from rpucc.runs.toys.measure import measured
from rpucc.runs.toys.scalar_target import scalar_target
from rpucc.runs.toys.zero_shift_cost import zero_shift_cost

TEXT = """
kind = "toy"
name = "small"
title = "A small one"
source = "a paper"
about = "Two rows."
measured = "pulses"
seeds = [0, 1]
[problem]
toy = "zero-shift-cost"
within = 0.02
[axis]
label = "step"
keys = ["device.dw_min"]
values = [0.02, 0.1]
[quick]
values = [0.1]
[array.device]
model = "soft-bounds"
dw_min_std = 0.0
[[row]]
name = "a"
label = "row A | <b>"
device = { w_max = 1.0 }
expected = [10, 2]
reach = { factor = 2.0, slope = -1.0 }
[[row]]
name = "b"
label = "row B"
problem = { within = 0.5 }
note = "Nearer."
reach = { below = { a = 1.0 } }
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Load the text, or the text with something put in its place."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = "", new: str = "") -> ToyExperiment:
        assert old in TEXT
        (tmp_path / "x.toml").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        return load_experiment("x.toml")

    return load


# ---------------------------------------------------------------- files

TOYS = [name for name in experiment_names() if isinstance(load_experiment(name), ToyExperiment)]


def shipped_points():
    toys = map(load_experiment, TOYS)
    return [pytest.param(t, row, id=f"{t.name}-{row.name}") for t in toys for row in t.row]


@pytest.mark.parametrize(("toy", "row"), shipped_points())
def test_shipped_rows_are_what_arrays_take(toy, row):
    from rpucc.runs.toys.arrays import array

    for quick in (False, True):
        for value in toy.values(quick=quick):
            point = toy.point(row, value, quick=quick)
            assert point.problem.toy == toy.problem.toy
    tables = {**point.tables, "calibration": {**point.tables["calibration"], "pairs": 1}}
    assert array(tables, 2, 2, 0).shape == (2, 2)


def test_a_point_is_the_row_over_what_all_share_and_the_axis_over_both(make):
    toy = make()
    a, b = toy.row
    point = toy.point(a, 0.02, quick=False)
    assert point.tables["device"] == {
        "model": "soft-bounds", "dw_min_std": 0.0, "w_max": 1.0, "dw_min": 0.02,
    }  # fmt: skip
    assert point.problem == ZeroShiftCost(toy="zero-shift-cost", within=0.02)
    assert toy.point(b, 0.1, quick=True).problem.within == 0.5
    assert toy.values(quick=True) == (0.1,)
    inner = make('keys = ["device.dw_min"]', 'keys = ["cell.fast.dw_min", "problem.within"]')
    point = inner.point(inner.row[0], 0.1, quick=False)
    assert point.tables["cell"] == {"fast": {"dw_min": 0.1}}
    assert point.problem.within == 0.1
    assert inner.array.cell == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('toy = "zero-shift-cost"', 'toy = "chess"', "problem.toy: found 'chess', allowed: \"zero"),
        ("within = 0.02", "size = 3", "problem.size: unknown key; allowed: toy, within"),
        ("within = 0.02", "within = 0.0", "problem.within: "),
        ("expected = [10, 2]", "expected = [10]", "row.0.expected"),
        ("expected = [10, 2]", "", "row.0.reach"),
        ("below = { a = 1.0 }", "below = { c = 1.0 }", "row.1.reach.below"),
        ('keys = ["device.dw_min"]', 'keys = ["engine.dw_min"]', "axis.keys"),
        ("values = [0.02, 0.1]", "values = []", "axis.values"),
        ('name = "b"', 'name = "a"', "row.1.name"),
    ],
)
def test_bad_files(make, old, new, said):
    with pytest.raises(ExperimentError) as caught:
        make(old, new)
    assert said in str(caught.value)
    for line in caught.value.args:
        assert line.startswith("experiment file x.toml: ")
        assert "\n" not in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("w_max = 1.0", "w_maks = 1.0", "small: row 'a' at 0.02: device.w_maks"),
        ("problem = { within = 0.5 }", "problem = { far = 1 }", "row 'b' at 0.02: problem.far"),
    ],
)
def test_rows_that_cannot_be_run(make, old, new, said):
    toy = make(old, new)
    with pytest.raises(ExperimentError) as caught:
        [measured(toy, row, (0,), quick=False) for row in toy.row]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_of_the_page(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    section = page[page.index("## Toys") : page.index("Conditions of a toy's `reach`")]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ") or not line]
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("\n".join(lines), encoding="utf-8")
    toy = load_experiment("mine.toml")
    found = measured(toy, toy.row[0], (0,), quick=False)
    assert toy_outcome(toy, found, (0,), quick=False).rows[0].reached is True
    assert all(f"| `{name}` |" in page for name in PROBLEMS)


# ---------------------------------------------------------------- problems

DEVICE = {
    "model": "soft-bounds", "dw_min_dtod": 0.0, "dw_min_std": 0.0, "up_down_dtod": 0.0,
    "w_max": 1.0, "w_max_dtod": 0.0, "w_min": -1.0, "w_min_dtod": 0.0,
}  # fmt: skip


def test_zero_shifting_takes_the_pulses_of_the_recursion():
    for dw in (0.01, 0.03):
        w, sent = 1.0, 0
        while abs(w) > 0.01:
            w += dw * (1 - w)
            w -= dw * (1 + w)
            sent += 2
        tables = {"device": {**DEVICE, "dw_min": dw}}
        assert zero_shift_cost(ZeroShiftCost(toy="zero-shift-cost"), tables, 0) == sent
    floor = ZeroShiftCost(toy="zero-shift-cost", measure="floor")
    assert zero_shift_cost(floor, tables, 0) == pytest.approx(0.03 / (2 - 0.03), rel=1e-4)


def test_least_squares_learn_and_residual_learning_knows_no_asymmetry():
    problem = LeastSquares(toy="least-squares", columns=20, vectors=40, steps=300)
    device = {**DEVICE, "dw_min": 1e-3, "w_max": 3.5, "w_min": -3.5, "up_down": 0.2}
    tables = {
        "device": device,
        "update": {"bl": 8, "update_management": True, "update_bl_management": True},
        "calibration": {"pairs": 20000},
    }
    sgd = least_squares(problem, tables, 0)
    cell = {"model": "residual", "fast_lr": 0.8, "transfer_columns": 20}
    residual = least_squares(problem, {**tables, "cell": cell}, 0)
    assert residual < 1e-4 < 1e-3 < sgd < 1
    assert least_squares(problem, {**tables, "cell": cell}, 0) == residual


def test_scalars_are_learned_to_a_step_and_noise_keeps_them_from_it():
    exact = ScalarTarget(toy="scalar-target", steps=400, weights=8, lr=0.1)
    noisy = exact.model_copy(update={"noise": 3.0})
    tables = {
        "device": {**DEVICE, "dw_min": 0.02},
        "update": {"bl": 31, "update_management": True, "update_bl_management": True},
    }
    losses = [scalar_target(problem, tables, 0) for problem in (exact, noisy)]
    assert losses[0] < 0.02**2 < 0.1**2 < losses[1] < 1 / 3


def test_a_matrix_is_learned_exactly_by_exact_updates():
    problem = MatrixTarget(toy="matrix-target", size=6, inputs=600, window=200, lr=0.05)
    tables = {"device": {"model": "ideal"}, "update": {"pulsed": False}}
    assert matrix_target(problem, tables, 0) < 1e-3
    early = problem.model_copy(update={"inputs": 50, "window": 50})
    assert 0.1 < matrix_target(early, tables, 0) < 30


# ---------------------------------------------------------------- what is shown


def test_means_and_conditions(make):
    toy = make()
    found = {
        ("a", 0.02): [9.0, 11.0], ("a", 0.1): [1.9, 2.1],
        ("b", 0.02): [3.0, 3.0], ("b", 0.1): [3.0, 3.0],
    }  # fmt: skip
    outcome = toy_outcome(toy, found, (0, 1), quick=False)
    a, b = outcome.rows
    assert a.means == (10.0, 2.0)
    assert a.deviations[0] == pytest.approx(np.sqrt(2))
    assert [(c.text, c.met) for c in a.conditions] == [
        ("within a factor 2", True),
        ("slope -1 ± 0.1", True),
    ]
    assert (a.reached, b.reached) == (True, False)  # 3 is not below 2
    assert toy_state(outcome) == "2 of 2 rows run; 1 of 2 reach what they have to"
    alone = toy_outcome(toy, dict(list(found.items())[2:]), (0, 1), quick=False)
    assert alone.rows[1].reached is None
    assert alone.rows[0].measured == ()
    assert toy_state(alone) == "1 of 2 rows run; 0 of 1 reach what they have to"
    quick = toy_outcome(toy, found, (0, 1), quick=True)
    assert quick.values == (0.1,)
    assert quick.rows[0].conditions == ()


def test_slopes():
    assert slope([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    assert np.isnan(slope([1, 2], [0, 1]))


@pytest.fixture
def outcome(make):
    toy = make()
    found = {}
    for row in toy.row:
        found |= measured(toy, row, (0,), quick=False)
    return toy_outcome(toy, found, (0,), quick=False)


def test_page_plot_and_files(outcome):
    page = toy_page(outcome)
    assert "| row A \\| &lt;b> |" in page
    assert "* row B: Nearer." in page
    assert "`problem.within = 0.5`" in page
    assert "`device.w_max = 1.0`" in page
    assert toy_table(outcome).headers == ("run", "step 0.02", "step 0.1", "to reach", "reached")
    root = ET.fromstring(toy_drawing(outcome).file())
    spaces = {"s": "http://www.w3.org/2000/svg"}
    assert len(root.findall(".//s:polyline", spaces)) == 2
    assert len(root.findall(".//s:circle", spaces)) == 2 * 2 + 2  # and what is expected of row A
    assert values_csv(outcome).splitlines()[0] == "row,value,seed,measured"
    assert len(values_csv(outcome).splitlines()) == 1 + 4
    rows = json.loads(json.dumps(toy_results(outcome)))["rows"]
    assert [row["name"] for row in rows] == ["a", "b"]
