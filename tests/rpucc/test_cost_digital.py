"""Digital operations counted by hand on small graphs, and what is left uncounted."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from rpucc.compiler.compile import compile_model
from rpucc.cost.digital import RULES, DigitalWork, Operations, digital_work
from rpucc.passes.gradients import GRADIENTS
from rpucc.step_contract import StepContract


def work_of(body: str, x: str = "N, 4, 6, 6", weights: str = "") -> dict[str, Operations]:
    """Operations by op of a graph over x; the batch axis is that of x."""
    text = f"""
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[{x}] x) => (y) {weights} {{ {body} }}
    """
    proto = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text), strict_mode=True)
    model = ir.from_proto(proto)
    StepContract.inference(model).write(model)
    found, uncounted = digital_work(model)
    assert uncounted == ()
    return {work.op: work.operations for work in found}


KERNEL = "<float[8, 2, 3, 3] k, float[8, 4] m, int64[1] axes = {1}>"


@pytest.mark.parametrize(
    ("body", "op", "expected"),
    [
        ("y = Relu(x)", "Relu", Operations(adds=144)),
        ("y = Tanh(x)", "Tanh", Operations(functions=144)),
        ("y = Mul(x, x)", "Mul", Operations(multiplies=144)),
        ("y = Sum(x, x, x)", "Sum", Operations(adds=288)),
        ("y = Softmax(x)", "Softmax", Operations(adds=3 * 144, functions=2 * 144)),
        (
            "y = MaxPool <kernel_shape = [3, 3], strides = [3, 3]> (x)",
            "MaxPool",
            Operations(adds=8 * 16),
        ),
        (
            "y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)",
            "AveragePool",
            Operations(adds=3 * 36, multiplies=36),
        ),
        (
            "y = GlobalAveragePool(x)",
            "GlobalAveragePool",
            Operations(adds=35 * 4, multiplies=4),
        ),
        ("y = ReduceSum <keepdims = 0> (x, axes)", "ReduceSum", Operations(adds=3 * 36)),
        # 16 positions, 8 outputs, 2 of the 4 channels in a group
        (
            "y = Conv <kernel_shape = [3, 3], group = 2> (x, k)",
            "Conv",
            Operations(16 * 8 * 18, 16 * 8 * 18),
        ),
    ],
)
def test_counted_by_hand(body: str, op: str, expected: Operations) -> None:
    assert work_of(body, weights=KERNEL) == {op: expected}


def test_a_dense_layer_counts_each_weight_once() -> None:
    found = work_of("y = Gemm <transB = 1> (x, m)", x="N, 4", weights=KERNEL)
    assert found == {"Gemm": Operations(32, 32)}


def test_a_fixed_batch_is_divided_out() -> None:
    assert work_of("y = Relu(x)", x="5, 4, 6, 6") == work_of("y = Relu(x)")


def test_shapes_and_moves_cost_nothing() -> None:
    assert work_of("t = Transpose <perm = [0, 2, 3, 1]> (x) y = Flatten(t)") == {}


def test_a_size_that_inference_lost_is_found_behind_a_reshape() -> None:
    found = work_of("r = Reshape(x, flat) y = Relu(r)", weights="<int64[1] flat = {-1}>")
    assert found == {"Relu": Operations(adds=144)}


def test_ops_without_a_rule_are_named() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model(
            '<ir_version: 10, opset_import: ["" : 21]> '
            "g (float[N, 4] x) => (float[N, 4] y) { y = Tan(x) }"
        )
    )
    StepContract.inference(model).write(model)
    assert digital_work(model) == ((), ("Tan",))


def test_every_op_that_trains_has_a_rule_or_is_free() -> None:
    from rpucc.cost.digital import FREE
    from rpucc.opset import OPS

    assert set(GRADIENTS) <= set(RULES) | FREE | set(OPS)


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_all_of_a_training_program_is_counted(model: str) -> None:
    assert digital_work(compile_model(model, "rpu-managed-um", verify=False).model)[1] == ()


def by_cycle(found: tuple[DigitalWork, ...], op: str) -> dict[str, Operations]:
    return {work.cycle: work.operations for work in found if work.op == op}


def test_the_backward_cycle_of_a_lenet() -> None:
    found, _ = digital_work(compile_model("lenet", "rpu-managed", verify=False).model)
    errors, reads = 64 * 32 + 128 + 10, 64 + 1 + 1  # of conv2, fc1, fc2
    assert by_cycle(found, "NoiseManage") == {"backward": Operations(errors, errors, reads)}
    results = 64 * 401 + 513 + 129
    assert by_cycle(found, "Rescale") == {"backward": Operations(multiplies=results)}
    # the pools scatter into values whose shape is no longer known: counted behind the Reshape
    assert by_cycle(found, "ScatterElements") == {"backward": Operations(32 * 16 + 16 * 144)}
    assert by_cycle(found, "Col2Im") == {"backward": Operations(adds=64 * 400)}


def test_update_management_looks_at_both_sides() -> None:
    found, _ = digital_work(compile_model("mlp", "rpu-managed-um", verify=False).model)
    lines = (785 + 256) + (257 + 128) + (129 + 10)
    assert by_cycle(found, "Update") == {"update": Operations(adds=lines, functions=6)}


def test_partial_sums_are_added() -> None:
    from rpucc.target.target import Target

    data = Target.load("ideal").model_dump(by_alias=True)
    data["array"] = [{"name": "a", "rows": 4096, "cols": 100, "t_read": 1e-9}]
    program = compile_model("mlp", Target.model_validate(data), training=False, verify=False)
    found, _ = digital_work(program.model)
    # 785, 257 and 129 columns in segments of at most 100
    assert by_cycle(found, "ReduceSum")["forward"] == Operations(7 * 256 + 2 * 128 + 1 * 10)


def test_a_digital_layer_multiplies_three_times_in_training() -> None:
    rule = ["layer.fc2.analog=false"]
    found, uncounted = digital_work(
        compile_model("mlp", "rpu-managed", verify=False, overrides=rule).model
    )
    assert uncounted == ()
    macs = 257 * 128
    products = [work.operations for work in found if work.op == "MatMul"]
    assert sum(each.multiplies for each in products) == pytest.approx(3 * macs, rel=0.01)
    assert np.isclose(sum(each.adds for each in products), 3 * macs, rtol=0.01)
