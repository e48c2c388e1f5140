"""The rpu ops' function bodies on onnxruntime against plain NumPy statements of the same ops."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir as ir
import onnxruntime as rt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc import opset
from rpucc.errors import ModelError

quick = settings(max_examples=25, deadline=None, derandomize=True)


def build(graph: str, opset_version: int = 21) -> onnx.ModelProto:
    header = f'<ir_version: 10, opset_import: ["" : {opset_version}, "rpu" : {opset.VERSION}]>\ng '
    model = ir.from_proto(onnx.parser.parse_model(header + graph))
    opset.add_functions(model)
    return ir.to_proto(model)


def run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    """Check, infer shapes strictly, run without optimisations, compare shapes with inference."""
    opset.register_schemas()
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    options = rt.SessionOptions()
    options.graph_optimization_level = rt.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = rt.InferenceSession(model.SerializeToString(), options)
    names = [value.name for value in model.graph.input]
    outputs = session.run(None, dict(zip(names, inputs, strict=True)))
    for value, array in zip(inferred.graph.output, outputs, strict=True):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        assert len(dims) == array.ndim
        known = [(d, size) for d, size in zip(dims, array.shape, strict=True) if d]
        assert all(d == size for d, size in known)
    return outputs


def newest_opset() -> int:
    """Return the newest opset that onnx defines and onnxruntime takes."""
    options = rt.SessionOptions()
    options.log_severity_level = 4
    for version in range(onnx.defs.onnx_opset_version(), 21, -1):
        model = build("(float[N] x) => (float[N] y) { y = Identity(x) }", version)
        try:
            rt.InferenceSession(model.SerializeToString(), options)
        except rt.capi.onnxruntime_pybind11_state.Fail:
            continue
        return version
    return 21


def dims(shape: tuple[int, ...] | list[int], prefix: str = "d") -> str:
    return ",".join(f"{prefix}{i}" for i in range(len(shape)))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# --- NumPy statements -------------------------------------------------------------------------


def numpy_im2col(
    X: np.ndarray, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> np.ndarray:
    rank = len(kernel)
    around = [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))]
    padded = np.pad(X, around)
    positions = [
        (padded.shape[2 + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]
    rows = []
    for position in itertools.product(*map(range, positions)):
        window = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, s, d, k in zip(position, strides, dilations, kernel, strict=True)
        )
        rows.append(padded[(slice(None), slice(None), *window)].reshape(len(X), -1))
    return np.stack(rows, axis=1)


def numpy_read(x: np.ndarray, W: np.ndarray, cuts: list[int], transpose: bool) -> np.ndarray:
    A = W if transpose else W.T  # x · A, lines of x along A's rows
    parts = [x[..., a:b] @ A[a:b] for a, b in itertools.pairwise(cuts)]
    return np.stack(parts, axis=-2)


def numpy_noise_manage(x: np.ndarray, cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    xs, s = np.zeros_like(x), []
    for a, b in itertools.pairwise(cuts):
        s.append(np.abs(x[..., a:b]).max(axis=-1))
        divisor = np.where(s[-1] == 0, 1, s[-1])
        xs[..., a:b] = x[..., a:b] / divisor[..., None]
    return xs, np.stack(s, axis=-1)


# --- strategies -------------------------------------------------------------------------------

leads = st.lists(st.integers(1, 4), min_size=0, max_size=3)
positions = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@st.composite
def cuts(draw: st.DrawFn) -> list[int]:
    lines = draw(st.integers(1, 12))
    inner = draw(st.sets(st.integers(1, lines), max_size=4)) - {lines}
    return [0, *sorted(inner), lines]


@st.composite
def windows(draw: st.DrawFn) -> dict[str, list[int]]:
    axes = range(draw(st.integers(1, 3)))
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    dilations = [draw(st.integers(1, 3)) for _ in axes]
    return {
        "space": [dilations[i] * (kernel[i] - 1) + draw(st.integers(1, 4)) for i in axes],
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in axes],
        "pads": [draw(st.integers(0, 2)) for _ in range(2 * len(axes))],
        "dilations": dilations,
    }


# --- bodies -----------------------------------------------------------------------------------


def im2col_graph(window: dict[str, list[int]]) -> str:
    attributes = ", ".join(f"{k} = {v}" for k, v in window.items() if k != "space")
    space = ",".join(map(str, window["space"]))
    return f"(float[N,2,{space}] X) => (float[N,P,C] y) {{ y = rpu.Im2Col<{attributes}>(X) }}"


@quick
@given(windows())
def test_im2col(window: dict[str, list[int]]) -> None:
    X = normal(3, 2, *window["space"])
    (found,) = run(build(im2col_graph(window)), X)
    names = ("kernel_shape", "strides", "pads", "dilations")
    np.testing.assert_array_equal(found, numpy_im2col(X, *(window[name] for name in names)))


def test_im2col_then_a_product_is_a_convolution() -> None:
    """Tie the order of the columns to ONNX's own Conv, not only to NumPy."""
    graph = (
        "(float[N,3,7,6] X, float[4,3,3,2] K) => (float[N,P,R] y, float[N,4,h,w] conv) {"
        " cols = rpu.Im2Col<kernel_shape = [3,2], strides = [2,1], pads = [1,0,0,1],"
        " dilations = [1,2]>(X)"
        " s = Constant<value_ints = [4, -1]>() W = Reshape(K, s) T = Transpose(W)"
        " y = MatMul(cols, T)"
        " conv = Conv<strides = [2,1], pads = [1,0,0,1], dilations = [1,2]>(X, K) }"
    )
    y, conv = run(build(graph), normal(2, 3, 7, 6), normal(4, 3, 3, 2, seed=1))
    np.testing.assert_allclose(y.transpose(0, 2, 1).reshape(conv.shape), conv, atol=1e-5)


@quick
@given(leads, st.integers(1, 5))
def test_append_one(lead: list[int], C: int) -> None:
    graph = f"(float[{dims([*lead, C])}] x) => (float[{dims([*lead, C], 'e')}] y)"
    x = normal(*lead, C)
    (found,) = run(build(f"{graph} {{ y = rpu.AppendOne(x) }}"), x)
    np.testing.assert_array_equal(found, np.append(x, np.ones((*lead, 1), "f"), axis=-1))


@quick
@given(leads, cuts())
def test_noise_manage(lead: list[int], cut: list[int]) -> None:
    shape = [*lead, cut[-1]]
    x = normal(*shape)
    x[..., : cut[1]] *= np.arange(x[..., : cut[1]].size).reshape(x[..., : cut[1]].shape) % 2
    x.reshape(-1, cut[-1])[0] = 0  # a vector of zeros: s = 0, xs = 0
    graph = (
        f"(float[{dims(shape)}] x) => (float[{dims(shape, 'e')}] xs, float[{dims(shape, 'f')}] s)"
    )
    xs, s = run(build(f"{graph} {{ xs, s = rpu.NoiseManage<cuts = {cut}>(x) }}"), x)
    expected_xs, expected_s = numpy_noise_manage(x, cut)
    np.testing.assert_array_equal(xs, expected_xs)
    np.testing.assert_array_equal(s, expected_s)
    assert s.reshape(-1, s.shape[-1])[0].max() == 0
    assert np.abs(xs).max() <= 1


@pytest.mark.parametrize("op", ["Read", "BoundedRead"])
@quick
@given(positions, cuts(), cuts(), st.booleans())
def test_read(
    op: str, lead: list[int], row_cuts: list[int], col_cuts: list[int], transpose: bool
) -> None:
    W = normal(row_cuts[-1], col_cuts[-1], seed=1)
    into, out = (row_cuts, col_cuts) if transpose else (col_cuts, row_cuts)
    x = normal(*lead, into[-1])
    attributes = f"row_cuts = {row_cuts}, col_cuts = {col_cuts}, transpose = {int(transpose)}"
    graph = (
        f"(float[{dims(x.shape)}] x, float[{W.shape[0]},{W.shape[1]}] W)"
        f" => (float[{dims([*x.shape, 0], 'e')}] y) {{ y = rpu.{op}<{attributes}>(x, W) }}"
    )
    (found,) = run(build(graph), x, W)
    assert found.shape == (*lead, len(into) - 1, out[-1])
    np.testing.assert_allclose(found, numpy_read(x, W, into, transpose), atol=1e-5)


@quick
@given(st.integers(1, 3), st.integers(2, 3), st.integers(1, 3), cuts(), cuts(), st.booleans())
def test_a_grouped_read_is_one_read_a_group(
    N: int, G: int, P: int, row_cuts: list[int], col_cuts: list[int], transpose: bool
) -> None:
    R, C = row_cuts[-1], col_cuts[-1]
    W = normal(G * R, C, seed=1)
    into = row_cuts if transpose else col_cuts
    x = normal(N, G, P, into[-1])
    attributes = f"row_cuts = {row_cuts}, col_cuts = {col_cuts}, transpose = {int(transpose)}"
    graph = (
        f"(float[{dims(x.shape)}] x, float[{G * R},{C}] W) => (float[{dims([*x.shape, 0], 'e')}] y)"
        f" {{ y = rpu.Read<{attributes}, groups = {G}>(x, W) }}"
    )
    (found,) = run(build(graph), x, W)
    for g in range(G):
        expected = numpy_read(x[:, g], W[g * R : (g + 1) * R], into, transpose)
        np.testing.assert_allclose(found[:, g], expected, atol=1e-5)


@quick
@given(leads, st.integers(1, 3), st.integers(1, 5))
def test_rescale(lead: list[int], S: int, R: int) -> None:
    y, s = normal(*lead, S, R), normal(*lead, S, seed=1)
    graph = (
        f"(float[{dims(y.shape)}] y, float[{dims(s.shape, 's')}] s)"
        f" => (float[{dims(y.shape, 'e')}] z) {{ z = rpu.Rescale(y, s) }}"
    )
    (found,) = run(build(graph), y, s)
    np.testing.assert_array_equal(found, y * s[..., None])


@quick
@given(positions, st.integers(1, 4), st.integers(1, 5))
def test_update(lead: list[int], R: int, C: int) -> None:
    W, x, d = normal(R, C), normal(*lead, C, seed=1), normal(*lead, R, seed=2)
    graph = (
        f"(float[{R},{C}] W, float[{dims(x.shape)}] x, float[{dims(d.shape, 'r')}] d, float lr)"
        f" => (float[{R},{C}] W2) {{ W2 = rpu.Update<pulsed = 1, bl = 10>(W, x, d, lr) }}"
    )
    (found,) = run(build(graph), W, x, d, np.array(0.3, "f"))
    step = d.reshape(-1, R).astype("d").T @ x.reshape(-1, C).astype("d")
    np.testing.assert_allclose(found, W - 0.3 * step, atol=1e-5)


@quick
@given(*[st.integers(1, 3)] * 5)
def test_a_grouped_update_is_one_update_a_group(N: int, G: int, P: int, R: int, C: int) -> None:
    W, x, d = normal(G * R, C), normal(N, G, P, C, seed=1), normal(N, G, P, R, seed=2)
    graph = (
        f"(float[{G * R},{C}] W, float[{dims(x.shape)}] x, float[{dims(d.shape, 'r')}] d, float lr)"
        f" => (float[{G * R},{C}] W2) {{ W2 = rpu.Update<groups = {G}>(W, x, d, lr) }}"
    )
    (found,) = run(build(graph), W, x, d, np.array(0.3, "f"))
    for g in range(G):
        rows = slice(g * R, (g + 1) * R)
        step = d[:, g].reshape(-1, R).astype("d").T @ x[:, g].reshape(-1, C).astype("d")
        np.testing.assert_allclose(found[rows], W[rows] - 0.3 * step, atol=1e-5)


def test_a_managed_read_in_double_precision() -> None:
    graph = (
        "(double[N,5] x, double[3,6] W) => (double[N,S,R] y) { x1 = rpu.AppendOne(x)"
        " xs, s = rpu.NoiseManage<cuts = [0,2,6]>(x1)"
        " p = rpu.Read<row_cuts = [0,3], col_cuts = [0,2,6]>(xs, W) y = rpu.Rescale(p, s) }"
    )
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(4, 5)), rng.normal(size=(3, 6))
    (found,) = run(build(graph), x, W)
    x1 = np.append(x, np.ones((4, 1)), axis=1)
    np.testing.assert_allclose(found, numpy_read(x1, W, [0, 2, 6], False), atol=1e-13)


@pytest.mark.parametrize("opset_version", [18, 21, newest_opset()])
def test_bodies_follow_the_models_own_opset(opset_version: int) -> None:
    window = {"space": [5, 4], "kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1]}
    model = build(im2col_graph({**window, "dilations": [1, 1]}), opset_version)
    assert {o.version for f in model.functions for o in f.opset_import if not o.domain} == {
        opset_version
    }
    X = normal(2, 2, 5, 4)
    (found,) = run(model, X)
    expected = numpy_im2col(X, [2, 2], [1, 1], [1, 0, 0, 1], [1, 1])
    np.testing.assert_array_equal(found, expected)


# --- schemas and functions --------------------------------------------------------------------

READ = "(float[N,4] x, float[3,4] W) => (float[N,1,3] y) { y = rpu.Read<%s>(x, W) }"
READ_OK = "row_cuts = [0, 3], col_cuts = [0, 4]"


def full_check(graph: str) -> None:
    opset.register_schemas()
    onnx.checker.check_model(build(graph), full_check=True)


def test_every_attribute_of_a_read_is_known() -> None:
    full_check(
        READ % f"{READ_OK}, transpose = 0, groups = 1, first_tile = 2, noise = 0.06, bound = 12.0, "
        "dac_bits = 7, adc_bits = 9"
    )


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (f"{READ_OK}, segments = 3", "Unrecognized attribute: segments"),
        ("row_cuts = [0, 3]", "Required attribute 'col_cuts' is missing"),
        (f"{READ_OK}, noise = 3", "Mismatched attribute type"),
        ("row_cuts = [0, 3], col_cuts = [0, 5]", "col_cuts.*found 5, expected 4"),
        ("row_cuts = [0, 3], col_cuts = [0, 3, 2, 4]", "must rise"),
        (f"{READ_OK}, transpose = 1", "length of x"),
        (f"{READ_OK}, groups = 2", "groups = 2 do not share out the 3 rows"),
        ("row_cuts = [0, 1], col_cuts = [0, 4], groups = 3", "x has rank 2, needs 3"),
    ],
)
def test_schema_refuses_a_malformed_node(attributes: str, message: str) -> None:
    with pytest.raises(
        (onnx.checker.ValidationError, onnx.shape_inference.InferenceError), match=message
    ):
        full_check(READ % attributes)


def test_shape_inference_knows_positions_and_columns() -> None:
    opset.register_schemas()
    window = {"space": [28, 28], "kernel_shape": [5, 5], "strides": [1, 1], "pads": [0] * 4}
    graph = im2col_graph({**window, "dilations": [1, 1]}).replace(
        "float[N,P,C] y", "float[N,P,C] z"
    )
    model = build(graph.replace("(X) }", "(X) z = Relu(y) }"))
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    (y,) = (value for value in inferred.graph.value_info if value.name == "y")
    assert [d.dim_value or d.dim_param for d in y.type.tensor_type.shape.dim] == ["N", 576, 50]


def test_registering_twice_is_harmless() -> None:
    opset.register_schemas()
    opset.register_schemas()
    assert all(onnx.defs.has(name, opset.VERSION, opset.DOMAIN) for name in opset.OPS)


def test_schema_and_function_agree_on_every_name() -> None:
    for function in opset.functions():
        spec = opset.OPS[function.name]
        assert tuple(function.input) == spec.inputs
        assert tuple(function.output) == spec.outputs
        assert set(function.attribute) == set(spec.required)
        defaults = {a.name: onnx.helper.get_attribute_value(a) for a in function.attribute_proto}
        decoded = {k: v.decode() if isinstance(v, bytes) else v for k, v in defaults.items()}
        optional = {k: a.default for k, a in spec.attributes.items() if a.default is not None}
        stated = {k: list(v) if isinstance(v, tuple) else v for k, v in optional.items()}
        assert decoded == {k: np.float32(v) if type(v) is float else v for k, v in stated.items()}


def test_add_functions_keeps_only_what_is_used() -> None:
    model = ir.from_proto(build(READ % READ_OK))
    assert [key[1] for key in model.functions] == ["Read"]
    model.graph.remove(model.graph[0])
    opset.add_functions(model)
    assert not model.functions
    assert "rpu" not in model.opset_imports


def test_add_functions_refuses_an_unknown_op() -> None:
    with pytest.raises(ModelError, match="no op 'Write'"):
        build("(float[N] x) => (float[N] y) { y = rpu.Write(x) }")


def test_functions_are_copies() -> None:
    """A caller that edits a body must not change the next caller's."""
    opset.functions()[0].node.pop()
    assert len(opset.functions()[0].node) > 30
