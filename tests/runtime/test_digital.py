"""Every native operator, its declined cases and the fallback, against stock onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from rpucc.errors import DataError, UnsupportedError
from rpucc.runtime.backend import Backend
from rpucc.runtime.digital import NATIVE

from .single_op import (
    check_nodes,
    check_op,
    executor_of,
    few,
    filled,
    ints,
    normal,
    op_model,
)

Array = np.ndarray[Any, np.dtype[Any]]

BINARY = ["Add", "Sub", "Mul", "Div"]
COMPARE = ["Greater", "GreaterOrEqual", "Less"]
UNARY = ["Neg", "Abs", "Exp", "Tanh", "Relu", "Sigmoid"]


shapes = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, count: int) -> list[tuple[int, ...]]:
    """Shapes that broadcast together: axes dropped at the front or set to 1."""
    whole = draw(shapes)
    found = []
    for _ in range(count):
        kept = whole[draw(st.integers(0, len(whole))) :]
        found.append(tuple(1 if draw(st.booleans()) else size for size in kept))
    return found


# Elementwise ---------------------------------------------------------------------------------


@few
@given(op=st.sampled_from(BINARY), pair=broadcastable(2))
def test_binary_operators_broadcast(backend: Backend, op: str, pair: list[tuple[int, ...]]) -> None:
    a, b = normal(*pair[0]), normal(*pair[1], seed=1)
    check_op(backend, op, a, np.asarray(np.where(np.abs(b) < 0.1, np.float32(1), b), np.float32))


@few
@given(op=st.sampled_from(COMPARE), pair=broadcastable(2))
def test_comparisons_broadcast(backend: Backend, op: str, pair: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    a, b = (np.asarray(rng.integers(-1, 2, shape), np.float32) for shape in pair)
    check_op(backend, op, np.asarray(a), np.asarray(b))


@few
@given(op=st.sampled_from(UNARY), shape=shapes)
def test_unary_operators(backend: Backend, op: str, shape: tuple[int, ...]) -> None:
    check_op(backend, op, np.asarray(normal(*shape) * np.float32(3)))


def test_sqrt(backend: Backend) -> None:
    check_op(backend, "Sqrt", np.abs(normal(3, 4)))


@pytest.mark.parametrize("op", ["Tanh", "Sigmoid", "Relu"])
def test_activations_saturate_without_overflow(backend: Backend, op: str) -> None:
    check_op(backend, op, np.array([-1e30, -200, -20, -0.0, 0, 20, 200, 1e30], np.float32))


@few
@given(trio=broadcastable(3), count=st.integers(1, 3))
def test_sum_takes_any_number_of_terms(
    backend: Backend, trio: list[tuple[int, ...]], count: int
) -> None:
    check_op(backend, "Sum", *(normal(*shape, seed=i) for i, shape in enumerate(trio[:count])))


@few
@given(trio=broadcastable(3))
def test_where_broadcasts_its_condition_too(backend: Backend, trio: list[tuple[int, ...]]) -> None:
    condition = np.asarray(np.random.default_rng(0).integers(0, 2, trio[0]), bool)
    check_op(backend, "Where", np.asarray(condition), normal(*trio[1]), normal(*trio[2], seed=1))


@pytest.mark.parametrize("op", [*BINARY, "Neg", "Abs", "Less"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_other_number_types_go_to_onnxruntime(
    backend: Backend, op: str, dtype: type[np.generic]
) -> None:
    a, b = np.array([7, -8, 5], dtype), np.array([[2], [-3]], dtype)
    check_op(backend, op, *((a,) if op in ("Neg", "Abs") else (a, b)), native=False)


def test_where_of_integers_goes_to_onnxruntime(backend: Backend) -> None:
    check_op(backend, "Where", np.array([True, False]), ints(1, 2), ints(3, 4), native=False)


def test_an_input_may_be_used_twice(backend: Backend) -> None:
    node = helper.make_node("Mul", ["x", "x"], ["y"], name="square")
    check_nodes(backend, [node], {"x": normal(2, 3)})


# Softmax and losses --------------------------------------------------------------------------


@few
@given(shape=filled, data=st.data())
def test_softmax_at_any_axis(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    last = axis in (-1, len(shape) - 1)
    check_op(backend, "Softmax", normal(*shape) * np.float32(5), axis=axis, native=last)
    check_op(backend, "Softmax", normal(*shape))


def test_softmax_of_large_numbers(backend: Backend) -> None:
    check_op(
        backend, "Softmax", np.array([[1e4, 1e4 - 1, -1e4], [-1e30, -1e30, -1e30]], np.float32)
    )


@few
@given(rows=st.integers(1, 5), classes=st.integers(1, 6))
def test_cross_entropy(backend: Backend, rows: int, classes: int) -> None:
    labels = np.random.default_rng(0).integers(0, classes, rows)
    x = normal(rows, classes) * np.float32(5)
    check_op(backend, "SoftmaxCrossEntropyLoss", x, labels, reduction="mean")


def test_other_losses_go_to_onnxruntime(backend: Backend) -> None:
    x, labels = normal(4, 3), ints(0, 2, 1, 2)

    def check(*inputs: Array, **how: Any) -> None:
        check_op(backend, "SoftmaxCrossEntropyLoss", *inputs, native=False, **how)

    check(x, labels, reduction="sum")
    check(x, labels, reduction="none")
    check(x, labels, ignore_index=2)
    check(x, labels, np.array([1, 2, 3], np.float32))
    check(x, labels, outputs=2)
    check(normal(2, 3, 2), ints(0, 2, 1, 2).reshape(2, 2))


@few
@given(rows=st.integers(1, 5), depth=st.integers(1, 6), axis=st.sampled_from([-1, 1]))
def test_one_hot(backend: Backend, rows: int, depth: int, axis: int) -> None:
    labels = np.random.default_rng(0).integers(0, depth, rows)
    values = np.array([-0.5, 2], np.float32)
    check_op(backend, "OneHot", labels, constants={1: ints(depth), 2: values}, axis=axis)
    check_op(backend, "OneHot", labels, constants={1: np.array(depth), 2: values}, axis=axis)


@pytest.mark.parametrize("label", [3, -1, 10**12])
def test_cross_entropy_of_a_label_out_of_range_is_one_clear_line(label: int) -> None:
    node = helper.make_node("SoftmaxCrossEntropyLoss", ["x", "l"], ["y"], name="loss")
    executor = executor_of(op_model([node], {"x": normal(2, 3), "l": ints(0, 0)}), ("y",))
    executor["l"][...] = 2, label
    with pytest.raises(DataError, match=f"'loss' .*label {label} .*classes 0 to 2") as caught:
        executor.run()
    assert "\n" not in str(caught.value)


def test_one_hot_of_labels_out_of_range(backend: Backend) -> None:
    values = np.array([0, 1], np.float32)
    check_op(backend, "OneHot", ints(-1, -3, 3, 99, -99, 1), constants={1: ints(3), 2: values})


def test_other_one_hots_go_to_onnxruntime(backend: Backend) -> None:
    values = np.array([0, 1], np.float32)

    def check(labels: Array, values: Array, axis: int = -1) -> None:
        check_op(
            backend, "OneHot", labels, constants={1: ints(3), 2: values}, axis=axis, native=False
        )

    check(ints(0, 2), values, axis=0)
    check(ints(0, 2, 1, 1).reshape(2, 2), values)
    check(ints(0, 2), ints(0, 1))


# The fallback --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Erf", {}),
        ("HardSwish", {}),
        ("LRN", {"size": 3}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("AveragePool", {"kernel_shape": [2, 2], "count_include_pad": 1, "pads": [1, 0, 0, 1]}),
        ("GlobalAveragePool", {}),
        ("LogSoftmax", {"axis": 1}),
        ("ReduceMax", {"keepdims": 0}),
    ],
)
def test_an_operator_without_a_row_runs_on_onnxruntime(
    backend: Backend, op: str, attributes: dict[str, Any]
) -> None:
    assert op not in NATIVE
    check_op(backend, op, normal(2, 3, 4, 5), native=False, **attributes)


def test_operators_with_absent_inputs_or_several_outputs(backend: Backend) -> None:
    sizes = ints(1, 1, 4, 6)
    check_op(
        backend, "Resize", normal(1, 1, 2, 3), constants={3: sizes}, mode="nearest", native=False
    )
    check_op(backend, "Clip", normal(3, 4), None, np.array(0.5, np.float32), native=False)
    check_op(
        backend,
        "TopK",
        np.arange(10, dtype=np.float32).reshape(2, 5),
        constants={1: ints(2)},
        outputs=2,
        native=False,
    )
    check_op(backend, "Split", normal(2, 4), outputs=2, axis=1, num_outputs=2, native=False)
    check_op(backend, "CastLike", ints(1, 2), np.float32([0]), native=False)


def test_an_unused_output_may_be_absent(backend: Backend) -> None:
    node = helper.make_node("LayerNormalization", ["x", "s"], ["y", "", "d"], name="norm")
    check_nodes(backend, [node], {"x": normal(2, 5)}, {"s": normal(5)}, ("y", "d"), native=False)


def test_an_operator_that_onnxruntime_refuses_is_one_clear_line() -> None:
    x = np.zeros((2, 3), np.float32)
    node = helper.make_node("StringNormalizer", ["x"], ["y"], name="odd")
    model = op_model([helper.make_node("Relu", ["x"], ["y"], name="odd")], {"x": x})
    model.graph.node[0].CopyFrom(node)
    with pytest.raises(UnsupportedError, match=r"'odd' \(StringNormalizer\)") as caught:
        executor_of(model, ("y",))
    assert "\n" not in str(caught.value)


def test_a_result_whose_shape_changes_with_the_data_is_one_clear_line() -> None:
    model = op_model(
        [helper.make_node("NonZero", ["x"], ["y"], name="where")], {"x": np.zeros(3, np.float32)}
    )
    executor = executor_of(model, ("y",))
    executor["x"][...] = 1
    with pytest.raises(UnsupportedError, match=r"'where' \(NonZero\).*shape"):
        executor.run()


def test_every_row_of_the_table_is_tested_here() -> None:
    shape = {
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Transpose",
        "Slice",
        "Expand",
    }
    rest = {"Concat", "MaxPool", "ScatterElements", "Softmax", "SoftmaxCrossEntropyLoss", "OneHot"}
    assert set(NATIVE) == {*BINARY, *COMPARE, *UNARY, "Sqrt", "Sum", "Where", *shape, *rest}


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Div", ([1.0, -1.0, 0.0], [0.0, 0.0, 0.0])),
        ("Exp", ([1000.0],)),
        ("Sqrt", ([-1.0],)),
        ("Mul", ([3e38], [3e38])),
    ],
)
def test_overflow_and_division_by_zero_are_silent(
    backend: Backend, op: str, inputs: tuple[list[float], ...]
) -> None:
    check_op(backend, op, *(np.array(v, np.float32) for v in inputs))
