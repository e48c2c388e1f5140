"""Each layer alone on the target, and all but each: against tables made by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
import rpucc.layers
from rpucc.errors import ArgumentError, DataError, ModelError
from rpucc.models import build_cnn
from rpucc.patterns import matches
from rpucc.runtime.by_layer import _Bench, by_layer
from rpucc.runtime.data import Dataset
from rpucc.runtime.layer_effects import ByLayer, Score
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer
from rpucc.target.target import Target
from tests.runtime.small import tiny, tiny_cnn, tiny_data, train

NOISY = ("periphery.read_noise=0.3", "periphery.adc_bits=4", "periphery.dac_bits=3")
IDEAL = {
    **{f"periphery.{key}": "0" for key in ("read_noise", "adc_bits", "dac_bits", "bound")},
    **{f"management.bound_{cycle}": "false" for cycle in ("forward", "backward")},
}
LAYERS = ("c", "fc")


def measured(machine: Machine, data: Dataset, **how: int) -> ByLayer:
    return by_layer(Trainer(machine), data.x_train, data.y_train, **how)


def by_hand(machine: Machine, ideal: tuple[str, ...], data: Dataset) -> Score:
    """The same machine on a target that takes everything around these layers' reads away."""
    rules = [f"layer.{name}.{key}={value}" for name in ideal for key, value in IDEAL.items()]
    other = Machine(tiny("rpu-managed", "", *NOISY, *rules), machine.seed)
    other.set_state(machine.state())
    other.counters.sample = machine.counters.sample
    return Score.of(Trainer(other).evaluate(data.x_train, data.y_train))


def test_the_table_is_the_one_made_by_hand_with_ideal_reads() -> None:
    data = tiny_data(40)
    machine, _ = train(tiny("rpu-managed", "", *NOISY), data, epochs=1)
    found = measured(machine, data)
    whole = Trainer(machine)
    assert found.target == Score.of(whole.evaluate(data.x_train, data.y_train))
    assert found.ideal == Score.of(whole.evaluate(data.x_train, data.y_train, ideal=True))
    assert {each.layer for each in found.layers} == set(LAYERS)
    for each in found.layers:
        (other,) = set(LAYERS) - {each.layer}
        assert each.alone == by_hand(machine, (other,), data)
        assert each.without == by_hand(machine, (each.layer,), data)
    scores = {each.alone.loss for each in found.layers} | {found.target.loss, found.ideal.loss}
    assert len(scores) == 4  # the four differ, or nothing was shown


def test_the_table_is_the_one_of_digital_layers() -> None:
    """With `analog = false` tiles are numbered anew: the first layer draws the same, others not."""
    data = tiny_data(200)
    alone: dict[str, list[float]] = {name: [] for name in LAYERS}
    digital: dict[str, list[float]] = {name: [] for name in LAYERS}
    for seed in range(6):
        machine = Machine(tiny("rpu-managed", "", *NOISY), seed)
        found = {each.layer: each for each in measured(machine, data).layers}
        for name, other in (LAYERS, LAYERS[::-1]):
            program = tiny("rpu-managed", "", *NOISY, f"layer.{other}.analog=false")
            hand = Trainer(Machine(program, seed)).evaluate(data.x_train, data.y_train)
            alone[name].append(found[name].alone.loss)
            digital[name].append(hand.loss)
    assert alone["c"] == pytest.approx(digital["c"], rel=1e-4)
    spread = np.std(alone["fc"]) + np.std(digital["fc"])
    assert np.mean(alone["fc"]) == pytest.approx(np.mean(digital["fc"]), abs=2 * spread / 6**0.5)


def digital(model: object, target: str, overrides: tuple[str, ...], *layers: str) -> Any:
    """A program in which these layers are on no arrays."""
    rules = [f"layer.{name}.analog=false" for name in layers]
    return rpucc.compile(model, target, overrides=[*overrides, *rules], verify=False)


CONVERTERS = (
    "periphery.adc_bits=4", "periphery.dac_bits=3", "periphery.bound=12",
    "management.noise_forward=always",
)  # fmt: skip


def test_where_nothing_is_drawn_it_is_exactly_the_table_of_digital_layers() -> None:
    data = tiny_data(200)
    found = by_layer(Trainer(Machine(digital(tiny_cnn(), "ideal", CONVERTERS))), data)
    for each, other in zip(found.layers, found.layers[::-1], strict=True):
        for score, layer in ((each.alone, other.layer), (each.without, each.layer)):
            program = digital(tiny_cnn(), "ideal", CONVERTERS, layer)
            hand = Trainer(Machine(program)).evaluate(data)
            assert score.error == hand.error
            assert score.loss == pytest.approx(hand.loss, rel=1e-6)
    assert len({each.alone.loss for each in found.layers} | {found.ideal.loss}) == 3


EFFECTS = {
    "dac": ("periphery.dac_bits=3",),
    "adc": ("periphery.adc_bits=4", "periphery.bound=4"),
    "bound": ("periphery.bound=0.8",),
    "noise": ("periphery.read_noise=0.05",),
    "clipped": ("device.w_max=0.2", "device.w_min=-0.2", "mapping.weight_scaling=off"),
}
NOTHING = (
    "periphery.read_noise=0", "periphery.dac_bits=0", "periphery.adc_bits=0", "periphery.bound=0",
    "management.bound_forward=false", "management.bound_backward=false",
    "device.w_max_dtod=0", "device.w_min_dtod=0",
)  # fmt: skip
SMALL = ("array.small.rows=3", "array.small.cols=10", "array.large.rows=3", "array.large.cols=10")


@pytest.mark.parametrize("managed", ["always", "never"])
@pytest.mark.parametrize("small", [(), SMALL], ids=["one tile", "tiles"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_by_itself_is_the_loss_that_is_measured(
    effect: str, small: tuple[str, ...], managed: str
) -> None:
    overrides = (*NOTHING, f"management.noise_forward={managed}", *EFFECTS[effect], *small)
    machine = Machine(tiny("rpu-managed", "", *overrides))
    for each in measured(machine, tiny_data(600)).layers:
        lost = 10 ** (-each.snr / 10)
        close = 0.1 if effect == "noise" else 1e-3
        assert each.effects[effect] == pytest.approx(lost, rel=close, abs=1e-9)
        others = set(each.effects) - {effect, *(["bound"] if effect == "adc" else [])}
        assert all(each.effects[other] == 0 for other in others)


def test_bound_management_is_followed() -> None:
    overrides = (*NOTHING, "management.noise_forward=never", "management.bound_forward=true")
    overrides += ("periphery.bound=0.4", "periphery.adc_bits=7", "mapping.weight_scaling=off")
    machine = Machine(tiny("rpu-managed", "", *overrides))
    for each in measured(machine, tiny_data(60)).layers:
        assert each.range_used > 1
        assert each.effects["bound"] == 0
        assert each.effects["adc"] == pytest.approx(10 ** (-each.snr / 10), rel=0.05)


def test_copies_of_a_device_average_the_noise() -> None:
    data = tiny_data(600)
    quiet = (*NOTHING, "periphery.read_noise=0.05")
    found = [
        measured(Machine(tiny("rpu-managed", "", *quiet, f"mapping.devices_per_weight={n}")), data)
        for n in (1, 4)
    ]
    for name in LAYERS:
        one, four = (next(e for e in each.layers if e.layer == name) for each in found)
        assert four.snr - one.snr == pytest.approx(10 * math.log10(4), abs=0.5)
        assert one.effects["noise"] == pytest.approx(4 * four.effects["noise"], rel=1e-3)


def test_copies_of_a_device_share_their_inputs_converters() -> None:
    overrides = (*NOTHING, "periphery.dac_bits=3", "mapping.devices_per_weight=4")
    for each in measured(Machine(tiny("rpu-managed", "", *overrides)), tiny_data(60)).layers:
        assert each.effects["dac"] == pytest.approx(10 ** (-each.snr / 10), rel=1e-3)


def test_groups_are_followed_one_by_one() -> None:
    random = np.random.default_rng(3)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], "c", group=4, pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["h"], ["f"], "f"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "fc", transB=1),
    ]
    shapes = (("x", ["N", 4, 6, 6]), ("y", ["N", 3]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes)
    weights = {"w": random.normal(size=(8, 1, 3, 3)), "v": random.normal(size=(3, 288))}
    tensors = [
        numpy_helper.from_array((w * 0.1).astype(np.float32), name) for name, w in weights.items()
    ]
    graph = helper.make_graph(nodes, "grouped", [x], [y], tensors)
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    overrides = (*NOTHING, "periphery.dac_bits=3")
    program = rpucc.compile(model, "rpu-managed", overrides=overrides, verify=False)
    images = random.uniform(0, 1, (20, 4, 6, 6)).astype(np.float32)
    labels = random.integers(0, 3, 20)
    for each in by_layer(Trainer(Machine(program)), images, labels).layers:
        assert each.effects["dac"] == pytest.approx(10 ** (-each.snr / 10), rel=1e-3)


def test_layers_are_chosen_by_the_measured_error() -> None:
    data = tiny_data(200)
    machine = Machine(tiny("rpu-managed", "", *NOISY))
    found = measured(machine, data, choose=2)
    without = {each.layer: each.without for each in found.layers}
    best = min(without, key=lambda name: without[name].key)
    assert [kept.layer for kept in found.chosen] == [best, *(set(LAYERS) - {best})]
    assert found.chosen[0].score == without[best]
    assert found.chosen[1].score == found.ideal
    keys = [each.alone.key for each in found.layers]
    assert keys == sorted(keys, reverse=True)


def test_batches_and_threads_change_nothing() -> None:
    data = tiny_data(60)
    machine = Machine(tiny("rpu-managed", "", *NOISY))
    found = measured(machine, data)
    again = by_layer(Trainer(machine, threads=2), data.x_train, data.y_train, batch_size=4)
    assert [each.alone.error for each in again.layers] == [
        each.alone.error for each in found.layers
    ]
    for a, b in zip(found.layers, again.layers, strict=True):
        assert b.alone.error == a.alone.error
        assert b.alone.loss == pytest.approx(a.alone.loss, rel=1e-6)
        assert b.snr == pytest.approx(a.snr, abs=1e-3)
    before = Trainer(machine).evaluate(data.x_train, data.y_train)
    assert Score.of(before) == found.target  # nothing of the machine has changed


def test_it_takes_data_as_an_evaluation_does() -> None:
    data = tiny_data(60)
    trainer = Trainer(Machine(tiny("rpu-managed", "", *NOISY)))
    whole = rpucc.by_layer(trainer, data)
    assert whole == by_layer(trainer, data.x_test, data.y_test)
    assert whole.target == Score.of(trainer.evaluate(data))
    parts = rpucc.by_layer(trainer, (data.x_train, data.y_train), samples=7)  # the last tenth
    assert parts.samples == 6
    few = rpucc.by_layer(trainer, data.x_train, data.y_train, samples=7)
    assert few == by_layer(trainer, data.x_train[:7], data.y_train[:7])
    assert few.samples == 7


def test_batch_norms_with_statistics_of_the_batch_evaluate_with_running_ones() -> None:
    data = tiny_data(60)
    model = build_cnn("c4k3 p2 c6k2 f3", input_shape=(1, 8, 8), batch_norm=True)
    program = rpucc.compile(model, "rpu-managed", overrides=NOISY, verify=False)
    trainer = Trainer(Machine(program))
    trainer.fit(data, epochs=1, batch_size=6, lr=0.05)
    found = rpucc.by_layer(trainer, data)
    assert found.target == Score.of(trainer.evaluate(data))
    assert found.ideal == Score.of(trainer.evaluate(data, ideal=True))


def test_it_prints_as_the_table() -> None:
    found = measured(Machine(tiny("rpu-managed", "", *NOISY)), tiny_data(60), choose=1)
    text = str(found)
    assert text.startswith("layer by layer: 60 samples\n")
    for each in found.layers:
        assert f"{each.layer} " in text
        assert f"{each.snr:.1f} dB" in text
    assert f"{found.chosen[0].layer} " in text.split("to keep digital")[1]
    assert all(line == line.rstrip() and "\x1b" not in line for line in text.splitlines())
    assert found._repr_html_().count("<svg") == 4  # two drawings, each in its frame


def test_remedies_are_settings_that_targets_take() -> None:
    for overrides in EFFECTS.values():
        machine = Machine(tiny("rpu-managed", "", *NOTHING, *overrides))
        for each in measured(machine, tiny_data(60)).layers:
            if each.remedy is not None:
                Target.load("rpu-managed", [each.remedy.option])
                assert matches(each.remedy.option.split(".")[1], each.layer)


def test_what_cannot_be_measured_is_refused() -> None:
    data = tiny_data()
    with pytest.raises(ArgumentError, match=r"choose: 3 layers, but the program has 2"):
        measured(Machine(tiny()), data, choose=3)
    trainer = Trainer(Machine(tiny()))
    with pytest.raises(ArgumentError, match=r"by_layer\(trainer\): found .*; allowed: a Trainer"):
        rpucc.by_layer(trainer.machine, data)
    with pytest.raises(ArgumentError, match="samples: found 0"):
        rpucc.by_layer(trainer, data, samples=0)
    with pytest.raises(ArgumentError, match="batch_size: found 0"):
        rpucc.by_layer(trainer, data, batch_size=0)
    with pytest.raises(DataError, match=r"23 samples but 20 labels"):
        rpucc.by_layer(trainer, data.x_train, data.y_train[:20])
    digital = tiny("rpu-managed", "", "layer.*.analog=false")
    with pytest.raises(ModelError, match="no layers on arrays"):
        measured(Machine(digital), data)


def test_rules_of_digital_layers_come_last_and_are_about_one_layer() -> None:
    target = Target.load("rpu-managed", ["layer.a*.update.bl=1"])
    kept = target.with_digital(["a[0]"])
    assert kept.for_layer("a[0]").analog is False
    assert kept.for_layer("a0").analog is True
    assert kept.for_layer("a0").update.bl == 1
    assert target.for_layer("a[0]").analog is True
    program = rpucc.compile(
        tiny_cnn(), Target.load("rpu-managed").with_digital(["c"]), verify=False
    )
    assert [layer.name for layer in program.plan.layers if layer.analog] == ["fc"]


@pytest.fixture(scope="module")
def lenet() -> Any:
    """A LeNet that was trained digitally: 3.2 % wrong of the digits of mnist-mini."""
    ideal = rpucc.Machine(rpucc.compile("lenet", "ideal", verify=False))
    rpucc.Trainer(ideal).fit("mnist-mini", epochs=3, batch_size=8, lr=0.08)
    return ideal.export().model


LENET = ("conv1", "conv2", "fc1", "fc2")


@pytest.mark.slow
def test_the_table_of_a_lenet_is_that_of_digital_layers(lenet: Any) -> None:
    """Exactly without noise; with it in distribution, as tiles draw by their numbers."""
    data = rpucc.load_dataset("mnist-mini")
    for target, overrides, seeds in (("ideal", CONVERTERS, 1), ("rpu-managed", NOISY, 12)):
        whole = digital(lenet, target, overrides)
        tables = [
            {each.layer: each for each in by_layer(Trainer(Machine(whole, seed)), data).layers}
            for seed in range(seeds)
        ]
        for name in LENET:
            others = [other for other in LENET if other != name]
            for which, layers in (("alone", others), ("without", [name])):
                program = digital(lenet, target, overrides, *layers)
                hand = [Trainer(Machine(program, seed)).evaluate(data) for seed in range(seeds)]
                found = [getattr(table[name], which) for table in tables]
                less = np.array([a.error - b.error for a, b in zip(found, hand, strict=True)])
                if seeds == 1:
                    assert not less.any()
                    assert found[0].loss == pytest.approx(hand[0].loss, rel=1e-5)
                else:
                    assert abs(less.mean()) < max(0.0005, 4 * less.std(ddof=1) / seeds**0.5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_choosing_is_exhaustive_search_on_lenet(lenet: Any, seed: int) -> None:
    data = rpucc.load_dataset("mnist-mini")
    machine = Machine(rpucc.compile(lenet, "rpu-managed", overrides=NOISY, verify=False), seed)
    trainer = Trainer(machine)
    found = by_layer(trainer, data, choose=3)
    layers = rpucc.layers.analog_layers(machine.program.model)
    bench = _Bench(trainer, layers, data.x_test, data.y_test, None)
    for count, kept in enumerate(found.chosen, 1):
        sets = [frozenset(s) for s in itertools.combinations(LENET, count)]
        best = min(Score.of(each).key for each in bench.measure(sets))
        assert kept.score.key == best
