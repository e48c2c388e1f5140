"""One hostile name in every output: nobody's terminal, spreadsheet, browser or page runs it."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import onnx
import onnx.helper as oh
import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.experiments.schema import PlanExperiment
from rpucc.models import build
from rpucc.program import Program
from rpucc.report.csv import table_csv
from rpucc.report.experiments.page import plan_page
from rpucc.runs.folder import RunFolder

NAME = (
    "=1+1\x00\x07\x1b[41;5m\x9b2J\x7f\u202e\u2066\n\r\t\"'`|</script></title>"
    "<img src=x onerror=alert(1)><b>&amp;[a](javascript:b)*_#\\é層"
)
"""A formula, control characters, escapes of terminals, bidi, line ends, HTML and Markdown."""

HARMLESS = "é層"
"""Letters that have to stay."""


def is_harmless(text: str) -> bool:
    """Whether text holds nothing but printable characters and line ends."""
    return all(c.isprintable() or c == "\n" for c in text)


def rpucc(*arguments: object, **environment: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", **environment})
    return runner.invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mlp all of whose names are hostile."""
    found = build("mlp")
    for node in found.graph.node:
        node.name = NAME if node.name == "fc2" else f"{node.name}{NAME}"
    found.graph.name = NAME
    path = tmp_path_factory.mktemp("hostile") / "model.onnx"
    onnx.save(found, path)
    return path


@pytest.fixture(scope="module")
def program(model: Path) -> Path:
    path = model.with_name("program.rpu.onnx")
    done = rpucc("compile", model, "-o", path)
    assert done.exit_code == 0, done.stderr
    return path


def names(program: Path) -> list[str]:
    return [layer.name for layer in Program.load(program).plan.layers]


COMMANDS = {
    "compile": ("compile", "MODEL", "--no-verify"),
    "check": ("check", "MODEL"),
    "check --all": ("check", "MODEL", "--all"),
    "inspect": ("inspect", "PROGRAM", "--cost"),
    "inspect --layer": ("inspect", "PROGRAM", "--layer", "NAME"),
    "diff": ("diff", "PROGRAM", "OTHER"),
    "diff of names": ("diff", "PROGRAM", "LENET"),
    "infeasible": ("compile", "MODEL", "--set", "array.small.count=1", "--set",
                   "array.large.count=1", "--set", "array.small.rows=8", "--no-verify"),
    "no such layer": ("inspect", "PROGRAM", "--layer", f"x{NAME}"),
    "no such file": ("compile", f"x{NAME.replace(chr(0), '')}"),
    "usage": ("compile", "MODEL", "--loss", f"x{NAME}"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("terminal", [False, True])
def test_terminal_and_errors(command: str, terminal: bool, model: Path, program: Path) -> None:
    other, lenet = program.with_name("other.onnx"), program.with_name("lenet.onnx")
    if not other.exists():
        rpucc("compile", model, "--no-verify", "--set", "update.bl=3", "-o", other)
        rpucc("compile", "lenet", "--no-verify", "-o", lenet)
    words = {"MODEL": model, "PROGRAM": program, "OTHER": other, "LENET": lenet, "NAME": NAME}
    environment = {"FORCE_COLOR": "1", "TERM": "xterm"} if terminal else {}
    done = rpucc(*(words.get(word, word) for word in COMMANDS[command]), **environment)
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    assert "internal error" not in text
    assert HARMLESS[0] in text
    if terminal:
        assert "[41;5m\x9b" not in text
        assert not set("\x00\x07\x9b\x7f\u202e\u2066") & set(text)
        assert "\x1b[41" not in text  # colours of rich's own are others
    else:
        assert is_harmless(text)
    if done.exit_code:
        assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_json_holds_the_name_and_prints_none_of_it(program: Path, model: Path) -> None:
    for arguments in (("inspect", program), ("check", model), ("compile", model, "--no-verify")):
        done = rpucc(*arguments, "--json")
        assert is_harmless(done.stdout)
        assert HARMLESS in done.stdout
        assert NAME in json.dumps(json.loads(done.stdout), ensure_ascii=False).replace(
            json.dumps(NAME, ensure_ascii=False)[1:-1], NAME
        )
    assert json.loads(rpucc("inspect", program, "--json").stdout)["plan"]["layers"][1]["name"] == (
        NAME
    )


def test_csv(program: Path) -> None:
    text = rpucc("inspect", program, "--csv", "-").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert is_harmless(text)
    assert [row["name"][:5] for row in rows] == ["fc1=1", "'=1+1", "fc3=1"]
    assert all(row["name"].endswith(HARMLESS) for row in rows)
    assert all(float(row["R"]) > 0 for row in rows)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝", "－"])
def test_no_cell_is_a_formula_and_numbers_stay_numbers(start: str) -> None:
    text = table_csv(("name", "value", "text"), [(f"{start}1", -1.5, "plain"), ("a-b", -3, "")])
    first, second = csv.DictReader(io.StringIO(text))
    assert first["name"][0] in "'?"
    assert float(first["value"]) == -1.5
    assert (second["name"], second["value"]) == ("a-b", "-3")
    assert is_harmless(text)


def test_csv_of_a_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_calibration([{"layer": NAME, "offset": -0.25}])
    (row,) = csv.DictReader(io.StringIO(run.calibration.read_text(encoding="utf-8")))
    assert is_harmless(row["layer"])
    assert row["layer"].startswith("'=")
    assert float(row["offset"]) == -0.25


def test_drawings(program: Path, tmp_path: Path) -> None:
    assert rpucc("inspect", program, "--svg", tmp_path).exit_code == 0
    files = list(tmp_path.glob("*.svg"))
    assert len(files) >= 5
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert is_harmless(text)
        tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}
        assert tags <= {"svg", "g", "rect", "path", "line", "text", "title", "tspan"}


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


def test_page_and_notebook(program: Path, tmp_path: Path) -> None:
    assert rpucc("inspect", program, "--html", tmp_path / "p.html").exit_code == 0
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    for html in (text, Program.load(program)._repr_html_()):
        assert is_harmless(html)
        tags = Tags(html).found
        assert "img" not in {tag for tag, _ in tags}
        assert "onerror" not in {name for _, attributes in tags for name in attributes}
        assert HARMLESS in html


def test_markdown(program: Path) -> None:
    plan = Program.load(program).plan
    experiment = PlanExperiment.model_validate(
        {
            "name": "a", "title": "t", "about": "a", "figures": "f", "source": "s", "model": "m",
            "kind": "plan", "row": [{"name": "r", "label": "l", "target": "ideal"}],
            "reported_layer": [{"name": NAME, "R": 1, "C": 1, "reads": 1,
                                "macs": 1}],
        }
    )  # fmt: skip
    page = plan_page(experiment, {"r": plan})
    assert is_harmless(page)
    rows = [line for line in page.splitlines() if HARMLESS in line]
    assert len(rows) == 2  # the slowest layer, and the layer that the source lists
    for row in rows:
        assert "\\|&lt;/script>" in row
        assert "\\`" in row
        assert "\\[a\\](" in row


def test_a_plan_file_finds_its_layers_again(program: Path, model: Path, tmp_path: Path) -> None:
    plan, again = tmp_path / "plan.toml", tmp_path / "again.onnx"
    assert rpucc("inspect", program, "--write-plan", plan).exit_code == 0
    assert is_harmless(plan.read_text(encoding="utf-8"))
    done = rpucc("compile", model, "--no-verify", "--plan", plan, "-o", again)
    assert done.exit_code == 0, done.stderr
    assert rpucc("diff", program, again, "--exit-code").exit_code == 0
    assert "note" not in done.stdout  # no rule that matches no layer
    assert names(again) == names(program)


def test_a_damaged_model_is_refused_by_its_name(tmp_path: Path) -> None:
    model = build("mlp")
    model.graph.node.append(oh.make_node("Loop", ["x"], ["z"], NAME))
    path = tmp_path / "loop.onnx"
    path.write_bytes(model.SerializeToString())
    for command in ("compile", "check"):
        done = rpucc(command, path)
        assert done.exit_code == 1
        assert is_harmless(done.stdout + done.stderr)
