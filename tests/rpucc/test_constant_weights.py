"""Constant weights outside the arrays: counted, named, and told from the constants of formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import rpucc
from rpucc.cli.main import cli
from rpucc.compiler.check import check_model
from rpucc.errors import ModelError
from rpucc.report.text.plan import total_lines

from ..passes.importer_models import net


def everything() -> onnx.ModelProto:
    """Weights of many kinds behind a dense layer of 6 outputs, and constants that are none."""
    mask = np.triu(np.full((3, 3), -1e9, np.float32), 1)
    window = np.float32([[1, 1, 0, 1, 1, 0]])
    return net(
        """(float[N,3,4] x) => (float[N,2] y) {
            [fc] a = MatMul (x, w) [bias] b = Add (a, c)
            [slope] d = PRelu (b, p)
            [ln] e = LayerNormalization (d, s, t)
            [scale] f = Mul (e, g) [half] h = Mul (f, two)
            [position] i = Add (h, q) [window] j = Mul (i, window)
            [mix] k = Einsum <equation = "bld,d->bld"> (j, r)
            [turn] kt = Transpose <perm = [0, 2, 1]> (k) [scores] l = MatMul (k, kt)
            [mask] m = Add (l, mask) [soft] n = Softmax (m)
            [sum] o = ReduceMean <keepdims = 0> (n, u) [head] y = Gemm (o, v, z)
        }""",
        w=(4, 6), c=(6,), p=(6,), s=(6,), t=(6,), g=(6,), two=np.float32([0.5]), q=(1, 3, 6),
        window=window, r=(6,), mask=mask, u=np.array([1]), v=(3, 2), z=(2,),
    )  # fmt: skip


FROZEN = {"slope": 6, "ln": 12, "scale": 6, "position": 18, "mix": 6}


def test_the_plan_counts_each_of_them() -> None:
    plan = rpucc.compile(everything(), "ideal").plan
    assert {each.node: each.count for each in plan.frozen} == FROZEN
    assert plan.weights == 6 * 5 + 2 * 4
    assert plan.digital_weights == sum(FROZEN.values())
    assert plan.weights_bytes == 4 * (plan.weights + plan.digital_weights)
    totals = plan.to_dict()["totals"]
    assert (totals["digital_weights"], totals["frozen_weights"]) == (48, 48)
    assert {"node": "ln", "op": "LayerNormalization", "count": 12, "trained": False} in (
        plan.to_dict()["digital"]
    )
    lines = [text for _, text in total_lines(plan)]
    assert "38 on arrays, 48 digital and not trained (344 bytes as float32)" in lines
    assert "not trained: PRelu 6, LayerNormalization 12, Mul 6, Add 18, Einsum 6" in lines


def test_digital_layers_are_trained_and_count_with_their_biases() -> None:
    for training in (True, False):
        overrides = ["layer.fc.analog=false"]
        program = rpucc.compile(everything(), "ideal", training=training, overrides=overrides)
        plan = program.plan
        assert plan.weights == 2 * 4
        assert plan.digital_weights == 30 + 48
        assert sum(each.count for each in plan.digital if each.node == "fc") == 30
        assert sum(each.count for each in plan.frozen) == (48 if training else 0)


def test_check_says_it_of_each_node() -> None:
    nodes = {node.node: node for node in check_model(everything(), "ideal").nodes}
    assert nodes["ln"].why == "12 constant weights, stays digital, not trained"
    assert nodes["mix"].why == (
        "6 constant weights, stays digital, not trained: it sums over nothing: each weight meets "
        "one number"
    )
    assert {n: nodes[n].why for n in ("half", "window", "mask", "scores")} == dict.fromkeys(
        ("half", "window", "mask", "scores"), "no weights"
    )
    inference = {node.node: node for node in check_model(everything(), training=False).nodes}
    assert inference["ln"].why == "12 constant weights, stays digital"


def test_a_vector_added_behind_a_layer_is_trained_and_said_to_be() -> None:
    """It is no bias of the layer (one number for all of its groups), but a digital parameter."""
    model = net(
        """(float[N,2,3,4] x) => (float[N,2,3,5] y) {
            [fc] a = MatMul (x, w) [add] y = Add (a, b)
        }""",
        w=(2, 4, 5),
        b=(5,),
    )
    nodes = {n.node: n for n in check_model(model, "ideal", loss="mse").nodes}
    assert nodes["add"].why == "5 constant weights, stays digital, trained"
    plan = rpucc.compile(model, "ideal", loss="mse").plan
    assert plan.frozen == ()
    assert [(each.count, each.trained) for each in plan.digital] == [(5, True)]


def test_without_a_layer_it_says_where_the_weights_are() -> None:
    model = net("(float[N,6] x) => (float[N,6] y) { [p] y = PRelu (x, s) }", s=(6,))
    with pytest.raises(ModelError, match=r"its 6 constant weights are in no layer \(PRelu 6\)"):
        rpucc.compile(model, "ideal")


def test_the_page_counts_them_too(tmp_path: Path) -> None:
    onnx.save(everything(), tmp_path / "model.onnx")
    rpucc.compile(tmp_path / "model.onnx", "ideal").save(tmp_path / "m.rpu.onnx")
    page = tmp_path / "page.html"
    found = CliRunner().invoke(cli, ["inspect", str(tmp_path / "m.rpu.onnx"), "--html", str(page)])
    assert found.exit_code == 0, found.output
    assert "on arrays, 48 digital and not trained" in page.read_text(encoding="utf-8")


def test_a_matrix_of_each_sample_is_no_layer_and_counted_whole() -> None:
    model = net("""(float[2,3,4] x) => (float[2,3,5] y) { [own] y = MatMul (x, w) }""", w=(2, 4, 5))
    plan = rpucc.compile(model, "ideal", training=False).plan
    assert plan.layers == ()
    assert [(each.node, each.count) for each in plan.digital] == [("own", 40)]
