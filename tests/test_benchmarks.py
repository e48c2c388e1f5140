"""The benchmarks' parts without their clocks: cases, ratios, tables, floors, and that they run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the benchmarks are not installed

from benchmarks import __main__ as command
from benchmarks import cases, floors, measure, report, scaling


def results_of(**values: list[float]) -> measure.Results:
    """Results of a LeNet training on all sides, as rounds of samples a second."""
    found = measure.Results()
    for side, rates in values.items():
        key = cases.lenet(side, "lenet-train", "bl10", 1).key
        found.by_key[key] = [{"samples_per_second": rate} for rate in rates]
    return found


def test_every_row_and_goal_is_measured_by_some_group():
    measured = {spec.key for group in cases.groups() for spec in group.specs}
    wanted = [spec for row in cases.rows() + cases.memory_rows() for spec in row.specs.values()]
    wanted += [spec for goal in cases.goals() for spec in (goal.ours, goal.theirs)]
    wanted += [spec for _, spec, _ in cases.KERNELS]
    wanted += [cases.series(name) for name in cases.SERIES]
    assert {spec.key for spec in wanted} <= measured
    assert list(cases.SERIES) == list(scaling.SERIES)


def test_each_spec_is_measured_in_one_group():
    names = [group.name for group in cases.groups()]
    assert len(set(names)) == len(names)
    inference = [s for g in cases.chosen("lenet-infer-*", quick=False) for s in g.specs]
    assert {dict(spec.settings)["batch"] for spec in inference} == {1, 8, 64, 100}


def test_a_quick_run_leaves_groups_out():
    quick, full = cases.chosen("*", quick=True), cases.chosen("*", quick=False)
    assert 0 < len(quick) < len(full)
    assert cases.chosen("nothing*", quick=False) == []


def test_ratios_are_taken_round_by_round():
    results = results_of(rpucc=[1000.0, 300.0, 400.0], aihwkit=[100.0, 100.0, 10.0])
    sides = [cases.lenet(side, "lenet-train", "bl10", 1) for side in ("rpucc", "aihwkit")]
    assert results.ratios(*sides, "samples_per_second") == [10, 3, 40]
    assert report.times([10, 3, 40]) == "10.0× (3.00–40.0)"
    results.by_key[sides[0].key] = [{"update_seconds": 2.0}]
    results.by_key[sides[1].key] = [{"update_seconds": 8.0}]
    assert results.ratios(*sides, "update_seconds") == [4]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (25.0, "aim reached"),
        (15.0, "at least reached"),
        (11.9, "**missed**"),
        (None, "not measured"),
    ],
)
def test_verdicts(ratio, words):
    goal = cases.goals()[0]
    assert (goal.at_least, goal.aim) == (12, 20)
    assert report.verdict(goal, [] if ratio is None else [ratio]) == words


def test_tables_have_as_many_cells_as_columns():
    lines = report.table(("a", "b"), [("1", "2"), ("3", "4")])
    assert lines == ["| a | b |", "| --- | --: |", "| 1 | 2 |", "| 3 | 4 |", ""]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (None, "–"), (1500.0, "1,500 s")],
)
def test_durations(seconds, text):
    assert report.duration(seconds) == text


def test_the_page_says_what_failed_and_what_was_left_out():
    results = results_of(rpucc=[2000.0, 2400.0], aihwkit=[100.0, 100.0])
    results.by_key[cases.tile("rpucc", (512, 512), 1).key] = [{"error": "ValueError: broken"}]
    results.absent["torch"] = "ModuleNotFoundError: No module named 'torch'"
    page = report.page(results, "2 rounds")
    assert "| batch 1, BL 10 | 2,200/s | 100/s | – | 22.0× (20.0–24.0) | – |" in page
    assert "aim reached" in page
    assert "PyTorch was left out: ModuleNotFoundError" in page
    assert "1 of 1 failed: ValueError: broken" in page


def test_raw_results_give_the_same_page():
    results = results_of(rpucc=[2000.0], aihwkit=[100.0])
    again, settings = report.from_raw(report.raw(results, "1 round"))
    assert report.page(again, settings) == report.page(results, "1 round")


def test_slopes():
    n = [1.0, 2.0, 4.0, 8.0]
    assert scaling.slope(n, [v**1.5 for v in n]) == pytest.approx(1.5)
    assert scaling.end_slope(n, [1.0, 1.0, 1.0, 2.0]) == pytest.approx(1.0)


def test_expected_draws_leave_silent_rows_slots_and_devices_out():
    x = np.ones((2, 5), np.float32)
    d = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    # lr = BL * dw_min: the gain is 1, so both live rows fire in all ten slots.
    words, normals = floors.expected_draws(x, d, 0.01, 0.001, 10, False)
    assert words == 10 * (2 + 5)
    assert normals == pytest.approx(2 * 5)  # every device of the live rows is pulsed
    words, normals = floors.expected_draws(x[:1], d[:1] * 0.5, 0.01, 0.001, 10, False)
    assert words == pytest.approx(10 * (2 + 5 * 0.75))
    assert normals == pytest.approx(2 * 5 * (1 - 0.5**10))


def test_the_floor_of_a_read_is_its_slowest_part():
    rates = {"read": {"1": 1e9, "1000000000": 1e9}, "gemm": 1e9, "normals": 1e12}
    spec = {"size": (100, 100), "batch": 1}
    seconds, what = floors.floor_seconds("forward", spec, {"forward_reads": [1, 0, 1]}, rates)
    assert what == "bandwidth"
    assert seconds == pytest.approx(2 * 4 * (100 * 100 + 200) / 1e9, rel=1e-3)


def test_algorithms_are_cells_of_targets():
    from benchmarks import algorithms, programs

    for device in algorithms.DEVICES:
        for name in algorithms.ALGORITHMS:
            policy = programs.algorithm_target(name, device).for_layer("conv1")
            assert policy.device.model == device
            assert policy.cell.model == (algorithms.CELLS.get(name, name) or "plain")
            assert (policy.update.bl, policy.update.update_bl_management) == (31, True)


def test_the_page_has_what_a_weight_takes():
    results = measure.Results()
    for side, rate in (("rpucc", 900.0), ("aihwkit", 100.0)):
        spec = cases.algorithm(side, "tiki-taka", "soft-bounds")
        results.by_key[spec.key] = [{"samples_per_second": rate, "state_per_weight": 32.0}]
    page = report.page(results, "1 round")
    assert "| Tiki-Taka, soft bounds | 900/s | 100/s | – | 9.00× | – |" in page
    assert "Bytes a weight of rpucc's state: soft bounds Tiki-Taka 32.0." in page


def test_small_cases_run():
    """One short measurement of each kind, in this process."""
    from benchmarks import ours

    tile = ours.measure(
        {"what": "tile", "size": (12, 20), "batch": 2, "positions": 3, "update": "bl10_um",
         "cuts": 2, "ops": ["forward", "backward", "update"], "threads": 1, "seconds": 0.0}
    )  # fmt: skip
    for op in ("forward", "backward", "update"):
        assert tile[f"{op}_seconds"] > 0
    assert tile["forward_reads"][0] == 2 * 3 * 4  # samples, positions, tiles
    assert tile["update_pulses"] > 0
    assert tile["update_words"] > 0
    assert 0 < tile["update_normals"] <= tile["update_pulses"] * 1.5
    infer = {"what": "lenet-infer", "update": "ideal", "batch": 8, "threads": 1, "seconds": 0.0}
    assert ours.measure(infer)["samples_per_second"] > 0


def test_a_tile_computes_the_three_cycles():
    """In ideal mode they are matrix products, so the cases measure what they say."""
    from benchmarks.ours import Tile

    tile = Tile({"size": (6, 9), "batch": 4, "update": "ideal"})
    before = tile.array.weights.copy()
    for op in ("forward", "backward", "update"):
        call, bound = tile.cycle(op)
        call()
        expected, found = {
            "forward": lambda b: (b.x @ before.T, b.y),
            "backward": lambda b: (b.x @ before, b.y),
            "update": lambda b: (before - 0.01 * b.d.T @ b.x, tile.array.weights),
        }[op](bound)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_worker_answers_and_outlives_a_failure():
    asked = [
        {"what": "nonsense"},
        {"what": "tile", "size": [8, 8], "batch": 1, "ops": ["forward"], "seconds": 0.0},
    ]
    text = "".join(json.dumps(request) + "\n" for request in asked)
    command_line = [sys.executable, "-m", "benchmarks.worker", "rpucc"]
    done = subprocess.run(
        command_line, input=text, capture_output=True, text=True, cwd=measure.ROOT, check=True
    )
    hello, failed, measured = (json.loads(line) for line in done.stdout.splitlines())
    assert "rpucc" in hello["versions"]
    assert "KeyError" in failed["error"]
    assert math.isfinite(measured["forward_seconds"])


@pytest.mark.parametrize("python", ["/no/such/python", "false"])
def test_an_absent_peer_is_skipped_and_said(python):
    spec = cases.lenet("aihwkit", "lenet-infer", "bl10", 1)
    said: list[str] = []
    results = measure.run([cases.Group("g", (spec,))], python, 1, 0.0, said.append)
    assert results.by_key == {}
    assert results.error(spec) == "aihwkit is not installed"
    assert said[-1].startswith("aihwkit was left out: ")


def test_list_and_unknown_groups(capsys):
    assert command.main(["--list", "--only", "threads"]) == 0
    assert "threads=2" in capsys.readouterr().out
    assert command.main(["--only", "nothing"]) == 2
    assert "matches no group" in capsys.readouterr().err
