"""Value ranges: each rule's interval holds for random inputs and is tight."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.passes.execute import run_model
from rpucc.passes.ranges import RULES, UNKNOWN, input_interval, value_ranges, within_unit
from rpucc.step_contract import StepContract


def model_of(
    text: str, input_range: str = "-2 3", constants: dict[str, np.ndarray] | None = None
) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    for name, array in (constants or {}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    model.metadata_props["rpucc.input_range"] = input_range
    step_of(model, {}).write(model)
    return model


def step_of(model: ir.Model, state: dict[str, str]) -> StepContract:
    return replace(StepContract.inference(model), inputs=("x",), state=state)


def chain(body: str, shape: str = "2,4,6,6") -> str:
    return f"g (float[{shape}] x) => (float y) {{ {body} }}"


TIGHT = {
    "y = Tanh(x)": (-1, 1),
    "y = Sigmoid(x)": (0, 1),
    "y = HardSigmoid(x)": (0, 1),
    "y = Softmax(x)": (0, 1),
    "y = Relu(x)": (0, 3),
    "y = LeakyRelu <alpha=0.5> (x)": (-1, 3),
    "y = Neg(x)": (-3, 2),
    "y = Abs(x)": (0, 3),
    "y = Transpose(x)": (-2, 3),
    "y = Flatten(x)": (-2, 3),
    "y = MaxPool <kernel_shape=[2,2]> (x)": (-2, 3),
    "y = MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> (x)": (-2, 3),
    "y = AveragePool <kernel_shape=[2,2]> (x)": (-2, 3),
    "y = GlobalAveragePool(x)": (-2, 3),
    "r = Relu(x) y = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1]> (r)": (0, 3),
    "y = Concat <axis=1> (x, x)": (-2, 3),
    "y = Add(x, x)": (-4, 6),
    "y = Sub(x, x)": (-5, 5),
    "y = Mul(x, x)": (-6, 9),
    "a = Sigmoid(x) b = Tanh(x) y = Mul(a, b)": (-1, 1),
    "y = Min(x, x)": (-2, 3),
    "y = Floor(x)": (-2, 3),
    "y = Ceil(x)": (-2, 3),
    "c = Constant <value_float = 6.0> () y = Div(x, c)": (-1 / 3, 0.5),
    "a = Constant <value_float=-0.5> () b = Constant <value_float=0.5> () y = Clip(x, a, b)": (
        -0.5,
        0.5,
    ),
    "b = Constant <value_float=0.5> () y = Clip(x, , b)": (-2, 0.5),
    "b = Constant <value_float=-5.0> () y = Clip(x, , b)": (-5, -5),
    "y = Cast <to=1> (x)": (-2, 3),
}


@pytest.mark.parametrize("body", TIGHT)
def test_interval_is_tight_and_holds(body: str) -> None:
    model = model_of(chain(body))
    lo, hi = value_ranges(model)["y"]
    assert (lo, hi) == pytest.approx(TIGHT[body], rel=1e-9)
    for seed in range(3):
        x = np.random.default_rng(seed).uniform(-2, 3, (2, 4, 6, 6)).astype(np.float32)
        x.flat[:2] = (-2, 3)
        y = run_model(model, {"x": x})["y"]
        assert y.min() >= lo - 1e-6
        assert y.max() <= hi + 1e-6


@pytest.mark.parametrize(
    "body",
    [
        "y = Exp(x)",
        "y = Erf(x) z = LRN <size=3> (y)",
        "y = Div(x, x)",
        "y = Pow(x, x)",
        "y = Sqrt(x)",
    ],
)
def test_unknown_where_nothing_is_proved(body: str) -> None:
    ranges = value_ranges(model_of(chain(body)))
    assert ranges["z" if "z" in ranges else "y"] == UNKNOWN


def test_indices_of_a_pool_are_unknown() -> None:
    ranges = value_ranges(model_of(chain("y, i = MaxPool <kernel_shape=[2,2]> (x)")))
    assert ranges["y"] == (-2, 3)
    assert ranges["i"] == UNKNOWN


def test_other_inputs_and_missing_range_are_unknown() -> None:
    model = model_of("g (float[2] x, float[2] u) => (float[2] y) { y = Add(x, u) }")
    ranges = value_ranges(model)
    assert ranges["x"] == (-2, 3)
    assert ranges["u"] == ranges["y"] == UNKNOWN
    del model.metadata_props["rpucc.input_range"]
    assert input_interval(model) == UNKNOWN


def test_constants_count_unless_training_changes_them() -> None:
    model = model_of(
        "g (float[2] x) => (float[2] y) { y = Mul(x, k) }",
        "0 255",
        {"k": np.array([1 / 255, 0.5 / 255], np.float32)},
    )
    assert within_unit(value_ranges(model)["y"])
    step_of(model, {"k": "k_new"}).write(model)
    assert value_ranges(model)["y"] == UNKNOWN


def test_padding_and_bias_line_widen() -> None:
    model = model_of(chain("y = Pad(x, p, v)"), "2 3", {"p": np.ones(8, np.int64)})
    model.graph.register_initializer(
        ir.val("v", const_value=ir.tensor(np.array(5, np.float32), name="v"))
    )
    node = next(iter(model.graph))
    node.replace_input_with(2, model.graph.initializers["v"])
    assert value_ranges(model)["y"] == (2, 5)
    node.resize_inputs(2)
    assert value_ranges(model)["y"] == (0, 3)


def test_within_unit_ignores_float_rounding_only() -> None:
    assert within_unit((-1.0, 1.0))
    assert within_unit((0.0, math.nextafter(1.0, 2.0)))
    assert not within_unit((0.0, 1.001))
    assert not within_unit((-1.001, 0.0))
    assert not within_unit(UNKNOWN)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-4, 4, width=32),
    st.floats(0, 4, width=32),
    st.lists(
        st.sampled_from(["Tanh", "Relu", "Neg", "Abs", "Add", "Sub", "Mul", "Min", "Max", "Floor"]),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 2**32 - 1),
)
def test_no_value_of_a_random_chain_leaves_its_interval(
    lo: float, width: float, ops: list[str], seed: int
) -> None:
    lines, values = [], ["x"]
    rng = np.random.default_rng(seed)
    for i, op in enumerate(ops):
        arity = 2 if op in ("Add", "Sub", "Mul", "Min", "Max") else 1
        inputs = ", ".join(rng.choice(values, arity))
        lines.append(f"v{i} = {op}({inputs})")
        values.append(f"v{i}")
    body = " ".join(lines).replace(f"v{len(ops) - 1} =", "y =")
    model = model_of(chain(body, "64"), f"{lo} {lo + width}")
    x = rng.uniform(lo, lo + width, 64).astype(np.float32)
    results = run_model(model, {"x": x})
    for name, (low, high) in value_ranges(model).items():
        if name in results:
            slack = 1e-5 * max(1.0, abs(low), abs(high))
            assert results[name].min() >= low - slack
            assert results[name].max() <= high + slack


def test_every_rule_is_an_onnx_or_rpu_op() -> None:
    from rpucc.opset import OPS

    standard = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert set(RULES) <= standard | set(OPS)
