"""What an ablation compares with what, its order, and how it is shown."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rpucc.experiments.ablation import ALL, NONE, Ablation, Figure
from rpucc.report.experiments.ablation import as_csv, cells, drawing
from rpucc.report.experiments.ablation_page import page
from rpucc.runs.ablation import AblationRows, AblationWish, window

from .browser import find_browser


def rows(*overrides: str, **how: object) -> AblationRows:
    return AblationRows(AblationWish("rpu-managed", "lenet", overrides, **how))


def made(found: AblationRows, **errors: tuple[float, ...]) -> Ablation:
    """An ablation with these errors, 5 % where nothing is said; `_` stands for `-`."""
    given = {name.replace("_", "-"): each for name, each in errors.items()}
    figures = {
        row.name: Figure(dict(enumerate(given.get(row.name, (5.0, 5.0))))) for row in found.rows
    }
    return found.ablation(figures, "mini", (7, 10), "training")


def test_rows_are_without_what_cannot_be_there_either() -> None:
    by_name = {row.name: row.removed for row in rows().rows}
    every = by_name[NONE]
    assert by_name[ALL] == frozenset()
    assert by_name["no-granularity"] == {"granularity", "cycle-noise"}
    assert by_name["only-cycle-noise"] == every - {"granularity", "cycle-noise"}
    assert by_name["only-adc"] == every - {"adc"}
    assert by_name["no-variations"] == {
        *("cycle-noise", "step-spread", "asymmetry-spread", "bound-spread")
    }
    few = {row.name for row in rows(causes=("cycle-noise",)).rows}
    assert few == {ALL, NONE, "no-cycle-noise", "only-cycle-noise", "only-granularity"}
    together = rows(causes=("variations",), layers=("conv2", "conv1,conv2"))
    assert [row.name for row in together.rows] == [
        *(ALL, NONE, "no-variations", "no-variations-1-conv2", "no-variations-2-conv1-conv2")
    ]


def test_differences_are_taken_seed_by_seed_against_what_a_cause_needs() -> None:
    found = made(
        rows(), all=(6.0, 8.0), none=(2.0, 3.0), no_cycle_noise=(5.0, 7.0),
        only_granularity=(3.0, 5.0), only_cycle_noise=(3.5, 6.5), only_adc=(2.0, 5.0),
        no_adc=(1.0, 2.0),
    )  # fmt: skip
    by_name = {each.name: each for each in found.effects}
    cycle, adc = by_name["cycle-noise"], by_name["adc"]
    assert cycle.takes is not None
    assert cycle.adds is not None
    assert adc.adds is not None
    assert cycle.takes.by_seed == {0: 1.0, 1: 1.0}
    assert cycle.takes.spread == 0
    assert cycle.adds.by_seed == {0: 0.5, 1: 1.5}
    assert cycle.needs == "granularity"
    assert adc.adds.by_seed == {0: 0.0, 1: 2.0}
    assert adc.adds.spread == pytest.approx(2**0.5)
    assert found.effects[0].name == "adc"  # takes 5.5
    assert [each.together for each in found.effects] == sorted(e.together for e in found.effects)


def test_a_seed_that_only_one_row_has_is_left_out_and_a_missing_row_is_none() -> None:
    one = Figure({0: 5.0, 2: 7.0})
    less = one.less(Figure({1: 1.0, 2: 4.0}))
    assert less is not None
    assert less.by_seed == {2: 3.0}
    assert less.spread is None
    assert one.less(Figure({1: 1.0})) is None
    found = rows(causes=("adc",))
    part = found.ablation({ALL: one}, "mini", (1, 1), "training")
    assert not part.complete
    assert part.effects[0].takes is None
    assert "none" in as_csv(part)


def test_errors_are_means_over_the_last_third() -> None:
    assert [window(epochs) for epochs in (1, 2, 3, 4, 30)] == [
        (1, 1), (2, 2), (3, 3), (3, 4), (21, 30)
    ]  # fmt: skip


def test_table_csv_and_picture_show_every_cause() -> None:
    found = made(rows(layers=("conv2",)), all=(6.0, 8.0), no_adc=(8.0, 10.0))
    labels = [each.label for each in found.effects]
    assert "device variations in conv2" in labels
    table = cells(found)
    assert [row[0] for row in table.rows] == labels
    adc = table.rows[labels.index("output converters (ADC)")]
    assert adc[1:3] == ("9.00 ± 1.41 %", "-2.00 ± 0.00")
    lines = list(csv.DictReader(as_csv(found).splitlines()))
    assert [line["cause"] for line in lines[2:]] == [each.name for each in found.effects]
    picture = drawing(found)
    texts = [e.text for e in ElementTree.fromstring(picture.file()).iter() if e.text]
    for label in labels:
        assert any(text.startswith(label) for text in texts), label


def test_an_ablation_of_one_seed_and_no_difference_is_drawn() -> None:
    found = made(rows(causes=("adc",)), **dict.fromkeys(("all", "none"), (5.0,)))
    assert found.effects[0].takes is not None
    ElementTree.fromstring(drawing(found).file())


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """Nothing is loaded or refused, nothing is wider than a narrow screen."""
    browser = find_browser(tmp_path / "profile")
    path = tmp_path / "ablation.html"
    path.write_text(page(made(rows(), all=(6.0, 8.0))), encoding="utf-8")
    visit = browser.visit(path)
    assert visit.console == []
    assert "granularity of pulses" in visit.dom
    assert browser.width_in(path, 390) == (390, 390)
