"""Which samples `rpucc run` takes, the sizes that a model leaves open, and untrained weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

RANDOM = np.random.default_rng(0)


def last_line(text: str) -> str:
    return text.splitlines()[-1]


# --- data sets -----------------------------------------------------------------------------------


def test_the_test_part_of_a_data_set_is_taken_and_its_error_given(cli, tiny_model, tiny_data):
    found = np.load(tiny_data)
    x, y = found["x"], found["y"]
    np.savez("split.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:90], y_test=y[50:90])
    assert cli("train", tiny_model, "--data", tiny_data, "--lr", 0.05, "-o", "run").code == 0
    for data, what, samples, labels in (
        ("split.npz", "its test part, x_test (40 samples)", 40, y[50:90]),
        (tiny_data, "its test part, the last tenth of x (66 samples)", 66, y[600:]),
    ):
        shown = cli("run", "run", data, "-o", "out.npy")
        assert shown.code == 0, shown.stderr
        assert f"{data}: {what}" in shown.stderr.splitlines()
        classes = np.load("out.npy").argmax(axis=1)
        wrong = np.mean(classes != labels)
        assert last_line(shown.stdout) == f"error {100 * wrong:.2f} %"
        result = json.loads(cli("run", "run", data, "--json").stdout)
        assert len(result["predictions"]) == samples
        assert result["error"] == pytest.approx(wrong)
        evaluated = json.loads(cli("eval", "run", "--data", data, "--json").stdout)
        assert evaluated["error"] == pytest.approx(result["error"])


def test_other_archives(cli, tiny_model):
    x = RANDOM.random((5, 12), np.float32)
    np.savez("images.npz", images=x, more=x)
    shown = cli("run", tiny_model, "images.npz")
    assert shown.code == 0, shown.stderr
    assert "images.npz: its array images (5 samples)" in shown.stderr
    assert "error" not in shown.stdout
    np.savez("odd.npz", x=x, y=np.zeros(2))  # no labels of these samples
    assert "odd.npz: its array x (5 samples)" in cli("run", tiny_model, "odd.npz").stderr
    np.savez("test.npz", x_test=x, y_test=np.full(5, 7))
    shown = cli("run", tiny_model, "test.npz")
    assert shown.code == 0
    assert "no error is given: labels[0] is label 7, but the model has 3" in shown.stderr
    np.savez("targets.npz", x_test=x, y_test=x[:, :3])
    assert "error" not in cli("run", tiny_model, "targets.npz").stdout


# --- open sizes ----------------------------------------------------------------------------------


@pytest.fixture
def open_model(make_model) -> Path:
    """Convolution, mean, dense on [N, 2, h, w]."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["y"], "fc", transB=1),
    ]
    w, v = RANDOM.normal(size=(4, 2, 3, 3)) * 0.1, RANDOM.normal(size=(3, 4)) * 0.3
    return make_model("open.onnx", nodes, ["N", 2, "h", "w"], w=w, v=v)


def test_train_and_run_take_open_sizes_from_the_data(cli, open_model):
    x = RANDOM.random((20, 2, 7, 5), np.float32)
    np.savez("d.npz", x=x, y=np.arange(20) % 3)
    np.save("x.npy", x[:4])
    np.save("one.npy", x[0])
    trained = cli("train", open_model, "--data", "d.npz", "-t", "ideal", "-o", "run")
    assert trained.code == 0, trained.stderr
    said = (
        "the model leaves sizes of its input open: 2 × 7 × 5, from the data (--input-shape sets "
        "others)"
    )
    assert said in trained.stderr.splitlines()
    for data in ("x.npy", "one.npy", "d.npz"):
        shown = cli("run", open_model, data, "-t", "ideal")
        assert shown.code == 0, shown.stderr
        assert said in shown.stderr.splitlines()
    assert "open" not in cli("run", "run", "x.npy").stderr


def test_input_shape_goes_before_the_data(cli, open_model):
    x = RANDOM.random((20, 2, 7, 5), np.float32)
    np.savez("d.npz", x=x, y=np.arange(20) % 3)
    np.save("x.npy", x[:4])
    for command in (["train", open_model, "--data", "d.npz"], ["run", open_model, "x.npy"]):
        wrong = cli(*command, "-t", "ideal", "--input-shape", "2,8,8")
        assert wrong.code == 1
        assert "2, 7, 5] but the model takes" in wrong.stderr
        assert cli(*command, "-t", "ideal", "--input-shape", "3,8,8").code == 2
        shown = cli(*command, "-t", "ideal", "--input-shape", "2,7,5")
        assert shown.code == 0, shown.stderr
        assert "leaves sizes" not in shown.stderr


def test_data_that_do_not_fit_the_stated_sizes(cli, open_model):
    np.save("x.npy", RANDOM.random((4, 3, 7, 5), np.float32))
    refused = cli("run", open_model, "x.npy", "-t", "ideal")
    assert refused.code == 1
    assert "has dynamic dimension 2 ('h')" in refused.stderr
    assert "--input-shape" in refused.stderr


# --- the program of a run folder -----------------------------------------------------------------


def test_a_run_folders_program_says_that_its_weights_are_not_trained(cli, tiny_model, tiny_data):
    trained = cli("train", tiny_model, "--data", tiny_data, "--lr", 0.05, "-o", "run")
    assert last_line(trained.stderr) == (
        "its program.rpu.onnx holds the weights before training, checkpoint.safetensors the "
        "trained ones"
    )
    note = (
        "note: run/program.rpu.onnx holds the weights as they were before training; the trained "
        "ones: give the run folder, run"
    )
    np.save("x.npy", np.load(tiny_data)["x"][-20:])
    for command in (
        ["run", "run/program.rpu.onnx", "x.npy"],
        ["inspect", "run/program.rpu.onnx"],
        ["train", "run/program.rpu.onnx", "--data", tiny_data, "-o", "again"],
    ):
        outcome = cli(*command)
        assert outcome.code == 0, outcome.stderr
        assert note in outcome.stderr.splitlines()
    assert cli("run", "run", "x.npy").stderr == ""
    assert cli("inspect", "run").stderr == ""
    Path("run/program.rpu.onnx").rename("elsewhere.onnx")
    moved = cli("inspect", "elsewhere.onnx")
    assert moved.stderr == (
        "note: elsewhere.onnx holds the weights as they were before training; the trained ones are "
        "in its run folder's checkpoint\n"
    )
    from rpucc.program import Program

    text = Program.load("elsewhere.onnx").model.metadata_props["rpucc.weights"]
    assert text.startswith("as they were before training")


# --- notes ---------------------------------------------------------------------------------------


def test_train_and_run_show_the_notes_of_compiling(cli, make_model, tiny_data):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "act"),
        helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"], "norm"),
        helper.make_node("Gemm", ["n", "w"], ["y"], "fc", transB=1),
    ]
    ones, zeros = np.ones(12), np.zeros(12)
    weights = {"s": ones, "b": zeros, "m": zeros, "v": 2 * ones, "w": RANDOM.normal(size=(3, 12))}
    model = make_model("norm.onnx", nodes, ["N", 12], **weights)
    np.save("x.npy", np.load(tiny_data)["x"][:2])
    note = "'norm' stays frozen: it follows Relu, not a layer with constant weights"
    for command in (["train", model, "--data", tiny_data, "-o", "r"], ["run", model, "x.npy"]):
        said = cli(*command).stderr.splitlines()
        assert [" ".join(line.split()) for line in said if "norm'" in line] == [f"note {note}"]
