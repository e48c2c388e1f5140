"""Native operators that move data, and pooling, against stock onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from rpucc.runtime.backend import Backend

from .single_op import check_nodes, check_op, few, filled, ints, normal

# Shapes --------------------------------------------------------------------------------------


@few
@given(shape=filled, data=st.data())
def test_reshape_with_zeros_and_minus_one(
    backend: Backend, shape: tuple[int, ...], data: st.DataObject
) -> None:
    target: list[int] = list(shape)
    for i in range(len(target)):
        if data.draw(st.booleans()):
            target[i] = 0
    if data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    check_op(backend, "Reshape", normal(*shape), constants={1: ints(*target)})


def test_reshape_to_other_ranks(backend: Backend) -> None:
    check_op(backend, "Reshape", normal(2, 3, 4), constants={1: ints(0, -1)})
    check_op(backend, "Reshape", normal(2, 3, 4), constants={1: ints(-1)})
    check_op(backend, "Reshape", normal(1, 1), constants={1: np.zeros(0, np.int64)})
    check_op(backend, "Reshape", ints(1, 2, 3, 4), constants={1: ints(2, 2)})


def test_reshape_of_nothing_with_allowzero(backend: Backend) -> None:
    check_op(backend, "Reshape", normal(0, 3), constants={1: ints(3, 0)}, allowzero=1)
    check_op(backend, "Reshape", normal(0, 3), constants={1: ints(0, 3)}, allowzero=0)


def test_reshape_to_a_shape_computed_from_another_value(backend: Backend) -> None:
    nodes = [
        helper.make_node("Shape", ["like"], ["shape"], name="shape"),
        helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape"),
    ]
    check_nodes(backend, nodes, {"x": normal(2, 6), "like": normal(3, 4)}, native=None)


@few
@given(shape=filled, data=st.data())
def test_flatten_at_any_axis(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape)))
    check_op(backend, "Flatten", normal(*shape), axis=axis)


def test_flatten_of_an_empty_tensor(backend: Backend) -> None:
    check_op(backend, "Flatten", normal(0, 3, 2))
    check_op(backend, "Flatten", normal(2, 0, 3), axis=2)


@few
@given(shape=filled, data=st.data())
def test_expand_both_ways(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    """The shape may have 1 where the value does not, the other way round, and more axes."""
    ones = [data.draw(st.booleans()) for _ in shape]
    x = normal(*(1 if one else size for one, size in zip(ones, shape, strict=True)))
    target = [1 if data.draw(st.booleans()) else size for size in shape]
    before = data.draw(st.lists(st.integers(1, 3), max_size=2))
    check_op(backend, "Expand", x, constants={1: ints(*before, *target)})


def test_expand_of_integers_and_of_nothing(backend: Backend) -> None:
    check_op(backend, "Expand", ints(1, 2, 3), constants={1: ints(2, 3)})
    check_op(backend, "Expand", normal(0, 1), constants={1: ints(0, 4)})
    check_op(backend, "Expand", normal(2, 3), constants={1: np.zeros(0, np.int64)})


def test_squeeze_without_axes_drops_every_one(backend: Backend) -> None:
    check_op(backend, "Squeeze", normal(1, 3, 1, 2))
    check_op(backend, "Squeeze", normal(1, 1))


@few
@given(shape=filled, data=st.data())
def test_squeeze_and_unsqueeze(
    backend: Backend, shape: tuple[int, ...], data: st.DataObject
) -> None:
    ones = [i for i, size in enumerate(shape) if size == 1]
    assume(ones)
    axes = data.draw(st.lists(st.sampled_from(ones), min_size=1, unique=True))
    signed = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    check_op(backend, "Squeeze", normal(*shape), constants={1: ints(*signed)})
    rank = len(shape) + len(axes)
    places = data.draw(st.permutations(range(rank)))[: len(axes)]
    signed = [place - rank if data.draw(st.booleans()) else place for place in places]
    check_op(backend, "Unsqueeze", normal(*shape), constants={1: ints(*signed)})


def test_identity_is_a_view(backend: Backend) -> None:
    check_op(backend, "Identity", normal(2, 3))
    check_op(backend, "Identity", ints(1, 2))


@few
@given(shape=filled, data=st.data())
def test_transpose(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(shape))))
    check_op(backend, "Transpose", normal(*shape), perm=perm)
    check_op(backend, "Transpose", normal(*shape))


def test_transpose_of_integers_goes_to_onnxruntime(backend: Backend) -> None:
    check_op(backend, "Transpose", ints(1, 2, 3, 4).reshape(2, 2), native=False)


ENDS = st.one_of(st.integers(-6, 6), st.sampled_from([2**63 - 1, -(2**63) + 1, 2**31 - 1]))


@few
@given(shape=filled, data=st.data())
def test_slice(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    starts = [data.draw(ENDS) for _ in axes]
    ends = [data.draw(ENDS) for _ in axes]
    steps = [data.draw(st.integers(1, 3)) for _ in axes]
    signed = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in axes]
    constants = {1: ints(*starts), 2: ints(*ends), 3: ints(*signed), 4: ints(*steps)}
    if data.draw(st.booleans()):
        del constants[4]
    check_op(backend, "Slice", normal(*shape), constants=constants)


def test_slice_without_axes_and_with_steps(backend: Backend) -> None:
    x = normal(4, 5)
    check_op(backend, "Slice", x, constants={1: ints(1, 0), 2: ints(4, -1)})
    check_op(backend, "Slice", x, constants={1: ints(0, 1), 2: ints(9, 9), 4: ints(2, 3)})


def test_slice_backwards_or_of_integers_goes_to_onnxruntime(backend: Backend) -> None:
    back = {1: ints(-1), 2: ints(-(2**63)), 3: ints(1), 4: ints(-2)}
    check_op(backend, "Slice", normal(2, 5), constants=back, native=False)
    check_op(backend, "Slice", ints(1, 2, 3), constants={1: ints(1), 2: ints(3)}, native=False)


def test_slice_at_varying_places_goes_to_onnxruntime(backend: Backend) -> None:
    # The extent stays the same; where it lies comes from another input.
    nodes = [
        helper.make_node("Add", ["s", "two"], ["e"], name="add"),
        helper.make_node("Slice", ["x", "s", "e"], ["y"], name="slice"),
    ]
    feeds = {"x": normal(5), "s": ints(1)}
    check_nodes(backend, nodes, feeds, {"two": ints(2)}, native=False)


@few
@given(shape=filled, data=st.data())
def test_concat_at_any_axis(backend: Backend, shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for i in range(data.draw(st.integers(1, 3))):
        size = list(shape)
        size[axis] = data.draw(st.integers(1, 3))
        parts.append(normal(*size, seed=i))
    check_op(backend, "Concat", *parts, axis=axis)


def test_concat_of_integers_goes_to_onnxruntime(backend: Backend) -> None:
    check_op(backend, "Concat", ints(1, 2), ints(3), axis=0, native=False)


def test_views_of_what_is_not_contiguous_stay_right(backend: Backend) -> None:
    """Transposes and strided slices are followed by reshapes, squeezes, softmax and pools."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="t", perm=[0, 3, 1, 2]),
        helper.make_node("Reshape", ["t", "shape"], ["r"], name="r"),
        helper.make_node("Slice", ["r", "s", "e", "a", "k"], ["c"], name="c"),
        helper.make_node("Unsqueeze", ["c", "last"], ["u"], name="u"),
        helper.make_node("Softmax", ["u"], ["p"], name="p", axis=2),
        helper.make_node("Squeeze", ["u", "last"], ["q"], name="q"),
        helper.make_node("Softmax", ["q"], ["w"], name="w"),
        helper.make_node("MaxPool", ["q"], ["m", "i"], name="m", kernel_shape=[2]),
        helper.make_node("Flatten", ["m"], ["y"], name="y"),
    ]
    constants = {
        "shape": ints(0, 4, -1),
        "s": ints(1),
        "e": ints(2**31 - 1),
        "a": ints(-1),
        "k": ints(2),
        "last": ints(-1),
    }
    outputs = ("y", "w", "p", "i", "c")
    check_nodes(backend, nodes, {"x": normal(2, 3, 4, 4)}, constants, outputs, native=None)


# Pooling -------------------------------------------------------------------------------------


@st.composite
def pools(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    rank = draw(st.integers(1, 3))
    taps = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, taps, strict=True)]
    space = [r + draw(st.integers(0, 4)) for r in reach]
    pads = [draw(st.integers(0, k - 1)) for k in taps * 2]
    attributes = {
        "kernel_shape": taps,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "dilations": dilations,
        "pads": pads,
        "ceil_mode": draw(st.integers(0, 1)),
    }
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *space), attributes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pool=pools(), indices=st.booleans())
def test_max_pool(
    backend: Backend, pool: tuple[tuple[int, ...], dict[str, Any]], indices: bool
) -> None:
    shape, attributes = pool
    native = None if attributes["ceil_mode"] else True
    check_op(
        backend, "MaxPool", normal(*shape), outputs=2 if indices else 1, native=native, **attributes
    )


def test_max_pool_with_ceil_mode(backend: Backend) -> None:
    x = normal(1, 2, 5, 5)
    check_op(backend, "MaxPool", x, outputs=2, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    # Shape inference counts a window that starts behind the image; onnxruntime drops it.
    check_op(backend, "MaxPool", x, kernel_shape=[1, 1], strides=[3, 3], ceil_mode=1, native=False)


def test_max_pool_takes_the_first_of_equals(backend: Backend) -> None:
    x = np.array([[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]], np.float32)
    check_op(backend, "MaxPool", x, outputs=2, kernel_shape=[2, 2])


def test_max_pool_of_very_small_numbers(backend: Backend) -> None:
    x = np.full((1, 1, 4), np.finfo(np.float32).min, np.float32)
    check_op(backend, "MaxPool", x, outputs=2, kernel_shape=[2], strides=[2])


@pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
def test_max_pool_with_auto_pad(backend: Backend, auto_pad: str) -> None:
    native = auto_pad == "VALID"
    x = normal(2, 2, 5, 6)
    check_op(
        backend, "MaxPool", x, kernel_shape=[2, 3], strides=[2, 2], auto_pad=auto_pad, native=native
    )


def test_max_pool_in_column_major_order_goes_to_onnxruntime(backend: Backend) -> None:
    x = normal(1, 1, 4, 4)
    check_op(
        backend, "MaxPool", x, outputs=2, kernel_shape=[2, 2], storage_order=1, native=False
    )  # fmt: skip


def test_scatter_puts_gradients_back_where_the_maxima_were(backend: Backend) -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["m", "i"], name="m", kernel_shape=[3], strides=[1]),
        helper.make_node("Reshape", ["i", "flat"], ["at"], name="at"),
        helper.make_node("ScatterElements", ["zeros", "at", "g"], ["y"], name="s", axis=0,
                         reduction="add"),
    ]  # fmt: skip
    inputs = {"x": normal(2, 1, 7), "g": normal(10, seed=1)}
    check_nodes(backend, nodes, inputs, {"flat": ints(-1), "zeros": normal(14, seed=2)})


def test_scatter_to_any_places_goes_to_onnxruntime(backend: Backend) -> None:
    x, index, updates = normal(5), ints(1, 1, 4, 0, -1), normal(5, seed=1)
    check_op(backend, "ScatterElements", x, index, updates, axis=0, reduction="add", native=False)


@pytest.mark.parametrize("reduction", ["none", "mul", "max"])
def test_other_scatters_go_to_onnxruntime(backend: Backend, reduction: str) -> None:
    x, index, updates = normal(5), ints(1, 4, 0), normal(3, seed=1)
    check_op(
        backend, "ScatterElements", x, index, updates, axis=0, reduction=reduction, native=False
    )
