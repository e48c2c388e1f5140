"""`rpucc cells`; the devices of planes wherever devices are looked at."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from click.testing import CliRunner, Result

import rpucc
from rpucc.cells import CELLS
from rpucc.cells.base import CELL
from rpucc.cells.tiki_taka import TikiTaka
from rpucc.cli.main import cli
from rpucc.errors import TargetError
from rpucc.placement.budget import layer_needs
from rpucc.report.plan_file import as_toml
from rpucc.report.text.tiles import tiles
from rpucc.runtime.devices import device_problems, weight_bounds
from rpucc.target.keys import OnNode
from rpucc.target.load import preset_text
from rpucc.target.values import Flag, Sigma


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, list(arguments), prog_name="rpucc")


def test_the_list() -> None:
    shown = json.loads(run("cells", "--json").stdout)
    assert [each["name"] for each in shown] == list(CELLS)
    text = run("cells").stdout
    assert all(name in text for name in CELLS)
    assert "10.3389/fnins.2020.00103" in text


def test_one_cell() -> None:
    shown = json.loads(run("cells", "tiki-taka", "--json").stdout)
    assert shown["planes"] == ["slow", "fast"]
    assert {key["name"] for key in shown["keys"]} == set(CELLS["tiki-taka"].model_fields)
    text = run("cells", "tiki-taka").stdout
    assert "cell.gamma" in text
    assert "slow, fast" in text
    assert "It has no keys" in run("cells", "plain").stdout


def test_a_cell_that_there_is_not() -> None:
    outcome = run("cells", "tiki-tak")
    assert outcome.exit_code == 2
    assert "no cell 'tiki-tak'; did you mean 'tiki-taka'? cells: plain, " in outcome.stderr


def target(*overrides: str) -> rpucc.Target:
    return rpucc.Target.load("soft-bounds", ["cell.model=tiki-taka", *overrides])


def test_own_devices_of_planes_are_known() -> None:
    found = target('cell.fast.model="mine:Fast"', 'layer.fc1.cell.slow.model="mine:Slow"')
    assert found.own_devices == ("mine:Fast", "mine:Slow")
    program = rpucc.compile("lenet", found, verify=False)
    assert program.own_devices == ("mine:Fast", "mine:Slow")
    with pytest.raises(TargetError, match=r"^cell\.fast\.model = 'mine:Fast': cannot import"):
        rpucc.Machine(program)


def test_a_hidden_plane_is_not_needed_without_training() -> None:
    found = target('cell.fast.model="mine:Fast"')
    program = rpucc.compile("lenet", found, verify=False, training=False)
    assert program.own_devices == ()
    rpucc.Machine(program)


def test_problems_of_the_devices_of_planes_name_the_plane() -> None:
    found = device_problems(target("cell.fast.dw_min=-1", "layer.fc1.cell.slow.nothing=1"))
    assert len(found) == 2
    assert found[0].startswith("cell.fast.dw_min = -1: device 'soft-bounds' takes ")
    assert found[1].startswith("layer.0.cell.slow.nothing: device 'soft-bounds' has no such key")
    with pytest.raises(TargetError, match=r"cell\.fast\.dw_min = -1"):
        rpucc.compile("lenet", target("cell.fast.dw_min=-1"), verify=False)


def test_weights_are_bounded_by_the_first_plane() -> None:
    wide = weight_bounds(target("cell.fast.w_max=0.1").for_layer("fc1"))
    assert wide == weight_bounds(target().for_layer("fc1"))
    found = target("cell.slow.w_max=0.25", "cell.slow.w_min=-0.125").for_layer("fc1")
    assert weight_bounds(found) == (-0.125, 0.25)


def test_devices_of_a_target_are_those_of_all_planes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.toml"
    tables = '[cell]\nmodel = "tiki-taka"\nfast.dw_min = 0.004\n'
    path.write_text(preset_text("soft-bounds") + tables, encoding="utf-8")
    shown = json.loads(run("devices", "show", str(path), "--json").stdout)
    found = {each["layers"]: each["values"]["dw_min"] for each in shown["devices"]}
    assert found == {"all layers, slow plane": 0.002, "all layers, fast plane": 0.004}


# ---------------------------------------------------------------- planes, copies and tiles


def copied() -> rpucc.Program:
    rule = "layer.conv2.mapping"
    found = target(f"{rule}.replicas=2", f"{rule}.col_cuts=[0, 200, 401]")
    return rpucc.compile("lenet", found, verify=False)


def test_tiles_name_plane_and_copy() -> None:
    program = copied()
    found = [(tile.plane, tile.copy) for tile in tiles(program.plan, "conv2")]
    assert found == [(p, c) for p in ("slow", "fast") for c in (0, 1) for _ in range(2)]
    (need,) = (each for each in layer_needs(program.plan.placement) if each.layer == "conv2")
    assert (need.copies, need.planes, need.tiles) == (2, 2, 8)


def test_what_commands_say_of_planes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    copied().save(tmp_path / "p.onnx")
    name = str(tmp_path / "p.onnx")
    text = run("inspect", name, "--layer", "conv2").stdout
    assert "2, which share out the reads" in text
    assert "tiki-taka (slow, fast): fast_lr 1" in text
    assert "fast zero-shifted by" in text
    assert ", fast, copy 1" in text
    data = json.loads(run("inspect", name, "--layer", "conv2", "--json").stdout)
    assert (data["cell"], data["planes"]) == ("tiki-taka", ["slow", "fast"])
    assert data["cell_keys"]["transfer_bl"] == 31
    assert [tile["plane"] for tile in data["tile_list"]] == ["slow"] * 4 + ["fast"] * 4
    header, first, *_ = run("inspect", name, "--csv", "-").stdout.splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert (row["cell"], row["planes"], row["devices"]) == ("tiki-taka", "2", "832")
    assert run("inspect", name, "--html", str(tmp_path / "p.html")).exit_code == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "in planes slow, fast of 2 copies each" in page
    assert "fast, copy 1" in page


def test_a_plan_file_compiles_to_the_same_plan(tmp_path) -> None:  # type: ignore[no-untyped-def]
    program = copied()
    assert "mapping.replicas = 2\n" in as_toml(program)
    (tmp_path / "plan.toml").write_text(as_toml(program), encoding="utf-8")
    again = rpucc.compile("lenet", program.target.with_plan(tmp_path / "plan.toml"), verify=False)
    assert again.plan.layers == program.plan.layers


def test_replicas_to_fill_a_budget_count_planes() -> None:
    budget = ("array.small.count=20", "array.large.count=2", 'layer.conv1.mapping.replicas="auto"')
    program = rpucc.compile("lenet", target(*budget), verify=False)
    plain = rpucc.compile("lenet", target(*budget, "cell.model=plain"), verify=False)
    assert program.plan.arrays["small"] <= 20
    assert plain.plan.layers[0].replicas > program.plan.layers[0].replicas > 1


def test_a_network_that_does_not_fit_could_do_without_planes() -> None:
    outcome = run("compile", "lenet", "-t", "soft-bounds", "--set", "cell.model=tiki-taka",
                  "--set", "array.small.count=3")  # fmt: skip
    assert outcome.exit_code == 1
    text = " ".join((outcome.stdout + outcome.stderr).split())
    assert "2 planes" in text
    assert 'one array in the place of all planes (cell.model = "plain")' in text


def test_a_rule_gets_the_own_keys_that_programs_carry() -> None:
    class Own(TikiTaka):
        first: Annotated[Sigma, OnNode(CELL)] = 0.5
        elsewhere: Flag = True
        second: Annotated[Flag, OnNode(CELL)] = True

    assert TikiTaka().rule_keys == ()
    assert Own(first=2.0).rule_keys == (2.0, 1.0)
