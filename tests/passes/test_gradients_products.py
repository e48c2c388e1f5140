"""Gradients of Gemm and Einsum of two activations, and of reductions, by central differences."""

from __future__ import annotations

import numpy as np
import pytest

from .gradient_check import check_grads


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def feeds_of(**shapes: str) -> dict[str, np.ndarray]:
    sizes = {
        name: [2 if d == "N" else int(d) for d in shape.split(",") if d]
        for name, shape in shapes.items()
    }
    return {name: normal(*size, seed=i) for i, (name, size) in enumerate(sizes.items())}


@pytest.mark.parametrize("C", ["N,4", "4", "N,1", ""])
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_gemm(turned: tuple[int, int], C: str) -> None:
    A, B = ("3,N" if turned[0] else "N,3"), ("4,3" if turned[1] else "3,4")
    attributes = f"transA = {turned[0]}, transB = {turned[1]}, alpha = 0.5, beta = -2.0"
    text = (
        f"(float[{A}] a, float[{B}] b, float[{C}] c) => (float[N,4] y) "
        f"{{ y = Gemm<{attributes}>(a, b, c) }}"
    )
    check_grads(text, feeds_of(a=A, b=B, c=C))


def test_gemm_without_c() -> None:
    text = "(float[N,3] a, float[3,4] b) => (float[N,4] y) { y = Gemm(a, b) }"
    check_grads(text, feeds_of(a="N,3", b="3,4"))


@pytest.mark.parametrize(
    ("a", "b"),
    [("N,1,5,3", "N,2,3,4"), ("1,2,5,3", "N,2,3,4"), ("N,2,5,3", "2,3,4"), ("N,2,5,3", "1,1,3,4")],
)
def test_matmul_that_broadcasts_both_ways(a: str, b: str) -> None:
    text = f"(float[{a}] a, float[{b}] b) => (float[N,2,5,4] y) {{ y = MatMul(a, b) }}"
    check_grads(text, feeds_of(a=a, b=b))


@pytest.mark.parametrize(
    ("equation", "a", "b", "y"),
    [
        ("ij,jk->ik", "N,3", "3,4", "N,4"),
        ("bchw,bkhw -> bck", "N,2,3,4", "N,5,3,4", "N,2,5"),
        ("bi,bi->b", "N,3", "N,3", "N"),
        ("bi,j->bji", "N,3", "4", "N,4,3"),
    ],
)
def test_einsum(equation: str, a: str, b: str, y: str) -> None:
    body = f'y = Einsum<equation = "{equation}">(a, b)'
    text = f"(float[{a}] a, float[{b}] b) => (float[{y}] y) {{ {body} }}"
    check_grads(text, feeds_of(a=a, b=b))


def test_einsum_of_one_operand() -> None:
    text = '(float[N,3,4] a) => (float[4,N,3] y) { y = Einsum<equation = "nij->jni">(a) }'
    check_grads(text, feeds_of(a="N,3,4"))


REDUCTIONS = [
    "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum",
    "ReduceLogSumExp",
]  # fmt: skip
OVER = {
    "one": ("N,3", "<keepdims = 0>(x, a)", [-1]),
    "two, kept": ("N,1,1", "(x, a)", [1, 2]),
    "batch": ("3,4", "<keepdims = 0>(x, a)", [0]),
    "all": ("", "<keepdims = 0>(x)", [0]),
}


@pytest.mark.parametrize(("shape", "call", "axes"), OVER.values(), ids=OVER.keys())
@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(op: str, shape: str, call: str, axes: list[int]) -> None:
    body = f"a = Constant<value_ints = {axes}>() y = {op}{call}"
    # Distinct sizes, for the extremes; positive where a logarithm follows.
    x = 0.1 * (np.random.default_rng(0).permutation(24) - 11.5).reshape(2, 3, 4)
    x = x + 2.0 if op == "ReduceLogSum" else x
    check_grads(f"(float[N,3,4] x) => (float[{shape}] y) {{ {body} }}", {"x": x})


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_equal_extremes_share_the_gradient(op: str) -> None:
    body = f"z = Concat<axis = 1>(x, x) a = Constant<value_ints = [1]>() y = {op}(z, a)"
    check_grads(f"(float[N,3] x) => (float[N,1] y) {{ {body} }}", {"x": normal(2, 3)})


def test_the_length_of_a_zero_vector_has_a_zero_gradient() -> None:
    body = "z = Sub(x, x) l = ReduceL2(z) y = Mul(l, l)"
    check_grads(f"(float[N,3] x) => (float[1,1] y) {{ {body} }}", {"x": normal(2, 3)})
