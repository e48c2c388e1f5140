"""Gradients of ops that pick entries along an axis, by central differences; all are linear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .gradient_check import check_grads


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def check(body: str, *, shape: str = "P,Q,R", double: bool = True) -> None:
    text = f"(float[N,5,6] x) => (float[{shape}] y) {{ {body} }}"
    check_grads(text, {"x": normal(2, 5, 6)}, double=double, step=0.5, tolerance=1e-4)


def ints(**values: list[int]) -> str:
    return " ".join(f"{name} = Constant<value_ints = {v}>()" for name, v in values.items())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(-7, 7), st.integers(-7, 7), st.sampled_from([-3, -2, -1, 1, 2, 3])),
        min_size=2,
        max_size=2,
    ).filter(
        lambda bounds: all(
            len(range(*slice(b, e, s).indices(size))) > 0
            for (b, e, s), size in zip(bounds, (5, 6), strict=True)
        )
    )
)
def test_slices_with_any_bounds_and_steps(bounds: list[tuple[int, int, int]]) -> None:
    starts, ends, steps = (list(each) for each in zip(*bounds, strict=True))
    check(ints(b=starts, e=ends, a=[1, -1], s=steps) + " y = Slice(x, b, e, a, s)")


def test_a_slice_that_names_the_whole_batch() -> None:
    check(ints(b=[0, 2], e=[2**31 - 1, 4], a=[0, 1]) + " y = Slice(x, b, e, a)")


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [[0, 1, 2, 0, 0, 3], [0, 0, 4, 0, 4, 4]], ids=str)
def test_pads_that_copy(mode: str, pads: list[int]) -> None:
    check(ints(p=pads) + f' y = Pad<mode = "{mode}">(x, p)')


def test_pads_that_copy_along_named_axes() -> None:
    check(ints(p=[2, 1], a=[-1]) + ' y = Pad<mode = "reflect">(x, p, , a)')


@pytest.mark.parametrize("pads", [[0, -1, 2, 0, 0, -3], [0, 1, -1, 0, -2, 0]], ids=str)
def test_pads_that_cut(pads: list[int]) -> None:
    check(ints(p=pads) + " y = Pad(x, p)")


def test_pads_that_cut_along_named_axes() -> None:
    check(ints(p=[-1, 2], a=[2]) + " y = Pad(x, p, , a)")


GATHERS = {
    "shuffle": "int64[5] {3, 0, 4, 1, 2}",
    "some": "int64[2] {4, 1}",
    "from the end": "int64[2] {-1, -4}",
    "repeated": "int64[4] {1, 3, 1, -4}",
    "table": "int64[2,3] {0, 1, 2, 2, 1, 4}",
}


@pytest.mark.parametrize("indices", GATHERS.values(), ids=GATHERS.keys())
def test_gather(indices: str) -> None:
    shape = "P,Q,R,S" if "," in indices.partition("]")[0] else "P,Q,R"
    check(f"i = Constant<value = {indices}>() y = Gather<axis = 1>(x, i)", shape=shape)


@pytest.mark.parametrize("axis", [1, -1])
def test_gather_of_one_entry(axis: int) -> None:
    check(f"i = Constant<value_int = 2>() y = Gather<axis = {axis}>(x, i)", shape="P,Q")


def test_gather_elements_with_computed_indices() -> None:
    body = (
        "k = Constant<value_ints = [2]>() v, i = TopK<axis = 1>(x, k) "
        "h = Sub(i, i) y = GatherElements<axis = 1>(x, h)"
    )
    check(body)
