"""`rpucc operators` and docs/operators.md: the tables of the code, and nothing else."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import onnx.defs
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.layers import LAYER_OPS
from rpucc.operators import COMMAND, markdown, operators
from rpucc.passes.frontend import layers, support
from rpucc.passes.frontend.rulebook import RULEBOOK
from rpucc.passes.gradients import GRADIENTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def rpucc(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, list(arguments), prog_name="rpucc")


def test_the_page_is_current() -> None:
    current = PAGE.read_text(encoding="utf-8") == markdown()
    assert current, f"docs/operators.md is out of date; run: {COMMAND}"


def test_the_command_writes_the_page() -> None:
    assert rpucc("operators", "--markdown").stdout == markdown()


def test_every_rule_is_in_the_rulebook() -> None:
    """A rule is a public function that returns `str | None`."""
    listed = {rule for _, rules in RULEBOOK for rule in rules}
    for module in (support, layers):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            returns = function.__annotations__.get("return")
            if function.__module__ == module.__name__ and returns == "str | None":
                assert name.startswith("_") or function in listed, name


def test_what_the_page_says_about_operators() -> None:
    found = {op.name: op for op in operators()}
    assert all(onnx.defs.has(name) for name in found)
    assert {name for name, op in found.items() if op.arrays} == {*LAYER_OPS, "Einsum"}
    for name, op in found.items():
        if name in GRADIENTS and op.forward != "refused":
            assert op.trained_through, name
    assert (found["LSTM"].forward, found["LSTM"].through) == ("refused", "")
    assert (found["Relu"].forward, found["Relu"].through) == ("native", "yes")
    assert (found["Gelu"].forward, found["Gelu"].through) == ("onnxruntime", "yes")
    assert found["ScatterElements"].through == "no"
    assert found["Dropout"].forward == "native"
    assert found["Identity"].forward == "left out"


def test_the_command_s_other_forms() -> None:
    shown = rpucc("operators")
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "Conv yes onnxruntime yes" in lines
    assert max(map(len, shown.stdout.splitlines())) <= 100
    data = json.loads(rpucc("operators", "--json").stdout)
    assert [op["name"] for op in data["operators"]] == [op.name for op in operators()]
    (rule,) = (rule for rule in data["rules"] if rule["name"] == "weight_is_float32")
    assert (rule["subject"], rule["rule"]) == ("Weights", "Weights must be float32")
    assert rpucc("operators", "--json", "--markdown").exit_code == 2
