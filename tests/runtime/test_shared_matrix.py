"""A matrix that several places of the network read: every read has its own noise."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import rpucc


def test_two_reads_of_one_matrix_do_not_share_their_noise():
    weight = np.random.default_rng(0).uniform(-0.1, 0.1, (6, 5)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
            helper.make_node("MatMul", ["x", "w"], ["b"], name="second"),
            helper.make_node("Concat", ["a", "b"], ["y"], name="both", axis=1),
        ],
        "shared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = np.random.default_rng(1).uniform(0, 1, (400, 6)).astype(np.float32)
    overrides = ["periphery.dac_bits=0", "periphery.adc_bits=0"]
    program = rpucc.compile(model, "rpu-managed", training=False, overrides=overrides)
    outputs = rpucc.Trainer(rpucc.Machine(program, seed=3)).predict(x)
    noise = outputs - np.hstack([x @ weight, x @ weight])
    first, second = noise[:, :5].ravel(), noise[:, 5:].ravel()
    assert 0.05 < first.std() < 0.07
    correlation = np.corrcoef(first, second)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(first.size)
