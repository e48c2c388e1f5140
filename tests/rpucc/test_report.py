"""The report layer: numbers as people read them, tables that fit and never cut a name."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from rpucc.placement import GridSpec
from rpucc.plan.plan import LayerPlan, Plan
from rpucc.report import units
from rpucc.report.text import catalogues as lists
from rpucc.report.text import plan, training
from rpucc.runtime.metrics import EpochMetrics, Evaluation, Progress
from rpucc.target.target import ArrayKind

LAYER = LayerPlan(
    name="conv1",
    op="Conv",
    analog=True,
    R=16,
    C=26,
    grid=(1, 1),
    array="small",
    array_size=(512, 512),
    tiles=1,
    utilisation=16 * 26 / 512**2,
    reads_forward=576,
    reads_backward=0,
    updates=576,
    noise_forward=False,
    noise_backward=True,
    bound_forward=True,
    bound_backward=True,
    update={
        "pulsed": True,
        "bl": 10,
        "update_management": False,
        "update_bl_management": False,
        "lr_scale": 1.0,
    },
    macs=16 * 26 * 576,
    seconds=5.76e-6,
    training_seconds=11.52e-6,
    is_bottleneck=True,
)
LONG = "/features/stage_4/block_12/residual/pointwise_convolution/Conv"


def change(**values: object) -> LayerPlan:
    return dataclasses.replace(LAYER, **values)


def policy(**values: object) -> LayerPlan:
    return change(update={**LAYER.update, **values})


def text(*renderables: RenderableType, width: int) -> list[str]:
    console = Console(width=width, markup=False, emoji=False, color_system=None)
    with console.capture() as captured:
        for each in renderables:
            console.print(each)
    return captured.get().splitlines()


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (units.count(1234567), "1,234,567"),
        (units.counted(1, "read"), "1 read"),
        (units.counted(5760, "read"), "5,760 reads"),
        (units.large(9999), "9,999"),
        (units.large(1_127_818), "1.13 million"),
        (units.large(3.87e9), "3.87 billion"),
        (units.large(2.5e12), "2.50 trillion"),
        (units.percent(0.0271), "2.71 %"),
        (units.percent(0), "0.00 %"),
        (units.percent(1e-6), "< 0.01 %"),
        (units.percent(math.nan), "–"),
        (units.significant_percent(0.00158), "0.16 %"),
        (units.significant_percent(0.125), "12.5 %"),
        (units.significant_percent(1.0), "100 %"),
        (units.number(0.42134), "0.4213"),
        (units.number(math.nan), "NaN"),
        (units.number(-math.inf), "-∞"),
        (units.number(12.34567), "12.3457"),
        (units.number(123.456), "123.5"),
        (units.number(12345.6), "12,346"),
        (units.number(1.5e20), "1.5e+20"),
        (units.seconds(5.76e-6), "5.76 µs"),
        (units.seconds(80e-9), "80.0 ns"),
        (units.seconds(0.00576), "5.76 ms"),
        (units.seconds(0), "0 s"),
        (units.seconds(1e-12), "0.001 ns"),
        (units.duration(0.0331), "33.1 ms"),
        (units.duration(4.24), "4.2 s"),
        (units.duration(59.97), "1:00"),
        (units.duration(7265), "2:01:05"),
        (units.clock(9), "0:09"),
        (units.clock(math.nan), "–"),
        (units.size(320_808), "321 kB"),
        (units.size(12), "12 bytes"),
        (units.matrix(4096, 512), "4,096 × 512"),
        (units.plain("conv\x1b[31m\n1"), "conv?[31m?1"),
    ],
)
def test_units(found, expected):
    assert found == expected


@given(st.floats(1e-10, 1e3))
def test_seconds_keeps_three_digits(value):
    shown, unit = units.seconds(value).split()
    scale = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert float(shown.replace(",", "")) * scale == pytest.approx(value, rel=0.0051)


# ---------------------------------------------------------------- plans


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (LAYER, "BL 10"),
        (policy(update_management=True, bl=1), "BL 1 UM"),
        (policy(update_bl_management=True), "BL ≤ 10"),
        (policy(pulsed=False), "exact"),
        (change(update={}), "–"),
    ],
)
def test_update_policy(layer, expected):
    assert plan.update_policy(layer) == expected


def test_cycles():
    shown = [plan.which_cycles(f, b) for f in (False, True) for b in (False, True)]
    assert shown == ["–", "bwd", "fwd", "both"]


HUGE = change(
    name=LONG,
    R=123_456,
    C=1_234_567,
    grid=(31, 302),
    tiles=31 * 302,
    reads_forward=1_000_000,
    reads_backward=1_000_000,
    update={**LAYER.update, "update_management": True, "update_bl_management": True},
    is_bottleneck=False,
)
DIGITAL = change(
    name="head", op="ConvTranspose", analog=False, array="", tiles=0, is_bottleneck=False
)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_fit_and_cut_nothing(width):
    layers = (LAYER, HUGE, DIGITAL)
    whole = Plan("t", training=True, layers=layers, latency_seconds=1e-5, notes=("a note",))
    lines = text(*plan.layer_tables(whole, width), plan.totals(whole), width=width)
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert "…" not in shown
    names = "".join(line.split(" ")[0] for line in lines)
    assert LONG in names
    for cell in ("123,456 × 1,234,567", "31 × 302", "1,000,000", "BL ≤ 10 UM", "ConvTranspose"):
        assert cell in shown
    assert "a note" in shown


def test_one_table_where_there_is_room():
    small = Plan("t", training=True, layers=(LAYER,), latency_seconds=1e-5)
    assert len(plan.layer_tables(small, 80)) == 1
    assert len(plan.layer_tables(small, 60)) > 1


def test_digital_layer_shows_no_array_numbers():
    row = text(*plan.layer_tables(Plan("t", True, (DIGITAL,), 0.0), 120), width=120)[-1]
    assert row.split()[:6] == ["head", "ConvTranspose", "16", "×", "26", "–"]
    assert "digital" in row
    assert "576" not in row


SMALL = ArrayKind(name="small", rows=512, cols=512, t_read=10e-9)
GRIDS = (GridSpec("conv1", "small", (0, 16), (0, 26)), GridSpec("fc", "small", (0, 10), (0, 60)))


def test_totals_name_the_bottleneck():
    lines = dict(plan.total_lines(Plan("t", True, (LAYER,), 5.76e-6, (), GRIDS[:1], (SMALL,))))
    assert lines["bottleneck"] == "conv1: 576 reads of 10.0 ns"
    assert lines["array time"].endswith("training 11.5 µs a sample")
    assert lines["arrays"] == "1 small (512 × 512); 0.16 % of them used"
    inference = dict(plan.total_lines(Plan("t", False, (LAYER,), 5.76e-6)))
    assert "training" not in inference["array time"]
    none = dict(plan.total_lines(Plan("t", False, (DIGITAL,), 0.0)))
    assert none["arrays"] == "none: all layers are digital"
    assert "bottleneck" not in none


def test_totals_say_what_sharing_gains():
    apart = Plan("t", False, (LAYER, LAYER), 0.0, (), GRIDS, (SMALL,))
    assert apart.arrays == {"small": 2}
    lines = "\n".join(text(plan.totals(apart), width=100))
    assert "1 small if layers shared arrays (placement.share = true)" in lines
    shared = dataclasses.replace(apart, share=True)
    assert shared.arrays == {"small": 1}
    lines = "\n".join(text(plan.totals(shared), width=100))
    assert "apart they need 2 small" in lines
    assert "no time is added; wiring and drivers are not modelled" in lines


# ---------------------------------------------------------------- training


def metrics(**values: object) -> EpochMetrics:
    usual = {
        "epoch": 1,
        "samples": 60_000,
        "train_loss": 0.5286,
        "train_error": 0.1662,
        "test_loss": 0.2,
        "test_error": 0.0271,
        "pulses_per_weight": 784.3,
        "reads": 1000,
        "saturated_reads": 10,
        "rereads": 25,
        "seconds": 73.2,
        "samples_per_second": 820.4,
    }
    return EpochMetrics(**{**usual, **values})  # type: ignore[arg-type]


def test_epoch_row():
    row = " ".join(training.epoch_row(metrics(), 30).split())
    assert row == "1/30 0.5286 16.62 % 2.71 % 784 1.00 % 2.50 % 820 1:13"


@given(
    st.integers(1, 100_000),
    st.floats(0, 1e30) | st.just(math.nan) | st.just(math.inf),
    st.floats(0, 1),
    st.integers(25, 10**12),
    st.floats(1e-3, 3e5),
)
def test_rows_stand_below_their_header(epochs, loss, error, reads, seconds):
    row = training.epoch_row(
        metrics(epoch=1, train_loss=loss, test_error=error, reads=reads, seconds=seconds), epochs
    )
    header = training.epoch_header(epochs).splitlines()
    assert len(row) == len(header[-1])
    assert len(row) <= 80 or epochs > 999
    assert all(len(line) <= len(row) for line in header)


def test_times_of_an_earlier_process_are_not_invented():
    assert training.epoch_row(metrics(seconds=0.0, samples_per_second=0.0), 1).split()[-2:] == [
        "–",
        "–",
    ]


def test_progress():
    progress = Progress(2, 10, 15_000, 60_000, 0.25, 500.0)
    assert training.remaining_seconds(progress) == (45_000 + 8 * 60_000) / 500
    shown = "15,000/60,000  500/s  loss 0.2500  ETA 17:30"
    assert training.progress_text(progress) == f"{shown} in all"
    only = dataclasses.replace(progress, epoch=1, epochs=1)
    assert training.progress_text(only).endswith("ETA 1:30")
    done = dataclasses.replace(progress, samples_done=60_000)
    assert "testing" in training.progress_text(done)
    stuck = dataclasses.replace(progress, samples_per_second=0.0)
    assert training.progress_text(stuck).endswith("ETA – in all")


def test_the_time_left_counts_the_tests_of_all_epochs():
    progress = Progress(2, 10, 15_000, 60_000, 0.25, 500.0, test_samples=15_000)
    trained = (45_000 + 8 * 60_000) / 500
    assert training.remaining_seconds(progress) == trained + 9 * 10  # a third of training's time
    timed = dataclasses.replace(progress, test_seconds=4.0)
    assert training.remaining_seconds(timed) == trained + 9 * 4


def test_evaluation():
    found = Evaluation(
        samples=10_000,
        loss=0.1,
        error=0.0271,
        reads=6_420_000,
        saturated_reads=0,
        rereads=1,
        seconds=2.0,
    )
    lines = text(training.evaluation(found), width=80)
    assert lines[0].split(None, 1)[1].strip() == "2.71 % (271 of 10,000 wrong)"
    pixels = text(training.evaluation(dataclasses.replace(found, labels_per_sample=4)), width=80)
    assert pixels[0].split(None, 1)[1].strip() == "2.71 % (1,084 of 40,000 labels wrong)"
    assert "6.42 million" in lines[2]
    assert "< 0.01 % re-reads" in lines[2]
    assert "5,000 samples a second" in lines[3]


def test_trained_text():
    assert training.trained_text(0, 0) == "not trained"
    assert training.trained_text(1, 0) == "after 1 epoch"
    assert training.trained_text(2, 3099) == "after 2 epochs and 3,099 samples of the next"


def test_machine_line():
    assert "clipped" not in training.machine_line(100, 20, {"fc1": (0, 100)})
    assert training.machine_line(1000, 20.0, {"fc1": (2, 900), "fc2": (10, 100)}) == (
        "1,000 weights programmed, 20.0 kB of state; 12 weights (1.2 %) clipped to their devices' "
        "bounds, fc2 10.0 %"
    )


# ---------------------------------------------------------------- lists


def test_device_without_bounds_or_parameters():
    shown = text(lists.device("d", "s", "", {}, {}, {}), width=80)
    assert shown[-1].strip() == "It takes no parameters."
    shown = text(lists.device("d", "s", "", {"a": 0.5}, {}, {"a": "an angle"}), width=80)
    assert shown[-1].split() == ["a", "0.5", "–", "–", "an", "angle"]


def test_timings_add_up():
    shown = text(lists.timings({"a": 0.5, "b": 0.25}), width=80)
    assert shown[-1].split() == ["total", "750", "ms"]
