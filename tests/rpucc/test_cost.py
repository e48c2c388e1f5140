"""The cost of whole programs: the paper's AlexNet, a LeNet, branches, and what people see."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_ir as ir
import pytest
from click.testing import CliRunner
from rich.console import Console

from rpucc.cli.main import cli
from rpucc.compiler.compile import compile_model
from rpucc.cost.network import NetworkCost, measured_rereads
from rpucc.models import build
from rpucc.plan.plan import Plan
from rpucc.program import Program
from rpucc.report.text import cost as report
from rpucc.report.text.plan import total_lines
from rpucc.target.target import CostTable, Target

from .alexnet import build_alexnet

# ---------------------------------------------------------------- AlexNet, physics.md section 7


@pytest.fixture(scope="module")
def alexnet() -> ir.Model:
    return compile_model(build_alexnet(), "rpu-managed", training=False, verify=False).model


def test_alexnet_matrices_reads_and_macs(alexnet: ir.Model) -> None:
    plan = Plan.from_model(alexnet)
    assert [(la.name, la.R, la.C, la.reads_forward) for la in plan.layers] == [
        ("K1", 96, 363, 3025),
        ("K2", 256, 2400, 729),
        ("K3", 384, 2304, 169),
        ("K4", 384, 3456, 169),
        ("K5", 256, 3456, 169),
        ("W6", 4096, 9216, 1),
        ("W7", 4096, 4096, 1),
        ("W8", 1000, 4096, 1),
    ]
    # physics.md has 106 million for K1, which a bias line would give: 105.7 instead of 105.4
    assert plan.layers[0].macs == 3025 * 96 * 363
    millions = [round(la.macs / 1e6) for la in plan.layers[1:]]
    assert millions == [448, 150, 224, 150, 38, 17, 4]


def test_alexnet_on_both_kinds_is_bounded_by_k2(alexnet: ir.Model) -> None:
    plan = Plan.from_model(alexnet)
    cost = plan.cost
    assert [la.array for la in plan.layers] == ["small"] + ["large"] * 7
    assert plan.layers[0].seconds == pytest.approx(30.25e-6)
    assert cost.inference.bottleneck == "K2"
    assert cost.inference.interval_seconds == pytest.approx(58.32e-6)
    assert cost.inference.images_per_second == pytest.approx(1 / 58.32e-6)
    assert cost.critical_path == ("K1", "K2", "K3", "K4", "K5", "W6", "W7", "W8")
    alone = 30.25e-6 + (729 + 3 * 169 + 3) * 80e-9
    assert cost.latency_seconds == pytest.approx(alone)


def test_alexnet_on_large_arrays_alone_is_bounded_by_k1(alexnet: ir.Model) -> None:
    slow = Target.load("rpu-managed", ["array.small.t_read=80e-9"])
    plan = Plan.from_model(alexnet, slow)
    assert plan.bottleneck == "K1"
    assert plan.image_seconds == pytest.approx(242e-6)


# ---------------------------------------------------------------- LeNet


@pytest.fixture(scope="module")
def lenet() -> Program:
    return compile_model("lenet", "rpu-managed", verify=False)


def test_the_three_ways_to_run_a_lenet(lenet: Program) -> None:
    cost = lenet.cost
    assert cost.training_serial is not None
    assert cost.training_pipelined is not None
    assert cost.inference.interval_seconds == pytest.approx(576 * 10e-9)
    # all three cycles of conv1: its reads and 10 pulses of 1 ns an update; no backward reads
    assert cost.training_pipelined.interval_seconds == pytest.approx(576 * 20e-9)
    assert cost.training_pipelined.bottleneck == "conv1"
    forward = (576 + 64 + 1) * 10e-9 + 80e-9
    backward = 10e-9 + 80e-9 + 64 * 10e-9
    assert cost.training_serial.interval_seconds == pytest.approx(forward + backward + 5.76e-6)
    assert cost.training_serial.bottleneck is None
    assert cost.training_serial.energy == cost.training_pipelined.energy
    assert cost.training_serial.watts < cost.training_pipelined.watts


def test_the_stages_of_one_image_are_a_gantt_chart(lenet: Program) -> None:
    stages = {(s.layer, s.cycle): s for s in lenet.cost.stages}
    assert len(stages) == 11
    assert stages["conv1", "forward"].start == 0
    assert stages["conv2", "forward"].start == pytest.approx(5.76e-6)
    for layer in ("conv2", "fc1", "fc2"):
        assert stages[layer, "backward"].start >= stages["fc2", "forward"].end
        # the backward read must see the weights before the update
        assert stages[layer, "update"].start >= stages[layer, "backward"].end
    assert lenet.plan.stages == lenet.cost.stages


def test_conversions_and_bytes_of_a_layer(lenet: Program) -> None:
    conv2 = next(layer for layer in lenet.cost.layers if layer.name == "conv2")
    forward, backward, update = conv2.cycles
    assert [each.cycle for each in conv2.cycles] == ["forward", "backward", "update"]
    assert (forward.count, forward.dac_conversions, forward.adc_conversions) == (
        64,
        64 * 401,
        64 * 32,
    )
    assert (backward.dac_conversions, backward.adc_conversions) == (64 * 32, 64 * 401)
    assert update.dac_conversions == update.adc_conversions == update.moved_bytes == 0
    # the image, not its windows, in the 7 bits of the DAC; 9,216 bytes in float32
    assert forward.moved_bytes == 16 * 12 * 12 * 7 / 8 == 2016
    # errors in 7 bits, each read with a scale of 32 bits from noise management
    assert backward.moved_bytes == (64 * 32 * 7 + 64 * 32) / 8 == 2048
    assert forward.energy.movement == pytest.approx(2016 * 5e-12)


def test_a_grid_converts_more_and_moves_partial_sums() -> None:
    data = Target.load("rpu-managed").model_dump(by_alias=True)
    data["array"] = [{"name": "a", "rows": 16, "cols": 101, "t_read": 1e-9}]
    target = Target.model_validate(data)
    cost = compile_model("lenet", target, training=False, verify=False).cost
    forward = cost.layers[1].cycles[0]
    # 32 × 401 on 2 × 4 arrays: each row block converts all inputs, each segment all outputs
    assert forward.dac_conversions == 64 * 2 * 401
    assert forward.adc_conversions == 64 * 4 * 32
    # inputs of 7 bits; partial sums of 9, four for each of 64 · 32 results
    assert forward.moved_bytes == 16 * 144 * 7 / 8 + 64 * 4 * 32 * 9 / 8


def moved(*overrides: str, target: str = "rpu-managed", model: object = "lenet") -> list[float]:
    """Bytes that come to each layer in the forward cycle."""
    cost = compile_model(model, target, overrides=overrides, training=False, verify=False).cost
    return [layer.cycles[0].moved_bytes for layer in cost.layers]


def test_values_move_in_the_bits_of_the_converter_that_takes_them() -> None:
    inputs = (784, 16 * 144, 512, 128)
    assert moved() == [n * 7 / 8 for n in inputs]
    assert moved("layer.fc1.periphery.dac_bits=4") == [686, 2016, 256, 112]
    assert moved(target="ideal") == [n * 4 for n in inputs]  # no converter: value_bits
    assert moved("cost.value_bits=16", target="ideal") == [n * 2 for n in inputs]
    assert moved("cost.value_bits=4") == [n / 2 for n in inputs]  # fewer than the converter takes


def test_noise_management_of_windows_needs_the_values_themselves() -> None:
    """conv1 and conv2 read a value in several windows, each with a scale; a dense layer once."""
    assert moved("management.noise_forward=always") == [
        784 * 4,
        16 * 144 * 4,
        512 * 7 / 8 + 4,
        128 * 7 / 8 + 4,
    ]


def test_a_fixed_batch_moves_as_much_a_sample() -> None:
    model = build("lenet")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 8
    assert moved(model=model) == moved()


# ---------------------------------------------------------------- energy and images a second


def test_tera_operations_a_watt_by_hand() -> None:
    """All energies 0 but the DAC's, 1 pJ: as many as lines that are driven."""
    nothing = [f"cost.{key}=0" for key in CostTable.model_fields if key.endswith("_energy")]
    program = compile_model(
        "lenet",
        "rpu-managed",
        overrides=[*nothing, "cost.crosspoint_power=0", "cost.dac_energy=1e-12"],
        verify=False,
    )
    lines = 576 * 26 + 64 * 401 + 513 + 129
    macs = 576 * 16 * 26 + 64 * 32 * 401 + 128 * 513 + 10 * 129
    plan = program.plan
    assert plan.macs == macs
    assert plan.cost.inference.energy.total == pytest.approx(lines * 1e-12)
    assert plan.tops_per_watt == pytest.approx(2 * macs / lines)  # tera over pico: 54.6
    conv1 = plan.layers[0]
    assert conv1.joules == pytest.approx(576 * 26e-12)
    assert conv1.tops_per_watt == pytest.approx(2 * 16)  # 16 outputs share an input's energy
    assert conv1.images_per_second == pytest.approx(1 / 5.76e-6)
    totals = plan.to_dict()["totals"]
    assert totals["tops_per_watt"] == plan.tops_per_watt
    assert totals["watts"] == pytest.approx(lines * 1e-12 / 5.76e-6)


def test_rows_and_totals_add_up(lenet: Program) -> None:
    plan, cost = lenet.plan, lenet.cost
    digital = cost.inference.energy.digital
    assert sum(layer.joules for layer in plan.layers) + digital == pytest.approx(
        cost.inference.energy.total
    )
    assert cost.training_serial is not None
    trained = sum(layer.training_joules for layer in plan.layers)
    assert trained + cost.training_serial.energy.digital == pytest.approx(
        cost.training_serial.energy.total
    )
    totals = plan.to_dict()["totals"]
    assert totals["training_images_per_second"] == pytest.approx(77_042, rel=1e-4)
    assert totals["training_joules"] == cost.training_serial.energy.total


def test_compile_says_rate_and_energy(lenet: Program) -> None:
    lines = dict(total_lines(lenet.plan))
    assert lines["rate"] == "173,611 images/s; training 77,042 one by one, 86,806 pipelined"
    joules, watts = lenet.cost.inference.energy.total, lenet.cost.inference.watts
    assert lines["energy"].startswith(
        f"{1e9 * joules:.0f} nJ an image, {1e3 * watts:.1f} mW, "
        f"{2 * 1_127_818 / joules / 1e12:.2f} TOPS/W; training "
    )
    digital = compile_model("mlp", "ideal", overrides=["layer.*.analog=false"], verify=False)
    lines = dict(total_lines(digital.plan))
    assert "rate" not in lines
    assert "TOPS/W" in lines["energy"]


def test_expected_rereads_stretch_managed_reads_only(lenet: Program) -> None:
    again = compile_model(
        "lenet", "rpu-managed", verify=False, overrides=["cost.expected_rereads=0.5"]
    )
    for one, more in zip(lenet.plan.layers, again.plan.layers, strict=True):
        assert more.seconds == pytest.approx(1.5 * one.seconds)
        backward = one.reads_backward * one.seconds / one.reads_forward
        update = one.training_seconds - one.seconds - backward
        assert more.training_seconds == pytest.approx(1.5 * one.seconds + backward + update)
    forward = again.cost.layers[0].cycles[0]
    assert (forward.count, forward.rereads) == (576, 288)
    assert forward.adc_conversions == 1.5 * 576 * 16


def test_measured_rereads_count_managed_reads_only(lenet: Program) -> None:
    # one sample reads 642 tiles forward, managed, and 66 backward
    assert measured_rereads(lenet.plan.analog_layers, 708 * 1000, 64_200) == pytest.approx(0.1)
    unmanaged = compile_model("mlp", "rpu-baseline", verify=False).plan
    assert measured_rereads(unmanaged.analog_layers, 1000, 0) is None
    assert measured_rereads(lenet.plan.analog_layers, 0, 0) is None


def test_exact_updates_take_no_pulses() -> None:
    cost = compile_model("mlp", "ideal", verify=False).cost
    updates = [each for layer in cost.layers for each in layer.cycles if each.cycle == "update"]
    assert [each.seconds for each in updates] == [0, 0, 0]
    assert all(each.energy.total == 0 for each in updates)


def test_all_digital_takes_no_array_time_but_energy() -> None:
    program = compile_model(
        "mlp", "rpu-managed", training=False, verify=False, overrides=["layer.*.analog=false"]
    )
    assert program.cost.layers == program.cost.stages == program.cost.critical_path == ()
    assert program.cost.inference.images_per_second == program.cost.inference.watts == 0
    assert program.cost.inference.energy.total == program.cost.inference.energy.digital > 0
    assert "no layer on arrays" in shown(program.cost)


# ---------------------------------------------------------------- what people and programs see


def shown(cost: NetworkCost, width: int = 100, **options: float) -> str:
    console = Console(width=width, no_color=True, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(report.summary(cost, **options), report.details(cost))
    return captured.get()


def test_the_summary_says_what_is_modelled_and_what_is_not(lenet: Program) -> None:
    text = shown(lenet.cost)
    assert "173,611 images/s (5.76 µs each, bounded by conv1)" in text
    assert "one by one: 77,042 images/s" in text
    assert "pipelined, updates delayed: 86,806 images/s" in text
    assert "not modelled  time of digital work" in text
    assert "none assumed (cost.expected_rereads)" in text
    assert "conv1 → conv2 → fc1 → fc2" in text
    assert "0.39" in text
    measured = shown(lenet.cost, measured_rereads=0.0123)
    assert "cost.expected_rereads=0.0123" in measured


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit(lenet: Program, width: int) -> None:
    lines = shown(lenet.cost, width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_json_is_plain_and_whole(lenet: Program) -> None:
    data = json.loads(json.dumps(lenet.cost.to_dict()))
    assert data == lenet.cost.to_dict()
    assert data["inference"]["images_per_second"] == pytest.approx(173_611, rel=1e-5)
    assert data["stages"][1]["start"] == pytest.approx(5.76e-6)
    assert data["layers"][0]["cycles"][0]["energy"]["adc"] > 0
    assert data["table"]["adc_step_energy"] == 6.5e-15


def test_inspect_prints_it(lenet: Program, tmp_path: Path) -> None:
    path = str(tmp_path / "lenet.onnx")
    lenet.save(path)
    run = CliRunner().invoke
    short, long = run(cli, ["inspect", path]), run(cli, ["inspect", path, "--cost"])
    assert (short.exit_code, long.exit_code) == (0, 0)
    assert "not modelled" in short.output
    assert "adc_step_energy" not in short.output
    assert "adc_step_energy" in long.output
    data = json.loads(run(cli, ["inspect", path, "--json"]).output)
    assert data["cost"]["inference"]["bottleneck"] == "conv1"
