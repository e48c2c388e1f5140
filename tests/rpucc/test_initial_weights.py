"""Weights of a file drawn anew: their statistics, what becomes of the rest, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import rpucc
from rpucc.compiler import initial_weights
from rpucc.compiler.initial_weights import draw_weights
from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.errors import ArgumentError, ModelError
from rpucc.models import build, build_cnn
from rpucc.models.initial import INITS
from rpucc.models.resnet import build_resnet18
from rpucc.origins.source import constants_of
from rpucc.passes.batch_norm_fates import decisions_of

HEAD = '<ir_version: 10, opset_import: ["": 21]>'
Arrays = dict[str, np.ndarray[Any, Any]]


def network(text: str, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    """A model whose weights are all 7, as no initialisation makes them."""
    model = onnx.parser.parse_model(f"{HEAD} {text}")
    for name, shape in shapes.items():
        full = np.full(shape, 7, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(full, name))
    onnx.checker.check_model(model)
    return model


def drawn(model: onnx.ModelProto, init: str = "lecun:0") -> tuple[ir.Model, list[str]]:
    found = ir.from_proto(model)
    return found, draw_weights([found], init)


def weights(model: onnx.ModelProto, init: str = "lecun:0") -> Arrays:
    return constants_of(drawn(model, init)[0])


LAYERS: dict[str, tuple[str, dict[str, tuple[int, ...]], float, float]] = {
    "Conv": (
        "g (float[8,16,9,9] x) => (float[8,R,H,W] y) { y = Conv (x, w) }",
        {"w": (40, 16, 5, 5)}, 400, 1000,
    ),
    "grouped Conv": (
        "g (float[8,16,9,9] x) => (float[8,R,H,W] y) { y = Conv <group = 4> (x, w) }",
        {"w": (80, 4, 5, 5)}, 100, 500,
    ),
    "depthwise Conv": (
        "g (float[8,400,9,9] x) => (float[8,R,H,W] y) { y = Conv <group = 400> (x, w) }",
        {"w": (400, 1, 5, 5)}, 25, 25,
    ),
    "1-D Conv": (
        "g (float[8,16,40] x) => (float[8,R,T] y) { y = Conv <strides = [2]> (x, w) }",
        {"w": (40, 16, 9)}, 144, 360,
    ),
    "3-D Conv": (
        "g (float[8,4,6,6,6] x) => (float[8,R,D,H,W] y) { y = Conv (x, w) }",
        {"w": (60, 4, 3, 3, 3)}, 108, 1620,
    ),
    "ConvTranspose": (
        "g (float[8,32,9,9] x) => (float[8,R,H,W] y) "
        "{ y = ConvTranspose <strides = [2, 2], pads = [2, 2, 2, 2]> (x, w) }",
        {"w": (32, 20, 4, 4)}, 32 * 4, 20 * 16,
    ),
    "grouped ConvTranspose": (
        "g (float[8,32,9,9] x) => (float[8,R,H,W] y) "
        "{ y = ConvTranspose <group = 2, pads = [4, 4, 4, 4]> (x, w) }",
        {"w": (32, 20, 5, 5)}, 16 * 25, 20 * 25,
    ),
    "Gemm": (
        "g (float[40,200] x) => (float[40,R] y) { y = Gemm <transB = 1> (x, w) }",
        {"w": (300, 200)}, 200, 300,
    ),
    "Gemm with the weight first": (
        "g (float[40,200] x) => (float[R,40] y) { y = Gemm <transA = 1, transB = 1> (w, x) }",
        {"w": (200, 300)}, 200, 300,
    ),
    "MatMul": (
        "g (float[40,3,200] x) => (float[40,3,R] y) { y = MatMul (x, w) }",
        {"w": (200, 300)}, 200, 300,
    ),
    "MatMul with the weight first": (
        "g (float[40,200,3] x) => (float[40,R,3] y) { y = MatMul (w, x) }",
        {"w": (300, 200)}, 200, 300,
    ),
    "MatMul with a matrix a group": (
        "g (float[40,5,3,60] x) => (float[40,5,3,R] y) { y = MatMul (x, w) }",
        {"w": (5, 60, 90)}, 60, 90,
    ),
    "Einsum": (
        'g (float[40,3,200] x) => (float[40,R,3,K] y) '
        '{ y = Einsum <equation = "bld,dhk->bhlk"> (x, w) }',
        {"w": (200, 10, 30)}, 200, 300,
    ),
    "behind a Transpose": (
        "g (float[40,200] x) => (float[40,R] y) "
        "{ t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t) }",
        {"w": (300, 200)}, 200, 300,
    ),
    "behind a Reshape": (
        "g (float[8,16,9,9] x) => (float[8,R,H,W] y) "
        "{ s = Constant <value = int64[4] {40, 16, 5, 5}> () t = Reshape (w, s) "
        "y = Conv (x, t) }",
        {"w": (640, 25)}, 400, 1000,
    ),
}  # fmt: skip
"""Name -> a layer of "w", its shape, the inputs of an output and the outputs of an input."""


def run(model: ir.Model | onnx.ModelProto, **inputs: Any) -> Any:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, inputs)[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("init", INITS)
def test_weights_have_mean_and_variance_of_their_name(kind: str, init: str) -> None:
    text, shapes, fan_in, fan_out = LAYERS[kind]
    found = weights(network(text, **shapes), f"{init}:2")["w"]
    variance = INITS[init](fan_in, fan_out)
    n = found.size
    assert (found.shape, found.dtype) == (shapes["w"], np.float32)
    # Of n uniform numbers: 5 standard deviations of what is estimated.
    assert found.var() == pytest.approx(variance, rel=5 * (0.8 / n) ** 0.5)
    assert abs(found.mean()) < 5 * (variance / n) ** 0.5
    assert np.abs(found).max() <= (3 * variance) ** 0.5
    assert np.abs(found).max() > 0.99 * (3 * variance) ** 0.5


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_of_lecun_keeps_the_variance_of_its_input(kind: str) -> None:
    """Whatever fan-in is called: outputs have the variance 1 that inputs have."""
    text, shapes, _, _ = LAYERS[kind]
    model, _ = drawn(network(text, **shapes))
    sizes = [dim if isinstance(dim, int) else 1 for dim in model.graph.inputs[0].shape]
    x = np.random.default_rng(0).normal(size=sizes).astype(np.float32)
    y = run(model, x=x)
    assert y.var() == pytest.approx(1, abs=0.1)


def test_the_factors_of_a_gemm_are_made_up_for() -> None:
    text = (
        "g (float[40,200] x) => (float[40,R] y) { y = Gemm <alpha = 0.01, beta = 5.0> (x, w, b) }"
    )
    model, _ = drawn(network(text, w=(200, 300), b=(300,)), "uniform:0")
    found = constants_of(model)
    assert found["w"].std() == pytest.approx(100 * INITS["uniform"](200, 300) ** 0.5, rel=0.02)
    assert found["b"].std() == pytest.approx(0.2 * INITS["uniform"](200, 300) ** 0.5, rel=0.2)


CNN = """g (float[N,4,6,6] x) => (float[N,3] logits) {
    a = Conv (x, w1, b1)  n = BatchNormalization (a, scale, shift, mean, var)  p = PRelu (n, slope)
    f = Flatten (p)  h = MatMul (f, w2)  s = Add (h, b2)
    l = LayerNormalization (s, gamma, beta)  logits = Gemm <transB = 1> (l, w3, b3)
}"""
SHAPES: dict[str, tuple[int, ...]] = {
    "w1": (8, 4, 3, 3), "b1": (8,), "scale": (8,), "shift": (8,), "mean": (8,), "var": (8,),
    "slope": (8, 1, 1), "w2": (128, 16), "b2": (16,), "gamma": (16,), "beta": (16,),
    "w3": (3, 16), "b3": (3,),
}  # fmt: skip


@pytest.mark.parametrize("init", INITS)
def test_biases_means_scales_and_variances_begin_anew(init: str) -> None:
    model, notes = drawn(network(CNN, **SHAPES), f"{init}:1")
    found = constants_of(model)
    zeros = ["shift", "mean", "beta", *([] if init == "uniform" else ["b1", "b2", "b3"])]
    assert all(np.all(found[name] == 0) for name in zeros)
    assert all(np.all(found[name] == 1) for name in ("scale", "var", "gamma"))
    assert np.all(found["slope"] == 0.25)
    for name in ("w1", "w2", "w3", *(("b1", "b2", "b3") if init == "uniform" else ())):
        assert len(np.unique(found[name])) > 0.9 * found[name].size
        assert np.abs(found[name]).max() < 1.01
    assert model.metadata_props[INITIAL_WEIGHTS] == "1"
    biases = "" if init == "uniform" else ", biases 0"
    assert notes == [
        f"initial weights ({init}, seed 1): drawn anew in 3 layers{biases}; 1 batch norm with "
        "scale 1, bias 0, mean 0 and variance 1"
    ]


def test_numbers_follow_the_seed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(CNN, **SHAPES)
    first = weights(model, "he:3")
    again, other = weights(model, "he:3"), weights(model, "he:4")
    monkeypatch.setattr(initial_weights, "BLOCK", 64)
    parts = weights(model, "he:3")
    for name in ("w1", "w2", "w3"):
        assert np.array_equal(first[name], again[name])
        assert np.array_equal(first[name], parts[name])
        assert not np.any(first[name] == other[name])
    # A constant has numbers of its own, not those of another one at another scale.
    a, b = (first[name].reshape(-1)[:40] for name in ("w1", "w2"))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.6
    high = weights(model, f"he:{3 + 2**32}")
    assert not np.any(high["w1"] == first["w1"])


def test_a_weight_that_is_used_in_parts_is_drawn_part_by_part() -> None:
    text = """g (float[N,50] x) => (float[N,300] y, float[N,60] z) {
        parts = Constant <value = int64[2] {300, 60}> ()
        a, b = Split <axis = 0> (w, parts)
        t = Transpose <perm = [1, 0]> (a)  u = Transpose <perm = [1, 0]> (b)
        y = MatMul (x, t)  z = MatMul (x, u)
    }"""
    found = weights(network(text, w=(360, 50)), "glorot:0")["w"]
    for rows, fan_out in ((found[:300], 300), (found[300:], 60)):
        assert rows.var() == pytest.approx(2 / (50 + fan_out), rel=5 * (0.8 / rows.size) ** 0.5)


def test_a_tied_weight_is_its_first_layers() -> None:
    text = """g (float[N,40] x) => (float[N,40] y) {
        h = MatMul (x, w)  t = Transpose <perm = [1, 0]> (w)  y = MatMul (h, t) }"""
    found = weights(network(text, w=(40, 500)), "lecun:0")["w"]
    assert found.var() == pytest.approx(1 / 40, rel=0.05)


def test_constant_nodes_are_drawn_too() -> None:
    tensor = numpy_helper.from_array(np.full((16, 8), 7, np.float32), "w")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    model = network("g (float[N,16] x) => (float[N,8] y) { y = Identity (x) }")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    found = weights(model)["w"]
    assert found.shape == (16, 8)
    assert 0 < np.abs(found).max() < 1


FUNCTION = """<domain: "own", opset_import: ["": 21]>
    layer (x, w) => (y) {{ {body} }}"""


def with_function(body: str) -> onnx.ModelProto:
    model = network("g (float[N,16] x) => (float[N,8] y) { y = Relu (x) }", w=(16, 8))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(onnx.parser.parse_function(FUNCTION.format(body=body)))
    model.graph.node[0].CopyFrom(helper.make_node("layer", ["x", "w"], ["y"], domain="own"))
    return model


def test_weights_that_go_into_functions_are_drawn() -> None:
    found = weights(with_function("y = MatMul (x, w)"))["w"]
    assert 0 < np.abs(found).max() < 1


INSIDE = (
    "s = Constant <value = int64[2] {16, 8}> () "
    "v = Constant <value = float[2] {0.5, 0.25}> () "
    "k = Constant <value = int64[1] {64}> () r = Tile (v, k) u = Reshape (r, s) "
    "y = MatMul (x, u)"
)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            network(
                "g (float[N,16] x) => (float[N,8] y) { v = Mul (w, m)  fc = MatMul (x, v) "
                " y = Relu (fc) }",
                w=(16, 8),
                m=(16, 8),
            ),
            r"model 'g': --init he: node .*MatMul.*: its weight 'v' is no constant of the file's",
        ),
        (with_function(INSIDE), "is no constant of the file's own graph"),
        (
            network(
                "g (float[N,16] x) => (float[N,8] y) { c = Add (b, b) y = Gemm (x, w, c) }",
                w=(16, 8),
                b=(8,),
            ),
            "its bias 'c' is no constant",
        ),
        (
            network("g (float[N,16] x) => (float[N,16] y) { y = Relu (x) }"),
            "model 'g': --init he: there is no layer with constant weights to draw",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(model: onnx.ModelProto, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        drawn(model, "he:0")
    assert "\n" not in str(caught.value)
    found = rpucc.check(model, "ideal", init="he")
    assert [str(problem) for problem in found.problems] == [str(caught.value)]


def test_a_computed_bias_of_zeros_may_stay() -> None:
    text = """g (float[N,16] x) => (float[N,8] y) {
        n = Constant <value = int64[1] {8}> ()  zeros = ConstantOfShape (n)
        y = Gemm (x, w, zeros) }"""
    model = network(text, w=(16, 8))
    assert 0 < np.abs(weights(model)["w"]).max() < 1
    with pytest.raises(ModelError, match="its bias 'zeros' is no constant"):
        drawn(model, "uniform:0")


def test_what_keeps_the_numbers_of_the_file_is_named() -> None:
    text = """g (float[N,5,16] x) => (float[N,6,8] y, float[N,6,16] z) {
        one = Constant <value = int64[3] {1, 1, 1}> ()  t = Expand (token, one)
        q = Shape <start = 0, end = 1> (x)  ones = Constant <value = int64[2] {1, 1}> ()
        s = Concat <axis = 0> (q, ones)  e = Expand (t, s)
        c = Concat <axis = 1> (e, x)  p = Add (c, position)  y = MatMul (p, w)
        z = Einsum <equation = "bld,bld->bld"> (p, mask) }"""
    shapes: dict[str, tuple[int, ...]] = {"token": (1, 1, 16), "position": (1, 6, 16)}
    model = network(text, w=(16, 8), mask=(1, 6, 16), **shapes)
    found, notes = drawn(model, "he:0")
    kept = constants_of(found)
    assert all(np.all(kept[name] == 7) for name in ("token", "position", "mask"))
    assert notes[1] == (
        "--init he leaves what no layer multiplies by: 'token (Expand)', 'position (Add)', "
        "'mask (Einsum)'"
    )


def test_a_program_and_its_export_have_the_drawn_weights() -> None:
    model = network(CNN, **SHAPES)
    before = model.SerializeToString()
    program = rpucc.compile(model, "rpu-managed", init="he:5", verify=True)
    assert model.SerializeToString() == before
    assert program.verified
    assert program.plan.notes[0].startswith("initial weights (he, seed 5): drawn anew in 3 layers")
    assert not any("divided" in note or "multiplied" in note for note in program.plan.notes)
    expected = weights(model, "he:5")
    machine = rpucc.Machine(rpucc.compile(model, "ideal", init="he:5", verify=False))
    found = machine.export().weights
    for name in ("w1", "w2", "w3", "slope", "gamma"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-7)


def test_input_shapes_and_normalisations_come_first() -> None:
    text = "g (float[N,3,H,W] x) => (float[N,4] y) { c = Conv (x, w) p = GlobalAveragePool (c) \
        y = Flatten (p) }"
    model = network(text, w=(4, 3, 3, 3))
    how = {"input_shape": (3, 6, 6), "mean": (0.1, 0.2, 0.3), "std": 0.5, "verify": False}
    program = rpucc.compile(model, "ideal", init="he:1", **how)
    drawn_weights = weights(network(text.replace("H,W", "6,6"), w=(4, 3, 3, 3)), "he:1")["w"]
    found = rpucc.Machine(program).export().weights["w"]
    np.testing.assert_allclose(found, drawn_weights, atol=1e-7)


def test_a_network_of_the_zoo_trains_from_scratch() -> None:
    trained = build("lenet")
    for tensor in trained.graph.initializer:  # as if it had been trained on something else
        array = 3 * np.ones(tensor.dims, np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    data = rpucc.load_dataset("mnist-mini")
    short = rpucc.load_dataset((data.x_train[:2000], data.y_train[:2000]))
    machine = rpucc.Machine(rpucc.compile(trained, "ideal", init="glorot:1", verify=False))
    history = rpucc.Trainer(machine).fit(short, epochs=1, batch_size=4, lr=0.05)
    assert history[-1].train_error < 0.5


def test_batch_norms_that_begin_anew_take_statistics_of_the_batch() -> None:
    """Those of a trained file are folded; drawn anew it trains as a fresh network does."""
    model = build_resnet18(size=16, width=4, classes=3)
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.name.endswith((".mean", ".var")):
            array = rng.uniform(0.5, 1, tensor.dims).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    fates = [
        {each.fate for each in decisions_of(rpucc.compile(model, "ideal", **how).model)}
        for how in ({"verify": False}, {"verify": False, "init": "he:1"})
    ]
    assert fates == [{"folded"}, {"batch"}]
    machine = rpucc.Machine(rpucc.compile(model, "ideal", init="he:1", verify=False))
    scales = [w for name, w in machine.export().weights.items() if name.endswith("norm.scale")]
    assert len(scales) == 20
    assert all(np.all(scale == 1) for scale in scales)
    images = rng.random((32, 3, 16, 16), np.float32) * 0.4
    labels = np.arange(32) % 3
    for image, label in zip(images, labels, strict=True):
        image[label] += 0.6
    history = rpucc.Trainer(machine).fit((images, labels), epochs=6, batch_size=8, lr=0.05)
    assert history[-1].train_loss < 0.5 * history[0].train_loss


def test_a_file_that_the_importer_refuses_is_refused_by_it() -> None:
    model = network("g (float[N,16] x) => (float[N,8] y) { y = LSTM (x, w, w) }", w=(16, 8))
    with pytest.raises(ModelError, match="recurrent layers are not supported"):
        rpucc.compile(model, "ideal", init="he")
    (problem,) = rpucc.check(model, "ideal", init="he").problems
    assert "recurrent layers are not supported" in str(problem)


@pytest.mark.parametrize("init", ["", "He", "he:", "he:-1", "he:x", "he:1:2", "he:" + "9" * 21, 3])
def test_names_that_are_none_are_refused(init: Any) -> None:
    with pytest.raises(ArgumentError, match=r"init: found .* he, glorot, lecun or uniform"):
        rpucc.CompileOptions(init=init)


def test_what_is_built_and_what_is_drawn_have_the_same_variances() -> None:
    for init in INITS:
        built = build_cnn("c64k5p2 f10", input_shape=(32, 8, 8), init=init)
        theirs = {t.name: numpy_helper.to_array(t) for t in built.graph.initializer}
        ours = weights(built, f"{init}:9")
        for name in ("conv1.weight", "fc1.weight"):
            assert ours[name].std() == pytest.approx(theirs[name].std(), rel=0.02)
            assert not np.any(ours[name] == theirs[name])


@pytest.mark.parametrize("place", ["update.mask", "layer.fc1.update.mask"])
def test_zeros_that_are_to_be_kept_cannot_be_drawn(place: str) -> None:
    with pytest.raises(rpucc.UsageError, match=r"--init draws the zeros .*update\.mask = \"FILE"):
        rpucc.compile("lenet", "ideal", overrides=[f"{place}=zeros"], init="he")
