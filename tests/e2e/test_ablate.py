"""`rpucc ablate` from the command line: rows, what is reused, evaluations, refusals."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.runtime.interrupt import Stopped

HOW = ("--epochs", 3, "--seeds", 2, "--lr", 0.01, "--jobs", 1)
FEW = ("--causes", "read-noise,cycle-noise")


def ablate(cli, *arguments, output="out"):
    outcome = cli("ablate", "rpu-managed", "tiny.onnx", "--data", "tiny.npz", *HOW, *arguments,
                  "-o", output)  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return outcome


def found(output="out"):
    return json.loads(Path(output, "ablation.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def network(workplace, tiny_model, tiny_data):
    """A model and data in the folder, of which not all can be told apart."""
    found = np.load(tiny_data)
    x, y = found["x"][:300], found["y"][:300]
    noise = np.random.default_rng(5).normal(0, 0.35, x.shape).astype(np.float32)
    np.savez(tiny_data, x=np.clip(x + noise, 0, 1), y=y)


def test_rows_are_runs_that_are_reused(cli):
    """A row's error is the mean of its runs' last epochs; the same command trains nothing again."""
    first = ablate(cli, *FEW)
    # all, none, without each, each alone; pulses alone, which cycle noise needs
    assert "14 runs in 7 rows, of which 14 are to be trained" in first.stderr
    runs = sorted(Path("out/runs").iterdir())
    assert len(runs) == 14
    for text in ("read noise", "noise from pulse to pulse", "granularity", "all effects"):
        assert text in first.stdout
    before = found()
    (noise,) = (each for each in before["causes"] if each["name"] == "read-noise")
    errors = []
    for seed in (0, 1):
        (folder,) = Path("out/runs").glob(f"no-read-noise-*-seed{seed}")
        rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        errors.append(100 * float(rows[-1]["test_error"]))
        record = json.loads((folder / "run.json").read_text())
        assert record["overrides"] == ["periphery.read_noise=0.0"]
    assert before["average"] == [3, 3]
    assert noise["without"]["by_seed"] == {"0": errors[0], "1": errors[1]}
    takes = [before["all"]["by_seed"][s] - noise["without"]["by_seed"][s] for s in "01"]
    assert noise["takes"]["mean"] == pytest.approx(sum(takes) / 2)
    again = ablate(cli, *FEW)
    assert "of which 0 are to be trained" in again.stderr
    assert again.stdout == first.stdout
    assert found() == before


@pytest.mark.parametrize(
    "stop", [None, pytest.param(Stopped(signal.SIGTERM), marks=pytest.mark.slow)]
)
def test_what_was_interrupted_goes_on(stop, cli, interrupted):
    with interrupted(after=1500, stop=stop):
        stopped = cli("ablate", "rpu-managed", "tiny.onnx", "--data", "tiny.npz", *HOW, *FEW,
                      "-o", "out")  # fmt: skip
    assert stopped.code == (130 if stop is None else 143)
    assert "the same command goes on" in stopped.stderr
    assert len(list(Path("out/runs").iterdir())) < 14
    after = ablate(cli, *FEW)
    assert "of which 14 are to be trained" not in after.stderr
    whole = ablate(cli, *FEW, output="whole")
    assert found() == found("whole")
    assert "14 are to be trained" in whole.stderr


def test_runs_of_elsewhere_count_and_new_seeds_are_added(cli):
    ablate(cli, "--causes", "read-noise")
    shutil.move("out/runs", "elsewhere")
    shutil.rmtree("out")
    again = ablate(cli, "--causes", "read-noise", "--runs", "elsewhere", "--seeds", "0,1,2")
    assert "12 runs in 4 rows, of which 4 are to be trained" in again.stderr
    assert found()["all"]["by_seed"].keys() == {"0", "1", "2"}


def test_all_causes_of_the_target_and_layers_on_their_own(cli):
    shown = ablate(cli, "--seeds", "0,", "--epochs", 1, "--layers", "cl*", "--json")
    data = json.loads(shown.stdout)
    names = [each["name"] for each in data["causes"]]
    assert {"granularity", "adc", "weight-bounds", "variations", "variations in cl*"} <= set(names)
    alone = {each["name"]: each["needs"] for each in data["causes"]}
    assert alone["cycle-noise"] == "granularity"
    assert alone["bound-spread"] == "weight-bounds"
    takes = [each["takes"]["mean"] for each in data["causes"] if not each["together"]]
    assert takes == sorted(takes, reverse=True)
    (own,) = (each for each in data["causes"] if each["name"] == "variations in cl*")
    assert all(each.startswith("layer.cl*.device.") for each in own["overrides"])
    assert (Path("out") / "ablation.html").read_text(encoding="utf-8").count("<svg") == 1


def test_json_csv_and_python_say_the_same(cli):
    ablate(cli, *FEW)
    how = ("ablate", "rpu-managed", "tiny.onnx", "--data", "tiny.npz", *HOW, *FEW, "-o", "out")
    data = json.loads(cli(*how, "--json").stdout)
    assert cli(*how, "--csv", "table.csv").code == 0
    text = Path("table.csv").read_text()
    assert cli(*how, "--csv", "-").stdout == text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["cause"] for row in rows] == ["all", "none", *(e["name"] for e in data["causes"])]
    for row, each in zip(rows[2:], data["causes"], strict=True):
        assert float(row["takes"]) == each["takes"]["mean"]
        assert float(row["adds_spread"]) == each["adds"]["spread"]
    result = rpucc.ablate(
        "rpu-managed", "tiny.onnx", data="tiny.npz", output="out", epochs=3, seeds=2, lr=0.01,
        causes=["read-noise", "cycle-noise"], jobs=1,
    )  # fmt: skip
    assert json.loads(json.dumps(result.to_dict())) == data
    assert result.complete
    assert result.causes[0].takes.spread == data["causes"][0]["takes"]["spread"]


OWN = """
from rpucc.runtime.devices import Device


class Mine(Device):
    name = "mine"
    defaults = {"dw_min": 0.001, "wobble": 0.2}
    variations = {"dtod": (), "ctoc": ("wobble",), "asymmetry": (), "bounds": ()}
    constants = ("wobble",)

    def constant_values(self):
        return (self.parameters["wobble"],)

    @staticmethod
    def step(w, direction, noise, wobble):
        return w + direction * 0.001 * (1 + wobble * noise)
"""


@pytest.mark.slow
def test_a_device_of_ones_own_beside_its_target(cli):
    """What its class says of its variations is what can be taken away; nothing asks for --trust."""
    Path("own").mkdir()
    Path("own/my_ablated_device.py").write_text(OWN, encoding="utf-8")
    shown = cli("targets", "show", "rpu-managed").stdout
    text = re.sub(
        r"(?ms)^\[device\]$.*?(?=^\[)", '[device]\nmodel = "my_ablated_device:Mine"\n\n', shown
    )
    Path("own/mine.toml").write_text(text, encoding="utf-8")
    outcome = cli("ablate", "own/mine.toml", "tiny.onnx", "--data", "tiny.npz", *HOW, "--seeds", 1,
                  "--epochs", 1, "--causes", "cycle-noise", "-o", "out", "--json")  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    (noise,) = json.loads(outcome.stdout)["causes"]
    assert noise["overrides"] == ['variations.remove=["ctoc"]']
    assert noise["needs"] == "granularity"


# ---------------------------------------------------------------- reads alone


HARSH = ("--set", "periphery.read_noise=0.3", "--set", "periphery.adc_bits=4")


def test_a_model_is_evaluated_without_training(cli):
    how = ("ablate", "rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--evaluate", *HARSH)
    first = cli(*how, "-o", "out", "--json")
    assert first.code == 0, first.stderr
    data = json.loads(first.stdout)
    assert data["kind"] == "reads"
    names = {each["name"] for each in data["causes"]}
    assert names == {"read-noise", "dac", "adc", "signal-bound", "weight-bounds", "bound-spread"}
    assert not Path("out/runs").exists()
    again = cli(*how, "-o", "out", "--json")
    assert "of which 0 are to be made" in again.stderr
    assert json.loads(again.stdout) == data
    by_layer = cli("eval", "tiny.onnx", "-t", "rpu-managed", *HARSH, "--data", "tiny.npz",
                   "--by-layer", "--json", "--seed", 1)  # fmt: skip
    assert 100 * json.loads(by_layer.stdout)["target"]["error"] == data["all"]["by_seed"]["1"]
    assert 100 * json.loads(by_layer.stdout)["ideal"]["error"] == data["none"]["by_seed"]["1"]


def test_a_runs_arrays_are_read_as_they_are(cli):
    outcome = cli(
        "train", "tiny.onnx", "-t", "rpu-managed", *HARSH, "--data", "tiny.npz", "-o", "r"
    )
    assert outcome.code == 0
    shown = cli("ablate", "r", "--evaluate", "-o", "out", "--json")
    assert shown.code == 0, shown.stderr
    data = json.loads(shown.stdout)
    names = {each["name"] for each in data["causes"]}
    assert names == {"read-noise", "dac", "adc", "signal-bound"}
    plain = json.loads(cli("eval", "r", "--json").stdout)["error"]
    ideal = json.loads(cli("eval", "r", "--ideal", "--json").stdout)["error"]
    assert data["all"]["by_seed"] == {"0": 100 * plain}
    assert data["none"]["by_seed"] == {"0": 100 * ideal}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ideal", "tiny.onnx", "--data", "tiny.npz"), 1, "no effect that could be taken away"),
        (("rpu-managed", "--data", "tiny.npz"), 2, "which model"),
        (("rpu-managed", "tiny.onnx"), 2, "--data: needed"),
        (("rpu-managed", "tiny.onnx", "--evaluate"), 2, "--data: needed"),
        (("nowhere", "--evaluate"), 1, "no such run folder"),
        (("rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--causes", "magic"), 2,
         "no cause 'magic'; it has read-noise, dac"),
        (("rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--evaluate", "--epochs", 3), 2,
         "--epochs: nothing is trained with --evaluate"),
        (("rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--csv", "-", "--json"), 2,
         "both want standard output"),
        (("rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--runs", "gone"), 2,
         "--runs gone: no such folder"),
        (("rpu-managed", "tiny.onnx", "--data", "none.npz"), 1, "none.npz"),
        (("rpu-managed", "gone.onnx", "--data", "tiny.npz", "--jobs", 1), 1, "gone.onnx"),
        (("rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--layers", "fc*", "--jobs", 1), 1,
         "fc*"),
        (("ideal", "tiny.onnx", "--data", "tiny.npz", "--layers", "cl*", "--set",
          "periphery.read_noise=0.1"), 2, "no device variations"),
    ],
)  # fmt: skip
def test_refusals_are_a_line(cli, arguments, code, said):
    outcome = cli("ablate", *arguments, "-o", "out")
    assert outcome.code == code, outcome.stderr
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not Path("out", "ablation.json").exists()


def test_a_damaged_store_of_evaluations_is_said(cli):
    Path("out").mkdir()
    Path("out/reads.json").write_text("{", encoding="utf-8")
    outcome = cli("ablate", "rpu-managed", "tiny.onnx", "--data", "tiny.npz", "--evaluate",
                  "-o", "out")  # fmt: skip
    assert outcome.code == 1
    assert "reads.json: is damaged" in outcome.stderr
