"""What a target file may not be: one line each with file, key, value and the way out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rpucc.errors import TargetError
from rpucc.target.target import Target, preset_names

VALID = """
name = "mine"
description = "what it is"
[[array]]
name = "only"
rows = 100
cols = 60
t_read = 80e-9
[device]
model = "constant-step"
dw_min = 0.001
[periphery]
read_noise = 0.06
bound = 12.0
dac_bits = 7
adc_bits = 9
read_noise_backward = "same"
adc_bits_backward = "same"
dac_stochastic = true
[variations]
remove = ["ctoc"]
[management]
noise_forward = "auto"
noise_backward = "always"
bound_forward = true
bound_backward = false
max_halvings = 10
bound_mode = "worst-case"
assumed_w_max = 0.6
[update]
pulsed = true
bl = 10
update_management = false
update_bl_management = false
[calibration]
zero_shift = true
pairs = 100
reference_std = 0.1
[[layer]]
match = "conv*"
analog = true
[layer.update]
bl = 1
"""


def message(text: str) -> str:
    """The only error of a target file with this text."""
    (line,) = messages(text)
    return line


def messages(text: str) -> list[str]:
    """The errors of a target file with this text; always one printable line each."""
    with pytest.raises(TargetError) as caught:
        Target.from_toml(text, "target file t.toml")
    lines = str(caught.value).split("\n")
    assert lines == list(caught.value.args)
    for line in lines:
        assert line.startswith("target file t.toml: ")
        assert line.isprintable()
        assert len(line) < 600
    return [line.removeprefix("target file t.toml: ") for line in lines]


def changed(key: str, value: str, nth: int = 0) -> str:
    """VALID with the nth line of `key` saying something else."""
    lines = VALID.splitlines()
    at = [i for i, text in enumerate(lines) if text.startswith(f"{key} =")][nth]
    lines[at] = f"{key} = {value}"
    return "\n".join((*lines, ""))


def test_the_valid_one_is_valid() -> None:
    assert Target.from_toml(VALID).for_layer("conv1").update.bl == 1


BITS = "0 (no converter) or an integer from 2 to 24"
FLAG = "true or false"


@pytest.mark.parametrize(
    ("table", "key", "values", "allowed"),
    [
        ("", "name", ['""', "3", '"a b"', '"-x"', '"a\\nb"', '"' + "a" * 65 + '"'], "a letter"),
        ("", "description", ["3", '"a\\nb"', "[]", '"' + "a" * 201 + '"'], "one line"),
        ("array.0.", "rows", ["0", "65537", "-1", "1.0", "true", '"4"', "inf", "0x" + "f" * 5000],
         "an integer from 1 to 65536"),
        ("array.0.", "cols", ["0", "65537", "false"], "an integer from 1 to 65536"),
        ("array.0.", "t_read", ["0", "-1e-9", "80", "true", "nan", "inf", '"80e-9"', "1979-05-27"],
         "a time in seconds above 0, at most 1 (80 ns is 80e-9)"),
        ("periphery.", "read_noise", ["-0.1", "nan", "inf", "1e7", "true", '"x"'],
         "a number from 0 to 1e6"),
        ("periphery.", "bound", ["-1", "nan", "inf", "1e-9", "1e7", "true"],
         "0 (unbounded) or a number from 1e-6 to 1e6"),
        ("periphery.", "dac_bits", ["1", "25", "-7", "7.0", "true", "false"], BITS),
        ("periphery.", "adc_bits", ["1", "25", "true"], BITS),
        ("periphery.", "read_noise_backward", ["-0.1", "true", '"forward"'],
         'a number from 0 to 1e6, or "same" (as forward)'),
        ("periphery.", "adc_bits_backward", ["1", "true"], f'{BITS}, or "same" (as forward)'),
        ("management.", "noise_forward", ['"Auto"', "true", "1", "[]"],
         'one of "auto", "always", "never"'),
        ("management.", "noise_backward", ['"auto"', "false"], 'one of "always", "never"'),
        ("management.", "bound_forward", ["1", "0", '"true"', "1.0"], FLAG),
        ("management.", "bound_backward", ["1"], FLAG),
        ("management.", "max_halvings", ["-1", "31", "true", "2.5"], "an integer from 0 to 30"),
        ("management.", "bound_mode", ['"worst"', "true"], 'one of "iterative", "worst-case"'),
        ("management.", "assumed_w_max", ["0", "-0.6", "inf", "true"],
         "a number from 1e-6 to 1e6"),
        ("periphery.", "dac_stochastic", ["1", '"yes"'], FLAG),
        ("update.", "pulsed", ["1", '"yes"'], 'true, false, "mean" or "rank-1"'),
        ("update.", "bl", ["0", "256", "true", "10.0", '"10"'], "an integer from 1 to 255"),
        ("update.", "update_management", ["0"], FLAG),
        ("update.", "update_bl_management", ["0"], FLAG),
        ("device.", "model", ['""', '"Constant Step"', "3", '"a:b:c"', '":D"', '"m:"', '"../m:D"'],
         "a device model's name"),
        ("device.", "dw_min", ["nan", "-inf", '"0.1"', '"a b"', "[]", "[1, true]", "[[1]]", "{a=1}",
                               "0x" + "f" * 400],
         "a finite number, true or false, a name, or a list of finite numbers"),
        ("variations.", "remove", ['"dtod"', "[1]", '["spread"]', '["dtod", "dtod"]', "true"],
         '"all", or a list of dtod, ctoc, asymmetry, bounds without repeats'),
        ("calibration.", "zero_shift", ["1", '"yes"'], FLAG),
        ("calibration.", "pairs", ["0", "1000001", "1.5", "true"], "an integer from 1 to 1000000"),
        ("calibration.", "reference_std", ["-0.1", "nan", "true"], "a number from 0 to 1e6"),
        ("layer.0.", "match", ['""', "3", '"a\\tb"'], "a glob on layer names"),
        ("layer.0.", "analog", ["1", '"no"'], FLAG),
    ],
)  # fmt: skip
def test_values(table: str, key: str, values: list[str], allowed: str) -> None:
    for value in values:
        line = message(changed(key, value))
        assert line.startswith(f"{table}{key}: found ")
        assert f", allowed: {allowed}" in line


def test_values_in_layer_rules() -> None:
    assert message(changed("bl", "0", nth=1)) == (
        "layer.0.update.bl: found 0, allowed: an integer from 1 to 255"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (VALID + "pulsd = true\n", "layer.0.update.pulsd: unknown key; did you mean 'pulsed'?"),
        (VALID + "read_noise = 1\n", "read_noise: unknown key here; it belongs in [periphery]"),
        (VALID + '"a\\nb" = 1\n', 'layer.0.update."a\\nb": unknown key; allowed: pulsed, pulses'),
        (VALID + "[updates]\n", "updates: unknown key; did you mean 'update'?"),
        (
            VALID + "[zzz]\n",
            "zzz: unknown key; allowed: name, description, array, mapping",
        ),
        (
            VALID + "[layer.zzz]\n",
            "layer.0.zzz: unknown key; allowed: match, analog, arrays, mapping",
        ),
        ("bl = 1\n" + VALID, "bl: unknown key here; it belongs in [update]"),
        ("rows = 1\n" + VALID, "rows: unknown key"),
        ("layers = []\n" + VALID, "layers: unknown key; did you mean 'layer'?"),
        ("arrays = []\n" + VALID, "arrays: unknown key; did you mean 'array'?"),
        (changed("rows", "4\nrow = 4"), "array.0.row: unknown key; did you mean 'rows'?"),
        (changed("dw_min", '1\n"a b" = 1'), 'device: found "a b", allowed: a parameter name'),
        (VALID.replace("model =", "modle ="), "did you mean 'model'?"),
    ],
)
def test_unknown_keys(text: str, expected: str) -> None:
    assert expected in message(text)


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        ('name = "mine"', 'name: missing; allowed: a name in quotes, as in name = "large"'),
        ('name = "only"', "array.0.name: missing; allowed: a name in quotes"),
        ("rows = 100", "array.0.rows: missing; allowed: the array's output lines"),
        ("cols = 60", "array.0.cols: missing; allowed: the array's input lines"),
        ("t_read = 80e-9", "array.0.t_read: missing; allowed: seconds a read"),
        ('model = "constant-step"', "device.model: missing; allowed: a device model's name"),
        (
            '[device]\nmodel = "constant-step"\ndw_min = 0.001',
            "device: missing; allowed: a [device]",
        ),
        ('match = "conv*"', "layer.0.match: missing; allowed: a glob"),
    ],
)
def test_missing_keys(drop: str, expected: str) -> None:
    assert message(VALID.replace(drop + "\n", "")).startswith(expected)


def test_no_arrays() -> None:
    head = 'name = "a"\narray = []\n[device]\nmodel = "ideal"\n'
    assert message(head).startswith("array: found [], allowed: one or more [[array]] tables")
    assert message(head.replace("array = []\n", "")).startswith("array: missing; allowed: one or")


def test_tables_of_the_wrong_shape() -> None:
    assert message(VALID.replace("[[array]]", "[array]")).startswith(
        "array: found a table, allowed: [[array]] tables, two brackets each"
    )
    first, *_ = messages("update = 3\n" + VALID.replace("[update]", "[zzz]"))
    assert first == "update: found 3, allowed: a table"
    one = 'name = "a"\narray = [3]\ndevice = []\n'
    assert messages(one) == [
        "array.0: found 3, allowed: a table",
        "device: found [], allowed: a table",
    ]
    assert message(changed("dw_min", "1\nparameters = 3")) == (
        "device.parameters: found 3, allowed: a table"
    )


def test_array_names_are_unique() -> None:
    again = '[[array]]\nname = "only"\nrows = 1\ncols = 1\nt_read = 1e-9\n'
    assert message(VALID + again) == (
        'array.1.name: found "only", allowed: a name that no other [[array]] has'
    )


def test_a_converter_needs_a_bound() -> None:
    expected = "adc_bits: found 9, allowed: 0 where bound = 0"
    assert message(changed("bound", "0")).startswith("periphery." + expected)
    rule = '[[layer]]\nmatch = "fc*"\n[layer.periphery]\nbound = 0\n'
    assert message(VALID + rule).startswith("layer.1.periphery." + expected)
    assert Target.from_toml(VALID + rule + "adc_bits = 0\n").for_layer("fc1").periphery.bound == 0


def test_a_converter_needs_a_bound_in_the_backward_cycle_too() -> None:
    def valid(backward: str) -> str:
        return VALID.replace("bound = 12.0", f"bound = 12.0\nbound_backward = {backward}")

    assert message(valid("0")).startswith(
        "periphery.adc_bits_backward: found 9, allowed: 0 where bound_backward = 0"
    )
    assert message(valid("1e-9")) == (
        "periphery.bound_backward: found 1e-09, allowed: 0 (unbounded) or a number from 1e-6 to "
        '1e6, or "same" (as forward)'
    )
    text = valid("0").replace('adc_bits_backward = "same"', "adc_bits_backward = 0")
    backward = Target.from_toml(text).periphery.backward
    assert (backward.bound, backward.adc_bits, backward.dac_bits) == (0, 0, 7)


def test_all_errors_are_shown() -> None:
    text = changed("rows", "0").replace("pulsed = true", "pulsed = 1").replace("bl = 1\n", "bl=0\n")
    assert messages(text) == [
        "array.0.rows: found 0, allowed: an integer from 1 to 65536",
        'update.pulsed: found 1, allowed: true, false, "mean" or "rank-1"',
        "layer.0.update.bl: found 0, allowed: an integer from 1 to 255",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty; a target needs name, [[array]] and [device]"),
        (" \n\n", "is empty"),
        ("# only a comment\n", "name: missing"),
        ("name = 'x'\nrows 3\n", "no valid TOML: Expected '=' after a key.*line 2"),
        ("name = 'x'\nname = 'y'\n", "no valid TOML: .*overwrite.*line 2"),
        ("name = 'x'\n\nrows = [1,\n", r"no valid TOML: .*\(at the end, line 3\)"),
        ("a = " + "[" * 100_000, "no valid TOML: nested too deeply"),
        ("a = " + "9" * 5000, "no valid TOML: a number has too many digits"),
        ("\x00\x1b[31m", "no valid TOML: .*line 1"),
    ],
)
def test_no_toml(text: str, expected: str) -> None:
    assert re.match(
        expected.replace("[[", r"\[\[").replace("[device]", r"\[device]"), messages(text)[0]
    )


# --- files -------------------------------------------------------------------------------------


def refused(spec: str | Path) -> str:
    with pytest.raises(TargetError) as caught:
        Target.load(spec)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_no_such_file() -> None:
    presets = f"(presets: {', '.join(preset_names())})"
    assert "reram-es, reram-sb, rpu-baseline" in presets
    assert refused("rpu-manged") == (
        f"target 'rpu-manged': neither a preset nor a file; did you mean 'rpu-managed'? {presets}"
    )
    assert refused(Path("no/such/file.toml")) == (
        f"target 'no/such/file.toml': neither a preset nor a file {presets}"
    )
    assert "did you mean 'ideal'?" in refused("ideal.toml")
    assert refused("") == "target: the name is empty; presets: " + presets[10:-1]


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(b'name = "x"\ndescription = "caf\xe9"\n')
    assert refused(file) == (
        f"target file {file}: line 2: byte 0xe9 is not UTF-8; give a TOML file, which is UTF-8 text"
    )
    file.write_bytes(b"")
    assert refused(file).startswith(f"target file {file}: is empty")
    file.write_bytes(b"#" * 1_000_001)
    assert refused(file).startswith(f"target file {file}: longer than 1 MB")
    assert refused(tmp_path).startswith(f"target file {tmp_path}: is a folder")
    assert "cannot be read" in refused(file / "below")
    assert "cannot be read" in refused("a\0b")
    assert "cannot be read" in refused("x" * 5000)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(VALID, encoding="utf-8")
    file.chmod(0)
    assert refused(file) == f"target file {file}: cannot be read: Permission denied"


def test_a_file_is_named_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "a\nb.toml"
    file.write_text(changed("bl", "0"), encoding="utf-8")
    assert refused(file) == (
        f"target file {tmp_path}/a b.toml: update.bl: found 0, allowed: an integer from 1 to 255"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the program's target: no valid JSON: Expecting value"),
        ("[" * 100_000, "the program's target: no valid JSON: "),
        ("3", "the program's target: the whole: found 3, allowed: a table"),
        ("null", "the program's target: the whole: found null, allowed: a table"),
        ('{"name": "x", "device": {"model": "m:D", "a": NaN}}', "array: missing"),
        ('{"name": "x", "array": {}, "device": {"model": "a"}}', "two brackets each"),
        ('{"name": "\\ud800"}', "the program's target: name: found"),
    ],
)
def test_no_target_in_a_program(text: str, expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.from_json(text)
    assert expected in str(caught.value)
    assert all(line.isprintable() for line in caught.value.args)
