"""`rpucc inspect --html --svg --csv`, the table as CSV, and what notebooks show."""

from __future__ import annotations

import csv
import dataclasses
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.compiler.compile import compile_model
from rpucc.program import Program
from rpucc.report.csv import as_csv, columns
from rpucc.report.definitions import as_markdown

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


@pytest.fixture(scope="module")
def lenet() -> Program:
    return compile_model("lenet", "rpu-managed", verify=False)


@pytest.fixture(scope="module")
def file(lenet: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "lenet.onnx"
    lenet.save(path)
    return path


def test_all_files_at_once(file: Path, tmp_path: Path) -> None:
    done = run(
        "inspect", file, "--html", tmp_path / "p.html", "--svg", tmp_path / "new" / "svg",
        "--csv", tmp_path / "p.csv", "--write-plan", tmp_path / "p.toml",
    )  # fmt: skip
    assert done.exit_code == 0
    assert done.stdout == ""
    written = {Path(line.removeprefix("wrote ")) for line in done.stderr.splitlines()}
    assert written == {path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) == 9
    assert (tmp_path / "p.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_csv_on_standard_output(file: Path, lenet: Program) -> None:
    done = run("inspect", file, "--csv", "-")
    assert done.stdout == as_csv(lenet.plan)
    assert done.stderr == ""


@pytest.mark.parametrize("extra", [["--json"], ["--layer", "fc1"], ["--cost"]])
def test_files_and_tables_are_asked_for_apart(extra: list[str], file: Path, tmp_path: Path) -> None:
    done = run("inspect", file, "--html", tmp_path / "p.html", *extra)
    assert done.exit_code == 2
    assert extra[0] in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_what_cannot_be_written_is_said_first(option: str, file: Path, tmp_path: Path) -> None:
    done = run("inspect", file, option, tmp_path / "missing" / "p")
    assert done.exit_code == 1
    assert "does not exist" in done.stderr


@pytest.mark.parametrize("option", ["--html", "--csv", "--write-plan"])
def test_the_program_is_not_replaced(option: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(file)
    before = file.read_bytes()
    for path in (file, tmp_path / "link.onnx"):
        done = run("inspect", file, option, path)
        assert done.exit_code == 1
        assert done.stderr == f"Error: {path}: is what the command reads; give the name of " + (
            "another file\n"
        )
    assert file.read_bytes() == before


def test_files_do_not_replace_each_other(file: Path, tmp_path: Path) -> None:
    done = run("inspect", file, "--html", tmp_path / "p", "--csv", tmp_path / "p")
    assert done.exit_code == 2
    assert "give each a name of its own" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "svg").write_text("kept")
    done = run("inspect", file, "--svg", tmp_path / "svg")
    assert done.exit_code == 1
    assert "not a folder" in done.stderr
    assert (tmp_path / "svg").read_text() == "kept"


def test_csv_rows(lenet: Program) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(lenet.plan))))
    assert [row["name"] for row in rows] == ["conv1", "conv2", "fc1", "fc2"]
    assert list(rows[0]) == list(columns())
    assert rows[0]["reads_forward"] == "576"
    assert float(rows[0]["seconds"]) == pytest.approx(5.76e-6)
    assert [row["is_bottleneck"] for row in rows] == ["1", "0", "0", "0"]
    assert {row["update_bl"] for row in rows} == {"10"}
    for row, layer in zip(rows, lenet.plan.layers, strict=True):
        assert float(row["images_per_second"]) == pytest.approx(1 / layer.seconds)
        assert float(row["joules"]) == layer.joules > 0
        assert float(row["training_joules"]) == layer.training_joules > layer.joules
        assert float(row["tops_per_watt"]) == pytest.approx(2e-12 * layer.macs / layer.joules)


def test_csv_names_are_no_formulas(lenet: Program) -> None:
    first = dataclasses.replace(lenet.plan.layers[0], name='=HYPERLINK("x"),\n')
    plan = dataclasses.replace(lenet.plan, layers=(first, *lenet.plan.layers[1:]))
    rows = list(csv.DictReader(io.StringIO(as_csv(plan))))
    assert rows[0]["name"] == '\'=HYPERLINK("x"),?'


# ---------------------------------------------------------------- notebooks and docs


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def test_notebooks_show_table_and_bars_without_scripts(lenet: Program) -> None:
    plan = lenet.plan._repr_html_()
    assert lenet._repr_html_().endswith(plan)
    tags = Tags(plan).tags
    assert {"table", "svg", "rect"} <= tags
    assert not {"script", "style", "link"} & tags
    assert plan.count("conv1") >= 3
    assert "<?xml" not in plan


def test_notebooks_show_a_long_plan_in_part(lenet: Program) -> None:
    layers = [
        dataclasses.replace(layer, name=f"<b>{i}") for i, layer in enumerate(lenet.plan.layers * 10)
    ]
    shown = dataclasses.replace(lenet.plan, layers=tuple(layers))._repr_html_()
    assert "and 10 more layers" in shown
    assert "<b>0" not in shown
    assert "&lt;b&gt;0" in shown


def test_the_page_of_terms_is_current() -> None:
    text = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    assert as_markdown() in text, "docs/plan.md: copy the table of rpucc.report.definitions there"
