"""Cost of cells with several planes: arrays, transfers, reads of several planes."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

import rpucc
from rpucc.cost.layer import CycleCost
from rpucc.cost.timing import Pace
from rpucc.cost.transfers import Transfers
from rpucc.cost.writes import Writes
from rpucc.opset import OPS
from rpucc.program import Program
from rpucc.report.text.cost import details, summary

from ..hostile.networks import program


def lenet(*overrides: str, training: bool = True) -> Program:
    target = rpucc.Target.load("soft-bounds", overrides)
    return rpucc.compile("lenet", target, verify=False, training=training)


def update(program: Program, layer: str = "conv2") -> CycleCost:
    (found,) = (each for each in program.cost.layers if each.name == layer)
    return found.cycles[-1]


TIKI = ("cell.model=tiki-taka", "cell.transfer_by_minibatch=false", "cell.transfer_every=4")


def test_array_time_of_a_vector_update_is_the_published_one() -> None:
    """AGAD, table 1: 56.3 ns less 8.8 ns of digital work; SGD 30.9 less 5.9."""
    transfers = Transfers(every=2, by_minibatch=False, columns=1, everywhere=1, bl=1)
    sgd = Pace(t_read=40e-9, t_pulse=5e-9, bl=5)
    both = Pace(t_read=40e-9, t_pulse=5e-9, bl=5, transfers=transfers)
    operations = 512 / 0.175e12
    assert sgd.seconds("update", 1) + 2 * operations == pytest.approx(30.9e-9, abs=0.05e-9)
    assert both.seconds("update", 1) + 3 * operations == pytest.approx(56.3e-9, abs=0.05e-9)
    assert both.seconds("forward", 1) == sgd.seconds("forward", 1)


N = 512
TABLE = {
    "plain": ((), 30.9, 0, 0.0, 2 * N),
    "tiki-taka-2": ((), 56.3, N * N, 16 * N / 2, 3 * N),
    "chopped-tiki-taka": ((), 56.3, N * N, 16 * N / 2, 3 * N),
    "agad": ((), 62.1, 3 * N * N, 48 * N / 2, 5 * N),
}
"""AGAD, table 1 -> nanoseconds, bytes kept, bits moved and operations of a vector update."""


@pytest.mark.parametrize("cell", TABLE)
def test_a_program_of_one_layer_has_the_published_costs(cell: str) -> None:
    """Less what the table counts for x and d, which no cell keeps, and for signs."""
    keys, nanoseconds, kept, moved, operations = TABLE[cell]
    if cell != "plain":
        keys = (f"cell.model={cell}", "cell.shift_fast=false", "cell.transfer_every=2")
    arrays = [{"name": "one", "rows": N, "cols": N, "t_read": 40e-9, "t_pulse": 5e-9}]
    device = {"model": "constant-step"}
    update = {"bl": 5, "update_management": True}
    table = {"name": "paper", "array": arrays, "device": device, "update": update,
             "mapping": {"bias": "digital"}, "cost": {"value_bits": 8}}  # fmt: skip
    target = rpucc.Target.load(table, keys)
    layer = [(np.full((N, N), 0.01, np.float32), np.zeros(N, np.float32))]
    made = rpucc.compile(rpucc.dense(layer), target, loss="mse", verify=False)
    (layer_cost,) = made.cost.layers
    found = layer_cost.cycles[-1]
    work = sum(each.operations.total for each in made.cost.digital if "Update" in each.op)
    assert work == pytest.approx(operations, abs=2)  # the two factors of update management
    seconds = found.seconds + work / 0.175e12
    assert seconds == pytest.approx(nanoseconds * 1e-9, abs=0.07e-9)
    assert (layer_cost.memory_bytes, 8 * found.memory_bytes) == (kept, moved)


def test_transfers_are_counted_by_hand() -> None:
    """conv2 is 32 × 401 on one array of 10 ns, 64 updates; 16 transfers of 3 columns."""
    plain = update(lenet())
    found = update(lenet(*TIKI, "cell.transfer_columns=3", "cell.transfer_bl=7"))
    assert (plain.transfers, found.transfers) == (0, 48)
    kind = lenet().target.arrays[0]
    each = kind.t_read + 7 * kind.t_pulse
    assert found.seconds - plain.seconds == pytest.approx(48 * each)
    target = lenet().target
    periphery, cost = target.periphery, target.cost
    assert found.adc_conversions == 48 * 32 * (periphery.adc_bits > 0)
    assert found.dac_conversions == 48 * (periphery.dac_bits > 0)
    p = cost.pulse_density
    lines = 48 * 7 * (1 + p * 32) * cost.pulse_energy
    assert found.energy.pulses - plain.energy.pulses == pytest.approx(lines)
    current = 48 * 32 * cost.crosspoint_power * (kind.t_read + 7 * p * kind.t_pulse)
    assert found.energy.arrays - plain.energy.arrays == pytest.approx(current)
    converted = 48 * 32 * cost.adc_step_energy * 2**periphery.adc_bits * (periphery.adc_bits > 0)
    assert found.energy.adc == pytest.approx(converted)


def test_tiles_transfer_at_the_same_time() -> None:
    """Two segments: twice the columns, the same time; two row blocks: no more rows in all."""
    cut = ("layer.conv2.mapping.col_cuts=[0, 200, 401]", "layer.conv2.mapping.row_cuts=[0, 10, 32]")
    whole, parts = update(lenet(*TIKI)), update(lenet(*TIKI, *cut))
    assert parts.transfers == whole.transfers == 16
    assert parts.seconds == whole.seconds
    assert parts.adc_conversions == 2 * whole.adc_conversions
    assert parts.dac_conversions == 4 * whole.dac_conversions


def test_minibatches_are_of_one_sample() -> None:
    found = update(lenet("cell.model=tiki-taka", "cell.transfer_every=2"))
    assert found.transfers == 0.5


def test_a_tile_has_no_more_columns_than_it_is_wide() -> None:
    found = update(lenet("cell.model=tiki-taka", "cell.transfer_columns=1000"), "fc2")
    assert found.transfers == 129


def test_exact_transfers_are_read_and_take_no_pulses() -> None:
    found = update(lenet(*TIKI, "update.pulsed=false"))
    assert found.energy.pulses == 0
    assert found.seconds == pytest.approx(16 * lenet().target.arrays[0].t_read)


@pytest.mark.parametrize("kind", ["tiki-taka", "masked tiki-taka"])
def test_an_attribute_that_is_at_its_default_may_be_absent(kind: str) -> None:
    made = program(kind)
    expected = made.plan.to_dict()
    updates = [node for node in made.model.graph if node.op_type.endswith("TikiTakaUpdate")]
    defaults = OPS[updates[0].op_type].attributes
    absent = set()
    for node in updates:
        for key in [key for key in node.attributes if key.startswith("transfer_")]:
            if node.attributes[key].value == defaults[key].default:
                absent.add(key)
                del node.attributes[key]
    assert absent >= {"transfer_bl", "transfer_columns"}
    assert Program(made.model).plan.to_dict() == expected


def test_digital_work_of_transfers() -> None:
    work = {each.op: each for each in lenet(*TIKI).cost.digital}
    values = 16 * 32 + 144 * 16 + (128 + 10) / 4  # updates / 4, rows
    assert work["TikiTakaUpdate"].operations.multiplies == pytest.approx(values)


@pytest.mark.parametrize(("flips", "planes"), [(20, 3), (0, 2)])
def test_rider_keeps_one_number_a_weight_and_has_its_own_digital_work(
    flips: int, planes: int
) -> None:
    """conv2 is 32 × 401, 64 updates: 64 columns, of each value 3 additions, 2 multiplications."""
    made = lenet("cell.model=rider", f"cell.flip_every={flips}")
    op = "ERiderUpdate" if flips else "RiderUpdate"
    work = {each.op: each.operations for each in made.cost.digital}[op]
    values = 576 * 16 + 64 * 32 + 128 + 10
    pair = {each.op: each.operations for each in lenet(*TIKI).cost.digital}["TikiTakaUpdate"]
    assert work.multiplies == 2 * values
    assert work.adds - pair.adds == 3 * values
    layer, cost = made.plan.layers[1], made.cost.layers[1]
    assert (len(layer.planes), layer.devices) == (planes, planes * layer.weights)
    each = made.target.cost.value_bits / 8
    assert cost.memory_bytes == 32 * 401 * each
    assert update(made).memory_bytes == 2 * 64 * 32 * each
    seen, one = (p.cost.layers[1].cycles[0].energy.arrays for p in (made, lenet()))
    assert seen == pytest.approx(planes * one)


@pytest.mark.parametrize(
    ("cell", "planes"),
    [("plain", 1), ("reference", 2), ("tiki-taka", 1), ("tiki-taka cell.gamma=0.5", 2)],
)
def test_a_read_drives_all_planes_that_it_sees(cell: str, planes: int) -> None:
    program = lenet(*f"cell.model={cell}".split(), training=False)
    one = lenet(training=False)
    (found, plain) = (each.cost.layers[1].cycles[0].energy for each in (program, one))
    assert found.arrays == pytest.approx(planes * plain.arrays)
    assert (found.dac, found.adc) == (plain.dac, plain.adc)
    layer = program.plan.layers[1]
    assert len(layer.planes) == layer.tiles == layer.arrays == planes
    assert layer.devices == planes * layer.weights
    assert layer.utilisation == pytest.approx(one.plan.layers[1].utilisation)


MIXED = "cell.model=mixed-precision"


def test_mixed_precision_is_as_published() -> None:
    """Spec C.9, AGAD table 1: 2N² + N operations a vector, N rows of a pulse a minibatch of 100.

    N = 512: 3024.5 ns at 0.175 TFLOPS and 5 ns a pulse; the comparison of each sum with a step,
    once a minibatch, is left out there.
    """
    writes = Writes(rows=512 / 100, lines=512 / 100, columns=512, pulsed=True, absent_values=0)
    pace = Pace(t_read=40e-9, t_pulse=5e-9, writes=writes)
    operations = 2 * 512**2 + 512
    seconds = pace.seconds("update", 1) + operations / 0.175e12
    assert seconds == pytest.approx(3024.5e-9, abs=0.05e-9)
    each = {work.op: work for work in lenet(MIXED, "cell.transfer_every=100").cost.digital}
    found = each["MixedPrecisionUpdate"].operations
    sizes = [(16, 26, 576), (32, 401, 64), (128, 513, 1), (10, 129, 1)]
    products = sum(2 * r * c * p + r * p for r, c, p in sizes)
    compared = sum(r * c for r, c, _ in sizes) / 100
    assert found.total == pytest.approx(products + compared)


def test_rows_are_written_one_after_the_other() -> None:
    """conv2 is 32 × 401: 8 of its rows with each second minibatch, in one slot each."""
    program = lenet(MIXED, "cell.transfer_rows=8", "cell.transfer_every=2")
    found, kind, table = update(program), program.target.arrays[0], program.target.cost
    assert (found.writes, found.transfers) == (4, 0)
    assert found.seconds == pytest.approx(4 * kind.t_pulse)
    fired = 4 * table.pulse_density * 401
    assert found.energy.pulses == pytest.approx((4 + fired) * table.pulse_energy)
    current = fired * table.crosspoint_power * kind.t_pulse
    assert found.energy.arrays == pytest.approx(current)
    cut = ("layer.conv2.mapping.col_cuts=[0, 200, 401]", "layer.conv2.mapping.row_cuts=[0, 10, 32]")
    parts = update(lenet(MIXED, "cell.transfer_every=2", *cut))
    assert parts.seconds == pytest.approx(11 * kind.t_pulse)  # all tiles at once
    assert parts.energy.pulses == pytest.approx(
        (32 + 16 * table.pulse_density * 401) * table.pulse_energy
    )
    exact = update(lenet(MIXED, "update.pulsed=false"))
    assert exact.seconds == exact.energy.pulses == 0


def test_refreshes_are_read_column_by_column() -> None:
    """conv2 is 32 × 401, two planes side by side: 401 reads in a row each tenth minibatch."""
    none = update(lenet("cell.model=one-sided"))
    program = lenet("cell.model=one-sided", "cell.refresh_every=10")
    found, target = update(program), program.target
    assert (none.transfers, found.transfers) == (0, pytest.approx(40.1))
    read = 40.1 * target.arrays[0].t_read
    assert found.seconds - none.seconds == pytest.approx(read)
    converted = 2 * 40.1 * 32 * (target.periphery.adc_bits > 0)
    assert found.adc_conversions == pytest.approx(converted)
    assert found.energy.pulses == pytest.approx(none.energy.pulses)
    layer = program.plan.layers[1]
    assert (layer.planes, layer.devices) == (("positive", "negative"), 2 * layer.weights)


def test_what_is_said_of_rows_that_are_written() -> None:
    program = lenet(MIXED, "cell.transfer_every=2")
    shown = Console(width=120, record=True, file=StringIO())
    shown.print(summary(program.cost), details(program.cost))
    text = " ".join(shown.export_text().split())
    assert "written 93 rows of whole steps of digital sums, with minibatches of one" in text
    assert "update 64 16" in text


def test_what_is_said_of_transfers() -> None:
    program = lenet("cell.model=tiki-taka", "cell.transfer_every=2")
    shown = Console(width=120, record=True, file=StringIO())
    shown.print(summary(program.cost), details(program.cost))
    text = " ".join(shown.export_text().split())
    line = "transfers 2 columns read, into slow arrays or to refresh, with minibatches of one"
    assert line in text
    assert "update 64 0.5" in text


def test_training_needs_arrays_for_hidden_planes_too() -> None:
    layer = lenet("cell.model=tiki-taka", "layer.conv2.mapping.replicas=3").plan.layers[1]
    assert (layer.planes, layer.replicas, layer.tiles) == (("slow", "fast"), 3, 6)
    assert layer.devices == 6 * layer.weights


def test_every_array_of_a_chain_is_handed_on_in_its_own_time() -> None:
    """conv2 has 64 vectors: 16 times the finest array is handed on, 4 times the next, then 1."""
    chain = ("cell.model=multi-tile", "cell.tiles=4", "cell.transfer_every=4")
    made = lenet(*chain, "cell.transfer_every_growth=4", "cell.transfer_columns=3")
    pair = lenet(*TIKI, "cell.transfer_columns=3")
    found, plain = update(made), update(lenet())
    assert found.transfers == 3 * (16 + 4 + 1)
    each = (update(pair).seconds - plain.seconds) / 48
    assert found.seconds - plain.seconds == pytest.approx(found.transfers * each)
    layer = made.plan.layers[1]
    assert layer.planes == ("tile_3", "tile_2", "tile_1", "tile_0")
    assert (layer.tiles, layer.devices) == (4, 4 * layer.weights)
    seen = made.cost.layers[1].cycles[0].energy
    assert seen.arrays == pytest.approx(4 * lenet().cost.layers[1].cycles[0].energy.arrays)
