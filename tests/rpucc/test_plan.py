"""The plan's numbers: the LeNet of the paper, digital layers, totals, times."""

from __future__ import annotations

import json

import pytest

from rpucc.compiler.compile import compile_model
from rpucc.models import build
from rpucc.plan.plan import Plan
from rpucc.target.target import Target


def target_with(**changes: object) -> Target:
    return Target.model_validate(Target.load("rpu-managed").model_dump(by_alias=True) | changes)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_model("lenet", "rpu-managed").plan


def test_lenet_matrices_and_reads(plan: Plan) -> None:
    found = [(la.name, la.op, la.R, la.C, la.reads_forward) for la in plan.layers]
    assert found == [
        ("conv1", "Conv", 16, 26, 576),
        ("conv2", "Conv", 32, 401, 64),
        ("fc1", "Gemm", 128, 513, 1),
        ("fc2", "Gemm", 10, 129, 1),
    ]
    assert plan.weights == 80_202
    assert [la.reads_backward for la in plan.layers] == [0, 64, 1, 1]  # no error leaves conv1
    assert [la.updates for la in plan.layers] == [576, 64, 1, 1]
    assert plan.macs == 576 * 16 * 26 + 64 * 32 * 401 + 128 * 513 + 10 * 129


def test_management_and_update(plan: Plan) -> None:
    assert not any(la.noise_forward for la in plan.layers)
    assert [la.noise_backward for la in plan.layers] == [False, True, True, True]
    assert all(la.bound_forward and not la.bound_backward for la in plan.layers)
    expected = {
        "pulsed": True,
        "pulses": "stochastic",
        "x_res_implicit": 0.0,
        "d_res_implicit": 0.0,
        "bl": 10,
        "update_management": False,
        "overflow": "both",
        "update_bl_management": False,
        "lr_scale": 1.0,
    }
    assert all(la.update == expected for la in plan.layers)


def test_arrays_and_utilisation(plan: Plan) -> None:
    # fc1 has 513 columns: one too many for the small kind
    assert [la.array for la in plan.layers] == ["small", "small", "large", "small"]
    assert plan.arrays == {"small": 3, "large": 1}
    assert plan.layers[1].utilisation == pytest.approx(32 * 401 / 512**2)
    assert plan.utilisation == pytest.approx(80_202 / (3 * 512**2 + 4096**2))
    assert plan.weights_bytes == 4 * 80_202


def test_times(plan: Plan) -> None:
    assert plan.bottleneck == "conv1"
    assert [la.is_bottleneck for la in plan.layers] == [True, False, False, False]
    assert plan.image_seconds == pytest.approx(576 * 10e-9)
    # one image alone passes all four layers in turn
    assert plan.latency_seconds == pytest.approx((576 + 64 + 1) * 10e-9 + 80e-9)
    conv1 = 576 * 10e-9 + 576 * 10 * 1e-9
    assert plan.layers[0].training_seconds == pytest.approx(conv1)
    assert plan.training_image_seconds == pytest.approx(conv1)


def test_grid_on_small_arrays() -> None:
    array = [{"name": "tiny", "rows": 7, "cols": 5, "t_read": 1e-9}]
    plan = compile_model(
        "lenet", target_with(array=array, mapping={"bias": "array"}), training=False
    ).plan
    assert [la.grid for la in plan.layers] == [(3, 6), (5, 81), (19, 103), (2, 26)]
    assert [la.tiles for la in plan.layers] == [18, 405, 1957, 52]
    assert plan.tiles == 2432 == plan.arrays["tiny"]
    assert all(0 < la.utilisation <= 1 for la in plan.layers)
    assert all(la.update == {} and la.updates == la.reads_backward == 0 for la in plan.layers)
    assert not plan.training


@pytest.mark.parametrize("training", [True, False])
def test_digital_layers_are_listed_and_take_no_array_time(training: bool) -> None:
    target = target_with(
        layer=[{"match": "conv1", "analog": False}, {"match": "fc2", "analog": False}]
    )
    plan = compile_model("lenet", target, training=training).plan
    assert [(la.name, la.analog) for la in plan.layers] == [
        ("conv1", False),
        ("conv2", True),
        ("fc1", True),
        ("fc2", False),
    ]
    digital = plan.layers[0]
    assert (digital.op, digital.R, digital.tiles, digital.seconds) == ("Conv", 16, 0, 0.0)
    assert digital.C in (25, 26)  # in training the bias stands in the matrix
    assert digital.macs == 576 * 16 * digital.C
    assert plan.layers[3].op == "Gemm"
    assert plan.bottleneck == "conv2"
    assert plan.weights == 32 * 401 + 128 * 513
    digital = sum(la.R * la.C for la in plan.layers if not la.analog)
    assert plan.digital_weights == digital + (0 if training else 16 + 10)  # the biases
    assert plan.frozen == ()


def test_everything_digital_has_no_bottleneck() -> None:
    plan = compile_model("mlp", target_with(layer=[{"match": "*", "analog": False}])).plan
    assert plan.bottleneck is None
    assert plan.arrays == {}
    assert plan.utilisation == plan.image_seconds == plan.latency_seconds == 0.0


def test_latency_follows_the_slowest_branch() -> None:
    import numpy as np
    import onnx

    text = """
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N, 1, 8, 8] x) => (float[N, 2] y)
    <float[2, 1, 3, 3] ka = {0}, float[2, 1, 1, 1] kb = {0}, float[2, 2] w = {0}>
    {
      a = Conv <pads = [1, 1, 1, 1]> (x, ka)
      b = Conv <strides = [2, 2]> (x, kb)
      pa = GlobalAveragePool(a)
      pb = GlobalAveragePool(b)
      s = Add(pa, pb)
      f = Flatten(s)
      y = MatMul(f, w)
    }
    """
    proto = onnx.parser.parse_model(text.replace(" = {0}", ""))
    del proto.graph.initializer[:]
    for name, shape in (("ka", (2, 1, 3, 3)), ("kb", (2, 1, 1, 1)), ("w", (2, 2))):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    plan = compile_model(proto, "rpu-managed").plan
    assert [la.reads_forward for la in plan.layers] == [64, 16, 1]
    assert plan.latency_seconds == pytest.approx(65 * 10e-9)


def test_shared_matrices_share_arrays() -> None:
    from rpucc.layers import analog_layers

    model = compile_model("mlp", "ideal", training=False).model
    one, two = analog_layers(model)[:2]
    clone = one.forward[0]
    # point a second read of the first layer's input at the same matrix, as a shared layer would
    import onnx_ir as ir

    twin = ir.node(
        "Read",
        list(clone.inputs),
        domain="rpu",
        attributes=dict(clone.attributes),
        name="twin",
        metadata_props=dict(clone.metadata_props),
    )
    model.graph.insert_after(clone, twin)
    assert two.name != one.name
    shared = Plan.from_model(model).layers[0]
    assert (shared.tiles, shared.reads_forward) == (1, 2)
    assert any("2 places of the model share" in note for note in Plan.from_model(model).notes)


def test_to_dict_is_plain_json(plan: Plan) -> None:
    data = json.loads(json.dumps(plan.to_dict()))
    assert data == plan.to_dict()
    assert data["totals"]["weights"] == 80_202
    assert data["totals"]["bottleneck"] == "conv1"
    assert data["layers"][1]["grid"] == [1, 1]
    assert data["layers"][1]["reads_forward"] == 64
    assert data["training"] is True


def test_plan_follows_the_model_not_the_weights() -> None:
    assert compile_model(build("lenet", 1)).plan == compile_model(build("lenet", 2)).plan


def test_a_printed_plan_is_the_table() -> None:
    import rpucc

    text = str(rpucc.compile("lenet", "rpu-managed", verify=False).plan)
    lines = text.splitlines()
    assert any(line.startswith("conv2  Conv   32 × 401") for line in lines)
    assert any(line.startswith("bottleneck  conv1") for line in lines)
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in text
