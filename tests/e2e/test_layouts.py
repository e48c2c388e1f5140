"""Colour images to models of either layout, from the command line and from Python."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import rpucc
from rpucc.errors import DataWarning

RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.random((30, 6, 5, 3)).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 30)


def colour_model(make_model, *, channels_last: bool) -> Path:
    """A convolution and a classifier over colour images of 6 × 5."""
    first = helper.make_node("Transpose", ["x"], ["t"], "to_first", perm=[0, 3, 1, 2])
    nodes = [
        *([first] if channels_last else []),
        helper.make_node("Conv", ["t" if channels_last else "x", "w"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "fc"),
    ]
    random = np.random.default_rng(6)
    weights = {"w": random.normal(0, 0.3, (7, 3, 3, 3)), "v": random.normal(0, 0.3, (7, 4))}
    shape = ["N", 6, 5, 3] if channels_last else ["N", 3, 6, 5]
    return make_model(f"colour{int(channels_last)}.onnx", nodes, shape, **weights)


def stock(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("data_last", [True, False])
def test_run_gives_the_same_for_every_layout(
    cli, make_model, workplace, channels_last, data_last, suffix
):
    model = colour_model(make_model, channels_last=channels_last)
    x = IMAGES if data_last else np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
    if suffix == "npy":
        np.save("x.npy", x)
    else:
        np.savez("x.npz", x=x)
    outcome = cli("run", model, f"x.{suffix}", "-t", "ideal", "-o", "o.npy")
    assert outcome.code == 0, outcome.stderr
    assert ("transposed" in outcome.stderr) == (channels_last != data_last)
    wanted = stock(model, IMAGES if channels_last else IMAGES.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(np.load("o.npy"), wanted, atol=1e-5)


@pytest.mark.parametrize("channels_last", [True, False])
def test_training_is_the_same_for_every_layout(cli, make_model, channels_last):
    model = colour_model(make_model, channels_last=channels_last)
    losses = []
    for data_last in (True, False):
        x = IMAGES if data_last else IMAGES.transpose(0, 3, 1, 2)
        np.savez("data.npz", x=x, y=LABELS)
        options = ["--data", "data.npz", "-t", "ideal", "-o", "run", "--force"]
        outcome = cli("train", model, *options)
        assert outcome.code == 0, outcome.stderr
        assert outcome.stderr.count("transposed") == (channels_last != data_last)
        (row,) = csv.DictReader(Path("run/metrics.csv").read_text().splitlines())
        losses.append((row["train_loss"], row["test_loss"]))
    assert losses[0] == losses[1]
    assert cli("eval", "run").code == 0


def test_a_shape_that_does_not_fit_is_named_as_the_file_has_it(cli, make_model):
    model = colour_model(make_model, channels_last=True)
    np.savez("data.npz", x=IMAGES[:, :, :4], y=LABELS)
    outcome = cli("train", model, "--data", "data.npz", "-t", "ideal")
    assert outcome.code == 1
    assert "samples of shape [6, 4, 3] but the model takes [6, 5, 3]" in outcome.stderr
    outcome = cli("run", model, "data.npz", "-t", "ideal")
    assert outcome.code == 1
    assert "[6, 5, 3]" in outcome.stderr


def test_a_vector_of_colour_images_is_said_once(cli, make_model):
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], "fc")]
    model = make_model("flat.onnx", nodes, ["N", 90], w=np.eye(90, 4))
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", IMAGES.reshape(30, 90))
    outcome = cli("run", model, "images.npy", "-t", "ideal", "-o", "a.npy")
    assert outcome.code == 0, outcome.stderr
    line = next(line for line in outcome.stderr.splitlines() if "images.npy" in line)
    assert "[6, 5, 3]" in line
    assert "save x.transpose(0, 3, 1, 2)" in line
    quiet = cli("run", model, "vectors.npy", "-t", "ideal", "-o", "b.npy")
    assert "vectors.npy" not in quiet.stderr
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))


def test_python_warns_and_moves_the_channels(make_model):
    model = onnx.load(colour_model(make_model, channels_last=False))
    trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile(model, "ideal", training=False)))
    own = trainer.predict(IMAGES.transpose(0, 3, 1, 2))
    with pytest.warns(DataWarning, match="channels last"):
        moved = trainer.predict(IMAGES)
    np.testing.assert_array_equal(own, moved)
    with pytest.warns(DataWarning, match="channels last"):
        trainer.evaluate(IMAGES, LABELS)
