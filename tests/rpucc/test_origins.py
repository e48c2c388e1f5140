"""Weights go back into the file that they came from, whatever passes have made of it on the way.

A training is stood in for by numbers that move every trained parameter: what counts is that the
file then computes what the program does with them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.errors import ModelError
from rpucc.layers import analog_layers
from rpucc.origins.notes import ORIGINS, read_origins
from rpucc.origins.restore import restore
from rpucc.origins.source import SOURCE, constants_of, read_source
from rpucc.origins.view import View
from rpucc.passes.execute import random_feeds, run_model

HEAD = '<ir_version: 10, opset_import: ["" : 21]>'

NETWORKS = {
    "gemm": "net (float[N,6] x) => (float[N,3] y) { y = Gemm <transB = 1> (x, W_3_6, b_3) }",
    "gemm-not-transposed": "net (float[N,6] x) => (float[N,3] y) { y = Gemm (x, W_6_3, b_3) }",
    "gemm-scaled": """net (float[N,6] x) => (float[N,3] y)
        { y = Gemm <alpha = 0.5, beta = 3.0, transB = 1> (x, W_3_6, b_3) }""",
    "gemm-one-bias": "net (float[N,6] x) => (float[N,3] y) { y = Gemm (x, W_6_3, b_1) }",
    "gemm-first": """net (float[N,6] x) => (float[N,3] y)
        { t = Transpose <perm = [1, 0]> (x)  z = Gemm (W_3_6, t, b_3_1)
          y = Transpose <perm = [1, 0]> (z) }""",
    "matmul": "net (float[N,6] x) => (float[N,3] y) { h = MatMul (x, W_6_3)  y = Add (h, b_3) }",
    "matmul-moved": """net (float[N,6] x) => (float[N,3] y)
        { T = Transpose <perm = [1, 0]> (W_3_6)  h = MatMul (x, T)  y = Add (b_3, h) }""",
    "matmul-first": """net (float[N,6,2] x) => (float[N,3,2] y) { y = MatMul (W_3_6, x) }""",
    "einsum": """net (float[N,4,6] x) => (float[N,4,2,3] y)
        { h = Einsum <equation = "bld,dhk->blhk"> (x, W_6_2_3)  y = Add (h, b_2_3) }""",
    "einsum-groups": """net (float[N,2,4,6] x) => (float[N,2,4,3] y)
        { y = Einsum <equation = "bglk,gkm->bglm"> (x, W_2_6_3) }""",
    "split-qkv": """net (float[N,6] x) => (float[N,2] y)
        { A, B, C = Split <axis = 1, num_outputs = 3> (W_6_6)  q = MatMul (x, A)
          k = MatMul (x, B)  v = MatMul (x, C)  s = Mul (q, k)  y = Add (s, v) }""",
    "conv1d": """net (float[N,3,9] x) => (float[N,4,7] y) { y = Conv (x, W_4_3_3, b_4) }""",
    "conv2d": """net (float[N,3,7,7] x) => (float[N,4,4,4] y)
        { y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, W_4_3_3_3, b_4) }""",
    "conv3d": "net (float[N,2,4,4,4] x) => (float[N,3,3,3,3] y) { y = Conv (x, W_3_2_2_2_2) }",
    "conv-grouped": """net (float[N,4,5,5] x) => (float[N,6,3,3] y)
        { y = Conv <group = 2> (x, W_6_2_3_3, b_6) }""",
    "conv-depthwise": """net (float[N,4,5,5] x) => (float[N,4,3,3] y)
        { y = Conv <group = 4> (x, W_4_1_3_3, b_4) }""",
    "conv-added": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3, b_4)  y = Add (c, b_4_1_1) }""",
    "conv-unsqueezed-bias": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { i = Constant <value_ints = [1, 2]> ()  u = Unsqueeze (b_4, i)
          c = Conv (x, W_4_3_3_3)  y = Add (c, u) }""",
    "transposed": """net (float[N,3,4,4] x) => (float[N,4,9,9] y)
        { y = ConvTranspose <strides = [2, 2]> (x, W_3_4_3_3, b_4) }""",
    "transposed-grouped": """net (float[N,4,4] x) => (float[N,6,6] y)
        { y = ConvTranspose <group = 2> (x, W_4_3_3, b_6) }""",
    "norm": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3)  n = BatchNormalization (c, s_4, b_4, m_4, v_4)
          y = Relu (n) }""",
    "norm-bias": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3, a_4)  y = BatchNormalization (c, s_4, b_4, m_4, v_4) }""",
    "norm-add": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3, a_4)  d = Add (c, b_4_1_1)
          y = BatchNormalization (d, s_4, b_4, m_4, v_4) }""",
    "norm-add-one": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3)  d = Add (c, b_1)
          y = BatchNormalization (d, s_4, b_4, m_4, v_4) }""",
    "norm-twice": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3)  d = BatchNormalization (c, s_4, b_4, m_4, v_4)
          y = BatchNormalization <epsilon = 0.1> (d, t_4, a_4, n_4, w_4) }""",
    "norm-grouped": """net (float[N,4,5,5] x) => (float[N,6,3,3] y)
        { c = Conv <group = 2> (x, W_6_2_3_3)  y = BatchNormalization (c, s_6, b_6, m_6, v_6) }""",
    "norm-transposed": """net (float[N,4,4] x) => (float[N,6,6] y)
        { c = ConvTranspose <group = 2> (x, W_4_3_3)
          y = BatchNormalization (c, s_6, b_6, m_6, v_6) }""",
    "norm-gemm": """net (float[N,6] x) => (float[N,3] y)
        { h = Gemm <beta = 2.0> (x, W_6_3, a_3)
          y = BatchNormalization (h, s_3, b_3, m_3, v_3) }""",
    "norm-matmul": """net (float[N,6] x) => (float[N,3] y)
        { h = MatMul (x, W_6_3)  y = BatchNormalization (h, s_3, b_3, m_3, v_3) }""",
    "norm-zero": """net (float[N,3,5,5] x) => (float[N,4,3,3] y)
        { c = Conv (x, W_4_3_3_3, a_4)  y = BatchNormalization (c, zero_4, b_4, m_4, v_4) }""",
    "norm-shares-scale": """net (float[N,3,5,5] x) => (float[N,3,1,1] y)
        { c = Conv (x, W_3_3_3_3)  n = BatchNormalization (c, s_3, b_3, m_3, v_3)  r = Relu (n)
          d = Conv (r, V_3_3_3_3)  y = BatchNormalization (d, s_3, b_3, m_3, v_3) }""",
    "shared-bias": """net (float[N,6] x) => (float[N,3] y)
        { h = Gemm (x, W_6_3, b_3)  r = Relu (h)  y = Gemm (r, W_3_3, b_3) }""",
    "shared-moved-bias": """net (float[N,3,5,5] x) => (float[N,3,1,1] y)
        { i = Constant <value_ints = [1, 2]> ()  u = Unsqueeze (b_3, i)
          c = Conv (x, W_3_3_3_3)  h = Add (c, u)  r = Relu (h)  d = Conv (r, V_3_3_3_3)
          y = Add (d, u) }""",
    "shared-weight": """net (float[N,6] x) => (float[N,6] y)
        { h = Gemm (x, W_6_6, b_6)  r = Relu (h)  y = Gemm (r, W_6_6, b_6) }""",
    "tied-transposed": """net (float[N,6] x) => (float[N,6] y)
        { h = MatMul (x, W_6_3)  r = Relu (h)  T = Transpose <perm = [1, 0]> (W_6_3)
          y = MatMul (r, T) }""",
    "computed": """net (float[N,6] x) => (float[N,3] y)
        { V = Mul (W_6_3, s_3)  h = MatMul (x, V)  y = Add (h, b_3) }""",
    "constant-nodes": """net (float[N,2] x) => (float[N,2] y)
        { W = Constant <value = float[2,2] {0.1, -0.2, 0.3, 0.4}> ()
          b = Constant <value = float[2] {0.5, -0.5}> ()  h = MatMul (x, W)  y = Add (h, b) }""",
    "large": """net (float[N,3,9,9] x) => (float[N,16,5,5] y)
        { c = Conv (x, W_16_3_3_3)  n = BatchNormalization (c, s_16, b_16, m_16, v_16)
          r = Relu (n)  y = Conv (r, V_16_16_3_3, a_16) }""",
    "pinned": """net (float[N,6] x) => (float[N,3] y)
        { h = Gemm (x, W_6_3, b_3)  e = Exp (b_3)  r = Relu (h)  y = Mul (r, e) }""",
    "position-bias": """net (float[N,4,6] x) => (float[N,4,3] y)
        { h = MatMul (x, W_6_3)  y = Add (h, p_4_3) }""",
}
"""Networks whose constants are named LETTER_DIMS: s scales, v variances, m means, and so on."""

FUNCTION = """
    <ir_version: 10, opset_import: ["" : 21, "my" : 1]>
    net (float[N,6] x) => (float[N,3] y) { h = my.layer (x, W_6_3)  y = my.layer (h, W_3_3) }
    <domain: "my", opset_import: ["" : 21]>
    layer (x, W) => (y) { o = Constant <value = float[3] {0.1, 0.2, 0.3}> ()
                          h = MatMul (x, W)  y = Add (h, o) }
"""
TARGETS = {
    "managed": (),
    "ideal": (),
    "kept-norms": ("batch_norm.policy=train",),
    "frozen-norms": ("batch_norm.policy=frozen",),
    "scaled": ("mapping.weight_scaling=0.2",),
    "scaled-together": ("mapping.weight_scaling=0.2", "mapping.weight_scaling_per=layer"),
    "equalised": ("mapping.weight_scaling=auto", "device.w_max=0.05", "device.w_min=-0.05"),
    "devices": ("mapping.devices_per_weight=3", "mapping.bias=array"),
    "tiki-taka": ("cell.model=tiki-taka",),
    "digital-bias": ("mapping.bias=digital",),
}


def model_of(text: str) -> onnx.ModelProto:
    """Parse a network and fill in the constants that it does not make itself."""
    whole = text if text.lstrip().startswith("<") else HEAD + text
    model = onnx.parser.parse_model(whole)
    made = {name for node in model.graph.node for name in node.output}
    made |= {value.name for value in model.graph.input}
    used = dict.fromkeys(name for node in model.graph.node for name in node.input)
    for name in [name for name in used if name not in made]:
        kind, *dims = name.split("_")
        random = np.random.default_rng(zlib.crc32(name.encode()))
        array = random.uniform(-0.4, 0.4, [int(dim) for dim in dims])
        if kind in "svtw":
            array = 0.75 + array
        if kind == "zero":
            array[::2] = 0
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype("f"), name))
    return model


def compiled(text: str, target: str = "managed") -> rpucc.Program:
    preset = "ideal" if target == "ideal" else "rpu-managed"
    return rpucc.compile(
        model_of(text), preset, overrides=TARGETS[target], loss="mse", verify=False
    )


def trained(program: rpucc.Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Move every parameter that a training changes; copies of a row stay alike."""
    random = np.random.default_rng(seed)
    origins, found = read_origins(program.model), {}
    for name in program.updates:
        held = program.model.graph.initializers[name].const_value.numpy().copy()
        origin = origins.get(name)
        copies = getattr(origin, "devices", 1)
        groups = getattr(origin, "groups", 1)
        if held.dtype != np.float32:  # a cell counts
            continue
        if copies > 1:
            one = held.reshape(groups, copies, -1, held.shape[1])
            one += random.uniform(-0.1, 0.1, one[:, :1].shape).astype("f")
        else:
            held += random.uniform(-0.1, 0.1, held.shape).astype("f")
        found[name] = held
    return found


def with_weights(program: rpucc.Program, state: dict[str, np.ndarray]) -> ir.Model:
    model = program.model.clone()
    for name, array in state.items():
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return model


def outputs(model: ir.Model, program: rpucc.Program) -> np.ndarray:
    feeds = random_feeds(program.model, batch=3)
    names = {value.name for value in model.graph.inputs}
    return run_model(model, {name: a for name, a in feeds.items() if name in names})[program.output]


def same_constants(model: ir.Model, given: ir.Model, *, exact: bool) -> None:
    found, wanted = constants_of(model), constants_of(given)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        if exact:
            assert np.array_equal(found[name], array), name
        else:
            np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)


EACH = [(name, list(TARGETS)[i % len(TARGETS)]) for i, name in enumerate(NETWORKS)]
REST = [(name, target) for name in NETWORKS for target in TARGETS if (name, target) not in EACH]


@pytest.mark.parametrize(
    ("name", "target"), EACH + [pytest.param(*each, marks=pytest.mark.slow) for each in REST]
)
def test_a_network_comes_back(name: str, target: str) -> None:
    """As it was without training, and computing what the program does after it."""
    comes_back(compiled(NETWORKS[name], target), NETWORKS[name], exact=name != "large")


def comes_back(program: rpucc.Program, text: str, *, exact: bool = True) -> ir.Model:
    given = ir.from_proto(model_of(text))
    plain = restore(program.model, {}, "it")
    assert not plain.written
    same_constants(plain.model, given, exact=exact)
    state = trained(program)
    changed = restore(program.model, state, "it")
    assert changed.written
    onnx.checker.check_model(ir.to_proto(changed.model), full_check=True)
    wanted = outputs(with_weights(program, state), program)
    np.testing.assert_allclose(outputs(changed.model, program), wanted, rtol=2e-5, atol=2e-5)
    return changed.model


def test_the_graph_stays() -> None:
    text = NETWORKS["norm-twice"]
    model, given = comes_back(compiled(text), text), model_of(text)
    ours, theirs = (
        [(n.op_type, n.input, n.output, n.attribute) for n in each.graph.node]
        for each in (ir.to_proto(model), given)
    )
    assert str(ours) == str(theirs)


def test_a_batch_norm_keeps_all_but_its_bias() -> None:
    """Folded, it is divided out of the weight; the bias of the layer before it stays."""
    program = compiled(NETWORKS["norm-bias"])
    found = restore(program.model, trained(program), "it")
    assert found.written == ["W_4_3_3_3", "b_4"]
    assert not found.notes


def test_a_channel_of_no_scale_gets_one() -> None:
    program = compiled(NETWORKS["norm-zero"])
    found = restore(program.model, trained(program), "it")
    scale, before = (constants_of(m)["zero_4"] for m in (found.model, _given("norm-zero")))
    variance = constants_of(found.model)["v_4"]
    np.testing.assert_allclose(scale[::2], np.sqrt(variance[::2] + 1e-5), rtol=1e-6)
    assert np.array_equal(scale[1::2], before[1::2])
    assert not before[::2].any()
    (note,) = found.notes
    assert "2 of 4 channels had no scale" in note


def _given(name: str) -> ir.Model:
    return ir.from_proto(model_of(NETWORKS[name]))


@pytest.mark.parametrize(
    ("name", "new"), [("shared-bias", "b_3_2"), ("norm-shares-scale", "b_3_2")]
)
def test_a_constant_that_learned_two_things_becomes_two(name: str, new: str) -> None:
    program = compiled(NETWORKS[name])
    found = restore(program.model, trained(program), "it")
    assert {"b_3", new} <= set(found.written)
    before, after = constants_of(_given(name)), constants_of(found.model)
    assert after.keys() - before.keys() == {new}
    one = {n: a for n, a in trained(program).items() if n != "gemm_2.W"}
    if name == "shared-bias":  # only the first has learned: the second keeps what there was
        alone = constants_of(restore(program.model, one, "it").model)
        assert np.array_equal(alone["b_3_2"], before["b_3"])
        assert not np.array_equal(alone["b_3"], before["b_3"])


def test_a_computed_weight_becomes_a_constant() -> None:
    program = compiled(NETWORKS["computed"])
    model = restore(program.model, trained(program), "it").model
    assert [node.op_type for node in model.graph] == ["MatMul", "Add"]
    assert constants_of(model).keys() == {"V", "b_3"}


def test_weights_in_functions_come_back() -> None:
    """Without training the file is as it was; what has no place outside is inlined."""
    program = compiled(FUNCTION)
    assert len(restore(program.model, {}, "it").model.functions) == 1
    comes_back(program, FUNCTION)


def test_copies_that_learn_on_their_own_are_averaged() -> None:
    text = NETWORKS["conv2d"]
    how = ["mapping.replicas=4", "mapping.replica_updates=independent"]
    program = rpucc.compile(model_of(text), "rpu-managed", overrides=how, loss="mse", verify=False)
    same_constants(restore(program.model, {}, "it").model, _given("conv2d"), exact=True)
    (layer,) = analog_layers(program.model)
    assert layer.learners == 4
    held = layer.weight.const_value.numpy().copy()
    by_copy = held.reshape(4, -1, held.shape[1])
    by_copy += np.arange(4, dtype="f").reshape(4, 1, 1)
    found = restore(program.model, {layer.weight.name: held}, "it")
    assert found.averaged
    assert "the mean of 4 copies" in found.notes[0]
    assert "1.12 (RMS)" in found.notes[0]  # of 0, 1, 2, 3 around 1.5
    after, before = constants_of(found.model), constants_of(_given("conv2d"))
    np.testing.assert_allclose(after["W_4_3_3_3"], before["W_4_3_3_3"] + 1.5, rtol=1e-6)
    np.testing.assert_allclose(after["b_4"], before["b_4"] + 1.5, rtol=1e-6)


# ---------------------------------------------------------------- what a program keeps


def test_large_weights_are_kept_once() -> None:
    """What the program has itself is not there a second time; vectors are."""
    program = compiled(NETWORKS["large"])
    _, lacking = read_source(program.model)
    assert lacking == {"W_16_3_3_3": (16, 3, 3, 3), "V_16_16_3_3": (16, 16, 3, 3)}


def test_a_program_keeps_its_model_in_a_file(tmp_path: Path) -> None:
    text = NETWORKS["norm-grouped"]
    compiled(text).save(tmp_path / "p.onnx")
    comes_back(rpucc.Program.load(tmp_path / "p.onnx"), text)


def test_a_model_in_training_mode_comes_back_in_inference_mode() -> None:
    model = model_of(NETWORKS["norm"])
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("training_mode", 1))
    program = rpucc.compile(model, "rpu-managed", loss="mse", verify=False)
    exported = program.export().to_onnx()
    assert not [a for a in exported.graph.node[1].attribute if a.name == "training_mode"]


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        (ORIGINS, "[]", "is no table"),
        (ORIGINS, '{"nothing": {"from": "a", "shape": [2]}}', "there is no constant 'nothing'"),
        (ORIGINS, '{"gemm_1.W": {"op": "Gemm", "weight": {"from": "W", "shape": [3, 9]}}}',
         "is [3, 7], its origin [9, 3]"),
        (ORIGINS, '{"gemm_1.W": {"from": "W", "shape": [3, 7], "of": [2]}}', "does not have"),
        (SOURCE, "AAAA", "cannot be unpacked"),
        (SOURCE, "ä", "cannot be unpacked"),
    ],
)  # fmt: skip
def test_a_damaged_note_is_refused(tmp_path: Path, key: str, text: str, says: str) -> None:
    program = compiled(NETWORKS["gemm"])
    program.model.metadata_props[key] = text
    program.save(tmp_path / "p.onnx")
    with pytest.raises(ModelError) as refused:
        rpucc.Program.load(tmp_path / "p.onnx")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_weight_without_a_place_is_refused() -> None:
    """A pass of a user's own may make weights that the model does not have."""

    class Wider(rpucc.Pass):
        """Another bias, behind the network."""

        name = "wider"

        def call(self, model: ir.Model) -> ir.passes.PassResult:
            weight = ir.val("own", const_value=ir.tensor(np.eye(3, dtype="f"), name="own"))
            model.graph.register_initializer(weight)
            y = model.graph.outputs[0]
            maker = y.producer()
            node = ir.node("MatMul", [y, weight], name="own")
            node.outputs[0].name, y.name = y.name, "before"
            node.outputs[0].type, node.outputs[0].shape = y.type, y.shape
            model.graph.insert_after(maker, node)
            model.graph.outputs[0] = node.outputs[0]
            return ir.passes.PassResult(model, True)

    program = rpucc.compile(
        model_of(NETWORKS["gemm"]),
        passes=[rpucc.after("import", Wider())],
        loss="mse",
        verify=False,
    )
    assert program.export().written == ()
    with pytest.raises(ModelError, match=r"'own\.W\.scaled' has learned, and nobody knows where"):
        restore(program.model, trained(program), "it")


# ---------------------------------------------------------------- views


@pytest.mark.parametrize(
    "layout",
    [
        lambda i: i.T,
        lambda i: i.transpose(2, 0, 1),
        lambda i: i.reshape(4, 6).T.reshape(2, 12),
        lambda i: i[:, 1:, ::2],
        lambda i: i[::-1],
        lambda i: np.tile(i, (3, 1, 1)),
        lambda i: i[:1, :1, :1],
    ],
)
def test_a_view_is_the_elements_that_it_is_of(layout: Callable[..., np.ndarray]) -> None:
    index = layout(np.arange(24).reshape(2, 3, 4))
    view = View.of(index)
    assert np.array_equal(view.index(), index)
    assert View.from_dict(view.to_dict()) == view
    assert (index.min(), index.max()) == view.bounds
    assert view.is_injective == (len(np.unique(index)) == index.size)


def test_no_view_follows_a_shuffle() -> None:
    assert View.of(np.random.default_rng(0).permutation(64)) is None


# ---------------------------------------------------------------- machines


@pytest.mark.parametrize("cell", ["plain", "reference", "tiki-taka"])
def test_what_reads_see_of_a_cell_comes_home(cell: str) -> None:
    """Trained for a few samples: planes and counts of a cell are in its weight already."""
    text = NETWORKS["norm"]
    target, how = "soft-bounds-asymmetric", [f"cell.model={cell}"]
    program = rpucc.compile(model_of(text), target, overrides=how, loss="mse", verify=False)
    random = np.random.default_rng(0)
    x = random.random((12, 3, 5, 5)).astype("f")
    y = random.normal(0, 1, (12, 4, 3, 3)).astype("f")
    machine = rpucc.Machine(program, seed=1)
    trainer = rpucc.Trainer(machine)
    trainer.fit((x, y, x, y), epochs=1, lr=0.1)
    exported = machine.export()
    assert "W_4_3_3_3" in exported.written
    (values,) = run_model(exported.model, {"x": x})["y"][np.newaxis]
    np.testing.assert_allclose(values, trainer.predict(x, ideal=True), rtol=2e-5, atol=2e-5)
    assert np.abs(values - trainer.predict(x)).max() > 0.01  # which is noisy
