"""What is said where a run goes on, is read or compared elsewhere than it was trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from rpucc import portable
from rpucc.runs.folder import RunFolder

MAY_BE_OTHERS = "the last bits of what follows may be others"


@pytest.fixture
def run(cli, tiny_model, tiny_data) -> Path:
    assert cli("train", tiny_model, "--data", tiny_data, "-t", "ideal", "-o", "run").code == 0
    return Path("run")


def change(run: Path, section: str, **values: Any) -> None:
    path = run / "run.json"
    found = json.loads(path.read_text())
    found[section] |= values
    path.write_text(json.dumps(found))


def test_nothing_is_said_on_the_same_machine_nor_of_an_old_run(cli, run):
    assert MAY_BE_OTHERS not in cli("eval", run).stderr
    found = json.loads((run / "run.json").read_text())
    del found["machine"], found["versions"]
    (run / "run.json").write_text(json.dumps(found))
    for command in (("eval", run), ("train", run, "--resume", "--epochs", "2")):
        done = cli(*command)
        assert done.code == 0
        assert MAY_BE_OTHERS not in done.stderr


def test_eval_and_resume_say_what_differs(cli, run):
    change(run, "machine", compiled_for="znver9", blas=["Zen"])
    change(run, "versions", numpy="1.0.0")
    done = cli("eval", run)
    said = [line for line in done.stderr.splitlines() if MAY_BE_OTHERS in line]
    assert done.code == 0
    assert len(said) == 1
    assert said[0].startswith("run: trained with kernels for znver9, here ")
    assert "; numpy 1.0.0, here " in said[0]
    done = cli("train", run, "--resume", "--epochs", "2")
    assert done.code == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if MAY_BE_OTHERS in line] == said
    (resumed,) = (
        json.loads(line)
        for line in (run / "events.jsonl").read_text().splitlines()
        if json.loads(line)["event"] == "resumed"
    )
    assert resumed["reason"] == said[0]


def test_a_portable_training_stays_so_or_says_that_it_does_not(cli, run, monkeypatch):
    change(run, "machine", portable=True)
    monkeypatch.setattr(portable, "fit", lambda: False)  # else the command would become portable
    done = cli("train", run, "--resume", "--epochs", "2")
    assert done.code == 1
    assert done.stderr == (
        "Error: run: its training is portable: --portable goes on with the same bits, "
        "RPUCC_PORTABLE=0 in the environment without them\n"
    )
    assert "trained with portable, here not portable" in cli("eval", run).stderr
    monkeypatch.setenv("RPUCC_PORTABLE", "0")
    done = cli("train", run, "--resume", "--epochs", "2")
    assert done.code == 0
    assert "trained with portable, here not portable" in done.stderr
    assert json.loads((run / "run.json").read_text())["machine"]["portable"] is False


def test_compare_says_it(cli, run, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "-t", "ideal", "-o", "other").code == 0
    assert "may differ" not in cli("compare", run, "other").stdout
    change(Path("other"), "machine", compiled_for="znver9")
    done = cli("compare", run, "other")
    assert " and znver9: even of one seed" in " ".join(done.stdout.split())
    found = json.loads(cli("compare", run, "other", "--json").stdout)
    assert found["bits"].startswith("run and other were trained with kernels for ")
    assert cli("compare", run, "other", "-o", "page.html").code == 0
    assert "even of one seed their last bits" in Path("page.html").read_text()


def test_reports_repeat_a_portable_run_as_one(cli, run):
    assert " --portable " not in compared_command(cli, run)
    change(run, "machine", portable=True)
    assert compared_command(cli, run).endswith(" --portable -o run-again")


def compared_command(cli, run: Path) -> str:
    found: str = json.loads(cli("compare", run, run, "--json").stdout)["runs"][0]["command"]
    return found


# ---------------------------------------------------------------- portable commands


def rpucc(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which alone can become portable."""
    return subprocess.run(
        [sys.executable, "-m", "rpucc", *map(str, arguments)],
        env={**os.environ, "NUMBA_CPU_NAME": "nehalem", "OPENBLAS_CORETYPE": "Nehalem"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not portable.fit(), reason="the processor is none of x86-64-v3")
def test_option_and_variable_give_the_same_bits_and_what_goes_on_from_them(tiny_model, tiny_data):
    train = ("train", tiny_model, "--data", tiny_data, "-t", "ideal")
    by_option = rpucc(*train, "--epochs", "2", "--portable", "-o", "one")
    assert by_option.returncode == 0, by_option.stderr
    by_variable = rpucc(*train, "-o", "two", RPUCC_PORTABLE="1")
    assert by_variable.returncode == 0, by_variable.stderr
    resumed = rpucc("train", "two", "--resume", "--epochs", "2")  # by itself
    assert resumed.returncode == 0, resumed.stderr
    assert MAY_BE_OTHERS not in resumed.stderr
    one, two = (RunFolder(Path(name)) for name in ("one", "two"))
    assert one.checkpoint.read_bytes() == two.checkpoint.read_bytes()
    for each in (one, two):
        machine = each.made_with()["machine"]
        assert (machine["portable"], machine["compiled_for"]) == (True, "x86-64-v3")
        assert machine["blas"] == ["Haswell"]


@pytest.mark.skipif(not portable.fit(), reason="the processor is none of x86-64-v3")
def test_what_onnxruntime_computes_is_named(make_model):
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], "hidden", transB=1),
        helper.make_node("Softplus", ["h"], ["y"], "plus"),
    ]
    model = make_model("plus.onnx", nodes, ["N", 12], w=np.eye(3, 12), b=np.zeros(3))
    np.save("x.npy", np.zeros((4, 12), np.float32))
    done = rpucc("run", model, "x.npy", "-t", "ideal", "--portable")
    assert done.returncode == 0, done.stderr
    assert "portable, but plus (Softplus) is computed by onnxruntime, which chooses" in done.stderr
