"""`rpucc devices show`: parameters, the response curve as text and as a drawing."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from .browser import find_browser

SVG = "{http://www.w3.org/2000/svg}"
ASYMMETRIC = ("--set", "up_down=0.4", "--set", "device.up_down_dtod=0", "--set", "dw_min=0.01")

Run = Callable[..., Result]


@pytest.fixture
def rpucc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    from rpucc.cli.main import cli

    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, [str(a) for a in arguments])


def test_text(rpucc: Run) -> None:
    shown = rpucc("devices", "show", "soft-bounds", *ASYMMETRIC, "--devices", 7, "--pulses", 200)
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 100
    lines = dict(line.split(None, 1) for line in shown.output.splitlines() if " " in line.strip())
    assert re.search(r"parameter\s+value", shown.output)
    assert lines["up_down"].startswith("0.4 ")
    assert "200 pulses up, then 200 down, on 7 devices (seed 0)" in lines["response"]
    assert lines["states"].endswith(" steps of dw_min from bound to bound")
    assert lines["granularity"].startswith("0.01, ")
    curve = lines["mean"].split()[-1]
    assert curve.index("█") == pytest.approx(len(curve) / 2, abs=15)
    mean, spread = map(float, re.findall(r"-?\d\.\d+", lines["symmetry"]))
    assert mean == pytest.approx(0.24, abs=0.1)  # 0.4 · 0.6 where both bounds are 0.6
    assert 0 < spread < 0.3


def test_a_model_without_symmetry_points(rpucc: Run) -> None:
    shown = rpucc("devices", "show", "ideal", "--pulses", 10)
    assert re.search(r"parameter\s+default", shown.output)
    assert re.search(r"symmetry +none", shown.output)
    assert re.search(r"after down +weight 0\.000 ± 0\.000", shown.output)


def test_plot(rpucc: Run) -> None:
    done = rpucc("devices", "show", "soft-bounds", *ASYMMETRIC, "--devices", 5, "--plot", "a.svg")
    assert done.exit_code == 0
    assert "wrote a.svg" in done.stderr
    root = ET.parse("a.svg").getroot()
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert "symmetry point" in texts
    assert {"pulses up", "pulses down", "weight", "mean ± standard deviation"} <= set(texts)
    assert len(list(root.iter(f"{SVG}polyline"))) == 5 + 1  # the devices and their mean
    marks = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#b45f06"]
    assert len(marks) == 5 + 1
    (band,) = root.iter(f"{SVG}polygon")
    curve = root.findall(f".//{SVG}polyline")[-1].get("points", "").split()
    ys = [float(point.split(",")[1]) for point in curve]
    assert ys.index(min(ys)) == len(ys) // 2  # highest weight where pulses turn
    assert len(band.get("points", "").split()) == 2 * len(curve)
    before = Path("a.svg").read_bytes()
    rpucc("devices", "show", "soft-bounds", *ASYMMETRIC, "--devices", 5, "--plot", "a.svg")
    assert Path("a.svg").read_bytes() == before
    rpucc("devices", "show", "soft-bounds", "--seed", 1, "--devices", 5, "--plot", "a.svg")
    assert Path("a.svg").read_bytes() != before


def test_plot_without_symmetry_points(rpucc: Run) -> None:
    rpucc("devices", "show", "constant-step", "--plot", "a.svg")
    assert "symmetry" not in Path("a.svg").read_text("utf-8")


def test_the_plot_opens_in_a_browser(rpucc: Run, tmp_path: Path) -> None:
    browser = find_browser(tmp_path / "profile")
    rpucc("devices", "show", "soft-bounds", "--devices", 3, "--plot", "a.svg")
    visit = browser.visit(tmp_path / "a.svg")
    assert not visit.console
    assert "symmetry point" in visit.dom


def test_json_has_no_curve(rpucc: Run) -> None:
    shown = rpucc("devices", "show", "linear-step", "--json")
    data = json.loads(shown.output)
    assert data["parameters"]["gamma_up"]["default"] == 0.5
    assert data["derived"]["granularity"] == 0.001
    assert data["derived"]["symmetry_point"] == pytest.approx(0, abs=1e-6)


OWN = """
from rpucc.runtime.devices.constant_step import ConstantStep

class Mine(ConstantStep):
    name = "mine"
    defaults = {**ConstantStep.defaults, "w_max": 0.9}
"""


@pytest.fixture
def target_file(tmp_path: Path) -> str:
    """A target in a folder of its own, its device beside it, and a layer rule with another."""
    from rpucc.target.load import preset_text

    text = preset_text("rpu-managed")
    start, end = text.index("[device]"), text.index("[management]")
    rules = '[[layer]]\nmatch = "conv*"\ndevice.w_max = 0.3\nvariations.remove = ["dtod"]\n'
    rules += '[[layer]]\nmatch = "fc2"\nupdate.bl = 1\n'
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "own_of_devices_show.py").write_text(OWN, encoding="utf-8")
    device = '[device]\nmodel = "own_of_devices_show:Mine"\ndw_min = 0.002\n\n'
    place = tmp_path / "lab" / "mine.toml"
    place.write_text(text[:start] + device + text[end:] + rules, encoding="utf-8")
    return "lab/mine.toml"


def test_the_devices_of_a_target(rpucc: Run, target_file: str) -> None:
    shown = rpucc("devices", "show", target_file, "--pulses", 50)
    assert shown.exit_code == 0, shown.output
    assert shown.stderr.splitlines() == [
        "device own_of_devices_show:Mine: imports 'own_of_devices_show' "
        f"({Path('lab/own_of_devices_show.py').resolve()})"
    ]
    first, second = shown.stdout.split("layers conv*:")
    assert first.startswith("layers without a rule of their own:\nmine")
    for text, values in ((first, ("0.002", "0.3", "0.9")), (second, ("0.002", "0", "0.3"))):
        lines = dict(line.split(None, 1) for line in text.splitlines() if " " in line.strip())
        found = [lines[key].split()[0] for key in ("dw_min", "dw_min_dtod", "w_max")]
        assert tuple(found) == values
    data = json.loads(rpucc("devices", "show", target_file, "--json").stdout)
    assert [each["layers"] for each in data["devices"]] == [
        "layers without a rule of their own",
        "layers conv*",
    ]
    assert [each["values"]["w_max"] for each in data["devices"]] == [0.9, 0.3]


def test_one_layer_of_a_target(rpucc: Run, target_file: str) -> None:
    refused = rpucc("devices", "show", target_file, "--plot", "a.svg")
    assert refused.exit_code == 2
    assert "has 2 devices; name one with --layer" in refused.output
    done = rpucc("devices", "show", target_file, "--layer", "conv1", "--plot", "a.svg")
    assert done.exit_code == 0, done.output
    assert Path("a.svg").exists()
    assert re.search(r"w_max +0\.3", done.output)
    changed = rpucc("devices", "show", target_file, "--layer", "fc1", "--set", "w_max=0.8")
    assert re.search(r"w_max +0\.8", changed.output)


def test_a_preset_is_a_target_too(rpucc: Run) -> None:
    shown = rpucc("devices", "show", "rpu-baseline", "--pulses", 5)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("all layers:\nconstant-step")
    model = rpucc("devices", "show", "soft-bounds", "--pulses", 5)
    assert model.stdout.startswith("soft-bounds: ")  # a model and a preset: the model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("soft-bound",), "no device model 'soft-bound'; did you mean 'soft-bounds'?"),
        (("soft-bounds", "--set", "w_max"), "--set 'w_max': allowed: key=value"),
        (("soft-bounds", "--set", "w_max=[x]"), "--set 'w_max=[x]': allowed: key=value"),
        (
            ("soft-bounds", "--set", "w_max=high"),
            "device.w_max = 'high': device 'soft-bounds' takes",
        ),
        (("soft-bounds", "--set", "gamma_up=1"), "device 'soft-bounds' has no such key"),
        (("soft-bounds", "--set", "up_down=2"), "device.up_down = 2: device 'soft-bounds' takes"),
        (("no_such_module_x:D",), "cannot import 'no_such_module_x'"),
        (("soft-bounds", "--plot", "."), "is a folder"),
        (("soft-bounds", "--layer", "conv1"), "is a device model, not a target with layers"),
        (("none.toml",), "target 'none.toml': neither a preset nor a file"),
    ],
)
def test_what_is_refused(rpucc: Run, arguments: tuple[str, ...], message: str) -> None:
    from rpucc.errors import RpuccError

    done = rpucc("devices", "show", *arguments)
    assert done.exit_code != 0
    said = str(done.exception) if isinstance(done.exception, RpuccError) else done.output
    assert message in said
    assert "\n" not in said.strip()
