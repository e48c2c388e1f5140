"""What `train` is told of its aim: losses, class weights, frozen layers, augmentation, top-k."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rpucc.program import Program

SQUARES = """<ir_version: 10, opset_import: ["" : 21]> squares (float[N,K] y, int64[N] t)
    => (float loss) {
        p = Softmax <axis = 1> (y)  depth = Shape <start = 1> (y)
        ends = Constant <value_floats = [0.0, 1.0]> ()  h = OneHot <axis = 1> (t, depth, ends)
        e = Sub (p, h)  s = Mul (e, e)  loss = ReduceMean <keepdims = 0> (s)
    }"""


@pytest.fixture
def train(cli, tiny_model, tiny_data):
    """Train the tiny model with further options."""

    def run(*options: object, output: str = "run"):
        how = ["--data", tiny_data, "--batch-size", 6, "--lr", 0.2, "-o", output]
        return cli("train", tiny_model, *how, *options)

    return run


def record(run: str = "run") -> dict:
    return json.loads(Path(run, "run.json").read_text())


def weights_of(program: str = "run/program.rpu.onnx") -> list[float]:
    value = Program.load(program).model.graph.initializers["class_weights"].const_value
    return value.numpy().tolist()


def test_a_program_without_a_loss_is_for_a_loop_of_ones_own(cli, train, tiny_model, files):
    before = files()
    found = train("--loss", "none")
    assert (found.code, found.stdout) == (1, "")
    assert found.stderr.splitlines()[-1].startswith("Error: the program has no loss (compiled")
    assert found.stderr.rstrip().endswith("or compile it with a loss")
    assert files() == before
    assert cli("compile", tiny_model, "--loss", "none", "-o", "own.onnx").code == 0
    assert Program.load("own.onnx").step.outside


def test_class_weights_in_each_of_their_forms(cli, train, tiny_data):
    y = np.load(tiny_data)["y"][:600]
    y[y == 2] = np.where(np.arange((y == 2).sum()) % 5, 1, 2)
    x = np.load(tiny_data)["x"]
    np.savez("uneven.npz", x_train=x[:600], y_train=y, x_test=x[600:], y_test=y[:66])
    assert train("--data", "uneven.npz", "--class-weights", "balanced").code == 0
    np.testing.assert_allclose(weights_of() * np.bincount(y), 200, rtol=1e-5)
    assert record()["class_weights"] == "balanced"
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0

    Path("weights.txt").write_text("1 2.5\n0.5\n")
    for given in ("weights.txt", "1,2.5,0.5"):
        assert train("--class-weights", given, "--force").code == 0
        assert weights_of() == [1, 2.5, 0.5]
        assert record()["class_weights"] == [1, 2.5, 0.5]
    again = ("train", "run", "--resume", "--epochs", 2, "--class-weights")
    assert cli(*again, "weights.txt").code == 0
    outcome = cli(*again, "1,1,1")
    assert outcome.code == 2
    assert "--class-weights: run was started with 1.0 2.5 0.5, not 1.0 1.0 1.0" in outcome.stderr


def test_class_weights_that_are_none_leave_nothing_behind(cli, files, train, tiny_model):
    Path("words.txt").write_text("1 two 3")
    Path("empty.txt").write_text("\n")
    before = files()
    for given, code, line in (
        ("1,2", 1, "output 'y' [N,3]: has 3 classes, but there are 2 class weights"),
        ("no.txt", 2, "no.txt: No such file or directory; allowed: balanced, numbers"),
        ("words.txt", 2, "words.txt: holds 'two'; needs one number of 0 or more a class"),
        ("empty.txt", 2, "empty.txt: is empty; needs one number"),
        ("0,0,0", 2, "needs one number of 0 or more a class, not all of them 0"),
        ("1,-1,1", 2, "needs one number of 0 or more a class"),
    ):
        outcome = train("--class-weights", given)
        assert (outcome.code, line in outcome.stderr) == (code, True), outcome.stderr
        assert outcome.stderr.count("\n") == 1
    outcome = train("--class-weights", "1,2,3", "--batch-size", 1)
    assert outcome.code == 1
    assert "Error: class weights do nothing with a batch of 1" in outcome.stderr
    outcome = cli("compile", tiny_model, "--class-weights", "balanced", "-o", "p.onnx")
    assert (outcome.code, "there are no labels here" in outcome.stderr) == (2, True)
    assert files() == before


def test_a_loss_of_ones_own_is_a_file(cli, files, train, tiny_model):
    onnx.save(onnx.parser.parse_model(SQUARES), "squares.onnx")
    assert train("--loss", "squares.onnx", "--epochs", 5).code == 0
    assert record()["loss"] == str(Path("squares.onnx").resolve())
    rows = list(csv.DictReader(Path("run/metrics.csv").read_text().splitlines()))
    assert float(rows[-1]["train_loss"]) < 0.7 * float(rows[0]["train_loss"])
    assert float(rows[-1]["test_error"]) < 0.2
    assert "training with own-classes loss" in cli("inspect", "run").stdout
    assert cli("eval", "run", "--json").code == 0
    assert cli("train", "run", "--resume", "--epochs", 6).code == 0

    bad = onnx.parser.parse_model(SQUARES.replace("s = Mul (e, e)", "s = Det (e)"))
    onnx.save(bad, "bad.onnx")
    before = files()
    for given, code, line in (
        ("bad.onnx", 1, "an unnamed Det node (output 's'): no gradient rule for this op"),
        ("no.onnx", 1, "no.onnx: no such file"),
        ("l2", 2, "'l2' is not one of auto, cross-entropy, binary-cross-entropy, mse, mae, huber"),
    ):
        outcome = train("--loss", given, output="other")
        assert (outcome.code, line in outcome.stderr) == (code, True), outcome.stderr
    outcome = cli("compile", tiny_model, "--loss", "squares.onnx", "-o", "squares.onnx")
    assert "squares.onnx: is what the command reads" in outcome.stderr
    assert files() == before


def test_a_regression_trains_by_any_of_its_losses(cli, train, tiny_data):
    x = np.load(tiny_data)["x"]
    np.savez("numbers.npz", x=x, y=x[:, [0, 5, 9]] - x[:, [3, 4, 11]])
    for loss in ("mae", "huber", "huber:0.05", "mse"):
        outcome = train("--data", "numbers.npz", "--loss", loss, "-t", "ideal", "--force")
        assert outcome.code == 0, outcome.stderr
        assert record()["loss"] == loss
        assert Program.load("run/program.rpu.onnx").loss == loss.partition(":")[0]


def test_frozen_layers_are_said_and_stay(cli, train):
    assert train("--freeze", "hid*").code == 0
    assert record()["freeze"] == ["hid*"]
    frozen = {
        la["name"]: la["update"]
        for la in json.loads(cli("inspect", "run", "--json").stdout)["plan"]["layers"]
    }
    assert frozen["hidden"] == {"lr_scale": 0.0}
    row = next(line for line in cli("inspect", "run").stdout.splitlines() if "hidden" in line)
    assert row.endswith("frozen")
    ops = [node.op_type for node in Program.load("run/program.rpu.onnx").model.graph]
    assert ops.count("Update") == 1
    outcome = train("--freeze", "hidde", output="other")
    assert outcome.code == 1
    assert "did you mean 'hidden'? layers: hidden, classes" in (" ".join(outcome.stderr.split()))
    outcome = train("--freeze", "*", output="other")
    assert "nothing to train: all of its layers are frozen" in outcome.stderr
    assert not Path("other").exists()


@pytest.fixture
def images(make_model, workplace):
    """A small convolution, and images of it."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], "conv", kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["h"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "classes"),
    ]
    stored = random.integers(0, 256, (40, 1, 6, 6), np.uint8)
    np.savez("images.npz", x=stored, y=np.arange(40) % 3)
    weights = {"w": random.normal(0, 0.3, (2, 1, 3, 3)), "v": random.normal(0, 0.3, (2, 3))}
    return make_model("conv.onnx", nodes, ["N", 1, 6, 6], **weights)


def test_augmentation_and_top_k_are_kept_for_resuming(cli, images):
    how = ["train", images, "--data", "images.npz", "--augment", "flip", "--augment", "shift:1"]
    assert cli(*how, "--top-k", 2, "--epochs", 2, "-o", "whole").code == 0
    first = cli(*how, "--top-k", 2, "-o", "parts")
    assert first.code == 0
    assert "top-2" in first.stdout
    assert record("parts")["augment"] == ["flip", "shift:1"]
    assert cli("train", "parts", "--resume", "--epochs", 2).code == 0
    for name in ("checkpoint.safetensors", "metrics.csv"):
        assert Path("whole", name).read_bytes() == Path("parts", name).read_bytes()
    rows = list(csv.DictReader(Path("parts/metrics.csv").read_text().splitlines()))
    assert [row["top_k"] for row in rows] == ["2", "2"]
    found = json.loads(cli("eval", "parts", "--top-k", 2, "--json").stdout)
    assert found["top_k_error"] == pytest.approx(float(rows[1]["test_top_k_error"]))
    assert "top_k" not in json.loads(cli("eval", "parts", "--json").stdout)
    outcome = cli("train", "parts", "--resume", "--augment", "flip")
    assert "--augment: parts was started with flip shift:1, not flip" in outcome.stderr

    plain = cli("train", images, "--data", "images.npz", "-o", "plain")
    assert plain.code == 0
    assert "top" not in Path("plain/metrics.csv").read_text()
    assert Path("plain/checkpoint.safetensors").read_bytes() != (
        Path("parts/checkpoint.safetensors").read_bytes()
    )


def test_what_does_not_fit_is_refused_before_a_folder_is_made(cli, files, images, train):
    before = files()
    for options, code, line in (
        (["--augment", "crop:2"], 2, "augment 'crop:2': allowed: flip, shift:PIXELS, noise:SIGMA"),
        (["--top-k", 3], 2, "top_k: found 3; allowed: less than the 3 classes"),
    ):
        outcome = cli("train", images, "--data", "images.npz", *options)
        assert (outcome.code, line in outcome.stderr) == (code, True), outcome.stderr
    outcome = train("--augment", "flip")
    assert "augment flip: a sample [12] has no axes of space" in outcome.stderr
    assert files() == before


def test_a_damaged_record_of_the_aim_is_one_line(cli, train):
    assert train("--label-smoothing", 0.1).code == 0
    whole = record()
    assert whole["label_smoothing"] == 0.1
    for key, value, line in (
        ("augment", ["crop"], "augment: augment 'crop': allowed: flip"),
        ("augment", "flip", 'augment: found "flip", allowed: a list of texts'),
        ("top_k", 0, "top_k: found 0, allowed: a whole number of 1 or more, or null"),
        ("loss", "l2", "loss: found the str 'l2'; allowed: one of auto, cross-entropy"),
        ("class_weights", [0, 0], "class_weights: needs one number of 0 or more a class"),
        ("class_weights", "even", "class_weights: found the str 'even'"),
        ("label_smoothing", 1.5, "label_smoothing: found"),
        ("freeze", [3], "freeze[0]: found 3"),
    ):
        Path("run/run.json").write_text(json.dumps({**whole, key: value}))
        outcome = cli("train", "run", "--resume")
        assert (outcome.code, line in outcome.stderr) == (1, True), outcome.stderr
        assert outcome.stderr.count("\n") == 1
    for key in ("augment", "top_k", "class_weights", "label_smoothing", "freeze"):
        old = {name: value for name, value in whole.items() if name != key}
        Path("run/run.json").write_text(json.dumps(old))
        assert cli("train", "run", "--resume").code == 0
