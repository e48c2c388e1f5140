"""Batch norms: folded exactly, or digital and frozen or trained, and always reported."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rpucc
from rpucc.errors import UnsupportedError
from rpucc.passes.batch_norm_fates import decisions_of
from rpucc.passes.fold_batchnorm import FoldBatchNorm
from rpucc.passes.importer import import_notes, load_model
from rpucc.passes.verify import compare_models
from rpucc.runtime.data import Dataset
from rpucc.target.target import Target

from .importer_models import net, refusal, run


def norm(name: str = "bn", x: str = "c", y: str = "y") -> str:
    """A batch norm node as text; its constants come from `constants`."""
    return f"[{name}] {y} = BatchNormalization <epsilon = 0.01> ({x}, s, t, m, v)"


def constants(channels: int) -> dict[str, np.ndarray]:
    """Scale (of both signs), bias, mean and variance, far from the identity."""
    rng = np.random.default_rng(7)
    scale, bias, mean = rng.normal(size=(3, channels)).astype(np.float32)
    return {"s": scale, "t": bias, "m": mean, "v": rng.uniform(0.2, 3, channels).astype("f4")}


def folded(model: onnx.ModelProto, *overrides: str, training: bool = True) -> ir.Model:
    """The imported model after the pass alone, checked against the original at every value."""
    imported = load_model(model)
    target = Target.load("ideal", overrides)
    result = FoldBatchNorm(target, training=training)(imported)
    assert result.model is imported
    onnx.checker.check_model(ir.to_proto(imported), full_check=True)
    compare_models(model, imported)
    return imported


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


LAYERS = {
    "conv": (
        f"(float[N,3,6,6] x) => (float y) {{ [l] c = Conv (x, w) {norm()} }}",
        {"w": (4, 3, 3, 3), **constants(4)},
        ["Conv"],
    ),
    "conv with bias": (
        f"""(float[N,3,6,6] x) => (float y) {{
            [l] c = Conv <pads = [1, 1, 1, 1]> (x, w, b) {norm()} }}""",
        {"w": (4, 3, 3, 3), "b": (4,), **constants(4)},
        ["Conv"],
    ),
    "grouped conv": (
        f"(float[N,4,6,6] x) => (float y) {{ [l] c = Conv <group = 2> (x, w, b) {norm()} }}",
        {"w": (6, 2, 3, 3), "b": (6,), **constants(6)},
        ["Conv"],
    ),
    "depthwise conv": (
        f"(float[N,4,6,6] x) => (float y) {{ [l] c = Conv <group = 4> (x, w) {norm()} }}",
        {"w": (8, 1, 3, 3), **constants(8)},
        ["Conv"],
    ),
    "conv 1-D": (
        f"(float[N,3,9] x) => (float y) {{ [l] c = Conv (x, w) {norm()} }}",
        {"w": (4, 3, 3), **constants(4)},
        ["Conv"],
    ),
    "transposed conv": (
        f"""(float[N,3,5,5] x) => (float y) {{
            [l] c = ConvTranspose <strides = [2, 2]> (x, w, b) {norm()} }}""",
        {"w": (3, 4, 3, 3), "b": (4,), **constants(4)},
        ["ConvTranspose"],
    ),
    "grouped transposed conv": (
        f"(float[N,4,5,5] x) => (float y) {{ [l] c = ConvTranspose <group=2> (x, w) {norm()} }}",
        {"w": (4, 3, 2, 2), **constants(6)},
        ["ConvTranspose"],
    ),
    "gemm": (
        f"(float[N,5] x) => (float y) {{ [l] c = Gemm <transB = 1> (x, w, b) {norm()} }}",
        {"w": (4, 5), "b": (4,), **constants(4)},
        ["Gemm"],
    ),
    "gemm with alpha and beta": (
        f"""(float[N,5] x) => (float y) {{
            [l] c = Gemm <alpha = 0.5, beta = 3.0> (x, w, b) {norm()} }}""",
        {"w": (5, 4), "b": (1, 4), **constants(4)},
        ["Gemm"],
    ),
    "gemm with beta but no bias": (
        f"(float[N,5] x) => (float y) {{ [l] c = Gemm <beta = 3.0> (x, w) {norm()} }}",
        {"w": (5, 4), **constants(4)},
        ["Gemm"],
    ),
    "matmul": (
        f"(float[N,5] x) => (float y) {{ [l] c = MatMul (x, w) {norm()} }}",
        {"w": (5, 4), **constants(4)},
        ["MatMul", "Add"],
    ),
    "matmul and its bias": (
        f"(float[N,5] x) => (float y) {{ [l] a = MatMul (x, w) c = Add (b, a) {norm()} }}",
        {"w": (5, 4), "b": (4,), **constants(4)},
        ["MatMul", "Add"],
    ),
    "conv and an Add": (
        f"""(float[N,3,6,6] x) => (float y) {{
            [l] a = Conv (x, w, d) c = Add (a, b) {norm()} }}""",
        {"w": (4, 3, 3, 3), "d": (4,), "b": (4, 1, 1), **constants(4)},
        ["Conv", "Add"],
    ),
    "conv and an Add of one number": (
        f"(float[N,3,6,6] x) => (float y) {{ [l] a = Conv (x, w) c = Add (a, b) {norm()} }}",
        {"w": (4, 3, 3, 3), "b": (), **constants(4)},
        ["Conv", "Add"],
    ),
    "two in a row": (
        f"""(float[N,3,6,6] x) => (float y) {{
            [l] a = Conv (x, w) {norm("bn0", "a", "c")} {norm()} }}""",
        {"w": (4, 3, 3, 3), **constants(4)},
        ["Conv"],
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_it_is_folded_into_the_layer_before(case: str) -> None:
    text, weights, left = LAYERS[case]
    model = folded(net(text, **weights))
    assert ops(model) == left
    assert {(d.fate, d.into, d.why) for d in decisions_of(model)} == {("folded", "l", "")}
    count = text.count("BatchNormalization")
    assert import_notes(model) == [f"batch norms: {count} folded into the layer before"]
    assert not {"s", "t", "m", "v", "w"} & set(model.graph.initializers)


@pytest.mark.parametrize("policy", ["fold", "frozen", "train"])
@pytest.mark.parametrize(
    "case", ["conv", "grouped conv", "transposed conv", "gemm", "matmul and its bias"]
)
def test_every_policy_compiles_and_every_pass_verifies(case: str, policy: str) -> None:
    text, weights, _ = LAYERS[case]
    program = rpucc.compile(
        net(text, **weights),
        "ideal",
        overrides=[f"batch_norm.policy={policy}"],
        training=False,
        verify=True,
    )
    assert program.verified
    assert ("BatchNormalization" in ops(program.model)) is (policy != "fold")


SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)


@SETTINGS
@given(
    op=st.sampled_from(["Conv", "ConvTranspose"]),
    group=st.integers(1, 3),
    inputs=st.integers(1, 2),
    outputs=st.integers(1, 3),
    rank=st.integers(1, 2),
    bias=st.booleans(),
)
def test_any_convolution(op: str, group: int, inputs: int, outputs: int, rank: int, bias: bool):
    C, R = group * inputs, group * outputs
    shape = (R, inputs) if op == "Conv" else (C, outputs)
    space = ",".join(["5"] * rank)
    text = (
        f"(float[N,{C},{space}] x) => (float y) {{ "
        f"[l] c = {op} <group = {group}> (x, w{', b' if bias else ''}) {norm()} }}"
    )
    weights = {"w": (*shape, *[2] * rank), **({"b": (R,)} if bias else {}), **constants(R)}
    assert ops(folded(net(text, **weights))) == [op]


# ---------------------------------------------------------------- what cannot be folded

X = "(float[N,3,6,6] x) => (float y)"
STAYS = {
    "pre-activation": (
        f"{X} {{ [r] c = Relu (x) {norm()} }}",
        {**constants(3)},
        "it follows Relu, not a layer with constant weights",
    ),
    "first": (f"{X} {{ {norm(x='x')} }}", {**constants(3)}, "it acts on the network's input"),
    "used twice": (
        f"{X} {{ [l] c = Conv (x, w) {norm(y='d')} y = Add (c, d) }}",
        {"w": (4, 3, 3, 3), **constants(4)},
        "the result of 'l' has other uses",
    ),
    "an output": (
        f"(float[N,3,6,6] x) => (float y, float c) {{ [l] c = Conv (x, w) {norm()} }}",
        {"w": (4, 3, 3, 3), **constants(4)},
        "the result of 'l' has other uses",
    ),
    "shared": (
        f"{X} {{ [l] c = Conv (x, w) {norm(y='d')} [k] y = Conv (d, w) }}",
        {"w": (3, 3, 1, 1), **constants(3)},
        "'l' shares its weight with another layer",
    ),
    "computed": (
        f"""{X} {{ [l] c = Conv (x, w) q = ReduceMean <keepdims = 0> (x, axes)
            [bn] y = BatchNormalization (c, s, q, m, v) }}""",
        {"w": (3, 3, 3, 3), "axes": np.array([0, 2, 3]), **constants(3)},
        "its scale, bias, mean or variance is computed",
    ),
    "other axis": (
        f"(float[N,3,5] x) => (float y) {{ [l] c = MatMul (x, w) {norm()} }}",
        {"w": (5, 4), **constants(3)},
        "the channels of MatMul 'l' are on another axis",
    ),
    "an Add that widens": (
        f"(float[N,3,1] x) => (float y) {{ [l] a = Conv (x, w) c = Add (a, b) {norm()} }}",
        {"w": (3, 3, 1), "b": (3, 4), **constants(3)},
        "it follows Add, not a layer with constant weights",
    ),
}


@pytest.mark.parametrize("case", STAYS)
def test_what_cannot_be_folded_stays_frozen_and_says_why(case: str) -> None:
    text, weights, why = STAYS[case]
    imported = load_model(net(text, **{k: v for k, v in weights.items() if f"{k}" in text}))
    FoldBatchNorm(Target.load("ideal"))(imported)
    (decision,) = decisions_of(imported)
    assert (decision.fate, decision.why) == ("frozen", why)
    assert imported.graph.node("bn").metadata_props["rpucc.batch_norm"] == "frozen"
    assert import_notes(imported)[-2:] == [
        "batch norms: 1 digital and frozen",
        f"'bn' stays frozen: {why}",
    ]


def test_many_of_one_kind_are_one_note() -> None:
    body = " ".join(f"r{i} = Relu (y{i}) {norm(f'bn{i}', f'r{i}', f'y{i + 1}')}" for i in range(5))
    text = f"(float[N,3] y0) => (float y5) {{ {body} }}"
    imported = load_model(net(text, **constants(3)))
    FoldBatchNorm(Target.load("ideal"))(imported)
    assert import_notes(imported) == [
        "batch norms: 5 digital and frozen",
        "'bn0', 'bn1', 'bn2' and 2 more stay frozen: it follows Relu, not a layer with constant "
        "weights",
    ]


# ---------------------------------------------------------------- training

NETWORK = f"""(float[N,2,6,6] x) => (float y) {{
    [conv] a = Conv (x, w) {norm(x="a", y="b")} r = Relu (b) f = Flatten (r)
    [fc] y = Gemm <transB = 1> (f, u, k)
}}"""


def network() -> onnx.ModelProto:
    return net(NETWORK, w=(3, 2, 3, 3), u=(4, 48), k=(4,), **constants(3))


def test_a_layer_rule_overrides_the_policy() -> None:
    overrides = ["batch_norm.policy=fold", "layer.b*.batch_norm.policy=train"]
    program = rpucc.compile(network(), "ideal", overrides=overrides, verify=True)
    assert set(program.updates) == {"conv.W", "fc.W", "s", "t"}
    assert program.plan.notes == ("batch norms: 1 digital and trained",)
    assert program.target.for_layer("conv").batch_norm.policy == "fold"


@pytest.mark.parametrize("policy", ["fold", "frozen"])
def test_folded_and_frozen_batch_norms_are_not_trained(policy: str) -> None:
    overrides = [f"batch_norm.policy={policy}"]
    program = rpucc.compile(network(), "ideal", overrides=overrides, verify=True)
    assert set(program.updates) == {"conv.W", "fc.W"}
    biased = program.model.graph.initializers["conv.W"].const_value.shape
    assert list(biased) == [3, 19 if policy == "fold" else 18]


def test_an_inference_program_trains_no_batch_norm() -> None:
    program = rpucc.compile(
        network(), "ideal", training=False, overrides=["batch_norm.policy=train"]
    )
    assert program.plan.notes == ("batch norms: 1 digital and frozen",)


def test_a_trained_batch_norm_learns_on_the_machine() -> None:
    """Scale and bias after one step equal W - lr · gradient, by finite differences of the loss."""
    program = rpucc.compile(network(), "ideal", overrides=["batch_norm.policy=train"])
    rng = np.random.default_rng(3)
    x, label, lr = rng.random((1, 2, 6, 6), np.float32), 2, 0.5

    def loss(**moved: np.ndarray) -> float:
        model = network()
        for tensor in model.graph.initializer:
            if tensor.name in moved:
                tensor.CopyFrom(onnx.numpy_helper.from_array(moved[tensor.name], tensor.name))
        (logits,) = run(model, x)
        z = logits[0].astype(np.float64)
        return float(np.log(np.exp(z - z.max()).sum()) + z.max() - z[label])

    machine = rpucc.Machine(program, seed=0)
    y = np.array([label])
    rpucc.Trainer(machine).fit(Dataset("one", x, y, x, y), epochs=1, lr=lr)
    before = constants(3)
    for name in ("s", "t"):
        after = machine.state()[name]
        for k in range(3):
            up, down = before[name].copy(), before[name].copy()
            up[k] += 1e-2
            down[k] -= 1e-2
            slope = (loss(**{name: up}) - loss(**{name: down})) / 2e-2
            assert after[k] == pytest.approx(before[name][k] - lr * slope, abs=2e-3)
    assert set(program.updates) >= {"s", "t"}


# ---------------------------------------------------------------- exported in training mode


def test_a_batch_norm_in_training_mode_is_taken_as_in_inference() -> None:
    text = """(float[N,3,4] x) => (float y) {
        [bn] y, q, p = BatchNormalization <training_mode = 1> (x, s, t, m, v) }"""
    plain = "(float[N,3,4] x) => (float y) { [bn] y = BatchNormalization (x, s, t, m, v) }"
    imported = load_model(net(text, **constants(3)))
    x = np.random.default_rng(0).random((2, 3, 4), np.float32)
    np.testing.assert_array_equal(run(imported, x)[0], run(net(plain, **constants(3)), x)[0])
    assert import_notes(imported) == []
    program = rpucc.compile(net(text, **constants(3)), "ideal", training=False, verify=True)
    assert program.verified
    assert program.plan.notes == (
        "batch norms: 1 digital and frozen",
        "'bn' stays frozen: it acts on the network's input",
        "'bn' was exported in training mode: taken as in inference, with the file's mean and "
        "variance",
    )


def test_statistics_that_are_used_elsewhere_are_refused() -> None:
    text = """(float[N,3,4] x) => (float y, float z) {
        [bn] y, q, p = BatchNormalization <training_mode = 1> (x, s, t, m, v) [r] z = Relu (q) }"""
    assert refusal(net(text, **constants(3)), UnsupportedError) == (
        "node 'bn' (BatchNormalization): A batch norm is taken as in inference, so it makes no new "
        "statistics: its output 'q' is used; export the network in inference mode"
    )


@pytest.mark.parametrize("opset", [9, 13])
def test_an_old_batch_norm_with_saved_statistics(opset: int) -> None:
    text = """(float[N,3,4] x) => (float y) {
        [bn] y, q, p, sm, sv = BatchNormalization (x, s, t, m, v) }"""
    imported = load_model(net(text, opset, 8, **constants(3)))
    assert len(imported.graph.node("bn").outputs) == 1
    assert imported.graph.node("bn").metadata_props == {"rpucc.training_mode": "1"}
