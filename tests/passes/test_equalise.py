"""Factors between layers: where they move on, where they cannot, and that nothing changes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from rpucc.passes.equalise import MOST, Equalise
from rpucc.passes.graph_reader import constant_of
from rpucc.passes.select_analog import SelectAnalog
from rpucc.target.target import LayerPolicy, Target

from .graphs import assert_same, evaluate, normal, program

BOUND = 0.6
GAINS = np.array([0.1, 30.0, 1.0, 8.0], np.float32)


def bounds(policy: LayerPolicy) -> tuple[float, float]:
    return -BOUND, BOUND


def marked(model: ir.Model, *overrides: str) -> tuple[ir.Model, Target]:
    target = Target.load("rpu-managed", overrides)
    SelectAnalog(target)(model)
    return model, target


def equalised(model: ir.Model, *overrides: str) -> bool:
    model, target = marked(model, *overrides)
    return Equalise(target, bounds)(model).modified


def weights(model: ir.Model, name: str) -> np.ndarray:
    node = next(node for node in model.graph if node.name == name)
    weight = constant_of(node.inputs[1])
    assert weight is not None
    return weight


def rows(K: np.ndarray) -> np.ndarray:
    """The largest weight of each output channel."""
    return np.abs(K.reshape(len(K), -1)).max(axis=1)


CONV = "[a] c = Conv(x, K, b) "
END = "[g] v = GlobalAveragePool({}) [f] w = Flatten(v) [z] y = Gemm<transB = 1>(w, V)"
CHAINS = {
    "relu": CONV + "[r] d = Relu(c) " + END.format("d"),
    "leaky": CONV + "[r] d = LeakyRelu<alpha = 0.2>(c) " + END.format("d"),
    "pools": CONV + "[p] d = MaxPool<kernel_shape = [2,2]>(c)"
    "[q] e = AveragePool<kernel_shape = [2,2]>(d) " + END.format("e"),
    "mean": CONV + "[r] d = Relu(c) [m] w = ReduceMean<keepdims = 0>(d, axes)"
    " [z] y = Gemm<transB = 1>(w, V)",
    "turned": CONV + "[t] d = Transpose<perm = [0, 2, 3, 1]>(c)"
    " [m] w = ReduceMean<keepdims = 0>(d, front) [z] y = Gemm<transB = 1>(w, V)",
}  # fmt: skip


def conv(body: str, **more: np.ndarray) -> ir.Model:
    K = normal(4, 3, 3, 3) * GAINS.reshape(4, 1, 1, 1) / 3
    constants = {
        "K": K,
        "b": normal(4, seed=1) * GAINS,
        "V": normal(5, 4, seed=2) / GAINS,
        "axes": np.array([2, 3]),
        "front": np.array([1, 2]),
        **more,
    }
    text = f"(float[N,3,7,7] x) => (float[N,5] y) {{ {body} }}"
    return program(text, **{k: v for k, v in constants.items() if k in _words(body)})


def _words(body: str) -> set[str]:
    return set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())


@pytest.mark.parametrize("chain", CHAINS)
def test_factors_go_into_the_layer_behind(chain: str) -> None:
    x = normal(2, 3, 7, 7, seed=9)
    plain, _ = marked(conv(CHAINS[chain]))
    before, K = evaluate(plain, x=x), weights(plain, "a")
    model = conv(CHAINS[chain])
    assert equalised(model)
    common = assert_same(before, evaluate(model, x=x))
    assert "y" in common
    assert "c" not in common  # what was divided has another name
    np.testing.assert_allclose(rows(weights(model, "a")), np.minimum(rows(K), BOUND), rtol=1e-5)
    factors = np.maximum(rows(K) / BOUND, 1)
    np.testing.assert_allclose(
        weights(model, "z"), (normal(5, 4, seed=2) / GAINS) * factors, rtol=1e-5
    )


@pytest.mark.parametrize(
    "body",
    [
        CONV + "[t] d = Tanh(c) " + END.format("d"),
        CONV + "[r] d = Relu(c) [s] e = Add(d, d) " + END.format("e"),
        CONV + "[r] d = Relu(c) [i] e = Softmax<axis = 1>(d) " + END.format("e"),
    ],
)
def test_it_stays_where_something_stands_in_the_way(body: str) -> None:
    model = conv(body)
    assert not equalised(model)
    np.testing.assert_array_equal(weights(model, "a"), weights(conv(body), "a"))


def test_every_branch_must_end_in_a_layer() -> None:
    two = CONV + "[r] d = Relu(c) [q] e = Conv(d, V1) [s] h = Conv(d, V2) "
    V1, V2 = normal(5, 4, 1, 1, seed=3), normal(5, 4, 1, 1, seed=4)
    tail = "[u] k = Add(e, h) [g] v = GlobalAveragePool(k) [f] y = Flatten(v)"
    model = conv(two + tail, V1=V1, V2=V2)
    x = normal(2, 3, 7, 7, seed=9)
    before = evaluate(marked(conv(two + tail, V1=V1, V2=V2))[0], x=x)
    assert equalised(model)
    assert "y" in assert_same(before, evaluate(model, x=x))
    assert not np.array_equal(weights(model, "q"), V1)
    assert not np.array_equal(weights(model, "s"), V2)
    looked_at = CONV + "[r] d = Relu(c) [q] e = Conv(d, V1) [s] k = Tanh(d) "
    tail = "[p] l = Conv(k, V2) [u] m = Add(e, l) [g] v = GlobalAveragePool(m) [f] y = Flatten(v)"
    assert not equalised(conv(looked_at + tail, V1=V1, V2=V2))


def test_a_shared_weight_stays() -> None:
    body = CONV + "[r] d = Relu(c) [q] e = Conv<pads = [1,1,1,1]>(d, S) [s] h = Relu(e)"
    body += "[o] k = Conv<pads = [1,1,1,1]>(h, S) [g] v = GlobalAveragePool(k) [f] y = Flatten(v)"
    text = f"(float[N,3,7,7] x) => (float[N,4] y) {{ {body} }}"
    model = program(text, K=9 * normal(4, 3, 3, 3), b=normal(4), S=normal(4, 4, 3, 3))
    assert not equalised(model)


def test_what_fits_is_left_alone() -> None:
    K = normal(4, 3, 3, 3)
    model = conv(CHAINS["relu"], K=K / np.abs(K).max() * np.float32(BOUND))
    assert not equalised(model)
    assert not equalised(conv(CHAINS["relu"]), "mapping.weight_scaling=off")


@pytest.mark.parametrize("layer", ["a", "z"])
def test_a_layer_that_is_to_stay_neither_gives_nor_takes(layer: str) -> None:
    assert not equalised(conv(CHAINS["relu"]), f"layer.{layer}.mapping.weight_scaling=off")


@pytest.mark.parametrize("op", ["grouped", "depthwise", "transposed", "matmul", "flat"])
def test_kinds_of_layers(op: str) -> None:
    """Each kind behind and in front: rows of one, columns of the other."""
    bodies = {
        "grouped": "[a] c = Conv<group = 2>(x, A, b) [r] d = Relu(c) [z] y = Conv<group = 2>(d, B)",
        "depthwise": "[a] c = Conv<group = 4>(x, A, b) [r] d = Relu(c) [z] y = Conv(d, B)",
        "transposed": "[a] c = ConvTranspose(x, A, b) [r] d = Relu(c) [z] y = ConvTranspose(d, B)",
        "matmul": "[a] c = MatMul(x, A) [s] d = Add(c, b) [r] e = Relu(d) [z] y = MatMul(e, B)",
        "flat": "[a] c = Conv(x, A, b) [r] d = Relu(c) [f] e = Flatten(d) [z] y = Gemm(e, B)",
    }
    shapes = {
        "grouped": ((4, 2, 3, 3), (6, 2, 2, 2)),
        "depthwise": ((4, 1, 3, 3), (6, 4, 2, 2)),
        "transposed": ((4, 4, 3, 3), (4, 3, 2, 2)),
        "matmul": ((5, 4), (4, 3)),
        "flat": ((4, 4, 3, 3), (16, 3)),
    }
    A, B = (normal(*shape, seed=i) for i, shape in enumerate(shapes[op]))
    A = 5 * A
    inputs = "5,5" if op == "matmul" else "4,4,4"
    x = normal(2, *(int(d) for d in inputs.split(",")), seed=9)
    rank = {"matmul": "N,5,3", "flat": "N,3"}.get(op, "N,c,h,w")
    text = f"(float[N,{inputs}] x) => (float[{rank}] y) {{ {bodies[op]} }}"

    def build() -> ir.Model:
        return program(text, A=A, B=B, b=normal(4, seed=5))

    before = evaluate(marked(build())[0], x=x)
    model = build()
    assert equalised(model)
    assert "y" in assert_same(before, evaluate(model, x=x))
    assert np.abs(weights(model, "a")).max() <= BOUND * (1 + 1e-6)
    assert np.abs(weights(model, "z")).max() > np.abs(B).max()


def test_what_the_next_layer_cannot_hold_moves_on_from_there() -> None:
    body = CONV + "[r] d = Relu(c) [q] e = Conv(d, M) [s] h = Relu(e) " + END.format("h")
    model = conv(body, M=normal(4, 4, 1, 1, seed=6))
    assert equalised(model)
    assert rows(weights(model, "a")).max() <= BOUND * (1 + 1e-6)
    assert rows(weights(model, "q")).max() <= BOUND * (1 + 1e-6)


def test_factors_of_a_long_chain_stay_within_float32() -> None:
    """Weights of 1 on devices up to 0.6: 200 layers would multiply them to 1e44."""
    layers = 200
    names = [f"h{i}" for i in range(layers - 1)] + ["y"]
    body = " ".join(
        f"[l{i}] c{i} = Gemm({x}, W{i}) [r{i}] {y} = Relu(c{i})"
        for i, (x, y) in enumerate(zip(["x", *names], names, strict=False))
    )
    eye = {f"W{i}": np.eye(3, dtype=np.float32) for i in range(layers)}
    text = f"(float[N,3] x) => (float[N,3] y) {{ {body} }}"
    x = np.abs(normal(2, 3))
    model = program(text, **eye)
    assert equalised(model)
    np.testing.assert_allclose(evaluate(model, x=x)["y"], x, rtol=1e-5)
    assert max(np.abs(weights(model, f"l{i}")).max() for i in range(layers)) <= MOST
