"""The importer's result: same meaning, one normal form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from rpucc.errors import ModelError
from rpucc.models import MODELS, build
from rpucc.passes.frontend.names import pleasant_name
from rpucc.passes.importer import (
    FIXED_BATCH_KEY,
    SHARED_KEY,
    Importer,
    import_notes,
    load_model,
)
from rpucc.step_contract import StepContract

from .importer_models import assert_same, dims, net, run


def images(batch: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, *shape), np.float32)


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def names(model: ir.Model) -> list[str | None]:
    return [node.name for node in model.graph]


# --- whole networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet", "mlp", "resnet18", "unet"])
@pytest.mark.parametrize("batch", [1, 4])
def test_zoo_models_stay_exactly_the_same(name, batch):
    original = build(name, seed=1)
    imported = load_model(original)
    row = MODELS[name]
    assert_same(original, imported, images(batch, *row.input_shape[1:]), rtol=0)
    assert names(imported) == [node.name for node in original.graph.node]
    assert list(imported.graph.initializers) == [t.name for t in original.graph.initializer]
    assert dims(imported.graph.outputs[0]) == list(row.output_shape)
    stated = {"rpucc.input_range": "0 1", "rpucc.initial_weights": "1"}
    stated["rpucc.step"] = StepContract.inference(imported).to_json()
    assert imported.metadata_props == stated
    assert import_notes(imported) == []


def mnist_conv(shared: Path) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    folder = shared / "models" / "mnist-conv"
    arrays = []
    for name in ("input_0.pb", "output_0.pb"):
        tensor = onnx.TensorProto.FromString((folder / name).read_bytes())
        arrays.append(numpy_helper.to_array(tensor))
    return onnx.load(folder / "model.onnx"), *arrays


def test_mnist_conv_keeps_every_value(shared: Path):
    original, x, expected = mnist_conv(shared)
    imported = load_model(original)
    assert_same(original, imported, x, rtol=1e-5)
    (found,) = run(imported, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_mnist_conv_takes_any_batch(shared: Path):
    original, x, _ = mnist_conv(shared)
    imported = load_model(original)
    (together,) = run(imported, np.concatenate([x, x[..., ::-1], 255 - x]))
    alone = [run(original, part)[0] for part in (x, x[..., ::-1].copy(), 255 - x)]
    scale = np.abs(alone).max()
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=0, atol=1e-5 * scale)
    assert FIXED_BATCH_KEY not in imported.metadata_props


def test_mnist_conv_is_in_normal_form(shared: Path):
    imported = load_model(mnist_conv(shared)[0])
    block = ["Conv", "Add", "Relu", "MaxPool"]
    assert ops(imported) == [*block, *block, "Reshape", "MatMul", "Add"]
    conv = imported.graph.node("Convolution28")
    assert list(conv.attributes["pads"].as_ints()) == [2, 2, 2, 2]
    assert "auto_pad" not in conv.attributes
    reshape = imported.graph.node("Times212_reshape0")
    assert reshape.inputs[1].const_value.numpy().tolist() == [0, 256]
    weight = imported.graph.node("Times212").inputs[1]
    assert weight.name == "Parameter193_reshape1"
    assert dims(weight) == [256, 10]
    assert_normal_form(imported)


def assert_normal_form(model: ir.Model) -> None:
    """What `Importer` promises to leave behind."""
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert model.graph.opset_imports[""] >= 21
    assert model.ir_version == 10
    assert len(model.graph.inputs) == 1
    assert len(set(names(model))) == len(model.graph)
    assert not {"Constant", "Identity"} & set(ops(model))
    fixed = FIXED_BATCH_KEY in model.metadata_props
    for node in model.graph:
        assert node.name
        assert any(v is not None and not v.is_initializer() for v in node.inputs), node
        assert "auto_pad" not in node.attributes
        for value in node.outputs:
            if value.name:
                assert value.dtype is not None
                assert all(isinstance(d, int) or d == "N" for d in dims(value))
                assert not (fixed and "N" in dims(value))


# --- constants, identities, dropout -----------------------------------------------------------


def test_constants_are_folded_and_keep_their_names():
    model = net(
        """(float[N,6] x) => (float[N,4] y) {
            k = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> ()
            wt = Transpose (w)
            z = MatMul (x, wt)
            y = Add (z, k)
        }""",
        w=(4, 6),
    )
    imported = load_model(model)
    assert ops(imported) == ["MatMul", "Add"]
    assert set(imported.graph.initializers) == {"wt", "k"}
    assert_same(model, imported, images(3, 6), rtol=0)


def test_a_weight_that_needs_the_input_is_not_folded():
    model = net("(float[N,3] x) => (float y) { a = Exp (x) y = Mul (a, x) }")
    assert ops(load_model(model)) == ["Exp", "Mul"]


def test_random_ops_are_not_constants():
    model = net(
        """(float[N,3] x) => (float y) {
            r = RandomNormal <shape = [1, 3]> () y = Add (x, r)
        }"""
    )
    imported = load_model(model)
    assert ops(imported) == ["RandomNormal", "Add"]
    assert import_notes(imported) == [
        "'randomnormal_1' draws from onnxruntime's own generator, in evaluations too: no run can "
        "be repeated"
    ]


def test_a_zero_bias_stays():
    model = net(
        "(float[N,3] x) => (float y) { y = Gemm (x, w, b) }", w=(3, 2), b=np.zeros(2, np.float32)
    )
    assert "b" in load_model(model).graph.initializers


def test_initializers_leave_the_inputs():
    model = net("(float[N,3] x, float[3,2] w) => (float y) { y = MatMul (x, w) }", 8, 3, w=(3, 2))
    imported = load_model(model)
    assert [v.name for v in imported.graph.inputs] == ["x"]
    assert_same(model, imported, images(2, 3), rtol=0)


@pytest.mark.parametrize("opset", [7, 11, 13, 21])
def test_identities_go_and_outputs_keep_their_names(opset):
    model = net(
        """(float[N,3] x) => (float[N,2] y) {
            a = Identity (x) b = Dropout (a) c = MatMul (b, w) d = Dropout (c) y = Identity (d)
        }""",
        opset,
        w=(3, 2),
    )
    imported = load_model(model)
    assert ops(imported) == ["Dropout", "MatMul", "Dropout"]
    assert imported.graph.outputs[0].name == "y"
    assert_same(model, imported, images(2, 3), rtol=0)


def test_an_identity_between_two_outputs_stays():
    model = net(
        """(float[N,3] x) => (float[N,3] a, float[N,3] b, float[N,3] c) {
            a = Relu (x) b = Identity (a) c = Identity (x)
        }"""
    )
    imported = load_model(model)
    assert [v.name for v in imported.graph.outputs] == ["a", "b", "c"]
    assert ops(imported) == ["Relu", "Identity", "Identity"]
    assert_same(model, imported, images(2, 3), rtol=0)


RATIOS = {
    "none": ("y = Dropout (a)", "0.5"),
    "a number": ("y = Dropout (a, r)", "0.25"),
    "in training mode": ("y, m = Dropout (a, r, t)", "0.25"),
    "a formula": ("q = Mul (r, r) y = Dropout (a, q)", "0.0625"),
    "of another type": ("q = Cast <to = 11> (r) y = Dropout (a, q)", "0.25"),
    "computed": ("s = ReduceMax <keepdims = 0> (a) y = Dropout (a, s)", "computed"),
}


@pytest.mark.parametrize("case", RATIOS)
def test_a_dropout_stays_in_the_form_of_inference_with_its_ratio_aside(case):
    text, ratio = RATIOS[case]
    model = net(
        "(float[N,3] x) => (float y) { a = Relu (x) " + text + " }",
        r=np.float32(0.25),
        t=np.array(True),
    )
    imported = load_model(model)
    *_, drop = imported.graph
    assert drop.op_type == "Dropout"
    assert [value.name for value in drop.inputs] == ["a"]
    assert drop.metadata_props["rpucc.ratio"] == ratio
    assert import_notes(imported) == []


@pytest.mark.parametrize("opset", [6, 7, 10])
def test_a_ratio_that_is_an_attribute(opset):
    model = net("(float[2,3] x) => (float[2,3] y) { y = Dropout <ratio = 0.25> (x) }", opset)
    (drop,) = load_model(model).graph
    assert drop.metadata_props["rpucc.ratio"] == "0.25"


def test_a_dropout_of_weights_goes_with_a_note():
    model = net("(float[N,3] x) => (float y) { [d] v = Dropout (w) y = MatMul (x, v) }", w=(3, 2))
    imported = load_model(model)
    assert ops(imported) == ["MatMul"]
    assert import_notes(imported) == [
        "node 'd' (Dropout) acts on constants: left out, weights are never dropped"
    ]


def test_a_dropout_changes_no_name():
    model = net(
        """(float[N,3] x) => (float y) {
            [fc] a = Dropout (x) [fc] b = MatMul (a, w) ["/fc2/Dropout"] y = Dropout (b)
        }""",
        w=(3, 3),
    )
    assert names(load_model(model)) == ["fc_2", "fc", "fc2"]


def test_model_functions_are_inlined():
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,3] x) => (float[N,3] y) { [one] a = my.twice (x) [two] y = my.twice (a) }
        <domain: "my", opset_import: ["" : 21]>
        twice (p) => (q) { r = Relu (p) q = Add (r, r) }"""
    model = onnx.parser.parse_model(text)
    imported = load_model(model)
    assert ops(imported) == ["Relu", "Add", "Relu", "Add"]
    assert not imported.functions
    assert set(imported.graph.opset_imports) == {""}
    assert_same(model, imported, images(2, 3), rtol=0)


# --- opsets -----------------------------------------------------------------------------------

OLD = """(float[N,3,8,8] x) => (float[N,5] y) {
    a = Conv (x, w) b = BatchNormalization (a, s, t, m, v) c = Relu (b)
    d = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (c)
    e = Flatten (d) f = Gemm <transB = 1> (e, u, k) y = Softmax (f)
}"""


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 17, 20, 21, 22])
def test_every_opset_gives_the_same(opset):
    model = net(
        OLD,
        opset,
        w=(4, 3, 3, 3),
        s=(4,),
        t=(4,),
        m=(4,),
        v=np.ones(4, np.float32),
        u=(5, 36),
        k=(5,),
    )
    imported = load_model(model)
    assert imported.graph.opset_imports == {"": max(opset, 21)}
    assert ops(imported) == [node.op_type for node in model.graph.node]
    assert_same(model, imported, images(2, 3, 8, 8), rtol=1e-6)
    assert_normal_form(imported)


def test_old_attributes_become_inputs():
    model = net(
        """(float[N,3,8] x) => (float y) {
            a = Clip <min = 0.2, max = 0.8> (x) b = Unsqueeze <axes = [2]> (a)
            c = Squeeze <axes = [2]> (b) y = ReduceMean <axes = [2], keepdims = 0> (c)
        }""",
        10,
    )
    imported = load_model(model)
    assert ops(imported) == ["Clip", "Unsqueeze", "Squeeze", "ReduceMean"]
    assert_same(model, imported, images(2, 3, 8), rtol=0)


# --- windows ----------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]),
    op=st.sampled_from(["Conv", "MaxPool", "AveragePool", "ConvTranspose"]),
    size=st.tuples(st.integers(7, 10), st.integers(7, 10)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
)
def test_auto_pad_becomes_the_same_pads(mode, op, size, kernel, stride, dilation):
    if op != "Conv" and mode.startswith("SAME"):
        # A smaller window leaves gaps: a transposed convolution cannot fill its input · stride
        # outputs, and onnxruntime finds negative pads for a pool.
        kernel = tuple(max(k, s) for k, s in zip(kernel, stride, strict=True))
    if mode.startswith("SAME"):
        dilation = 1  # onnxruntime takes none there; test_same_pads_count_dilations has them
    attributes = f'auto_pad = "{mode}", strides = {list(stride)}'
    if op in ("Conv", "ConvTranspose", "MaxPool"):
        attributes += f", dilations = {[dilation] * 2}"
    weights = {"w": (2, 2, *kernel)} if op.startswith("Conv") else {}
    if not weights:
        attributes += f", kernel_shape = {list(kernel)}"
    arguments = "(x, w)" if weights else "(x)"
    model = net(
        f"(float[N,2,{size[0]},{size[1]}] x) => (float y) {{ "
        f"y = {op} <{attributes}> {arguments} }}",
        **weights,
    )
    imported = load_model(model)
    assert_normal_form(imported)
    x = images(2, 2, *size)
    np.testing.assert_allclose(run(imported, x)[0], run(model, x)[0], rtol=0, atol=1e-5)
    assert len(imported.graph[0].attributes["pads"].as_ints()) == 4


def test_same_pads_of_an_odd_total():
    for mode, expected in (("SAME_UPPER", [0, 1]), ("SAME_LOWER", [1, 0])):
        text = f'(float[N,1,5] x) => (float y) {{ y = Conv <auto_pad = "{mode}"> (x, w) }}'
        pads = load_model(net(text, w=(1, 1, 2))).graph[0].attributes["pads"].as_ints()
        assert list(pads) == expected


def test_same_pads_count_dilations():
    text = '(float[N,1,9] x) => (float y) { y = Conv <auto_pad="SAME_UPPER",dilations=[3]> (x, w) }'
    model = load_model(net(text, w=(1, 1, 3)))
    assert list(model.graph[0].attributes["pads"].as_ints()) == [3, 3]


def test_output_shape_of_a_transposed_convolution():
    model = net(
        """(float[N,2,5,5] x) => (float y) {
            y = ConvTranspose <strides = [2, 2], output_shape = [10, 9]> (x, w)
        }""",
        w=(2, 3, 3, 3),
    )
    imported = load_model(model)
    assert "output_shape" not in imported.graph[0].attributes
    assert list(imported.graph[0].attributes["pads"].as_ints()) == [1, 1, 0, 1]
    assert_same(model, imported, images(2, 2, 5, 5))


def test_defaults_are_written_out():
    model = load_model(net("(float[N,2,5] x) => (float y) { y = Conv (x, w) }", w=(4, 2, 3)))
    attributes = model.graph[0].attributes
    found = {name: list(attributes[name].as_ints()) for name in attributes if name != "group"}
    assert found == {"kernel_shape": [3], "strides": [1], "dilations": [1], "pads": [0, 0]}
    assert attributes["group"].as_int() == 1


# --- the batch --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["1", "4", "batch", "?"])
def test_any_declared_batch_becomes_symbolic(batch):
    target = [int(batch), 16] if batch.isdigit() else [-1, 16]
    model = net(
        f"""(float[{batch},4,2,2] x) => (float y) {{
            a = Relu (x) [flat] b = Reshape (a, s) y = MatMul (b, w)
        }}""",
        s=np.array(target),
        w=(16, 3),
    )
    imported = load_model(model)
    assert dims(imported.graph.inputs[0]) == ["N", 4, 2, 2]
    assert dims(imported.graph.outputs[0]) == ["N", 3]
    target = imported.graph.node("flat").inputs[1]
    assert target.name == "flat.shape"
    assert target.const_value.numpy().tolist() == [0, 16]
    assert_same(model, imported, images(int(batch) if batch.isdigit() else 3, 4, 2, 2), rtol=0)
    assert run(imported, images(7, 4, 2, 2))[0].shape == (7, 3)
    assert_normal_form(imported)


@pytest.mark.parametrize(
    "body",
    [
        # PyTorch: x.view(x.size(0), -1)
        "s = Shape (a) n = Gather (s, zero) m = Unsqueeze (n, axis) t = Concat <axis=0> (m, minus)",
        # TensorFlow: Cast, Slice
        """s = Shape (a) c = Cast <to = 6> (s) d = Cast <to = 7> (c) m = Slice (d, axis, one, axis)
           t = Concat <axis = 0> (m, minus)""",
        # PyTorch with start and end
        "m = Shape <start = 0, end = 1> (a) t = Concat <axis = 0> (m, minus)",
    ],
)
def test_flatten_chains_become_one_constant(body):
    model = net(
        f"(float[N,4,2,2] x) => (float y) {{ a = Relu (x) {body} b = Reshape (a, t) "
        "y = MatMul (b, w) }",
        w=(16, 3),
        zero=np.array(0),
        one=np.array([1]),
        axis=np.array([0]),
        minus=np.array([-1]),
    )
    imported = load_model(model)
    assert ops(imported) == ["Relu", "Reshape", "MatMul"]
    assert imported.graph[1].inputs[1].const_value.numpy().tolist() == [0, 16]
    assert_same(model, imported, images(3, 4, 2, 2), rtol=0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = ReduceMean (x, first)", "its shapes do not follow the batch"),
        ("y = Transpose <perm = [1, 0]> (x)", "its shapes do not follow the batch"),
        ("y = Softmax <axis = 0> (x)", "its outputs mix the samples of a batch"),
        ("a = ReduceMax (x, first) y = Sub (x, a)", "its outputs mix the samples of a batch"),
        ("y = Add (x, two)", "its shapes do not follow the batch"),
    ],
)
def test_a_graph_that_mixes_samples_keeps_its_batch(body, why):
    constants = {"first": np.array([0]), "two": np.ones((2, 3), np.float32)}
    used = {name: value for name, value in constants.items() if name in body}
    model = net(f"(float[2,3] x) => (float y) {{ {body} }}", **used)
    imported = load_model(model)
    assert imported.metadata_props[FIXED_BATCH_KEY] == "2"
    assert import_notes(imported) == [f"the batch size is fixed to 2: {why}"]
    assert dims(imported.graph.inputs[0]) == [2, 3]
    assert_same(model, imported, images(2, 3), rtol=0)
    assert_normal_form(imported)


def test_a_symbolic_batch_that_a_reshape_contradicts_is_freed():
    model = net(
        "(float[N,4,2] x) => (float y) { b = Reshape (x, s) y = Relu (b) }", s=np.array([1, 8])
    )
    assert dims(load_model(model).graph.outputs[0]) == ["N", 8]


def test_a_fixed_batch_folds_what_depends_on_shapes():
    model = net(
        """(float[2,3] x) => (float y) {
            s = Shape (x) t = Mul (s, s) u = Div (t, s) e = Expand (x, u) y = Transpose (e)
        }"""
    )
    imported = load_model(model)
    assert ops(imported) == ["Expand", "Transpose"]
    assert_same(model, imported, images(2, 3), rtol=0)


def test_stale_shapes_in_the_file_are_ignored():
    model = net(
        "(float[batch,3,4] x) => (float[7,7] y) <float[9] a> { a = Flatten (x) y = Relu (a) }"
    )
    assert dims(load_model(model).graph.outputs[0]) == ["N", 12]


def test_group_normalization_has_a_shape():
    model = net(
        """(float[N,4,6] x) => (float y) {
            a = GroupNormalization <num_groups = 2> (x, s, t) y = Flatten (a)
        }""",
        s=(4,),
        t=(4,),
    )
    imported = load_model(model)
    assert dims(imported.graph.outputs[0]) == ["N", 24]
    assert_same(model, imported, images(2, 4, 6))


# --- names ------------------------------------------------------------------------------------


def test_node_names():
    model = net(
        """(float[N,3,8,8] x) => (float y) {
            [conv_1] a = Relu (x) b = Conv (a, v) ["/net/conv1/Conv"] c = Conv (b, w)
            ["/Relu"] d = Relu (c) ["/net/conv1/Conv_1"] e = Conv (d, w2) f = Relu (e) y = Relu (f)
        }""",
        v=(3, 3, 1, 1),
        w=(3, 3, 1, 1),
        w2=(3, 3, 1, 1),
    )
    imported = load_model(model)
    assert names(imported) == [
        "conv_1",
        "conv_2",
        "net/conv1",
        "Relu",
        "net/conv1_2",
        "relu_1",
        "relu_2",
    ]
    assert [v.name for node in imported.graph for v in node.outputs] == list("abcdefy")


@pytest.mark.parametrize(
    ("name", "op", "expected"),
    [
        ("/conv1/Conv", "Conv", "conv1"),
        ("/features/features.0/Conv", "Conv", "features/features.0"),
        ("/fc/Gemm", "Gemm", "fc"),
        ("/fc/MatMul_3", "MatMul", "fc"),
        ("/Conv", "Conv", ""),
        ("/act/Relu", "Relu", "act/Relu"),
        ("Convolution28", "Conv", "Convolution28"),
        ("", "Conv", ""),
    ],
)
def test_pleasant_names(name, op, expected):
    assert pleasant_name(name, op) == expected


# --- shared weights ---------------------------------------------------------------------------


def test_merged_biases_are_separated():
    model = net(
        """(float[N,3] x) => (float y) {
            [one] a = Gemm (x, v, b) [two] c = Gemm (a, w, b) [three] y = Add (c, b)
        }""",
        v=(3, 3),
        w=(3, 3),
        b=np.zeros(3, np.float32),
    )
    imported = load_model(model)
    used = [imported.graph.node(name).inputs[-1].name for name in ("one", "two", "three")]
    assert used == ["b", "b_2", "b_3"]
    assert SHARED_KEY not in imported.metadata_props
    assert_same(model, imported, images(2, 3), rtol=0)


def test_a_weight_that_the_file_shares_stays_shared_and_is_recorded():
    model = net(
        """(float[N,3] x) => (float y) {
            [one] a = Gemm (x, w, b) [act] c = Tanh (a) [two] y = Gemm (c, w, b)
        }""",
        w=(3, 3),
        b=(3,),
    )
    imported = load_model(model)
    assert list(imported.graph.initializers) == ["w", "b"]
    assert imported.metadata_props[SHARED_KEY] == '{"w": ["one", "two"], "b": ["one", "two"]}'


def test_equal_weights_of_different_layers_stay_separate():
    """Shared by accident would tie two layers to one set of arrays in training."""
    import rpucc

    same = np.full((3, 3), 0.5, np.float32)
    model = net(
        "(float[N,3] x) => (float y) { [one] a = Gemm (x, v) [two] y = Gemm (a, w) }",
        v=same,
        w=same,
    )
    assert list(load_model(model).graph.initializers) == ["v", "w"]
    program = rpucc.compile(model, "ideal")
    assert set(program.updates) == {"one.W", "two.W"}
    assert len(program.plan.layers) == 2


def test_the_biases_of_two_calls_of_a_module_stay_one():
    """MatMul has no place for a bias; where the weights are one, so are the Adds' constants."""
    model = net(
        """(float[N,3] x) => (float y) {
            [t1] u = Transpose <perm = [1, 0]> (w) [one] a = MatMul (x, u) [p] b = Add (a, c)
            [t2] v = Transpose <perm = [1, 0]> (w) [two] d = MatMul (b, v) [q] e = Add (d, c)
            [r] y = Add (e, c)
        }""",
        w=(3, 3),
        c=np.zeros(3, np.float32),
    )
    imported = load_model(model)
    used = [imported.graph.node(name).inputs[1].name for name in "pqr"]
    assert used == ["c", "c", "c_2"]
    assert_same(model, imported, images(2, 3), rtol=0)


def test_batch_norms_with_all_numbers_in_common_stay_one():
    model = net(
        """(float[N,3,4] x) => (float y) {
            [one] a = BatchNormalization (x, s, b, m, v)
            [two] c = BatchNormalization (a, s, b, m, v)
            [three] y = BatchNormalization (c, s, b, m, b)
        }""",
        **{name: np.linspace(1, 2, 3).astype(np.float32) for name in "sbmv"},
    )
    imported = load_model(model)
    used = [[v.name for v in imported.graph.node(n).inputs[1:]] for n in ("one", "two", "three")]
    assert used[0] == used[1] == list("sbmv")
    assert set(used[2]).isdisjoint(used[0])


def test_an_unnamed_batch_becomes_symbolic_and_space_stays_as_it_is():
    model = net("(float[?,3,8] x) => (float y) { y = Conv (x, w) }", w=(2, 3, 3))
    imported = load_model(model)
    assert dims(imported.graph.inputs[0]) == ["N", 3, 8]
    assert dims(imported.graph.outputs[0]) == ["N", 2, 6]


def test_shapes_may_stay_shared():
    model = net(
        """(float[N,4,2] x) => (float y) {
            a = Squeeze (x, k) b = Unsqueeze (a, k) y = Squeeze (b, k)
        }""",
        k=np.array([3]),
    )
    with pytest.raises(ModelError, match="do not fit"):
        load_model(model)  # there is no axis 3 to squeeze
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([1]), "k"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    assert list(load_model(model).graph.initializers) == ["k"]


# --- the pass ---------------------------------------------------------------------------------


def test_importing_twice_changes_nothing():
    once = load_model(build("lenet"))
    again = load_model(once)
    assert ir.to_proto(again) == ir.to_proto(once)


def test_the_pass_works_in_place():
    model = ir.from_proto(build("mlp"))
    result = Importer()(model)
    assert result.model is model
    assert result.modified
    assert StepContract.of(model) == StepContract.inference(model)
