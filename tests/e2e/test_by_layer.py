"""`rpucc eval --by-layer` as a user has it."""

from __future__ import annotations

import csv
import json

import pytest

from rpucc.target.target import Target

HARSH = ("--set", "periphery.read_noise=0.3", "--set", "periphery.adc_bits=4")


@pytest.fixture
def run(cli, tiny_model, tiny_data):
    """A run folder."""
    assert cli("train", tiny_model, "--data", tiny_data, *HARSH, "-o", "run").code == 0
    return "run"


def test_a_run_layer_by_layer(cli, run):
    shown = cli("eval", run, "--by-layer")
    assert shown.code == 0
    assert "all ideal" in shown.stdout
    assert shown.stderr.splitlines()[-1] == "as a picture: rpucc report run --by-layer"
    last = cli("eval", run, "--by-layer", "--checkpoint", "last").stderr.splitlines()[-1]
    assert last == "as a picture: rpucc report run --by-layer --checkpoint last"
    found = json.loads(cli("eval", run, "--by-layer", "--json").stdout)
    plain = json.loads(cli("eval", run, "--json").stdout)
    ideal = json.loads(cli("eval", run, "--ideal", "--json").stdout)
    assert found["target"] == {key: plain[key] for key in ("error", "loss")}
    assert found["ideal"] == {key: ideal[key] for key in ("error", "loss")}
    names = [each["layer"] for each in found["layers"]]
    assert all(name in shown.stdout for name in names)
    assert found["chosen"] == []
    assert found["epochs"] == 1


def test_a_model_and_the_target_of_what_is_chosen(cli, tiny_model, tiny_data, workplace):
    how = ("--data", tiny_data, *HARSH)
    outcome = cli(
        "eval", tiny_model, "--by-layer", *how, "--choose", 1, "-o", "mixed.toml", "--json"
    )
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    chosen = found["chosen"][0]["layer"]
    target = Target.load(workplace / "mixed.toml")
    assert not target.for_layer(chosen).analog
    assert target.periphery.adc_bits == 4
    assert cli("compile", tiny_model, "-t", "mixed.toml", "-o", "p.rpu.onnx").code == 0
    left = json.loads(cli("eval", "p.rpu.onnx", "--by-layer", "--data", tiny_data, "--json").stdout)
    assert chosen not in [each["layer"] for each in left["layers"]]


def test_the_table_as_csv(cli, run, workplace):
    assert cli("eval", run, "--by-layer", "--csv", "table.csv").code == 0
    text = (workplace / "table.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    found = json.loads(cli("eval", run, "--by-layer", "--json").stdout)
    assert [row["layer"] for row in rows] == [each["layer"] for each in found["layers"]]
    assert float(rows[0]["alone_error"]) == found["layers"][0]["alone"]["error"]
    assert cli("eval", run, "--by-layer", "--csv", "-").stdout == text


def test_fewer_samples(cli, run):
    found = json.loads(cli("eval", run, "--by-layer", "--samples", 3, "--json").stdout)
    assert found["samples"] == 3


def test_what_contradicts_itself_is_refused(cli, run, tiny_model, tiny_data, workplace):
    before = sorted(workplace.iterdir())
    for arguments, word in (
        ((run, "--choose", 1), "--choose: no effect on eval without --by-layer"),
        ((run, "-t", "ideal"), "--target: no effect on eval without --by-layer"),
        ((run, "--by-layer", "--ideal"), "--ideal: no effect"),
        ((run, "--by-layer", "-t", "ideal"), "--target: no effect on run"),
        ((run, "--by-layer", "-o", "x.toml"), "give both"),
        ((run, "--by-layer", "--csv", "-", "--json"), "standard output"),
        ((tiny_model, "--by-layer"), "--data: needed"),
    ):
        outcome = cli("eval", *arguments)
        assert outcome.code == 2, outcome
        assert word in outcome.stderr
        assert "Traceback" not in outcome.stderr
    many = cli("eval", run, "--by-layer", "--choose", 9, "-o", "x.toml")
    assert many.code != 0
    assert "the program has" in many.stderr
    none = cli(
        "eval", tiny_model, "--by-layer", "--data", tiny_data, "--set", "layer.*.analog=false"
    )
    assert (none.code, "no layers on arrays" in none.stderr) == (1, True)
    assert sorted(workplace.iterdir()) == before
