"""Energies from plain numbers and the cost table of a target."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from rpucc.cost.digital import Operations
from rpucc.cost.energy import (
    Energy,
    Lines,
    digital_energy,
    movement_energy,
    read_energy,
    update_energy,
)
from rpucc.errors import TargetError
from rpucc.plan.plan import Plan
from rpucc.target.target import CostTable, Target

TABLE = CostTable(
    crosspoint_power=2.0 / 1024,
    dac_energy=0.25,
    adc_step_energy=1 / 1024,
    pulse_energy=0.5,
    pulse_density=0.5,
    add_energy=0.001,
    multiply_energy=0.01,
    function_energy=0.1,
    byte_energy=0.125,
)


def test_a_read_drives_inputs_and_converts_outputs() -> None:
    found = read_energy(10, 26, 16, 416, t_read=0.5, dac_bits=7, adc_bits=9, table=TABLE)
    assert found == Energy(arrays=10 * 416 / 1024, dac=65.0, adc=10 * 16 * 0.5)


def test_no_converters_no_conversions() -> None:
    found = read_energy(10, 26, 16, 416, t_read=0.5, dac_bits=0, adc_bits=0, table=TABLE)
    assert found == Energy(arrays=10 * 416 / 1024)


def test_an_update_charges_lines_and_meets_in_crosspoints() -> None:
    lines = Lines(rows=16, columns=26, crosspoints=416)
    found = update_energy(3, lines, bl=10, t_pulse=1 / 64, table=TABLE)
    assert found.pulses == 3 * 10 * 0.5 * (16 + 26) * 0.5
    assert found.arrays == 3 * 10 * 0.25 * 416 * (2 / 1024) / 64
    assert found.total == found.pulses + found.arrays


def test_digital_work_and_bytes() -> None:
    assert digital_energy(Operations(3, 2, 1), TABLE).total == pytest.approx(0.123)
    assert movement_energy(16, TABLE) == Energy(movement=2.0)


def test_energies_add_by_part() -> None:
    assert Energy(1, 2, 3, 4, 5, 6) + Energy(dac=1) == Energy(1, 3, 3, 4, 5, 6)


# ---------------------------------------------------------------- the table in a target


def test_the_defaults_follow_from_what_their_sources_say() -> None:
    """docs/cost.md shows these sums."""
    table = Target.load("rpu-managed").cost
    assert table.crosspoint_power == pytest.approx(1.0**2 / 24e6, rel=0.01)
    assert table.dac_energy == pytest.approx(4e-3 / (8 * 128) * 100e-9, rel=0.01)
    assert table.adc_step_energy == pytest.approx(16e-3 / 8 / 1.2e9 / 2**8, rel=0.01)
    assert table.pulse_energy == pytest.approx(0.3e-12 * 1.0**2)
    assert (table.add_energy, table.multiply_energy) == (0.9e-12, 3.7e-12)
    assert table.function_energy == pytest.approx(7.1 * table.multiply_energy, rel=0.02)
    assert table.byte_energy == pytest.approx(2 * 20e-12 / 8)


def test_the_page_lists_every_key() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")
    assert [key for key in CostTable.model_fields if f"`{key}`" not in page] == []


def test_every_key_can_be_overridden_and_survives_the_program() -> None:
    values = dict.fromkeys(CostTable.model_fields, 1)
    target = Target.load("ideal", [f"cost.{key}={value}" for key, value in values.items()])
    assert set(target.cost.model_dump().values()) == {1}
    assert Target.from_json(target.to_json()).cost == target.cost


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cost.add_energy=-1", "--set cost.add_energy=-1: found -1, allowed: joules from 0 to 1"),
        ("cost.crosspoint_power=2", "found 2, allowed: watts from 0 to 1"),
        ("cost.pulse_density=1.5", "found 1.5, allowed: a number from 0 to 1"),
        ("cost.expected_rereads=nan", "found nan, allowed: a number from 0 to 30"),
        ("cost.value_bits=0", "found 0, allowed: an integer from 1 to 64"),
        ("cost.dac=1", "unknown key cost.dac; did you mean"),
    ],
)
def test_a_wrong_value_is_one_line(override: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.load("ideal", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_part_of_the_table_is_used() -> None:
    """Doubling any one energy of the table changes a training program's energy."""
    from rpucc.compiler.compile import compile_model

    program = compile_model("lenet", "rpu-managed", verify=False)
    usual = program.cost
    assert usual.training_serial is not None
    before = usual.training_serial.energy
    assert all(astuple(before))
    keys = {"expected_rereads", *usual.table.model_dump()} - {"pulse_density"}
    for key in keys:
        value = usual.table.model_dump()[key]
        table = usual.table.model_copy(update={key: 2 * value or 0.5})
        target = program.target.model_copy(update={"cost": table})
        after = Plan.from_model(program.model, target).cost.training_serial
        assert after is not None
        assert after.energy.total > before.total, key
