"""`rpucc targets keys`, and what a key is in the tables of the documentation."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from rpucc.cells import CELLS
from rpucc.cli.main import cli
from rpucc.report.keys import MARK, MODELS, as_markdown, keys, with_tables
from rpucc.target.target import Target


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["targets", "keys", *arguments], prog_name="rpucc")


def test_the_command_lists_every_key_and_its_text() -> None:
    shown = json.loads(run("--json").stdout)
    assert {f"{row['table']}.{row['name']}" for row in shown} == {
        f"{key.table}.{key.name}" for key in keys()
    }
    (halvings,) = (row for row in shown if row["name"] == "max_halvings")
    assert halvings == {
        "table": "management",
        "name": "max_halvings",
        "default": 10,
        "allowed": "an integer from 0 to 30",
        "choices": [],
        "text": "How often bound management reads again before it gives up; worst-case once at "
        "most.",
        "model": "",
    }
    text = " ".join(run("update").stdout.split())
    assert "update.bl 10; an integer from 1 to 255" in text
    assert "update.pulsed true, false" in text
    assert "max_halvings" not in text


def test_a_table_that_there_is_not() -> None:
    outcome = run("updat")
    assert outcome.exit_code == 2
    assert "a target has no table 'updat'; did you mean 'update'? it has array, m" in outcome.stderr


def test_what_a_default_and_the_values_look_like() -> None:
    values = {f"{key.table}.{key.name}": key.values for key in keys()}
    assert values["management.noise_forward"] == "never, auto, always"
    assert values["management.bound_backward"] == "false, true"
    assert values["periphery.bound"] == "0 (unbounded) or a number from 1e-6 to 1e6"
    assert values["periphery.read_noise_backward"].startswith("same; a number from 0 to 1e6, or")
    assert values["array.rows"] == "an integer from 1 to 65536"  # it has no default
    assert values["variations.remove"].startswith("[]; ")


def test_a_default_is_what_a_short_file_gets() -> None:
    array = {"name": "a", "rows": 4, "cols": 4, "t_read": 1e-9}
    short = Target.load({"name": "t", "array": [array], "device": {"model": "ideal"}})
    for key in keys():
        if key.default is None or key.table == "layer":
            continue
        table = short.arrays[0] if key.table == "array" else getattr(short, key.table)
        found = getattr(MODELS[key.table][key.model]() if key.model else table, key.name)
        assert (list(found) if isinstance(found, tuple) else found) == key.default, key


def test_models_of_a_table_have_keys_of_their_own() -> None:
    own = {key.name for key in keys() if key.place == "cell tiki-taka"}
    assert own == set(CELLS["tiki-taka"].model_fields)
    assert {key.table for key in keys() if "." in key.table} == set()
    text = " ".join(run("cell").stdout.split())
    assert "cell.model plain, reference," in text
    assert "cell.gamma of tiki-taka 0; a number" in text


def test_a_page_gets_the_tables_that_its_marks_name() -> None:
    mark = MARK.format(table="batch_norm")
    page = f"before\n\n{mark}\n| old | table |\n| --- | --- |\n\nafter | all\n"
    written = with_tables(page)
    assert written == f"before\n\n{mark}\n{as_markdown('batch_norm')}\n\nafter | all\n"
    assert with_tables(written) == written
    with pytest.raises(ValueError, match="no table 'nothing'"):
        with_tables(MARK.format(table="nothing") + "\n")
