"""Small networks with a dense layer in another form than MatMul(x, W): Einsum, batched, turned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from .habits import Habit, small
from .importer_models import net


def einsum(
    equation: str, space: str, weight: tuple[int, ...], bias: tuple[int, ...] = ()
) -> onnx.ModelProto:
    """An Einsum of the input [N, *space] and a constant, a bias of a shape, a tanh and a head."""
    return behind(f'[product] p = Einsum <equation = "{equation}"> (x, w)', space, weight, bias)


def behind(
    product: str, space: str, weight: tuple[int, ...], bias: tuple[int, ...] = ()
) -> onnx.ModelProto:
    """A product p of x [N, *space] and w, then what every network here has behind it."""
    add = "[add] z = Add (p, b)" if bias else "z = Identity (p)"
    text = f"""(float[N,{space}] x) => (float[N,3] y) {{
        {product} {add} h = Tanh (z) f = Flatten (h) [pool] m = ReduceMean <keepdims = 1> (f, k)
        s = Mul (f, f) q = Sub (s, m) r = ReduceSum <keepdims = 1> (q, k) [fc] y = Gemm (r, v)
    }}"""
    extra = {"b": small(*bias)} if bias else {}
    return net(text, w=small(*weight), v=small(1, 3), k=np.array([1]), **extra)


def columns_as_samples() -> onnx.ModelProto:
    """Gemm(W, x) and MatMul(W, x), each with a bias down the column."""
    text = """(float[N,6] x) => (float[N,5] y) {
        [fc1] h = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (w, x, b) t = Tanh (h)
        [fc2] o = MatMul (u, t) [add] p = Add (o, c) y = Transpose <perm = [1, 0]> (p)
    }"""
    return net(text, w=small(7, 6), b=small(7, 1), u=small(5, 7), c=small(5, 1))


def transposed_operands() -> onnx.ModelProto:
    """Gemm(Wᵀ, xᵀᵀ): the constant transposed, the activation as it is; a computed third input."""
    text = """(float[N,6] x) => (float[N,5] y) {
        xt = Transpose <perm = [1, 0]> (x) m = ReduceMean (xt, k)
        [fc] h = Gemm <transA = 1, beta = 0.5> (w, xt, m) y = Transpose <perm = [1, 0]> (h)
    }"""
    return net(text, w=small(6, 5), k=np.array([0]))


def experts_with_bias() -> onnx.ModelProto:
    """A MatMul with a matrix and a bias for each channel, as a layer is written already."""
    return behind("[product] p = MatMul (x, w)", "4,3,6", (4, 6, 7), (4, 1, 7))


MATMULS: dict[str, Callable[[], onnx.ModelProto]] = {
    "experts": partial(behind, "[product] p = MatMul (x, w)", "4,3,6", (4, 6, 7)),
    "experts with bias": experts_with_bias,
    "channels": partial(behind, "[product] p = MatMul (x, w)", "2,4,3,6", (2, 4, 6, 7)),
    "one of them": partial(behind, "[product] p = MatMul (x, w)", "4,3,6", (1, 6, 7)),
    "spread": partial(behind, "[product] p = MatMul (x, w)", "1,3,6", (4, 6, 7)),
    "further axes": partial(behind, "[product] p = MatMul (x, w)", "5,6", (1, 1, 6, 3)),
    "mixer": partial(behind, "[product] p = MatMul (w, x)", "5,4", (3, 5)),
    "mixer with bias": partial(behind, "[product] p = MatMul (w, x)", "5,4", (3, 5), (3, 1)),
    "mixer by channel": partial(behind, "[product] p = MatMul (w, x)", "2,5,4", (2, 3, 5)),
    "columns as samples": columns_as_samples,
    "transposed operands": transposed_operands,
}

EINSUMS: dict[str, Callable[[], onnx.ModelProto]] = {
    "heads": partial(einsum, "bld,dhk->blhk", "3,4", (4, 2, 3), (2, 3)),
    "heads first": partial(einsum, "bld,dhk->bhlk", "3,4", (4, 2, 3), (2, 1, 3)),
    "out": partial(einsum, "blhk,hkd->bld", "3,2,4", (2, 4, 5), (5,)),
    "swapped": partial(einsum, "blhk,khd->bld", "3,2,4", (4, 2, 5)),
    "to one": partial(einsum, "blhd,hd->bl", "3,2,4", (2, 4)),
    "ellipsis": partial(einsum, "...d,dk->...k", "3,4", (4, 5), (5,)),
    "implicit": partial(einsum, "abd,dc", "3,4", (4, 5)),
    "by head": partial(einsum, "blhd,hdk->blhk", "3,2,4", (2, 4, 3), (2, 3)),
    "by two": partial(einsum, "bghd,ghdk->bkgh", "3,2,4", (3, 2, 4, 2)),
    "channels last": partial(einsum, "bchw,co->bhwo", "3,2,2", (3, 4), (4,)),
}

PRODUCTS = {
    **{name: Habit(build, 2) for name, build in {**MATMULS, **EINSUMS}.items()},
    "transposed operands": Habit(transposed_operands, 1),
}
"""Name to network, and how many matrices it has; the product is a layer in each of them."""
