"""What the documentation shows runs: docstring examples, blocks of pages, commands; its tables.

Pages that are followed from top to bottom are in `test_followed.py`, what the site adds in
`test_site.py`.
"""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rpucc.cli.main import cli
from rpucc.errors import TargetError

from .repository import modules
from .test_followed import PAGES as FOLLOWED

ROOT = Path(__file__).resolve().parents[1]


def examples_in(path: Path) -> int:
    """The examples in the docstrings of a module's source."""
    parser = doctest.DocTestParser()
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = (ast.get_docstring(node) for node in nodes if isinstance(node, kinds))
    return sum(len(parser.get_examples(text)) for text in docstrings if text)


EXAMPLES = {name: count for name, path in modules().items() if (count := examples_in(path))}
"""Module -> how many examples it has."""


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
]


def commands(page: Path) -> list[list[str]]:
    """The `rpucc` commands of a Markdown file's indented blocks, as words after `rpucc`."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    rpucc ([^>\n]+)", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def python_blocks(path: Path) -> list[str]:
    """The fenced Python of a Markdown file."""
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", EXAMPLES)
def test_docstring_examples(name):
    """All of them: none is in the docstring of something that doctest does not find."""
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert (result.failed, result.attempted) == (0, EXAMPLES[name])


def test_readme_python(tmp_path, monkeypatch):
    from rpucc.models import write

    monkeypatch.chdir(tmp_path)
    write("lenet", tmp_path / "lenet.onnx")
    (code,) = python_blocks(ROOT / "README.md")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    (metrics,) = names["history"]
    assert metrics.test_error < 0.10


FRAMEWORKS = r"## From PyTorch and Keras\n(.*?)(?=\n## )"
"""What needs them: tests/frameworks/test_page.py runs it."""


def test_python_page(tmp_path, monkeypatch, capsys):
    """The blocks run one after the other, and print what stands below them."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    page = re.sub(FRAMEWORKS, "", page, flags=re.DOTALL)
    blocks = re.findall(r"```(python|text)\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, "docs/python.md", "exec"), names)
        else:
            assert capsys.readouterr().out == text
    assert {kind for kind, _ in blocks} == {"python", "text"}


def test_python_page_names_everything_public():
    import rpucc

    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in rpucc.__all__ if f"`{name}`" not in page] == []


def test_the_index_names_every_page_once():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", index)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(link for link in links if "/" not in link) == sorted(pages)
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_device_page(tmp_path, monkeypatch):
    import rpucc

    (code,) = python_blocks(ROOT / "docs" / "devices.md")
    (tmp_path / "my_devices.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    overrides = ["device.model=my_devices:SoftBounds"]
    program = rpucc.compile("mlp", "rpu-managed", overrides=overrides, verify=False)
    machine = rpucc.Machine(program, seed=0)
    data = rpucc.load_dataset("mnist-mini")
    from dataclasses import replace

    few = replace(data, x_train=data.x_train[:500], y_train=data.y_train[:500])
    (metrics,) = rpucc.Trainer(machine).fit(few, epochs=1)
    assert metrics.pulses_per_weight > 0
    assert abs(machine.arrays["fc1.W"].weights).max() <= 0.62


def test_the_measured_device_of_the_device_page():
    """Its target has the values of the table beside it, and they are ones that the model takes."""
    import tomllib

    from rpucc.runtime.devices import make_device

    text = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(\[device\].*?)```", text, re.DOTALL)
    device = tomllib.loads(block)["device"]
    made = make_device(device.pop("model"), device)
    table = text.partition("| measured | key | here |")[2].partition("```toml")[0]
    rows = re.findall(r"^\| .*? \| (`.*?`.*?) \| ([-0-9., ]+) \|$", table, re.MULTILINE)
    assert rows
    for row in rows:
        keys = [key for key in re.findall(r"`(\w+)`", row[0]) if key != "read_noise"]
        for key, value in zip(keys, row[1].split(", "), strict=False):
            assert made.parameters[key] == float(value), key
    assert made.parameters["dw_min"] == pytest.approx(25e-9 / 25e-6)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_exist(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_ones_that_there_are(page):
    """Every command of an indented block: its name, options and arguments are understood."""
    for words in commands(page):
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, words
            command, words = found, words[1:]
        parent = click.Context(cli, **cli.context_settings)  # else -h would be lost for good
        command.make_context("rpucc", words, parent)  # raises UsageError


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_of_keys_are_current(page):
    """They are written from the sections of a target."""
    from rpucc.report.keys import with_tables

    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text, f"run: python -m rpucc.report.keys {page.relative_to(ROOT)}"


def test_the_pages_have_every_key_of_a_target():
    """Each table is on one page; the keys of [cost] have their derivations beside them."""
    from rpucc.report.keys import MARK, keys

    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    for place in {key.place for key in keys()} - {"cost"}:
        assert lines.count(MARK.format(table=place)) == 1, place
    assert [key.name for key in keys() if not key.text] == []


def test_every_block_is_tested():
    """Python runs, files are read, output is compared: here, or in the test that is named."""
    tested = {
        "README.md": {"python"},
        "docs/cells.md": {"toml"},
        "docs/devices.md": {"python", "toml", "text"},  # tests/rpucc/test_devices_fit.py
        "docs/extend.md": {"python", "text", "diff"},  # test_extend.py
        "docs/mapping.md": {"toml"},
        "docs/policies.md": {"toml"},
        "docs/python.md": {"python", "text"},
    }
    followed = set(FOLLOWED)
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        found = set(re.findall(r"^```(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE))
        if name not in followed:
            assert found == tested.get(name, set()), name


@pytest.mark.parametrize("page", ["cells", "devices", "policies"])
def test_tables_of_a_target_are_ones_that_there_are(page):
    """What pages show of a target's file is taken by one, beside what every target needs."""
    import tomllib

    from rpucc.target.target import Target

    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        table = tomllib.loads(block)
        needed = {
            "name": "shown",
            "array": [{"name": "a", "rows": 8, "cols": 8, "t_read": 1e-8}],
            "device": {"model": "soft-bounds"},
        }
        assert Target.load({**needed, **table}).name == "shown"
        with pytest.raises(TargetError):
            Target.load({**needed, **table, "bogus": {"a": 1}})


def test_physics_names_the_sources_of_what_is_there():
    """Each source stands in the file that the table names; what is not implemented is said so."""
    page = (ROOT / "docs" / "physics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]+\|([^|]+)\| `([\w/.]+\.py)` \|$", page.split("## ")[0], re.M)
    assert len(rows) > 9
    for source, where in rows:
        code = (ROOT / where).read_text(encoding="utf-8")
        wanted = re.search(r"\d{4}\.\d{5}|10\.\d{4}/\w+", source) or re.search(r"\w+", source)
        assert wanted[0] in code, (source, where)
    for name in ("warm start", "temperature"):
        assert page.index("**Not implemented**") < page.index(name)


def test_the_plan_page_shows_what_compile_prints():
    runner = CliRunner(env={"COLUMNS": "100"})
    shown = runner.invoke(cli, ["compile", "lenet", "-t", "rpu-managed"], prog_name="rpucc")
    block = "\n".join(f"    {line}".rstrip() for line in shown.stdout.splitlines())
    assert block in (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")


def test_mapping_page_plan(tmp_path):
    """The plan file of the page does what is said beside it."""
    import rpucc
    from rpucc.target.target import Target

    page = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    (plan,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "plan.toml").write_text(plan, encoding="utf-8")
    target = Target.load("rpu-managed").with_plan(tmp_path / "plan.toml")
    placement = rpucc.compile("lenet", target, verify=False).plan.placement
    assert [list(placement.arrays_of(name)) for name in ("conv1", "conv2")] == [[0], [0]]
    assert [block.cols for block in placement.blocks("fc1")] == [(0, 200), (200, 400), (400, 513)]


def test_the_validation_page_has_the_results():
    """Its table of reproduced figures is that of docs/results."""
    found = {}
    for path in sorted((ROOT / "docs" / "results").glob("gokmen2017-*/results.json")):
        for row in json.loads(path.read_text(encoding="utf-8")).get("rows", []):
            if row.get("mean_percent") is not None:
                mean, deviation = row["mean_percent"], row["deviation_percent"]
                found[row["reported"], f"{mean:.2f} ± {deviation:.2f} %"] = row["name"]
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    table = text[text.index("| devices and policy |") :].split("\n\n")[0].splitlines()[2:]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|"))[1:] for line in table]
    assert len(cells) > 8
    assert [pair for pair in cells if pair not in found] == []
