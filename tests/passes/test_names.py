"""Names of layers: what exporters write, and what it says of the module."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rpucc.layers import other_names
from rpucc.passes.frontend.names import is_generated
from rpucc.passes.importer import load_model


def dense(node: str, weight: str, bias: str | None = None) -> onnx.ModelProto:
    """One Gemm on [N, 3] with these names."""
    inputs = ["x", weight, *([bias] if bias else [])]
    arrays = {weight: np.eye(3)} | ({bias: np.ones(3)} if bias else {})
    return model([helper.make_node("Gemm", inputs, ["y"], node)], arrays)


def model(nodes: list[onnx.NodeProto], arrays: dict[str, np.ndarray]) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(v, TensorProto.FLOAT, ["N", 3]) for v in "xy")
    constants = [numpy_helper.from_array(np.asarray(a, "f4"), n) for n, a in arrays.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ("f.0.weight", "f.0"),
        ("f.0.weight_quantized", "f.0"),
        ("conv1_w_0", "conv1"),
        ("conv0_weight", "conv0"),
        ("head.W", "head"),
        ("conv2d_0.w_0", "conv2d_0"),
        ("dense/kernel:0", "dense"),
        ("m/dense/MatMul/ReadVariableOp:0", "m/dense"),
        ("m/dense/MatMul/ReadVariableOp_1__12:0", "m/dense"),
        ("/net/fc.weight", "net/fc"),
        ("onnx::Gemm_45", "gemm_1"),
        ("val_3", "gemm_1"),
        ("const_fold_opt__12", "gemm_1"),
        ("w", "gemm_1"),
        (".weight", "gemm_1"),
    ],
)
def test_an_unnamed_layer_goes_by_its_weight(weight: str, expected: str) -> None:
    imported = load_model(dense("", weight))
    assert [node.name for node in imported.graph] == [expected]
    assert other_names(imported) == ({expected: ["gemm_1"]} if expected != "gemm_1" else {})


def test_the_bias_tells_where_the_weight_does_not() -> None:
    imported = load_model(dense("node_Gemm_1", "val_3", "fc.bias"))
    assert [node.name for node in imported.graph] == ["fc"]


@pytest.mark.parametrize(
    ("name", "op", "expected"),
    [
        ("", "Conv", True),
        ("12", "Conv", True),
        ("n7", "Conv", True),
        ("Conv", "Conv", True),
        ("Conv_3", "Conv", True),
        ("Conv__12", "Conv", True),
        ("p2o.Conv.0", "Conv", True),
        ("node_conv2d_1", "Conv", True),
        ("/layer1/layer1.0/conv1/Conv", "Conv", True),
        ("m/dense/MatMul", "MatMul", True),
        ("m/conv2d/Conv2D__5", "Conv", True),
        ("/bn1/BatchNormalization", "BatchNormalization", True),
        ("conv1", "Conv", False),
        ("conv_1", "Conv", False),
        ("Convolution28", "Conv", False),
        ("Gemm_1", "Conv", False),
        ("block/bn", "BatchNormalization", False),
    ],
)
def test_names_that_exporters_make_up(name: str, op: str, expected: bool) -> None:
    assert is_generated(name, op) is expected


def test_a_name_that_another_node_has_stays_with_it() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "f.0"),
        helper.make_node("Gemm", ["r", "f.0.weight"], ["h"], "node_Gemm_1"),
        helper.make_node("Gemm", ["h", "w"], ["y"], "node_Gemm_1"),
    ]
    imported = load_model(model(nodes, {"f.0.weight": np.eye(3), "w": np.eye(3)}))
    assert [node.name for node in imported.graph] == ["f.0", "f.0_2", "node_Gemm_1_2"]
    assert other_names(imported) == {}  # the node's name means two


def test_the_module_of_a_torch_path_is_accepted() -> None:
    imported = load_model(dense("/f/f.0/Gemm", "onnx::Gemm_7"))
    assert [node.name for node in imported.graph] == ["f/f.0"]
    assert other_names(imported) == {"f/f.0": ["/f/f.0/Gemm", "f/f.0/Gemm", "f.0"]}


def test_what_is_added_to_a_product_of_activations_names_nothing() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("MatMul", ["x", "t"], ["s"], "node_MatMul_1"),
        helper.make_node("Add", ["s", "position.bias"], ["a"], "add"),
        helper.make_node("MatMul", ["a", "x"], ["y"], "node_MatMul_2"),
    ]
    imported = load_model(model(nodes, {"position.bias": np.ones(1)}))
    assert "node_MatMul_1" in [node.name for node in imported.graph]
