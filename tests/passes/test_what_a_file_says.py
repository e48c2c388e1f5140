"""What of a file a training takes: each row of the table in docs/training.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import rpucc
from rpucc.errors import ModelError, UnsupportedError

from .importer_models import net


def values(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(0.1, 0.5, shape).astype(np.float32)


LAYER = ["matmul_1.W", "matmul_2.W"]
V = {"v": values(4, 3)}
W = {"w": values(6, 4), **V}


def between(text: str, **weights: Any) -> onnx.ModelProto:
    """A dense layer [6, 4], what turns its result `h` into `t`, and another one [4, 3]."""
    return net(
        f"(float[N,6] x) => (float[N,3] y) {{ h = MatMul (x, w) {text} y = MatMul (t, v) }}",
        **W,
        **weights,
    )


def of(model: onnx.ModelProto, *overrides: str) -> rpucc.Program:
    return rpucc.compile(model, "ideal", overrides=overrides, verify=False)


def trained(model: onnx.ModelProto) -> list[str]:
    return sorted(of(model).step.state)


def batch_norm(attributes: str = "", **statistics: Any) -> onnx.ModelProto:
    known = {"mean": np.zeros(4, "f4"), "var": np.ones(4, "f4"), **statistics}
    text = f"[bn] n = BatchNormalization {attributes} (h, scale, shift, mean, var) t = Tanh (n)"
    return between(text, scale=np.ones(4, "f4"), shift=np.zeros(4, "f4"), **known)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("b = PRelu (h, s) t = Tanh (b)", {"s": values(4)}),
        ("t = LayerNormalization (h, s, b)", {"s": values(4), "b": values(4)}),
        ("a = Tanh (h) t = Mul (a, s)", {"s": values(4)}),
        ("a = Tanh (h) t = Add (a, s)", {"s": values(4)}),
        ("c = Constant <value_float = 0.5> () a = Mul (h, c) t = Tanh (a)", {}),
    ],
)
def test_what_is_no_weight_of_a_layer_stays(text: str, weights: dict[str, Any]) -> None:
    assert trained(between(text, **weights)) == LAYER


def test_a_bias_behind_a_layer_is_trained_with_it() -> None:
    program = of(between("b = Add (h, s) t = Tanh (b)", s=values(4)))
    assert [(layer.R, layer.C) for layer in program.plan.layers] == [(4, 7), (3, 4)]


def test_a_table_stays() -> None:
    text = "i = Cast <to = 7> (x) g = Gather (table, i) f = Flatten (g) y = MatMul (f, z)"
    weights = {"table": values(5, 4), "z": values(24, 3)}
    model = net(f"(float[N,6] x) => (float[N,3] y) {{ {text} }}", **weights)
    assert trained(model) == ["matmul_1.W"]


@pytest.mark.parametrize(
    ("first", "weights"),
    [
        ("c = Cast <to = 1> (w)", {"w": values(6, 4).astype(np.float16)}),
        ("c = Mul (w, mask)", {"w": values(6, 4), "mask": np.eye(6, 4, dtype="f4")}),
    ],
)
def test_a_weight_that_is_computed_is_trained_as_a_whole(
    first: str, weights: dict[str, Any]
) -> None:
    rest = "h = MatMul (x, c) t = Tanh (h) y = MatMul (t, v)"
    model = net(f"(float[N,6] x) => (float[N,3] y) {{ {first} {rest} }}", **V, **weights)
    machine = rpucc.Machine(of(model))
    given = weights["w"].astype(np.float32) * weights.get("mask", 1)
    before = machine.arrays["matmul_1.W"].weights.copy()
    assert np.array_equal(before, given.T)
    x = np.random.default_rng(1).random((30, 6), np.float32)
    rpucc.Trainer(machine).fit((x, np.arange(30) % 3), epochs=1, lr=0.1)
    moved = machine.arrays["matmul_1.W"].weights != before
    assert moved.all(), "zeros too: they are weights like any others"


def test_statistics_of_a_batch_norm_that_were_measured_are_kept() -> None:
    program = of(batch_norm(mean=values(4), var=values(4)))
    assert sorted(program.step.state) == LAYER
    assert not any(node.op_type.startswith("Batch") for node in program.model.graph)


@pytest.mark.parametrize(
    ("attributes", "statistics"),
    [("<momentum = 0.8>", {}), ("<momentum = 0.8, training_mode = 1>", {"mean": values(4)})],
)
def test_those_that_were_not_are_the_minibatchs(
    attributes: str, statistics: dict[str, Any]
) -> None:
    model = batch_norm(attributes, **statistics)
    if "training_mode" in attributes:
        node = next(each for each in model.graph.node if each.name == "bn")
        node.output.extend(["new_mean", "new_var"])
    program = of(model)
    assert sorted(program.step.state) == sorted([*LAYER, "scale", "shift", "mean", "var"])
    (norm,) = (node for node in program.model.graph if node.op_type == "BatchNorm")
    assert norm.attributes["momentum"].as_float() == pytest.approx(0.8)


@pytest.mark.parametrize("ratio", [0.125, 0.75])
@pytest.mark.parametrize("mode", ["", ", m"])
def test_a_dropout_draws_with_its_own_ratio_in_any_mode(ratio: float, mode: str) -> None:
    constants = f"m = Constant <value = bool {{1}}> () r = Constant <value_float = {ratio}> ()"
    program = of(between(f"{constants} t = Dropout (h, r{mode})"))
    (drop,) = (node for node in program.model.graph if node.op_type == "Drop")
    assert drop.attributes["ratio"].as_float() == ratio


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_other_nodes_that_draw_do_so_in_every_run_and_not_behind_a_trained_layer(op: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"\({op}\): no gradient rule for this op"):
        rpucc.compile(between(f"a = Sigmoid (h) r = {op} (a) t = Add (h, r)"), "ideal")
    first = f"a = Sigmoid (x) r = {op} (a) n = Add (x, r)"
    rest = "h = MatMul (n, w) t = Tanh (h) y = MatMul (t, v)"
    model = net(f"(float[N,6] x) => (float[N,3] y) {{ {first} {rest} }}", **W)
    program = rpucc.compile(model, "ideal")
    assert program.verification.endswith("draws other numbers in each run")
    (note,) = program.plan.notes
    assert "onnxruntime's own generator" in note


def test_an_optimiser_of_the_file_is_not_read() -> None:
    model = between("t = Tanh (h)")
    algorithm = helper.make_graph(
        [helper.make_node("Sub", ["w", "w"], ["next"])],
        "algorithm",
        [],
        [helper.make_tensor_value_info("next", onnx.TensorProto.FLOAT, [6, 4])],
    )
    model.training_info.add().algorithm.CopyFrom(algorithm)
    assert trained(model) == LAYER


def test_a_fixed_batch_is_opened_where_samples_are_treated_one_by_one() -> None:
    def fixed(text: str, **weights: Any) -> onnx.ModelProto:
        return net(
            f"(float[4,6] x) => (float[4,3] y) {{ h = MatMul (x, w) {text} y = MatMul (t, v) }}",
            **W,
            **weights,
        )

    assert of(fixed("t = Tanh (h)")).fixed_batch is None
    over_samples = "m = ReduceMean (h, axes) t = Sub (h, m)"
    assert of(fixed(over_samples, axes=np.array([0], np.int64))).fixed_batch == 4


def test_the_loss_is_that_of_what_comes_before_a_softmax() -> None:
    program = of(between("t = Tanh (h)"))
    ends = of(net("(float[N,6] x) => (float[N,4] y) { h = MatMul (x, w) y = Softmax (h) }", **W))
    assert (program.output, ends.output) == ("y", "h")
    assert ends.outputs == ("h", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "(float[N,6] x, int64[N] l) => (float y) "
            "{ h = MatMul (x, w) y = SoftmaxCrossEntropyLoss (h, l) }",
            "rpucc makes the training step itself; export the inference graph",
        ),
        (
            "(float[N,6] x) => (float[N,4] h, float[N,3] y) "
            "{ h = MatMul (x, w) t = Tanh (h) y = MatMul (t, v) }",
            "training needs exactly one; keep the one that the labels are about",
        ),
    ],
)
def test_what_training_cannot_take_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        of(net(text, **W))
