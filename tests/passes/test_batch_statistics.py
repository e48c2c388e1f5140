"""Batch norms of policy "batch": the op, its gradient, what a step moves, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import rpucc
from rpucc.opset import functions
from rpucc.passes.batch_norm_fates import decisions_of
from rpucc.passes.execute import random_feeds, run_model
from rpucc.step_contract import StepContract

from .gradient_check import check_grads, parse, session
from .importer_models import net

BATCH = ["batch_norm.policy=batch"]


def constants(channels: int, suffix: str = "", seed: int = 7) -> dict[str, np.ndarray]:
    """Scale (of both signs), bias, mean and variance, far from the identity."""
    rng = np.random.default_rng(seed)
    scale, bias, mean = rng.normal(size=(3, channels)).astype(np.float32)
    var = rng.uniform(0.2, 3, channels).astype("f4")
    return {f"s{suffix}": scale, f"t{suffix}": bias, f"m{suffix}": mean, f"v{suffix}": var}


NORM = "[bn] {y} = BatchNormalization <epsilon = 0.01, momentum = 0.7> ({x}, s, t, m, v)"


def norm(x: str, y: str) -> str:
    return NORM.format(x=x, y=y)


HEAD = "f = Flatten (r) [fc] y = Gemm <transB = 1> (f, u, k)"
PLACES: dict[str, tuple[str, dict[str, object]]] = {
    "behind a convolution": (
        f"(float[N,2,5,5] x) => (float[N,4] y) {{ [conv] a = Conv (x, w) {norm('a', 'b')} "
        f"r = Relu (b) {HEAD} }}",
        {"w": (3, 2, 3, 3), "u": (4, 27), "k": (4,), **constants(3)},
    ),
    "behind an Add": (
        f"(float[N,3,5,5] x) => (float[N,4] y) {{ [conv] a = Conv <pads = [1,1,1,1]> (x, w) "
        f"z = Add (a, x) {norm('z', 'b')} r = Relu (b) {HEAD} }}",
        {"w": (3, 3, 3, 3), "u": (4, 75), "k": (4,), **constants(3)},
    ),
    "before the convolution": (
        f"(float[N,2,5,5] x) => (float[N,4] y) {{ [c0] a = Conv (x, w0) {norm('a', 'b')} "
        f"z = Relu (b) [conv] r = Conv (z, w) {HEAD} }}",
        {"w0": (3, 2, 1, 1), "w": (2, 3, 3, 3), "u": (4, 18), "k": (4,), **constants(3)},
    ),
    "on the input": (
        f"(float[N,2,5,5] x) => (float[N,4] y) {{ {norm('x', 'b')} [conv] a = Conv (b, w) "
        f"r = Relu (a) {HEAD} }}",
        {"w": (3, 2, 3, 3), "u": (4, 27), "k": (4,), **constants(2)},
    ),
    "on a dense layer": (
        f"(float[N,6] x) => (float[N,4] y) {{ [d] a = Gemm <transB = 1> (x, w, c) {norm('a', 'b')} "
        f"r = Tanh (b) {HEAD} }}",
        {"w": (5, 6), "c": (5,), "u": (4, 5), "k": (4,), **constants(5)},
    ),
    "in 1-D": (
        f"(float[N,2,7] x) => (float[N,4] y) {{ [conv] a = Conv (x, w) {norm('a', 'b')} "
        f"r = Relu (b) {HEAD} }}",
        {"w": (3, 2, 3), "u": (4, 15), "k": (4,), **constants(3)},
    ),
    "in 3-D": (
        f"(float[N,2,3,4,3] x) => (float[N,4] y) {{ [conv] a = Conv (x, w) {norm('a', 'b')} "
        f"r = Relu (b) {HEAD} }}",
        {"w": (3, 2, 2, 2, 2), "u": (4, 36), "k": (4,), **constants(3)},
    ),
    "grouped": (
        f"(float[N,4,5,5] x) => (float[N,4] y) {{ [conv] a = Conv <group = 2> (x, w) "
        f"{norm('a', 'b')} r = Relu (b) {HEAD} }}",
        {"w": (6, 2, 3, 3), "u": (4, 54), "k": (4,), **constants(6)},
    ),
    "used twice": (  # statistics in common, which both uses move one after the other
        f"(float[N,3,5,5] x) => (float[N,4] y) {{ [conv] a = Conv (x, w) {norm('a', 'b')} "
        f"z = Relu (b) [c1] e = Conv (z, w1) {norm('e', 'r').replace('[bn]', '[bn2]')} {HEAD} }}",
        {"w": (3, 3, 3, 3), "w1": (3, 3, 1, 1), "u": (4, 27), "k": (4,), **constants(3)},
    ),
}


def model(place: str) -> onnx.ModelProto:
    text, weights = PLACES[place]
    return net(text, **weights)


def batch_norms(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.op_type == "BatchNorm"]


@pytest.mark.parametrize("place", PLACES)
def test_every_place_compiles_and_every_pass_verifies(place: str) -> None:
    program = rpucc.compile(model(place), "rpu-managed", overrides=BATCH, verify=True)
    assert program.verified
    nodes = batch_norms(program.model.graph)
    count = 2 if place == "used twice" else 1
    assert len(nodes) == count
    assert {d.fate for d in decisions_of(program.model)} == {"batch"}
    assert program.plan.notes[0] == f"batch norms: {count} digital, with statistics of the batch"
    assert {"s", "t", "m", "v"} < set(program.updates)
    assert program.step.mode == "training"
    assert {str(v.name) for v in program.model.graph.inputs} == {"x", "labels", "lr", "training"}
    assert program.step.inputs == ("x",)
    first = nodes[0]
    assert first.attributes["epsilon"].as_float() == pytest.approx(0.01)
    assert first.attributes["momentum"].as_float() == pytest.approx(0.7)


@pytest.mark.parametrize("place", PLACES)
def test_in_mode_0_a_program_computes_what_the_file_does(place: str) -> None:
    program = rpucc.compile(model(place), "ideal", overrides=BATCH, verify=False).model
    feeds = random_feeds(program, batch=3)
    assert feeds["training"] == 0
    found = run_model(program, feeds)
    expected = run_model(ir.from_proto(model(place)), {"x": feeds["x"]})
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-4, atol=1e-5)
    state = StepContract.of(program).state
    for name in ("m", "v"):
        kept = program.graph.initializers[name].const_value.numpy()
        np.testing.assert_array_equal(found[state[name]], kept)


# ---------------------------------------------------------------- the op

SPACES = [(), (5,), (3, 2), (2, 3, 2)]


def op_text(space: tuple[int, ...], kind: str = "float") -> str:
    shape = ",".join(map(str, ("N", 3, *space)))
    vectors = ", ".join(f"{kind}[3] {name}" for name in "sbmv")
    return (
        f"({kind}[{shape}] x, {vectors}, {kind} t) => ({kind}[{shape}] y, {kind}[3] m2, "
        f"{kind}[3] v2) {{ y, m2, v2, c, d = rpu.BatchNorm<epsilon = 0.1, momentum = 0.75>"
        "(x, s, b, m, v, t) }"
    )


def op_feeds(space: tuple[int, ...], training: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    s, b, m = rng.normal(size=(3, 3))
    x, v = rng.normal(2, 1.5, size=(4, 3, *space)), rng.uniform(0.5, 2, 3)
    feeds = {"x": x, "s": s, "b": b, "m": m, "v": v, "t": np.array(training)}
    return {name: np.asarray(array, np.float32) for name, array in feeds.items()}


@pytest.mark.parametrize("training", [1, 0])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_body_is_onnxs_batch_norm_of_that_mode(space: tuple[int, ...], training: int) -> None:
    feeds = op_feeds(space, training)
    found = session(parse(op_text(space))).run(None, feeds)
    mode = f"training_mode = {training}, epsilon = 0.1, momentum = 0.75"
    outputs = "y, m2, v2" if training else "y"
    standard = net(
        f"(float[N,3] x) => (float y, float m2, float v2) "
        f"{{ {outputs} = BatchNormalization <{mode}> (x, s, b, m, v) }}",
        **{name: feeds[name] for name in "sbmv"},
    )
    expected = ReferenceEvaluator(standard).run(outputs.split(", "), {"x": feeds["x"]})
    expected += [feeds["m"], feeds["v"]] if not training else []
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [1, 0])
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_its_gradients_are_central_differences(space: tuple[int, ...], training: int) -> None:
    text = op_text(space).replace(", float[3] m2, float[3] v2) {", ") {")
    check_grads(text, op_feeds(space, training), wrt=["x", "s", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("float[3] s", "float[4] s"), "length of scale is not the channels of x"),
        (("float[3] v,", "float[3,1] v,"), r"var must be \[C\], found rank 2"),
        (("float t)", "float[2] t)"), "training must be one number"),
    ],
)
def test_a_malformed_node_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(op_text((2,)).replace(*change))


def test_the_bodies_are_functions_of_the_domain() -> None:
    assert {"BatchNorm", "BatchNormGradient"} < {function.name for function in functions()}


# ---------------------------------------------------------------- what has none


def test_an_inference_program_has_the_files_statistics() -> None:
    program = rpucc.compile(
        model("behind an Add"), "ideal", overrides=BATCH, training=False, verify=True
    )
    assert program.plan.notes == ("batch norms: 1 digital and frozen",)
    assert program.step.mode is None


def test_computed_statistics_stay_as_they_are() -> None:
    text = f"""(float[N,3,5,5] x) => (float[N,4] y) {{ [conv] a = Conv (x, w)
        q = ReduceMean <keepdims = 0> (x, axes)
        [bn] b = BatchNormalization (a, s, q, m, v) r = Relu (b) {HEAD} }}"""
    weights = {"w": (3, 3, 3, 3), "u": (4, 27), "k": (4,), **constants(3)}
    proto = net(text, axes=np.array([0, 2, 3]), **{k: v for k, v in weights.items() if k != "t"})
    program = rpucc.compile(proto, "ideal", overrides=BATCH, verify=True)
    assert program.plan.notes[:2] == (
        "batch norms: 1 digital and frozen",
        "'bn' stays frozen: its scale, bias, mean or variance is computed",
    )
    assert program.step.mode is None


def test_a_layer_rule_gives_one_of_two_statistics_of_the_batch() -> None:
    text, weights = PLACES["used twice"]
    own = text.replace("(e, s, t, m, v)", "(e, s2, t2, m2, v2)")
    overrides = ["batch_norm.policy=frozen", "layer.bn2.batch_norm.policy=batch"]
    proto = net(own, **weights, **constants(3, "2", seed=8))
    program = rpucc.compile(proto, "ideal", overrides=overrides, verify=True)
    fates = {"bn": "frozen", "bn2": "batch"}
    assert {d.node: d.fate for d in decisions_of(program.model)} == fates
    assert {"s2", "t2", "m2", "v2"} < set(program.updates)
    assert not {"s", "t", "m", "v"} & set(program.updates)


def test_one_that_shares_its_numbers_with_a_frozen_one_stays_frozen() -> None:
    overrides = ["batch_norm.policy=frozen", "layer.bn2.batch_norm.policy=batch"]
    program = rpucc.compile(model("used twice"), "ideal", overrides=overrides, verify=True)
    assert {d.fate for d in decisions_of(program.model)} == {"frozen"}
    assert program.plan.notes[-1] == (
        "'bn2' stays frozen: 'bn', which has its numbers too, has another policy"
    )


# ---------------------------------------------------------------- the default

FRESH = {"m": np.zeros(3, "f4"), "v": np.ones(3, "f4")}
NOTE = (
    "'bn', 'bn2': mean and variance of the file were never measured (0 and 1, or training mode), "
    "so batch_norm.policy auto is batch; fold takes them as they are"
)


def two(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> onnx.ModelProto:
    text, weights = PLACES["used twice"]
    own = text.replace("(e, s, t, m, v)", "(e, s2, t2, m2, v2)")
    numbers = {**weights, **constants(3, "2", seed=8), **first}
    return net(own, **numbers | {f"{name}2": array for name, array in second.items()})


def fates(proto: onnx.ModelProto, **options: bool) -> tuple[dict[str, str], tuple[str, ...]]:
    program = rpucc.compile(proto, "ideal", verify=True, **options)
    return {d.node: d.fate for d in decisions_of(program.model)}, program.plan.notes


def test_statistics_that_were_never_measured_are_those_of_the_batch() -> None:
    found, notes = fates(two(FRESH, FRESH))
    assert found == {"bn": "batch", "bn2": "batch"}
    assert notes == ("batch norms: 2 digital, with statistics of the batch", NOTE)


def test_each_batch_norm_is_looked_at_by_itself() -> None:
    found, notes = fates(two({}, FRESH))
    assert found == {"bn": "folded", "bn2": "batch"}
    assert notes[0] == (
        "batch norms: 1 folded into the layer before, 1 digital, with statistics of the batch"
    )
    assert notes[1] == NOTE.replace("'bn', 'bn2'", "'bn2'")


@pytest.mark.parametrize("name", ["m", "v"])
def test_one_number_that_was_measured_is_enough_to_fold(name: str) -> None:
    touched = FRESH | {name: FRESH[name] + np.float32([0, 1e-3, 0])}
    assert fates(two(touched, {}))[0] == {"bn": "folded", "bn2": "folded"}


def test_for_inference_they_are_folded() -> None:
    assert fates(two(FRESH, FRESH), training=False)[0] == {"bn": "folded", "bn2": "folded"}


@pytest.mark.parametrize("opset", [13, 21])
def test_a_batch_norm_in_training_mode_trains(opset: int) -> None:
    mode, more = ("training_mode = 1, ", ", q, p") if opset > 13 else ("", ", q, p, sm, sv")
    text, weights = PLACES["behind a convolution"]
    there = text.replace("] b =", f"] b{more} =").replace("<epsilon", f"<{mode}epsilon")
    found, notes = fates(net(there, opset, 8, **weights))
    assert found == {"bn": "batch"}
    assert notes == (
        "batch norms: 1 digital, with statistics of the batch",
        NOTE.replace("'bn', 'bn2'", "'bn'"),
    )


def test_check_says_what_becomes_of_it() -> None:
    report = rpucc.check(two(FRESH, {}), "ideal")
    (node,) = (each for each in report.nodes if each.node == "bn")
    assert (node.fate, node.why, node.runs) == (
        "digital",
        "batch: the policy of the target",
        "native",
    )


@pytest.mark.parametrize("policy", ["batch", "train"])
@pytest.mark.parametrize(
    ("scale", "trained"),
    [
        ("one = Constant <value = float[3] {1, 1, 1}> ()", {"t"}),
        ("one = Expand (unit, three)", {"t"}),
        ("one = Identity (s)", {"s", "t"}),
    ],
)
def test_a_scale_that_is_no_weight_is_not_trained(
    policy: str, scale: str, trained: set[str]
) -> None:
    """As PyTorch writes affine=False and Keras scale=False."""
    text, weights = PLACES["behind a convolution"]
    there = text.replace("{ [conv]", f"{{ {scale} [conv]").replace("(a, s, t", "(a, one, t")
    unit, three = np.ones(1, np.float32), np.array([3])
    file = net(there, **weights, unit=unit, three=three)
    program = rpucc.compile(file, "ideal", overrides=[f"batch_norm.policy={policy}"], verify=True)
    moved = {"m", "v"} if policy == "batch" else set()
    assert {name for name in program.step.state if len(name) == 1} == trained | moved
