"""`--set key=value`: what each key reaches, how values are read, and what is refused."""

from __future__ import annotations

import pytest

from rpucc.errors import TargetError
from rpucc.target.target import Target


def load(*overrides: str, preset: str = "rpu-managed") -> Target:
    return Target.load(preset, overrides)


def test_values_are_toml_and_bare_words_are_strings() -> None:
    target = load(
        "update.bl=1",
        "update.pulsed = false",
        "periphery.read_noise=0",
        "periphery.bound=1_0",
        "management.noise_forward=always",
        'management.noise_backward="never"',
        "device.dw_min=2e-3",
        "description=one word and more",
        "name=other",
    )
    assert (target.update.bl, target.update.pulsed) == (1, False)
    assert (target.periphery.read_noise, target.periphery.bound) == (0.0, 10.0)
    assert target.management.noise_forward == "always"
    assert target.management.noise_backward == "never"
    assert target.device.parameters["dw_min"] == 0.002
    assert (target.name, target.description) == ("other", "one word and more")


def test_array_keys_reach_every_kind_or_one() -> None:
    def rows(*overrides: str) -> list[int]:
        return [kind.rows for kind in load(*overrides).arrays]

    assert rows() == [512, 4096]
    assert rows("array.rows=100") == [100, 100]
    assert rows("array.large.rows=100") == [512, 100]
    assert rows("array.0.rows=100") == [100, 4096]
    assert rows("array.rows=100", "array.small.rows=7") == [7, 100]
    assert rows("array.small.rows=7", "array.rows=100") == [100, 100]
    alike = load("array.rows=9", "array.cols=9", "array.t_read=1e-9").arrays
    assert [(k.name, k.rows, k.cols) for k in alike] == [("small", 9, 9), ("large", 9, 9)]


def test_the_last_override_of_a_key_holds() -> None:
    assert load("update.bl=3", "update.bl=4").update.bl == 4


def test_keys_that_only_fit_together() -> None:
    target = load("periphery.bound=0", "periphery.adc_bits=0")
    assert (target.periphery.bound, target.periphery.adc_bits) == (0.0, 0)
    target = load("periphery.adc_bits=8", "periphery.bound=3", preset="ideal")
    assert (target.periphery.bound, target.periphery.adc_bits) == (3.0, 8)


def test_a_new_device_model_starts_without_parameters() -> None:
    assert load("device.model=ideal").device.parameters == {}
    target = load("device.gain=2", "device.model=my_module:MyDevice")
    assert target.device.model == "my_module:MyDevice"
    assert target.device.parameters == {"gain": 2.0}
    same = load("device.model=constant-step").device
    assert same == load().device


def test_layer_rules() -> None:
    target = load(
        "layer.conv*.update.bl=1",
        "layer.conv2.device.dw_min_dtod=0",
        "layer.conv*.update.pulsed=false",
        "layer./net/fc.1/Gemm.analog=false",
        "layer.1.periphery.read_noise=0",
    )
    assert [rule.match for rule in target.layers] == ["conv*", "conv2", "/net/fc.1/Gemm"]
    conv2 = target.for_layer("conv2")
    assert (conv2.update.bl, conv2.update.pulsed) == (1, False)
    assert conv2.device.parameters["dw_min_dtod"] == 0.0
    assert conv2.device.parameters["dw_min"] == 0.001
    assert (conv2.periphery.read_noise, conv2.analog) == (0.0, True)
    assert target.for_layer("conv1").device == target.device
    assert not target.for_layer("/net/fc.1/Gemm").analog


def test_a_rule_with_a_new_model_does_not_move_before_other_rules() -> None:
    target = load("layer.*.update.bl=1", "layer.c1.update.bl=2", "layer.c1.device.model=ideal")
    assert [rule.match for rule in target.layers] == ["*", "c1"]
    assert target.for_layer("c1").update.bl == 2
    assert target.for_layer("c1").device.parameters == {}
    assert target.for_layer("c2").device == target.device


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("update.bl", "--set 'update.bl': allowed: key=value"),
        ("update.bl=", "allowed: key=value"),
        ("=3", "allowed: key=value"),
        ("", "allowed: key=value"),
        ("bl=1", "--set bl=1: unknown key bl; did you mean 'update.bl'?"),
        ("update.bll=1", "did you mean 'update.bl'?"),
        ("read_noise=1", "did you mean 'periphery.read_noise'?"),
        ("perifery.bound=1", "did you mean 'periphery.bound'?"),
        ("dw_min=1", "did you mean 'device.dw_min'?"),
        ("managment.max_halving=1", "did you mean 'management.max_halvings'?"),
        ("qqq=1", "unknown key qqq; the tables are array, mapping, periphery, device"),
        (".name=x", "unknown key .name"),
        ("update.bl.x=1", "unknown key update.bl.x"),
        ("array=3", "is a table; set one of its keys, as in array.rows"),
        ("update={bl=1}", "is a table; set one of its keys, as in update.pulses"),
        ("layer=3", "as in layer.conv1.update.bl"),
        ("layer.match=x", "unknown key; allowed: layer.<pattern>.analog"),
        ("layer.conv1.bl=3", "allowed: layer.<pattern>.analog"),
        ("layer.conv1.array.rows=3", "allowed: layer.<pattern>.analog"),
        ("layer.0.update.bl=3", "no layer rule 0; there are 0"),
        ("array.larg.rows=3", "no array 'larg'; allowed: small, large, or an index from 0 to 1"),
        ("array.2.rows=3", "no array '2'; allowed: small, large"),
        ("array.rows=0", "array.0.rows: found 0, allowed: an integer from 1 to 65536"),
        ("array.rows=[1]", "found a list of 1, allowed: an integer"),
        ("array.small.name=large", 'found "large", allowed: a name that no other [[array]] has'),
        ("update.bl=256", "--set update.bl=256: found 256, allowed: an integer from 1 to 255"),
        ("update.bl=true", "found true, allowed: an integer from 1 to 255"),
        ("update.bl=ten", 'found "ten", allowed: an integer from 1 to 255'),
        ("update.bl=1\nx=2", "allowed: an integer from 1 to 255"),
        ("update.bl=" + "9" * 5000, "allowed: an integer from 1 to 255"),
        ("update.pulsed=1", 'found 1, allowed: true, false, "mean" or "rank-1"'),
        ("device.dw_min=nan", "found nan, allowed: a finite number"),
        ("device.dw_min=[]", "found [], allowed: a finite number, true or false, a name"),
        ("device.parameters=3", "found 3, allowed: a table"),
        ("device.model=Not A Model", "allowed: a device model's name"),
        ("periphery.bound=0", "periphery.adc_bits: found 9, allowed: 0 where bound = 0"),
        ("layer.c1.periphery.bound=0", "layer.0.periphery.adc_bits: found 9, allowed: 0"),
        ("layer.c1.update.bl=400", "layer.0.update.bl: found 400, allowed: an integer"),
    ],
)
def test_refused(override: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        load("periphery.dac_bits=8", override)
    text = str(caught.value)
    assert message in text
    assert text.startswith("--set ")
    assert text.isprintable()
    assert "dac_bits" not in text


def test_all_errors_are_shown() -> None:
    with pytest.raises(TargetError) as caught:
        load("update.bl=999", "array.rows=0", "update.pulsed=3")
    assert caught.value.args == (
        "--set array.rows=0: array.0.rows: found 0, allowed: an integer from 1 to 65536",
        '--set update.pulsed=3: found 3, allowed: true, false, "mean" or "rank-1"',
        "--set update.bl=999: found 999, allowed: an integer from 1 to 255",
    )


def test_all_overrides_that_mean_nothing_are_shown() -> None:
    with pytest.raises(TargetError) as caught:
        load("bl=1", "update.bl=2", "layer.x=3")
    assert [line.split(": ")[0] for line in caught.value.args] == ["--set bl=1", "--set layer.x=3"]


def test_a_string_of_overrides_is_a_bug_not_a_bad_input() -> None:
    with pytest.raises(TypeError, match="allowed: a list of 'key=value' strings"):
        Target.load("ideal", "update.bl=1")
