"""Marking layers, merging biases that follow them, normalising Gemm."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from rpucc.errors import UnsupportedError
from rpucc.passes.select_analog import SelectAnalog

from .graphs import StubTarget, assert_same, digital, evaluate, normal, program


def select(model: ir.Model, target: StubTarget | None = None) -> None:
    SelectAnalog(target or StubTarget())(model)  # type: ignore[arg-type]


def marks(model: ir.Model) -> dict[str, str]:
    return {
        node.name or "": node.metadata_props["rpucc.analog"]
        for node in model.graph
        if "rpucc.layer" in node.metadata_props
    }


def test_layers_are_marked_by_the_targets_rules() -> None:
    model = program(
        "(float[N,1,6,6] x) => (float[N,3] y) { [conv1] c = Conv(x, K) [f] f = Flatten(c)"
        " [fc1] h = Gemm<transB = 1>(f, W) [fc2] y = MatMul(h, V) }",
        K=normal(2, 1, 3, 3),
        W=normal(5, 32),
        V=normal(5, 3),
    )
    select(model, digital("fc1"))
    assert marks(model) == {"conv1": "1", "fc1": "0", "fc2": "1"}
    assert all(
        node.metadata_props["rpucc.layer"] == node.name
        for node in model.graph
        if node.name in ("conv1", "fc1", "fc2")
    )


def test_a_product_of_two_activations_is_no_layer() -> None:
    model = program("(float[N,2,2] x) => (float[N,2,2] y) { [m] y = MatMul(x, x) }")
    select(model)
    assert marks(model) == {}


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_a_conv_adopts_the_add_that_follows(shape: tuple[int, ...], bias: bool, swap: bool) -> None:
    nodes = (
        f"[conv] c = Conv(x, K{', b' if bias else ''}) [add] y = Add({'a, c' if swap else 'c, a'})"
    )
    model = program(
        f"(float[N,3,5,5] x) => (float[N,4,3,3] y) {{ {nodes} }}",
        K=normal(4, 3, 3, 3),
        a=normal(*shape, seed=1),
        **({"b": normal(4, seed=2)} if bias else {}),
    )
    x = normal(2, 3, 5, 5, seed=3)
    before = evaluate(model, x=x)
    select(model)
    assert [node.op_type for node in model.graph] == ["Conv"]
    assert model.graph.outputs[0].name == "y"
    assert set(model.graph.initializers) == {"K", "conv.b"}
    assert assert_same(before, evaluate(model, x=x)) == {"y"}


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_matmul_keeps_its_add_as_part_of_the_layer(shape: tuple[int, ...]) -> None:
    model = program(
        "(float[N,3] x) => (float[N,4] y) { [fc] m = MatMul(x, W) [add] y = Add(m, b) }",
        W=normal(3, 4),
        b=normal(*shape),
    )
    select(model)
    assert marks(model) == {"fc": "1", "add": "1"}
    assert [node.metadata_props["rpucc.layer"] for node in model.graph] == ["fc", "fc"]


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        # used twice: the sum without the bias is wanted elsewhere
        ("[c] c = Conv(x, K) [a] d = Add(c, b) [s] y = Mul(c, d)", {"b": normal(4, 1, 1)}),
        # not one number a channel
        ("[c] c = Conv(x, K) [a] y = Add(c, b)", {"b": normal(3, 3)}),
        ("[c] c = Conv(x, K) [a] y = Add(c, b)", {"b": normal(1)}),
        # both operands are activations
        ("[c] c = Conv(x, K) [t] t = Tanh(x) [k] d = Conv(t, K) [a] y = Add(c, d)", {}),
    ],
)
def test_other_adds_stay(text: str, weights: dict[str, np.ndarray]) -> None:
    model = program(
        f"(float[N,3,5,5] x) => (float[N,4,3,3] y) {{ {text} }}", K=normal(4, 3, 3, 3), **weights
    )
    before = [node.name for node in model.graph]
    select(model)
    assert [node.name for node in model.graph] == before
    assert "a" not in marks(model)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c_shape", [(4,), (1, 4), (1,), ()])
def test_gemm_is_normalised(trans_b: int, c_shape: tuple[int, ...]) -> None:
    model = program(
        "(float[3,N] x) => (float[N,4] y) {"
        f" [fc] y = Gemm<alpha = 0.5, beta = 2.0, transA = 1, transB = {trans_b}>(x, W, b) }}",
        W=normal(4, 3) if trans_b else normal(3, 4),
        b=normal(*c_shape),
    )
    x = normal(3, 5, seed=1)
    before = evaluate(model, x=x)
    select(model)
    gemm = model.graph[-1]
    assert {"alpha", "beta", "transA"}.isdisjoint(gemm.attributes)
    assert assert_same(before, evaluate(model, x=x)) == {"y"}


def grouped() -> ir.Model:
    return program(
        "(float[N,4,5,5] x) => (float[N,4,3,3] y) { [dw] y = Conv<group = 2>(x, K) }",
        K=normal(4, 2, 3, 3),
    )


def test_grouped_and_transposed_convolutions_are_layers() -> None:
    model = grouped()
    select(model)
    assert marks(model) == {"dw": "1"}
    model = grouped()
    select(model, digital("dw"))
    assert marks(model) == {"dw": "0"}
    model = program(
        "(float[N,4,5,5] x) => (float[N,6,7,7] y) {"
        " [up] t = ConvTranspose<group = 2>(x, K) [add] y = Add(t, b) }",
        K=normal(4, 3, 3, 3),
        b=normal(6, 1, 1),
    )
    select(model)
    assert marks(model) == {"up": "1"}  # and the Add has become its bias
    assert len(model.graph[0].inputs) == 3


def test_a_computed_bias_is_refused() -> None:
    model = program(
        "(float[N,3] x, float[4] b) => (float[N,4] y) { [fc] y = Gemm(x, W, b) }", W=normal(3, 4)
    )
    with pytest.raises(UnsupportedError, match=r"'fc' \(Gemm\).*bias 'b' is computed"):
        select(model)
