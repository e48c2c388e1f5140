"""What may cost accuracy on a target: which causes it has, and what takes each away."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpucc.errors import TargetError
from rpucc.report.keys import keys
from rpucc.runs.causes import BY_NAME, CAUSES, causes_of, overrides_without
from rpucc.runtime.devices import DEVICES
from rpucc.stages import STAGES
from rpucc.target.load import preset_names
from rpucc.target.target import Target
from rpucc.trust import NO_TRUST, Trust

BASELINE = [
    *("read-noise", "dac", "adc", "signal-bound", "granularity", "cycle-noise", "step-spread"),
    *("asymmetry-spread", "weight-bounds", "bound-spread"),
]


def names(target: Target, **how: bool) -> list[str]:
    return [cause.name for cause in causes_of(target, NO_TRUST, **how)]


def without(target: Target, *removed: str, layers: tuple[str, ...] = ()) -> Target:
    return Target.load(target, overrides_without(target, removed, NO_TRUST, layers))


HARSH: dict[str, tuple[str, ...]] = {
    "tiki-taka": ("cell.model=tiki-taka", "cell.fast.model=linear-step", "cell.fast.dw_min=0.002"),
    "rules": (
        "layer.conv1.periphery.adc_bits=6", "layer.conv1.periphery.read_noise_backward=0.1",
        "layer.conv*.device.model=soft-bounds", "layer.conv*.device.up_down=0.2",
        "layer.fc*.update.pulsed=false",
    ),
    "backward": ("periphery.read_noise_backward=0.2", "periphery.bound_backward=3",
                 "periphery.adc_bits_backward=5", "periphery.ir_drop=1",
                 "periphery.dac_stochastic=true"),
    "shifted": ("device.model=soft-bounds", "device.up_down=0.3", "calibration.zero_shift=true",
                "calibration.reference_std=0.1"),
    "linear": ("device.model=linear-step", "device.up_down=0.1",
               "device.subtract_symmetry_point=true"),
    "soft": ("device.model=soft-bounds", "device.subtract_symmetry_point=true",
             "device.reference_std=0.1", "device.reference_mean=0.1", "device.slope_up_dtod=0.1",
             "device.slope_down_dtod=0.1"),
    "exponential": ("device.model=exp-step", "device.corrupt_devices_prob=0.1",
                    "device.dw_min_std_add=1", "device.dw_min_std_slope=1"),
    "one-sided": ("device.model=exp-step", "device.w_min=0", "device.w_max=2"),
    "powers": ("device.model=pow-step", "device.pow_up_down=0.1", "device.pow_up_down_dtod=0.1"),
    "pieces": ("device.model=piecewise-step", "device.nodes_up=[2, 1]",
               "device.nodes_down=[1, 2]"),
}  # fmt: skip


@pytest.mark.parametrize("preset", preset_names())
def test_nothing_is_left_of_a_preset_without_its_causes(preset: str) -> None:
    target = Target.load(preset)
    assert names(without(target, *names(target))) == []
    assert bool(names(target)) == (preset != "ideal")


@pytest.mark.parametrize("name", HARSH)
def test_nothing_is_left_where_rules_and_cells_have_their_own(name: str) -> None:
    """Of any target: after all its causes are taken away it has none, in no layer."""
    target = Target.load("rpu-managed", HARSH[name])
    found = names(target)
    assert found
    left = without(target, *found)
    assert names(left) == []
    for layer in ("conv1", "conv2", "fc1"):
        periphery = left.for_layer(layer).periphery
        for cycle in (periphery, periphery.backward):
            assert not any((cycle.read_noise, cycle.bound, cycle.adc_bits, cycle.dac_bits))


def test_the_causes_of_the_presets() -> None:
    assert names(Target.load("rpu-baseline")) == BASELINE
    assert names(Target.load("rpu-baseline"), reads=True) == [
        *("read-noise", "dac", "adc", "signal-bound", "weight-bounds", "bound-spread"),
    ]
    soft = names(Target.load("soft-bounds-asymmetric"))
    assert {"response", "asymmetry"} == set(soft) - set(BASELINE)
    exact = Target.load("rpu-managed", ["update.pulsed=false"])
    assert names(exact) == ["read-noise", "dac", "adc", "signal-bound"]
    mean = Target.load("rpu-managed", ["update.pulsed=mean"])
    assert set(BASELINE) - set(names(mean)) == {"granularity", "cycle-noise"}


@pytest.mark.parametrize(
    ("cause", "overrides"),
    [
        ("read-noise", ("periphery.read_noise=0.0",)),
        ("signal-bound", ("periphery.bound=12288.0", "periphery.adc_bits=19")),
        ("granularity", ("update.pulsed=mean",)),
        ("cycle-noise", ("device.dw_min_std=0.0",)),
        ("bound-spread", ("device.w_max_dtod=0.0", "device.w_min_dtod=0.0")),
        ("weight-bounds", ("device.w_max=1000000.0", "device.w_min=-1000000.0")),
    ],
)
def test_what_takes_a_cause_away(cause: str, overrides: tuple[str, ...]) -> None:
    target = Target.load("rpu-managed")
    assert overrides_without(target, [cause], NO_TRUST) == overrides


def test_a_signal_bound_goes_and_the_steps_of_the_adc_stay() -> None:
    target = Target.load("rpu-managed")
    lifted = without(target, "signal-bound").periphery

    def step(bound: float, bits: int) -> float:
        return 2 * bound / (2**bits - 2)

    assert step(lifted.bound, lifted.adc_bits) == pytest.approx(step(12, 9), rel=0.005)
    both = without(target, "signal-bound", "adc").periphery
    assert (both.bound, both.adc_bits) == (0, 0)


def test_soft_bounds_without_response_are_constant_steps_with_the_same_devices() -> None:
    target = Target.load("soft-bounds-asymmetric", ["calibration.zero_shift=true"])
    flat = without(target, "response")
    assert flat.device.model == "constant-step"
    same = {**DEVICES["soft-bounds"].defaults, **target.device.parameters}
    assert flat.device.parameters == {key: same[key] for key in DEVICES["constant-step"].defaults}
    assert not flat.calibration.zero_shift  # no symmetry points are left to shift to


def test_layers_alone_lose_what_is_taken_from_them() -> None:
    target = Target.load("rpu-managed")
    found = without(target, "cycle-noise", "step-spread", layers=("conv*",))
    assert found.for_layer("conv2").device.parameters["dw_min_dtod"] == 0
    assert found.for_layer("conv2").device.parameters["dw_min_std"] == 0
    assert found.for_layer("fc1") == target.for_layer("fc1")


OWN = """
from rpucc.runtime.devices import Device


class Mine(Device):
    name = "mine"
    defaults = {"dw_min": 0.001, "wobble": 0.2, "tilt": 0.0}
    variations = {"dtod": (), "ctoc": ("wobble",), "asymmetry": ("tilt",), "bounds": ()}

    @staticmethod
    def step(w, direction, noise):
        return w + direction * 0.001 * (1 + 0.2 * noise)
"""


def test_a_device_of_a_users_own_has_the_kinds_of_variation_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "my_ablated.py").write_text(OWN, encoding="utf-8")
    target = Target.load("rpu-managed", ["device.model=my_ablated:Mine"])
    trust = Trust(every=True, folders=(tmp_path,))
    found = [cause.name for cause in causes_of(target, trust)]
    assert found == ["read-noise", "dac", "adc", "signal-bound", "granularity", "cycle-noise"]
    assert overrides_without(target, ["cycle-noise"], trust) == ('variations.remove=["ctoc"]',)
    with pytest.raises(TargetError, match="imports a module"):
        causes_of(target, NO_TRUST)


def test_every_key_of_reads_and_devices_that_disturbs_has_its_row() -> None:
    """A new stage of a read, or a new parameter of a device, is missed here."""
    disturbing = {key for stage in STAGES for key in stage.model_fields}
    disturbing |= {key for device in DEVICES.values() for key in device.defaults}
    taken = {
        line.partition("=")[0].rpartition(".")[2]
        for harsh in [*HARSH.values(), ("periphery.ir_drop=1",)]
        for cause in CAUSES
        for line in overrides_without(Target.load("rpu-managed", harsh), [cause.name], NO_TRUST)
    }
    conventions = {"mult_noise"}
    of_response = {"A_up", "A_down", "a", "b", "pow_gamma", "nodes_up", "nodes_down"}
    of_response |= {"states", "spreads_up", "spreads_down"}
    of_response |= {"mean_bound_reference", "reverse_up", "reverse_down"}
    assert disturbing - taken == {"dac_stochastic"} | conventions | of_response
    assert {f"periphery.{key.name}" for key in keys() if key.table == "periphery"} >= {
        f"periphery.{key}" for key in taken & {k for s in STAGES for k in s.model_fields}
    }


def test_what_a_cause_needs_is_a_cause() -> None:
    assert all(cause.needs in ("", *BY_NAME) for cause in CAUSES)
