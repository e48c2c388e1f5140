"""`rpucc devices fit` from a file of curves to a target that trains."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from rpucc import Machine, Trainer
from rpucc import compile as compile_model
from rpucc.errors import RpuccError
from rpucc.runtime.devices import make_device

from ..runtime.fitting.curves_of import curves_of, write_csv

Run = Callable[..., Result]
DEVICE = {"dw_min": 0.01, "dw_min_dtod": 0.2, "up_down": 0.1, "w_max_dtod": 0.1, "w_min_dtod": 0.1}


@pytest.fixture
def rpucc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    from rpucc.cli.main import cli

    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """Soft bounds of 10 devices in µS, some reads without a number; 20 µS are weight 0."""
    file = tmp_path / "curves.csv"
    made = curves_of(make_device("soft-bounds", DEVICE), 10, (150, -200), 1, read=0.01)
    for curve in made.devices:
        curve.values[:] += 0.8
    write_csv(file, made, "conductance_uS", 25.0)
    lines = file.read_text().splitlines()
    for i in range(40, len(lines), 97):
        lines[i] = lines[i].rpartition(",")[0] + ",NaN"
    file.write_text("\n".join(lines) + "\n")
    return file


GIVEN = ("--g-ref", 20, "--g-unit", 25, "--model", "soft-bounds", "--model", "constant-step")


def test_a_target_and_a_picture(rpucc: Run, curves: Path) -> None:
    done = rpucc("devices", "fit", curves, *GIVEN, "-o", "mine.toml", "--plot", "mine.svg")
    assert done.exit_code == 0, done.output
    assert "10 devices, 3,500 pulses, " in done.stdout
    assert "w = (g - 20 µS) / 25 µS" in done.stdout
    assert re.search(r"^soft-bounds +0\.0 .* yes$", done.stdout, re.MULTILINE)
    assert re.search(r"^constant-step +\d.* no$", done.stdout, re.MULTILINE)
    told = " ".join(done.stdout.split())
    assert re.search(r"constant-step: does not describe the data: steps (up|down) at weights", told)
    assert "wrote mine.toml" in done.stderr
    text = Path("mine.toml").read_text()
    device = tomllib.loads(text)["device"]
    assert device["model"] == "soft-bounds"
    assert device["dw_min"] == pytest.approx(0.01, rel=0.25)
    assert device["w_max"] == pytest.approx(0.6, rel=0.15)
    assert re.search(r"^dw_min = 0\.\d+  # \+- 0\.\d+$", text, re.MULTILINE)
    shown = rpucc("devices", "show", "mine.toml", "--pulses", 10)
    assert shown.exit_code == 0
    root = ET.parse("mine.svg").getroot()
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 10 + 2 + 2  # devices, both means, steps up and down
    text = Path("mine.svg").read_text()
    assert "nan" not in text


def test_it_trains(rpucc: Run, curves: Path) -> None:
    assert rpucc("devices", "fit", curves, *GIVEN[:6], "-o", "mine.toml").exit_code == 0
    program = compile_model("mlp", "mine.toml")
    random = np.random.default_rng(0)
    x, y = random.random((20, 1, 28, 28), np.float32), random.integers(0, 10, 20)
    history = Trainer(Machine(program, seed=0)).fit((x, y, x, y), epochs=1)
    assert history[-1].pulses_per_weight > 0


def test_a_table(rpucc: Run, curves: Path) -> None:
    """Of four devices: means and noise, which the device takes as they are written."""
    rows = [row for row in curves.read_text().splitlines() if row.startswith((*"d0123",))]
    curves.write_text("\n".join(rows))
    done = rpucc("devices", "fit", curves, *GIVEN[:4], "--model", "table", "-o", "mine.toml")
    assert done.exit_code == 0, done.output
    device = tomllib.loads(Path("mine.toml").read_text())["device"]
    assert device.pop("model") == "table-step"
    made = make_device("table-step", device)
    assert made.granularity == pytest.approx(0.01, rel=0.3)
    ups, downs = device["nodes_up"], device["nodes_down"]
    assert len(ups) == len(device["spreads_down"]) == 7
    assert ups[0] > ups[-1]
    assert downs[-1] > downs[0]  # soft bounds


def test_json_and_the_error_of_a_read(rpucc: Run, curves: Path) -> None:
    given = ("--g-ref", 20, "--g-unit", 25, "--model", "soft-bounds")
    done = rpucc("devices", "fit", curves, *given, "--read-error", 0.15, "--json")
    data = json.loads(done.stdout)
    assert (data["devices"], data["unit"], data["g_unit"]) == (10, "uS", 25)
    assert data["missing"] == 36
    (model,) = data["models"]
    assert model["delta"] == 0
    assert model["read_noise"] == pytest.approx(0.01, rel=0.1)
    step = model["parameters"]["dw_min"]["value"]
    noise = model["parameters"]["write_noise_std"]["value"] * step
    assert noise == pytest.approx(np.sqrt(model["read_noise"] ** 2 - 0.006**2))
    assert {"direction", "low", "high", "measured", "expected"} <= set(model["test"]["bins"][0])


def test_one_device(rpucc: Run, curves: Path) -> None:
    rows = [row for row in curves.read_text().splitlines() if row.startswith(("device", "3,"))]
    curves.write_text("\n".join(rows))
    done = rpucc("devices", "fit", curves, *GIVEN[:6], "-o", "mine.toml")
    assert "one device: how devices differ is not known, all spreads" in done.stderr
    device = tomllib.loads(Path("mine.toml").read_text())["device"]
    assert device["dw_min_dtod"] == device["w_max_dtod"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv",), "none.csv: No such file"),
        (("curves.csv", "--model", "no-such"), "--model 'no-such': models that can be fitted: "),
        (("curves.csv", "--unit", "kS"), "--unit 'kS': allowed: S, mS, uS, nS, pS"),
        (("curves.csv", "--unit", "nS"), "names another unit than --unit nS"),
        (("curves.csv", "-o", "curves.csv"), "is what the command reads"),
        (("curves.csv", "--g-unit", "0"), "--g-unit"),
    ],
)
def test_what_is_refused(
    rpucc: Run, curves: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = rpucc("devices", "fit", *arguments)
    assert done.exit_code != 0
    said = str(done.exception) if isinstance(done.exception, RpuccError) else done.output
    assert message in said


def test_swapped_directions(rpucc: Run, curves: Path) -> None:
    text = curves.read_text()
    curves.write_text(text.replace("up", "x").replace("down", "up").replace("x", "down"))
    done = rpucc("devices", "fit", curves, "--model", "soft-bounds")
    assert "pulses up lower the value and pulses down raise it" in done.output
    assert done.exit_code == 1
