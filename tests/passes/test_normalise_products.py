"""Dense layers that look otherwise: written as layers, verified, trained."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.compiler.check import check_model
from rpucc.compiler.compile import compile_model
from rpucc.passes.execute import random_feeds
from rpucc.passes.verify import compare_models

from .importer_models import net
from .lowering import with_arrays
from .products import EINSUMS, PRODUCTS, behind, experts_with_bias
from .steps import assert_steps_are_gradients


@pytest.mark.parametrize("name", PRODUCTS)
def test_it_lies_on_arrays_and_trains(name: str) -> None:
    habit = PRODUCTS[name]
    program = compile_model(habit.build(), with_arrays((100, 60)), verify=True)
    assert len(program.plan.analog_layers) == habit.layers
    assert_steps_are_gradients(program)


def test_rows_that_are_no_samples_are_for_inference_alone() -> None:
    """Two matrices that all samples go through give [2, N, …]."""
    model = behind("[product] p = MatMul (x, w)", "5,6", (2, 1, 6, 3))
    program = compile_model(model, with_arrays((100, 60)), training=False, verify=True)
    assert len(program.plan.analog_layers) == 2
    with pytest.raises(rpucc.UnsupportedError, match="its first axis is not the batch"):
        compile_model(model, with_arrays((100, 60)))


@pytest.mark.parametrize("name", PRODUCTS)
def test_its_weights_may_be_scaled(name: str) -> None:
    habit = PRODUCTS[name]
    original = habit.build()
    target = with_arrays((100, 60), overrides=("mapping.weight_scaling=0.1",))
    program = compile_model(original, target, verify=True)
    assert compare_models(original, program.model).compared >= 1
    assert any(layer.weight_scale != (1.0, 1.0) for layer in program.plan.analog_layers)


@pytest.mark.parametrize("name", PRODUCTS)
def test_it_stays_digital_where_a_rule_says_so(name: str) -> None:
    habit = PRODUCTS[name]
    target = with_arrays((100, 60), overrides=("layer.*.analog=false",))
    trained = compile_model(habit.build(), target, verify=True)
    assert len(trained.updates) >= habit.layers
    assert_steps_are_gradients(trained)
    plain = compile_model(habit.build(), target, training=False, verify=True)
    numbers = [
        [(la.name, la.groups, la.R, la.C, la.macs) for la in program.plan.layers]
        for program in (trained, plain)
    ]
    assert len(numbers[0]) == habit.layers
    for one, other in zip(*numbers, strict=True):  # in training a bias is one more column
        assert one[:3] == other[:3]
        assert one[3] - other[3] in (0, 1)


def test_the_bias_behind_it_is_a_column_of_the_matrix() -> None:
    plan = compile_model(EINSUMS["heads"](), with_arrays((100, 60)), verify=True).plan
    product = plan.layers[0]
    assert (product.name, product.R, product.C) == ("product", 2 * 3, 4 + 1)
    plan = compile_model(experts_with_bias(), with_arrays((100, 60)), verify=True).plan
    product = plan.layers[0]
    assert (product.groups, product.R, product.C, product.reads_forward) == (4, 7, 6 + 1, 3)


@pytest.mark.parametrize(
    ("equation", "space", "weight", "why"),
    [
        ("bld,bdk->blk", "3,4", (2, 4, 5), "its weights differ from sample to sample"),
        ("bld,d->bld", "3,4", (4,), "it sums over nothing: each weight meets one number"),
        ("bld,dk->lk", "3,4", (4, 5), "it sums over the samples"),
        ("bld,dk->bk", "3,4", (4, 5), "it sums over an index that only the activation has"),
        ("bld,dk->bl", "3,4", (4, 5), "it sums over an index that only the weights have"),
        ("bdd,dk->bk", "4,4", (4, 5), "an index stands twice in one operand"),
    ],
)
def test_what_is_no_dense_layer_says_why(
    equation: str, space: str, weight: tuple[int, ...], why: str
) -> None:
    batch = "2" if equation.startswith(("bld,b", "bld,dk->l")) else "N"
    model = net(
        f"""(float[{batch},{space}] x) => (float y) {{
            [product] y = Einsum <equation = "{equation}"> (x, w)
        }}""",
        w=weight,
    )
    check = check_model(model, training=False)
    (node,) = check.nodes
    assert node.fate == "digital"
    assert node.why.endswith(why)


def test_an_add_that_is_no_bias_stays() -> None:
    """One number a position, or one for all outputs of a head, is not one an output."""
    for shape in ((3, 1, 1), (2, 1), (1,)):
        model = EINSUMS["heads"]()
        kept = [t for t in model.graph.initializer if t.name != "b"]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        bias = net("(float[N] x) => (float y) { y = Add (x, b) }", b=shape).graph.initializer[0]
        model.graph.initializer.append(bias)
        program = compile_model(model, with_arrays((100, 60)), verify=True)
        assert program.plan.layers[0].C == 4


def test_shared_einsum_weights_are_one_matrix() -> None:
    model = net(
        """(float[N,3,4] x) => (float[N,3,4] y) {
            [one] a = Einsum <equation = "bld,dk->blk"> (x, w) h = Tanh (a)
            [two] y = Einsum <equation = "blk,dk->bld"> (h, w)
        }""",
        w=(4, 4),
    )
    program = rpucc.compile(model, "ideal", loss="mse", verify=True)
    assert [layer.name for layer in program.plan.layers] == ["one"]
    assert_steps_are_gradients(program)


def test_what_runs_is_what_the_file_says() -> None:
    model = EINSUMS["by head"]()
    program = rpucc.compile(model, "ideal", training=False)
    feeds = random_feeds(program.model)
    found = rpucc.Trainer(rpucc.Machine(program)).predict(feeds["x"])
    from onnxruntime import InferenceSession

    (expected,) = InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_layer_rules_know_it_before_it_is_written_as_a_layer() -> None:
    overrides = ["layer.product.update.bl=3"]
    plan = rpucc.compile(EINSUMS["heads"](), "rpu-managed", overrides=overrides).plan
    assert [layer.update["bl"] for layer in plan.layers] == [3, 10]
