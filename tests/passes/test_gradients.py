"""Each gradient rule against central differences, over shapes, broadcasts, pads and strides."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.errors import UnsupportedError
from rpucc.passes.gradients import GRADIENTS
from rpucc.passes.gradients.backward import sweep
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.window import Window

from .gradient_check import check_grads, gradient_model, parse


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Values at least 0.05 apart and 0.05 from zero: no kink lies within a difference's step."""
    count = int(np.prod(shape))
    values = np.random.default_rng(seed).permutation(np.arange(count) - count // 2 + 0.5)
    return (0.1 * values).reshape(shape)


X = "(float[N,3,4] x) => (float[N,3,4] y)"

ELEMENTWISE = {
    "Relu": "y = Relu(x)",
    "Tanh": "y = Tanh(x)",
    "Sigmoid": "y = Sigmoid(x)",
    "Exp": "y = Exp(x)",
    "Neg": "y = Neg(x)",
    "Abs": "y = Abs(x)",
    "Identity": "y = Identity(x)",
    "Log": "p = Exp(x) q = Add(p, p) y = Log(q)",
    "Sqrt": "p = Exp(x) y = Sqrt(p)",
    "Pow": "three = Constant<value = double {3.0}>() y = Pow(x, three)",  # x is double here
    "Reciprocal": "p = Exp(x) y = Reciprocal(p)",
    "Sin": "y = Sin(x)",
    "Cos": "y = Cos(x)",
    "Mul of itself": "y = Mul(x, x)",
    "Add to itself": "y = Add(x, x)",
    "fan-out": "a = Tanh(x) b = Mul(a, x) y = Sum(a, b, x)",
    "Softmax": "y = Softmax(x)",
    "Softmax axis": "y = Softmax<axis = 1>(x)",
    "LogSoftmax": "y = LogSoftmax<axis = -2>(x)",
}


@pytest.mark.parametrize("body", ELEMENTWISE.values(), ids=ELEMENTWISE.keys())
def test_elementwise(body: str) -> None:
    check_grads(f"{X} {{ {body} }}", {"x": distinct(2, 3, 4)})


@pytest.mark.parametrize("alpha", ["<alpha = 0.2>", ""])
def test_leaky_relu(alpha: str) -> None:
    # onnxruntime has no double kernel; piecewise linear, so that the wide step is exact.
    text = f"{X} {{ y = LeakyRelu{alpha}(x) }}"
    check_grads(text, {"x": distinct(2, 3, 4)}, double=False, tolerance=1e-4)


@pytest.mark.parametrize("bounds", ["low, high", "low", ", high"])
def test_clip(bounds: str) -> None:
    body = "low = Constant<value = double {-0.52}>() high = Constant<value = double {0.71}>()"
    check_grads(f"{X} {{ {body} y = Clip(x, {bounds}) }}", {"x": distinct(2, 3, 4)})


def test_atan() -> None:
    check_grads(f"{X} {{ y = Atan(x) }}", {"x": distinct(2, 3, 4)}, double=False)


def test_cast_between_floats() -> None:
    text = f"{X} {{ d = Cast<to = 11>(x) t = Tanh(d) y = Cast<to = 1>(t) }}"
    check_grads(text, {"x": distinct(2, 3, 4)}, double=False)


def test_mean_with_broadcasting() -> None:
    text = "(float[N,3,4] a, float[3,1] b, float[4] c) => (float[N,3,4] y) { y = Mean(a, b, c) }"
    feeds = {"a": normal(2, 3, 4), "b": normal(3, 1), "c": normal(4)}
    check_grads(text, feeds, double=False, step=0.5, tolerance=1e-4)


def test_clip_gives_its_bounds_what_they_cut() -> None:
    text = f"{X} {{ y = Clip(x, low, high) }}".replace("x)", "x, float[] low, float[] high)", 1)
    feeds = {"x": distinct(2, 3, 4), "low": np.float64(-0.52), "high": np.float64(0.71)}
    check_grads(text, feeds)


@pytest.mark.parametrize(("a", "b"), [("N,3,4", "N,3,4"), ("4", "N,3,4"), ("N,3,1", "")])
def test_where_with_broadcasting(a: str, b: str) -> None:
    text = (
        f"(float[3,4] c, float[{a}] a, float[{b}] b) => (float[N,3,4] y) "
        "{ zero = Constant<value = float {0.0}>() p = Greater(c, zero) "
        "z = Where(p, a, b) s = Add(z, c) y = Sub(s, c) }"
    )
    shapes = [[2 if d == "N" else int(d) for d in each.split(",") if d] for each in (a, b)]
    feeds = {"c": normal(3, 4), "a": normal(*shapes[0], seed=1), "b": normal(*shapes[1], seed=2)}
    check_grads(text, feeds, wrt=["a", "b"])


BROADCASTS = [
    ("N,3,4", "N,3,4"),
    ("N,3,4", "4"),
    ("N,3,4", "3,1"),
    ("N,1,4", "1,3,1"),
    ("N,3,4", ""),
]


@pytest.mark.parametrize("shapes", BROADCASTS, ids=str)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Sum"])
def test_broadcasting(op: str, swap: bool, shapes: tuple[str, str]) -> None:
    sizes = [[2 if d == "N" else int(d) for d in s.split(",") if d] for s in shapes]
    feeds = {"a": normal(*sizes[0]) + 4.0, "b": normal(*sizes[1], seed=1) + 4.0}
    operands = "b, a" if swap else "a, b"
    text = f"(float[{shapes[0]}] a, float[{shapes[1]}] b) => (float[N,3,4] y)"
    check_grads(f"{text} {{ y = {op}({operands}) }}", feeds)


@pytest.mark.parametrize(
    ("a", "b", "y"),
    [
        ("N,3", "3,4", "N,4"),
        ("N,5,3", "3,4", "N,5,4"),
        ("N,5,3", "N,3,4", "N,5,4"),
        ("N,2,5,3", "2,3,4", "N,2,5,4"),
        ("5,3", "N,3,4", "N,5,4"),
    ],
)
def test_matmul(a: str, b: str, y: str) -> None:
    feeds = {
        name: normal(*[2 if d == "N" else int(d) for d in shape.split(",")], seed=i)
        for i, (name, shape) in enumerate({"a": a, "b": b}.items())
    }
    check_grads(f"(float[{a}] a, float[{b}] b) => (float[{y}] y) {{ y = MatMul(a, b) }}", feeds)


SHAPED = {
    "Flatten": ("N,12", "y = Flatten(x)"),
    "Reshape": ("N,2,6", "s = Constant<value_ints = [0, 2, 6]>() y = Reshape(x, s)"),
    "Reshape all": ("M", "s = Constant<value_ints = [-1]>() y = Reshape(x, s)"),
    "Unsqueeze": ("N,1,3,4", "a = Constant<value_ints = [1]>() y = Unsqueeze(x, a)"),
    "Squeeze": (
        "N,3,4",
        "a = Constant<value_ints = [1]>() u = Unsqueeze(x, a) v = Tanh(u) y = Squeeze(v, a)",
    ),
    "Transpose": ("4,N,3", "y = Transpose<perm = [2, 0, 1]>(x)"),
    "Transpose default": ("4,3,N", "y = Transpose(x)"),
    "Concat": ("N,9,4", "t = Tanh(x) y = Concat<axis = 1>(x, t, x)"),
    "Split": (
        "N,1,4",
        "s = Constant<value_ints = [1, 2]>() y, z = Split<axis = 1>(x, s)",
    ),
    "Slice": (
        "N,2,2",
        "b = Constant<value_ints = [1, -3]>() e = Constant<value_ints = [9, -1]>() "
        "a = Constant<value_ints = [1, -1]>() y = Slice(x, b, e, a)",
    ),
    "Pad": ("N,4,7", "p = Constant<value_ints = [0, 1, 0, 0, 0, 3]>() y = Pad(x, p)"),
    "Pad axes": (
        "N,3,6",
        "p = Constant<value_ints = [2, 0]>() a = Constant<value_ints = [2]>() y = Pad(x, p, , a)",
    ),
    "ReduceSum": ("N,3", "a = Constant<value_ints = [-1]>() y = ReduceSum<keepdims = 0>(x, a)"),
    "ReduceSum keep": ("N,1,4", "a = Constant<value_ints = [1]>() y = ReduceSum(x, a)"),
    "ReduceSum all": ("", "y = ReduceSum<keepdims = 0>(x)"),
    "ReduceMean": ("N", "a = Constant<value_ints = [1, 2]>() y = ReduceMean<keepdims = 0>(x, a)"),
    "ReduceMean batch": (
        "3,4",
        "a = Constant<value_ints = [0]>() y = ReduceMean<keepdims = 0>(x, a)",
    ),
    "ReduceMean all": ("1,1,1", "y = ReduceMean(x)"),
}


@pytest.mark.parametrize(("shape", "body"), SHAPED.values(), ids=SHAPED.keys())
def test_shape_and_reductions(shape: str, body: str) -> None:
    check_grads(f"(float[N,3,4] x) => (float[{shape}] y) {{ {body} }}", {"x": distinct(2, 3, 4)})


@st.composite
def windows(draw: st.DrawFn) -> dict[str, list[int]]:
    """A window of rank 1 to 3 on a small input that it fits into, pads smaller than the kernel."""
    rank = draw(st.integers(1, 3))
    axes = range(rank)
    kernel = [draw(st.integers(1, 3)) for _ in axes]
    dilations = [draw(st.integers(1, 2)) for _ in axes]
    strides = [draw(st.integers(1, 3)) for _ in axes]
    pads = [draw(st.integers(0, kernel[i % rank] - 1)) for i in range(2 * rank)]
    space = [dilations[i] * (kernel[i] - 1) + draw(st.integers(1, 4)) for i in axes]
    return {
        "space": space,
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
    }


def pool_text(op: str, window: dict[str, list[int]], extra: str = "") -> str:
    attributes = ", ".join(f"{k} = {v}" for k, v in window.items() if k != "space")
    space = ",".join(map(str, window["space"]))
    out = ",".join("PQR"[: len(window["space"])])
    return f"(float[N,2,{space}] x) => (float[N,2,{out}] y) {{ y = {op}<{attributes}{extra}>(x) }}"


@settings(max_examples=20, deadline=None, derandomize=True)
@given(windows())
def test_max_pool(window: dict[str, list[int]]) -> None:
    check_grads(pool_text("MaxPool", window), {"x": distinct(2, 2, *window["space"])})


@settings(max_examples=20, deadline=None, derandomize=True)
@given(windows(), st.booleans())
def test_average_pool(window: dict[str, list[int]], include: bool) -> None:
    # Linear, so that the wide step of single precision is exact up to rounding.
    text = pool_text("AveragePool", window, f", count_include_pad = {int(include)}")
    x = normal(2, 2, *window["space"])
    check_grads(text, {"x": x}, double=False, step=0.5, tolerance=1e-4)


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("pads", ["[0, 0, 0, 0]", "[1, 1, 0, 1]"])
def test_average_pool_with_a_last_partial_window(pads: str, include: int) -> None:
    attributes = f"kernel_shape = [3, 3], strides = [2, 2], pads = {pads}, ceil_mode = 1"
    text = (
        "(float[N,2,6,7] x) => (float[N,2,P,Q] y) "
        f"{{ y = AveragePool<{attributes}, count_include_pad = {include}>(x) }}"
    )
    check_grads(text, {"x": normal(2, 2, 6, 7)}, double=False, step=0.5, tolerance=1e-4)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools_with_auto_pad(op: str, auto_pad: str) -> None:
    attributes = f'kernel_shape = [3, 2], strides = [2, 1], auto_pad = "{auto_pad}"'
    text = f"(float[N,2,6,5] x) => (float[N,2,P,Q] y) {{ y = {op}<{attributes}>(x) }}"
    check_grads(text, {"x": distinct(2, 2, 6, 5)}, double=False, tolerance=1e-3)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op: str) -> None:
    text = f"(float[N,2,6,5] x) => (float[N,2,1,1] y) {{ y = {op}(x) }}"
    check_grads(text, {"x": distinct(2, 2, 6, 5)}, double=False, tolerance=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(windows())
def test_im2col_and_append_one(window: dict[str, list[int]]) -> None:
    attributes = ", ".join(f"{k} = {v}" for k, v in window.items() if k != "space")
    space = ",".join(map(str, window["space"]))
    text = (
        f"(float[N,2,{space}] x) => (float[N,P,C] y) "
        f"{{ c = rpu.Im2Col<{attributes}>(x) y = rpu.AppendOne(c) }}"
    )
    x = normal(2, 2, *window["space"])
    check_grads(text, {"x": x}, double=False, step=0.5, tolerance=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(windows())
def test_col2im(window: dict[str, list[int]]) -> None:
    rank = len(window["space"])
    if rank != 2:  # onnxruntime's Col2Im is wrong for dilations in 1 and 3 dimensions
        window["dilations"] = [1] * rank
    node = ir.node("MaxPool", [ir.val("x", ir.DataType.FLOAT, ["N", 2, *window["space"]])])
    for key, values in window.items():
        if key != "space":
            node.attributes.add(ir.AttrInt64s(key, values))
    taps, positions = int(np.prod(window["kernel_shape"])), math.prod(Window.of(node).positions)
    attributes = ", ".join(f"{key} = {window[key]}" for key in ("strides", "pads", "dilations"))
    space = ",".join(map(str, window["space"]))
    text = (
        f"(float[N,{2 * taps},{positions}] x) => (float[N,2,{space}] y) {{ "
        f"s = Constant<value_ints = {window['space']}>() "
        f"k = Constant<value_ints = {window['kernel_shape']}>() "
        f"y = Col2Im<{attributes}>(x, s, k) }}"
    )
    x = normal(2, 2 * taps, positions)
    check_grads(text, {"x": x}, double=False, step=0.5, tolerance=1e-4)


@pytest.mark.parametrize("lead", ["N", "N,5"])
def test_read(lead: str) -> None:
    text = (
        f"(float[{lead},3] x, float[4,3] W) => (float[{lead},1,4] y) "
        "{ y = rpu.Read<row_cuts = [0, 4], col_cuts = [0, 3]>(x, W) }"
    )
    shape = [2, 5, 3] if "5" in lead else [2, 3]
    check_grads(text, {"x": normal(*shape), "W": normal(4, 3)}, wrt=["x"])


REFUSED = {
    "rounding": ("y = Round(x)", "no gradient rule"),
    "storage order": ("y = MaxPool<kernel_shape = [2], storage_order = 1>(x)", "storage_order"),
    "exponent": ("y = Pow(x, x)", "exponent"),
    "computed kernel": ("k = Relu(x) y = Conv(x, k)", "its kernel 'k' is computed"),
    "computed indices": (
        "s = Constant<value_ints = [-1]>() f = Reshape(x, s) i = ArgMax(f) "
        "y = Gather<axis = 1>(x, i)",
        "its indices 'i' are computed",
    ),
    "batch gathered": ("i = Constant<value_ints = [0]>() y = Gather(x, i)", "dynamic dimension 0"),
    "batch sliced": (
        "b = Constant<value_ints = [1]>() e = Constant<value_ints = [9]>() y = Slice(x, b, e)",
        "dynamic dimension 0",
    ),
    "reflected batch": (
        'p = Constant<value_ints = [1, 0, 0, 0, 0, 0]>() y = Pad<mode = "reflect">(x, p)',
        "mode 'reflect'",
    ),
    "length of order 1": ("y = LpNormalization<p = 1>(x)", "p = 2"),
    "vector": (
        "v = Constant<value_floats = [1.0, 1.0, 1.0, 1.0]>() m = MatMul(x, v) "
        "a = Constant<value_ints = [2]>() y = Unsqueeze(m, a)",
        "a vector",
    ),
    "sum of its own": (
        'o = Relu(x) y = Einsum<equation = "abc,abd->abd">(x, o)',
        "'abc' over an index of its own",
    ),
    "ellipsis": ('o = Relu(x) y = Einsum<equation = "...c,...c->...c">(x, o)', "of the form"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_gradient_is_refused_with_node_op_and_way_out(body: str, message: str) -> None:
    proto = parse(f"(float[N,3,4] x) => (float[N,P,Q] y) {{ {body} }}")
    with pytest.raises(
        UnsupportedError, match=r"node '\w+' \(\w+\): no gradient.*--inference"
    ) as e:
        gradient_model(proto, ["x"])
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_only_values_on_the_way_get_a_gradient() -> None:
    proto = parse(
        "(float[N,3] x, float[3] b) => (float[N,3] y) { t = Tanh(x) u = Add(t, b) y = Exp(u) }"
    )
    backward = {n.name for n in gradient_model(proto, ["b"]).graph.node if ".grad" in n.name}
    assert any("exp" in name for name in backward)
    assert not any("tanh" in name for name in backward)


def test_integers_get_no_gradient() -> None:
    """Shape of a trained value must not pull Reshape's target into the sweep."""
    text = f"{X} {{ s = Shape(x) t = Tanh(x) y = Reshape(t, s) }}"
    check_grads(text, {"x": normal(2, 3, 4)})


def test_gradients_are_named_after_their_values() -> None:
    model = ir.from_proto(parse(f"{X} {{ a = Tanh(x) b = Exp(a) y = Mul(a, b) }}"))
    e = GradientEmitter(model)
    (y,) = model.graph.outputs
    seed = ir.val("y.seed", y.dtype, y.shape)
    model.graph.inputs.append(seed)
    sweep(e, {y: seed}, [model.graph.inputs[0]])
    values = {value.name for node in model.graph for value in node.outputs}
    assert {"x.grad", "a.grad", "b.grad"} <= values


def test_every_rule_has_a_doc_line() -> None:
    assert all(rule.__doc__ for rule in GRADIENTS.values())


def test_same_pads_put_the_odd_one_where_asked() -> None:
    for auto_pad, pads in (("SAME_UPPER", (0, 1)), ("SAME_LOWER", (1, 0))):
        node = ir.node(
            "MaxPool",
            [ir.val("x", ir.DataType.FLOAT, ["N", 1, 4])],
            {"kernel_shape": [2], "auto_pad": auto_pad},
        )
        window = Window.of(node)
        assert window.pads == pads
        assert window.positions == (4,)
