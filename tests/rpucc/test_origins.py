"""Weights go back into the file that they came from, whatever passes have made of it on the way.

A training is stood in for by numbers that move every trained parameter: what counts is that the
file then computes what the program does with them.
"""

from __future__ import annotations

import zlib

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.origins.notes import read_origins
from rpucc.origins.restore import restore
from rpucc.origins.source import constants_of
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
        origin = origins[name]
        copies = getattr(origin, "devices", 1)
        groups = getattr(origin, "groups", 1)
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


ALL = [(name, target) for name in NETWORKS for target in TARGETS]


@pytest.mark.parametrize(("name", "target"), ALL)
def test_a_network_comes_back(name: str, target: str) -> None:
    """As it was without training, and computing what the program does after it."""
    program = compiled(NETWORKS[name], target)
    given = ir.from_proto(model_of(NETWORKS[name]))
    plain = restore(program.model, {}, "it")
    assert not plain.written
    same_constants(plain.model, given, exact=name != "large")
    state = trained(program)
    changed = restore(program.model, state, "it")
    onnx.checker.check_model(ir.to_proto(changed.model), full_check=True)
    assert changed.written
    assert [n.op_type for n in given.graph if n.op_type not in ("Mul", "Unsqueeze")] == [
        n.op_type for n in changed.model.graph if n.op_type not in ("Mul", "Unsqueeze")
    ]
    wanted = outputs(with_weights(program, state), program)
    np.testing.assert_allclose(outputs(changed.model, program), wanted, rtol=2e-5, atol=2e-5)
