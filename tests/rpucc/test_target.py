"""Targets: presets, layer rules, and the way through JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rpucc.errors import TargetError
from rpucc.target.target import (
    DeviceTable,
    LayerRule,
    Management,
    Periphery,
    Target,
    Update,
    list_presets,
    preset_names,
)
from rpucc.target.values import VARIATIONS
from rpucc.target.write import as_toml

MINIMAL = """
name = "mine"
[device]
model = "constant-step"
[[array]]
name = "only"
rows = 100
cols = 60
t_read = 80e-9
"""

# Table 1 of the 2017 paper, as docs of the device name its parameters.
CONSTANT_STEP = {
    "dw_min": 0.001,
    "dw_min_dtod": 0.3,
    "dw_min_std": 0.3,
    "up_down": 0.0,
    "up_down_dtod": 0.01,
    "w_max": 0.6,
    "w_max_dtod": 0.3,
    "w_min": -0.6,
    "w_min_dtod": 0.3,
}


def test_presets_are_the_files_and_describe_themselves() -> None:
    assert preset_names() == (
        "capacitor", "ecram", "ecram-mo", "gokmen-vlasov", "ideal", "idealized", "pcm",
        "reram-array-hfo2", "reram-array-om", "reram-es", "reram-sb", "rpu-baseline",
        "rpu-managed", "rpu-managed-um", "soft-bounds", "soft-bounds-asymmetric",
    )  # fmt: skip
    for name, description in list_presets():
        target = Target.load(name)
        assert (target.name, target.description) == (name, description)
        assert description
        kinds = [(k.name, k.rows, k.cols, k.t_read) for k in target.arrays]
        assert kinds == [("small", 512, 512, 10e-9), ("large", 4096, 4096, 80e-9)]


def test_ideal_has_no_physics() -> None:
    target = Target.load("ideal")
    assert target.periphery == Periphery(read_noise=0, bound=0, dac_bits=0, adc_bits=0)
    assert target.management == Management()
    assert target.management.noise_forward == target.management.noise_backward == "never"
    assert not target.management.bound_forward
    assert not target.management.bound_backward
    assert target.device == DeviceTable(model="ideal")
    assert target.update.pulsed is False


@pytest.mark.parametrize(
    ("name", "managed", "bl", "um"),
    [
        ("rpu-baseline", False, 10, False),
        ("rpu-managed", True, 10, False),
        ("rpu-managed-um", True, 1, True),
    ],
)
def test_rpu_presets_hold_table_1(name: str, managed: bool, bl: int, um: bool) -> None:
    target = Target.load(name)
    assert target.periphery == Periphery(read_noise=0.06, bound=12.0, dac_bits=7, adc_bits=9)
    assert target.device == DeviceTable(model="constant-step", parameters=CONSTANT_STEP)
    assert target.management == Management(
        noise_forward="auto" if managed else "never",
        noise_backward="always" if managed else "never",
        bound_forward=managed,
        bound_backward=False,
        max_halvings=10,
    )
    assert target.update == Update(
        pulsed=True, bl=bl, update_management=um, update_bl_management=False
    )


@pytest.mark.parametrize("name", ["soft-bounds", "soft-bounds-asymmetric"])
def test_soft_bounds_presets_differ_from_rpu_managed_in_their_devices(name: str) -> None:
    target, managed = Target.load(name), Target.load("rpu-managed")
    for section in ("arrays", "periphery", "management", "update"):
        assert getattr(target, section) == getattr(managed, section)
    symmetric = Target.load("soft-bounds").device.parameters
    different = {"up_down", "up_down_dtod"} if name.endswith("asymmetric") else set()
    found = target.device.parameters
    assert {key for key in found if found[key] != symmetric[key]} == different
    assert not target.calibration.zero_shift


def test_what_a_short_file_leaves_out() -> None:
    target = Target.from_toml(MINIMAL)
    assert target.arrays[0].t_pulse == 1e-9
    assert target.periphery == Periphery(read_noise=0, bound=0, dac_bits=0, adc_bits=0)
    assert target.update == Update(pulsed=True, bl=10)
    assert target.layers == ()
    assert target.device.parameters == {}


def test_load_takes_a_name_a_path_or_a_target(tmp_path: Path) -> None:
    file = tmp_path / "my target.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    target = Target.load(file)
    assert target == Target.load(str(file)) == Target.from_toml(MINIMAL)
    assert Target.load(target) is target
    assert Target.load(target, ["update.bl=3"]).update.bl == 3
    assert target.update.bl == 10


def test_a_preset_goes_before_a_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ideal").write_text(MINIMAL, encoding="utf-8")
    assert Target.load("ideal").name == "ideal"
    assert Target.load(Path("ideal")).name == "mine"
    assert Target.load("./ideal").name == "mine"


def test_ints_stand_for_floats_and_become_floats() -> None:
    target = Target.from_toml(MINIMAL + "[periphery]\nbound = 12\n")
    assert type(target.periphery.bound) is float
    target = Target.from_toml(MINIMAL.replace('"constant-step"', '"constant-step"\nw_max = 1'))
    assert type(target.device.parameters["w_max"]) is float


@pytest.mark.parametrize("model", ["ideal", "soft-bounds", "my_module:MyDevice", "a.b_2.c:D"])
def test_device_models(model: str) -> None:
    assert Target.from_toml(MINIMAL.replace("constant-step", model)).device.model == model


def test_targets_do_not_change() -> None:
    target = Target.load("ideal")
    with pytest.raises(ValidationError):
        target.update = Update()  # type: ignore[misc]
    with pytest.raises(ValidationError):
        target.arrays[0].rows = 3  # type: ignore[misc]


# --- layer rules -------------------------------------------------------------------------------

RULES = """
[[layer]]
match = "conv*"
[layer.update]
bl = 5
update_management = true
[layer.device]
dw_min = 0.002

[[layer]]
match = "*2"
analog = false
[layer.update]
bl = 1
[layer.periphery]
read_noise = 0

[[layer]]
match = "conv2"
[layer.management]
noise_backward = "always"
[layer.device]
model = "ideal"
"""


def test_rules_merge_in_order_and_only_the_keys_they_set() -> None:
    text = MINIMAL.replace('"constant-step"', '"constant-step"\nw_max = 1.5\ndw_min = 0.1')
    target = Target.from_toml(text + "[periphery]\nread_noise = 0.1\nbound = 3\n" + RULES)

    other = target.for_layer("fc1")
    assert (other.analog, other.periphery) == (True, target.periphery)
    assert (other.management, other.update) == (target.management, target.update)
    assert other.device == target.device

    conv1 = target.for_layer("conv1")
    assert conv1.analog
    assert conv1.update == Update(bl=5, update_management=True)
    assert conv1.device == DeviceTable(
        model="constant-step", parameters={"w_max": 1.5, "dw_min": 0.002}
    )

    fc2 = target.for_layer("fc2")
    assert not fc2.analog
    assert fc2.update == Update(bl=1)
    assert fc2.periphery == Periphery(read_noise=0, bound=3)

    conv2 = target.for_layer("conv2")
    assert not conv2.analog  # the last rule matches too, and says nothing of analog
    assert conv2.update == Update(bl=1, update_management=True)
    assert conv2.management == Management(noise_backward="always")
    assert conv2.device == DeviceTable(model="ideal")  # the other model's parameters are gone


def test_the_later_rule_wins_and_may_be_wider() -> None:
    first, wide = '[[layer]]\nmatch="c1"\nanalog=false\n', '[[layer]]\nmatch="*"\nanalog=true\n'
    assert Target.from_toml(MINIMAL + first + wide).for_layer("c1").analog
    assert not Target.from_toml(MINIMAL + wide + first).for_layer("c1").analog


def test_a_rule_that_repeats_the_model_keeps_its_parameters() -> None:
    text = MINIMAL.replace('"constant-step"', '"constant-step"\nw_max = 1.5\ndw_min = 0.1')
    rule = '[[layer]]\nmatch = "*"\n[layer.device]\nmodel = "constant-step"\ndw_min = 0.2\n'
    device = Target.from_toml(text + rule).for_layer("c1").device
    assert device.parameters == {"w_max": 1.5, "dw_min": 0.2}


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("conv*", "conv", True),
        ("conv*", "Conv1", False),
        ("conv?", "conv12", False),
        ("fc[12]", "fc2", True),
        ("*", "/block/fc.1/Gemm", True),
        ("/block/*", "/block/fc/Gemm", True),
    ],
)
def test_globs(glob: str, name: str, matches: bool) -> None:
    target = Target.from_toml(f'{MINIMAL}[[layer]]\nmatch = "{glob}"\nanalog = false\n')
    assert target.for_layer(name).analog is not matches


def test_rules_that_contradict_each_other_only_on_one_layer() -> None:
    rules = """
[[layer]]
match = "a?"
[layer.periphery]
bound = 0
[[layer]]
match = "?b"
[layer.periphery]
bound = 2
adc_bits = 8
[[layer]]
match = "ab"
[layer.update]
bl = 2
[[layer]]
match = "a[b]"
[layer.periphery]
bound = 0
"""
    target = Target.from_toml(MINIMAL + rules)
    assert target.for_layer("cb").periphery.adc_bits == 8
    with pytest.raises(
        TargetError, match=r"^target mine: layer 'ab' .*periphery\.adc_bits: found 8"
    ):
        target.for_layer("ab")


def test_the_backward_cycle_is_as_the_forward_one_unless_it_says_otherwise() -> None:
    rules = """
[periphery]
read_noise = 0.06
bound = 12
dac_bits = 7
[[layer]]
match = "fc*"
[layer.periphery]
read_noise = 0.1
dac_bits_backward = 5
[[layer]]
match = "fc2"
[layer.periphery]
read_noise_backward = 0
"""
    target = Target.from_toml(MINIMAL + rules)
    assert target.periphery.backward == Periphery(read_noise=0.06, bound=12, dac_bits=7)
    fc1 = target.for_layer("fc1").periphery  # "same" follows the rule's forward value
    assert fc1.backward == Periphery(read_noise=0.1, bound=12, dac_bits=5)
    fc2 = target.for_layer("fc2").periphery
    assert (fc2.read_noise, fc2.dac_bits) == (0.1, 7)
    assert fc2.backward == Periphery(read_noise=0, bound=12, dac_bits=5)
    again = Target.load(target, ["layer.fc2.periphery.read_noise_backward=same"])
    assert again.for_layer("fc2").periphery.backward == fc1.backward


def test_variations_are_removed_by_layer() -> None:
    rules = """
[variations]
remove = ["ctoc"]
[[layer]]
match = "conv*"
[layer.variations]
remove = "all"
[[layer]]
match = "conv1"
[layer.variations]
remove = []
"""
    target = Target.from_toml(MINIMAL + rules)
    found = {name: target.for_layer(name).variations.remove for name in ("fc1", "conv1", "conv2")}
    assert found == {
        "fc1": ("ctoc",),
        "conv1": (),
        "conv2": ("dtod", "ctoc", "asymmetry", "bounds"),
    }
    assert Target.from_json(target.to_json()) == target
    target = Target.load("rpu-managed", ['layer.conv2.variations.remove=["bounds"]'])
    assert target.for_layer("conv2").variations.remove == ("bounds",)


def test_arrays_of_a_rule_are_ids_and_ranges_of_them() -> None:
    rules = '[[layer]]\nmatch = "*"\narrays = [7, "2-4", 7]\n[[layer]]\nmatch = "b"\narrays = []\n'
    target = Target.from_toml(MINIMAL + rules)
    assert target.for_layer("a").arrays == (7, 2, 3, 4, 7)
    assert target.for_layer("b").arrays == ()  # a later rule takes it back


@pytest.mark.parametrize(
    "arrays", ["5", "[true]", "[-1]", '["4-2"]', '["x"]', '["0-99999999"]', "[1000000000]"]
)
def test_arrays_of_a_rule_that_are_no_ids(arrays: str) -> None:
    with pytest.raises(TargetError, match=r"layer\.0\.arrays: found .*, allowed: at most 100,000"):
        Target.from_toml(f'{MINIMAL}[[layer]]\nmatch = "*"\narrays = {arrays}\n')


# --- JSON --------------------------------------------------------------------------------------

number = st.floats(allow_nan=False, allow_infinity=False)
periphery = st.fixed_dictionaries(
    {},
    optional={
        "read_noise": st.floats(0, 1e6),
        "bound": st.floats(1e-6, 1e6) | st.integers(1, 100),
        "dac_bits": st.sampled_from([0, 2, 7, 24]),
        "read_noise_backward": st.floats(0, 1e6) | st.just("same"),
        "dac_bits_backward": st.sampled_from([0, 2, 7, 24, "same"]),
        "dac_stochastic": st.booleans(),
    },
)
management = st.fixed_dictionaries(
    {},
    optional={
        "noise_forward": st.sampled_from(["auto", "always", "never"]),
        "noise_backward": st.sampled_from(["always", "never"]),
        "bound_forward": st.booleans(),
        "bound_backward": st.booleans(),
        "max_halvings": st.integers(0, 30),
        "bound_mode": st.sampled_from(["iterative", "worst-case"]),
        "assumed_w_max": st.floats(1e-6, 1e6),
    },
)
kinds = st.lists(st.sampled_from(VARIATIONS), unique=True)
update = st.fixed_dictionaries(
    {},
    optional={
        "pulsed": st.booleans(),
        "bl": st.integers(1, 255),
        "update_management": st.booleans(),
        "update_bl_management": st.booleans(),
        "lr_scale": st.floats(0, 1e6),
    },
)
calibration = st.fixed_dictionaries(
    {},
    optional={
        "zero_shift": st.booleans(),
        "pairs": st.integers(1, 10**6),
        "reference_std": st.floats(0, 1e6),
    },
)
parameters = st.dictionaries(st.sampled_from(["dw_min", "w_max", "γ_up", "_x9"]), number)
model = st.fixed_dictionaries({"model": st.sampled_from(["ideal", "constant-step", "m:D"])})
device = st.builds(lambda m, p: {**m, **p}, model, parameters)
kind = st.fixed_dictionaries(
    {"rows": st.integers(1, 65536), "cols": st.integers(1, 65536), "t_read": st.floats(1e-18, 1)},
    optional={"t_pulse": st.floats(1e-18, 1), "count": st.integers(0, 10**9)},
)
line = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=30)
rule = st.fixed_dictionaries(
    {"match": line.filter(bool)},
    optional={
        "analog": st.booleans(),
        "arrays": st.lists(st.integers(0, 10**9 - 1), max_size=4),
        "periphery": periphery,
        "management": management,
        "update": update,
        "device": device | parameters,
        "variations": st.fixed_dictionaries({"remove": kinds}),
        "calibration": calibration,
    },
)
targets = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "array": st.lists(kind, min_size=1, max_size=4).map(
            lambda kinds: [{"name": f"kind{i}", **k} for i, k in enumerate(kinds)]
        ),
        "device": device,
    },
    optional={
        "description": line,
        "placement": st.fixed_dictionaries({}, optional={"share": st.booleans()}),
        "periphery": periphery,
        "management": management,
        "update": update,
        "calibration": calibration,
        "layer": st.lists(rule, max_size=4),
    },
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(targets)
def test_json_round_trip(data: dict[str, Any]) -> None:
    target = Target.from_json(json.dumps(data))
    text = target.to_json()
    assert "\n" not in text
    again = Target.from_json(text)
    assert again == target
    assert again.to_json() == text
    for name in ["x", *(rule.match for rule in target.layers)]:
        assert again.for_layer(name) == target.for_layer(name)
    # What the file says is what the target holds, and a rule sets no more than the file does.
    written = json.loads(text)
    for section in ("placement", "periphery", "management", "update", "device", "calibration"):
        assert written[section].items() >= data.get(section, {}).items()
    assert written["layer"] == data.get("layer", [])
    assert [{"t_pulse": 1e-9, "count": 0, **k} for k in data["array"]] == written["array"]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(targets, st.integers(1, 31))
def test_an_override_changes_nothing_else(data: dict[str, Any], bl: int) -> None:
    target = Target.from_json(json.dumps(data))
    expected = json.loads(target.to_json())
    expected["update"]["bl"] = bl
    assert json.loads(Target.load(target, [f"update.bl={bl}"]).to_json()) == expected


@pytest.mark.parametrize("name", preset_names())
def test_presets_round_trip(name: str) -> None:
    target = Target.load(name)
    assert Target.from_json(target.to_json()) == target


def test_rules_keep_what_they_leave_open_through_json() -> None:
    target = Target.from_json(Target.from_toml(MINIMAL + RULES).to_json())
    assert target.layers[0].update is not None
    assert target.layers[0].update.model_fields_set == {"bl", "update_management"}
    assert LayerRule(match="x").model_fields_set == {"match"}


def test_import_rpucc_does_not_import_pydantic() -> None:
    code = "import sys, rpucc; assert 'pydantic' not in sys.modules; rpucc.Target"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_parameters_of_a_device_may_be_flags_names_and_lists() -> None:
    text = as_toml(
        Target.load(
            "rpu-managed",
            [
                "device.model=my:Own",
                "device.on=true",
                "device.kind=mirror",
                "device.nodes=[1, 2.5]",
            ],
        )
    )
    target = Target.from_toml(text)
    assert target.device.parameters == {"on": True, "kind": "mirror", "nodes": (1.0, 2.5)}
    assert type(target.device.parameters["on"]) is bool
