"""Binary classifiers and label sets from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper

X = np.random.default_rng(0).random((60, 6)).astype(np.float32)
ONE = (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture
def model(make_model):
    """A classifier of so many outputs, each behind a Sigmoid."""

    def make(outputs: int):
        weights = np.random.default_rng(1).normal(0, 0.3, (6, outputs))
        nodes = [
            helper.make_node("Gemm", ["x", "w"], ["z"], "fc"),
            helper.make_node("Sigmoid", ["z"], ["y"], "sigmoid"),
        ]
        return make_model(f"sigmoid{outputs}.onnx", nodes, ["N", 6], w=weights)

    return make


@pytest.mark.parametrize("dtype", [int, bool, np.float32])
@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_a_single_sigmoid_trains_on_0_and_1(cli, model, dtype, target):
    np.savez("data.npz", x=X, y=ONE.astype(dtype))
    options = ["--data", "data.npz", "-t", target, "-o", "run"]
    outcome = cli("train", model(1), *options)
    assert outcome.code == 0, outcome.stderr
    assert "binary-cross-entropy" in cli("inspect", "run").stdout
    outcome = cli("eval", "run")
    assert outcome.code == 0
    assert "of 6 wrong" in outcome.stdout
    assert json.loads(cli("eval", "run", "--json").stdout)["error"] is not None


def test_label_sets_are_led_to_their_loss(cli, model):
    sets = (X[:, :3] > 0.5).astype(int)
    np.savez("data.npz", x=X, y=sets)
    path = model(3)
    outcome = cli("train", path, "--data", "data.npz", "-t", "ideal")
    assert outcome.code == 1
    assert "--loss binary-cross-entropy" in outcome.stderr
    assert "argmax" not in outcome.stderr
    options = ["--data", "data.npz", "-t", "ideal", "-o", "run"]
    outcome = cli("train", path, "--loss", "binary-cross-entropy", *options)
    assert outcome.code == 0, outcome.stderr
    assert "of 18 labels wrong" in cli("eval", "run").stdout


@pytest.mark.parametrize("dtype", [int, bool, np.float32])
def test_one_hot_rows_are_taken_for_classes(cli, model, dtype):
    classes = (3 * X[:, 0]).astype(int)
    results = []
    for y in (classes, np.eye(3)[classes].astype(dtype)):
        np.savez("data.npz", x=X, y=y)
        options = ["--data", "data.npz", "-t", "ideal", "-o", "run", "--force", "--json"]
        outcome = cli("train", model(3), *options)
        assert outcome.code == 0, outcome.stderr
        results.append(json.loads(outcome.stdout)["epochs"])
    assert results[0] == results[1]


def test_messages_fit_one_output(cli, model):
    path = model(1)
    for y, said in ((ONE + 1, "is label 2"), (ONE * 2 - 1, "is label -1")):
        np.savez("data.npz", x=X, y=y)
        outcome = cli("train", path, "--data", "data.npz", "-t", "ideal")
        assert outcome.code == 1
        assert said in outcome.stderr
        assert "takes labels 0 and 1" in outcome.stderr
        assert "1 outputs" not in outcome.stderr
    np.savez("data.npz", x=X, y=ONE)
    outcome = cli("train", path, "--data", "data.npz", "-t", "ideal", "--loss", "mse")
    assert outcome.code == 1
    assert "--loss binary-cross-entropy" in outcome.stderr
