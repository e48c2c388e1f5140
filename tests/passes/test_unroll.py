"""Unrolled layers equal the layers they came from, at every value that both graphs have."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.errors import UnsupportedError
from rpucc.passes.select_analog import SelectAnalog
from rpucc.passes.unroll import Unroll

from .graphs import StubTarget, assert_same, digital, evaluate, normal, program


def unroll(model: ir.Model, target: StubTarget | None = None, *, training: bool = True) -> None:
    chosen = target or StubTarget()
    SelectAnalog(chosen)(model)  # type: ignore[arg-type]
    Unroll(chosen, training=training)(model)  # type: ignore[arg-type]


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def small_conv(**weights: np.ndarray) -> ir.Model:
    bias = ", b" if "b" in weights else ""
    return program(
        "(float[N,2,6,5] x) => (float[N,3,4,4] y) {"
        f" [conv1] c = Conv(x, K{bias}) [relu] y = Relu(c) }}",
        K=normal(3, 2, 3, 2),
        **weights,
    )


def test_an_analog_convolution_becomes_the_documented_chain() -> None:
    model = small_conv(b=normal(3))
    unroll(model)
    chain = ["Im2Col", "AppendOne", "Read", "ReduceSum", "Transpose", "Reshape", "Relu"]
    assert ops(model) == chain
    assert set(model.graph.initializers) >= {"conv1.W"}
    assert {"K", "b"}.isdisjoint(model.graph.initializers)
    W = model.graph.initializers["conv1.W"].const_value
    assert W is not None
    np.testing.assert_array_equal(W.numpy()[:, :-1], normal(3, 2, 3, 2).reshape(3, 12))
    np.testing.assert_array_equal(W.numpy()[:, -1], normal(3))
    read = model.graph[2]
    assert list(read.attributes["row_cuts"].as_ints()) == [0, 3]
    assert list(read.attributes["col_cuts"].as_ints()) == [0, 13]
    for node in list(model.graph)[:-1]:
        assert node.metadata_props["rpucc.layer"] == "conv1"
        assert node.metadata_props["rpucc.cycle"] == "forward"
    shapes = [[str(d) for d in node.outputs[0].shape] for node in model.graph]  # type: ignore[union-attr]
    assert shapes[0] == ["N", "16", "12"]
    assert shapes[2] == ["N", "16", "1", "3"]
    assert shapes[-2] == ["N", "3", "4", "4"]


def test_a_layer_without_bias_has_no_appended_one() -> None:
    model = small_conv()
    unroll(model)
    assert "AppendOne" not in ops(model)
    assert list(model.graph.initializers["conv1.W"].shape) == [3, 12]  # type: ignore[arg-type]


def test_digital_layers_read_nothing_in_training_and_stay_in_inference() -> None:
    model = small_conv(b=normal(3))
    unroll(model, digital("conv1"))
    assert "Read" not in ops(model)
    assert "MatMul" in ops(model)
    assert "Conv" not in ops(model)
    model = small_conv(b=normal(3))
    unroll(model, digital("conv1"), training=False)
    assert ops(model) == ["Conv", "Relu"]


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, object]:
    """A convolution of rank 1 to 3 that fits its input."""
    axes = range(draw(st.integers(1, 3)))
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    dilations = [draw(st.integers(1, 2)) for _ in axes]
    padding = draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding.startswith("SAME"):
        dilations = [1 for _ in axes]  # onnxruntime refuses both together
    return {
        "kernel": kernel,
        "space": [dilations[i] * (kernel[i] - 1) + draw(st.integers(1, 4)) for i in axes],
        "strides": [draw(st.integers(1, 3)) for _ in axes],
        "dilations": dilations,
        "pads": [draw(st.integers(0, 2)) for _ in range(2 * len(axes))],
        "padding": padding,
        "group": draw(st.sampled_from([1, 2, 4])),
        "bias": draw(st.booleans()),
        "add": draw(st.booleans()),
    }


def conv_program(c: dict[str, object]) -> ir.Model:
    rank = len(c["kernel"])  # type: ignore[arg-type]
    padding = f"pads = {c['pads']}" if c["padding"] == "pads" else f'auto_pad = "{c["padding"]}"'
    attributes = (
        f"strides = {c['strides']}, dilations = {c['dilations']}, group = {c['group']}, {padding}"
    )
    out = ",".join("PQR"[:rank])
    space = ",".join(map(str, c["space"]))  # type: ignore[call-overload]
    weights = {"K": normal(4, 4 // c["group"], *c["kernel"])}  # type: ignore[operator, misc]
    if c["bias"]:
        weights["b"] = normal(4, seed=1)
    if c["add"]:
        weights["a"] = normal(4, *[1] * rank, seed=2)
    nodes = f"[conv] c = Conv<{attributes}>(x, K{', b' if c['bias'] else ''})"
    nodes += " [add] d = Add(c, a)" if c["add"] else " [id] d = Identity(c)"
    text = f"(float[N,4,{space}] x) => (float[N,4,{out}] y) {{ {nodes} [r] y = Relu(d) }}"
    return program(text, **weights)


biases = st.sampled_from(["auto", "array", "digital"])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(convolutions(), st.booleans(), st.booleans(), st.integers(1, 3), biases)
def test_convolutions_of_every_kind(
    c: dict[str, object], analog: bool, training: bool, devices: int, bias: str
) -> None:
    model = conv_program(c)
    x = normal(2, 4, *c["space"], seed=3)  # type: ignore[misc]
    before = evaluate(model, x=x)
    chosen = StubTarget(frozenset() if analog else frozenset({"conv"}), devices, bias)
    unroll(model, chosen, training=training)
    after = evaluate(model, x=x)
    assert {"d", "y"} <= assert_same(before, after)
    assert ("Conv" in ops(model)) == (not analog and not training)


@st.composite
def transposed(draw: st.DrawFn) -> dict[str, object]:
    """A transposed convolution of rank 1 to 3 with an output that is not empty."""
    axes = range(draw(st.integers(1, 3)))
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    strides = [draw(st.integers(1, 3)) for _ in axes]
    dilations = [draw(st.integers(1, 2)) for _ in axes]
    space = [draw(st.integers(2, 4)) for _ in axes]
    full = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(space, strides, kernel, dilations, strict=True)
    ]
    begins = [draw(st.integers(0, min(2, size - 1))) for size in full]
    ends = [
        draw(st.integers(0, min(2, size - 1 - a))) for size, a in zip(full, begins, strict=True)
    ]
    return {
        "space": space,
        "kernel": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": begins + ends,
        "output_padding": [draw(st.integers(0, stride - 1)) for stride in strides],
        "group": draw(st.sampled_from([1, 2, 4])),
    }


@settings(max_examples=40, deadline=None, derandomize=True)
@given(transposed(), st.booleans(), st.booleans(), st.booleans())
def test_transposed_convolutions_of_every_kind(
    c: dict[str, object], bias: bool, analog: bool, training: bool
) -> None:
    keys = ("strides", "dilations", "pads", "output_padding", "group")
    attributes = ", ".join(f"{key} = {c[key]}" for key in keys)
    group, kernel, space = c["group"], c["kernel"], c["space"]
    out = ",".join("PQR"[: len(kernel)])  # type: ignore[arg-type]
    text = ",".join(map(str, space))  # type: ignore[call-overload]
    weights = {"K": normal(4, 8 // group, *kernel)}  # type: ignore[operator, misc]
    if bias:
        weights["b"] = normal(8, seed=1)
    model = program(
        f"(float[N,4,{text}] x) => (float[N,8,{out}] y) {{"
        f" [up] t = ConvTranspose<{attributes}>(x, K{', b' if bias else ''}) [r] y = Relu(t) }}",
        **weights,
    )
    x = normal(2, 4, *space, seed=3)  # type: ignore[misc]
    before = evaluate(model, x=x)
    unroll(model, None if analog else digital("up"), training=training)
    assert {"t", "y"} <= assert_same(before, evaluate(model, x=x))
    assert ("ConvTranspose" in ops(model)) == (not analog and not training)


def test_output_padding_of_a_stride_is_refused() -> None:
    model = program(
        "(float[N,1,4] x) => (float[N,1,P] y) {"
        " [up] y = ConvTranspose<strides = [2], output_padding = [2], dilations = [3]>(x, K) }",
        K=normal(1, 1, 2),
    )
    with pytest.raises(UnsupportedError, match=r"'up'.*output_padding \[2\].*strides \[2\]"):
        unroll(model)


@pytest.mark.parametrize("analog", [True, False])
@pytest.mark.parametrize(
    ("shape", "nodes"),
    [
        ("N,3", "[fc] y = Gemm(x, W)"),
        ("N,3", "[fc] y = Gemm<transB = 1, alpha = 0.5>(x, T, b)"),
        ("N,3", "[fc] m = Gemm(x, W) [add] y = Add(m, b)"),
        ("N,3", "[fc] y = MatMul(x, W)"),
        ("N,3", "[fc] m = MatMul(x, W) [add] y = Add(b, m)"),
        ("N,5,3", "[fc] m = MatMul(x, W) [add] y = Add(m, b)"),
    ],
)
def test_dense_layers(shape: str, nodes: str, analog: bool) -> None:
    weights = {"W": normal(3, 4), "T": normal(4, 3, seed=1), "b": normal(4, seed=2)}
    used = {
        name: array for name, array in weights.items() if f" {name}" in nodes or f"({name}" in nodes
    }
    model = program(f"(float[{shape}] x) => (float[{shape[:-2]},4] y) {{ {nodes} }}", **used)
    x = normal(*[2 if d == "N" else int(d) for d in shape.split(",")], seed=3)
    before = evaluate(model, x=x)
    unroll(model, None if analog else digital("fc"))
    assert "y" in assert_same(before, evaluate(model, x=x))
    assert ("Read" in ops(model)) == analog
    assert "fc.W" in model.graph.initializers
    assert "Gemm" not in ops(model)
    if "b" in nodes.replace("transB", ""):
        assert list(model.graph.initializers["fc.W"].shape) == [4, 4]  # type: ignore[arg-type]


def test_a_layer_whose_result_is_an_output_and_an_input_elsewhere() -> None:
    model = program(
        "(float[N,3] x) => (float[N,4] h, float[N,4] y) { [fc] h = MatMul(x, W)"
        " [add] a = Add(h, b) [mul] y = Mul(a, h) }",
        W=normal(3, 4),
        b=normal(4),
    )
    x = normal(2, 3)
    before = evaluate(model, x=x)
    unroll(model)
    assert assert_same(before, evaluate(model, x=x)) == {"h", "a", "y"}


def test_a_flipped_weight_is_noticed() -> None:
    """The comparison these tests stand on must be able to fail."""
    model = small_conv(b=normal(3))
    x = normal(2, 2, 6, 5)
    before = evaluate(model, x=x)
    unroll(model)
    W = model.graph.initializers["conv1.W"]
    assert W.const_value is not None
    array = W.const_value.numpy().copy()
    array[1, 4] *= -1
    W.const_value = ir.tensor(array, name="conv1.W")
    with pytest.raises(AssertionError):
        assert_same(before, evaluate(model, x=x))


@pytest.mark.parametrize("training", [True, False])
def test_layers_that_share_a_weight_share_a_matrix(training: bool) -> None:
    text = "(float[N,3] x) => (float[N,3] y) { [a] h = MatMul(x, W) [b] y = MatMul(h, W) }"
    model = program(text, W=normal(3, 3))
    x = normal(2, 3)
    before = evaluate(model, x=x)
    unroll(model, training=training)
    reads = [node for node in model.graph if node.op_type == "Read"]
    assert [node.inputs[1].name for node in reads] == ["a.W", "a.W"]
    assert assert_same(before, evaluate(model, x=x)) == {"h", "y"}


def test_a_dynamic_image_is_refused() -> None:
    model = program(
        "(float[N,2,H,5] x) => (float[N,3,P,4] y) { [conv1] y = Conv(x, K) }",
        K=normal(3, 2, 3, 2),
    )
    with pytest.raises(UnsupportedError, match=r"'conv1' \(Conv\).*dynamic shape.*fixed image"):
        unroll(model)
