"""Sizes that no value can have are refused by arithmetic; nothing of them reaches onnx."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import rpucc
from rpucc.errors import ModelError

Node = tuple[str, str, str, dict[str, Any]]

ODD: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "tile": (
        [("Tile", "d r", "y", {})],
        {"r": [1, 2**40]},
        "(Tile): its result would be [1, 4398046511104]",
    ),
    "expand": ([("Expand", "d r", "y", {})], {"r": [2**40, 1, 4]}, "(Expand): its result would be"),
    "crop by pads": ([("Pad", "d r", "y", {})], {"r": [0, -3, 0, -3]}, "would be [1, -2]"),
    "wide pads": ([("Pad", "d r", "y", {})], {"r": [0, 0, 0, 2**62]}, "(Pad): its result would be"),
    "constant of a shape": (
        [
            ("ConstantOfShape", "r", "z", {}),
            ("ReduceSum", "z", "s", {"keepdims": 0}),
            ("Add", "d s", "y", {}),
        ],
        {"r": [2**20, 2**20]},
        "a constant has at most 268,435,456",
    ),
    "range": (
        [
            ("Range", "a b c", "z", {}),
            ("ReduceSum", "z", "s", {"keepdims": 0}),
            ("Add", "d s", "y", {}),
        ],
        {"a": np.float32(0), "b": np.float32(2**40), "c": np.float32(1)},
        "(Range): its result would be [1099511627776]",
    ),
    "gathered": (
        [("Unsqueeze", "d one", "u", {}), ("Expand", "u r", "y", {})],
        {"one": [1], "r": [1, 2**31, 4]},
        "(Expand): its result would be",
    ),
    "axis beyond all": (
        [("LayerNormalization", "d s", "y", {"axis": 2**63 - 1})],
        {"s": np.ones(4, np.float32)},
        "axis is 9223372036854775807; its input has 2 dimensions",
    ),
    "batch dimensions below none": (
        [("GatherND", "d r", "y", {"batch_dims": -7})],
        {"r": [0]},
        "batch_dims is -7",
    ),
    "computed shape": (
        [
            ("Shape", "d", "h", {}),
            ("Mul", "h k", "t", {}),
            ("Expand", "d t", "y", {}),
        ],
        {"k": [2**30, 1]},
        "(Expand): its result would be [1073741824, 4]",
    ),
}
IMAGES: dict[str, tuple[list[Node], dict[str, Any], str]] = {
    "window before a Split": (
        [("MaxPool", "x", "p", {"kernel_shape": [9, 9]}), ("Split", "p", "y z", {"axis": 2})],
        {},
        "(MaxPool): The kernel must fit into the padded input",
    ),
    "dilations before a Slice": (
        [("Conv", "x k", "p", {"dilations": [9, 9]}), ("Slice", "p a b", "y", {})],
        {"k": np.ones((1, 1, 3, 3), np.float32), "a": [0], "b": [1]},
        "(Conv): The kernel must fit into the padded input",
    ),
    "cropped transposed convolution": (
        [("ConvTranspose", "x k", "p", {"pads": [50] * 4}), ("Slice", "p a b", "y", {})],
        {"k": np.ones((1, 1, 3, 3), np.float32), "a": [0], "b": [1]},
        "node 'n0' (ConvTranspose)",
    ),
    "steps of a transposed convolution": (
        [("ConvTranspose", "x k", "y", {"strides": [2**40, 2**40]})],
        {"k": np.ones((1, 1, 3, 3), np.float32)},
        "(ConvTranspose): its result would be",
    ),
    "resized": (
        [("Resize", "x - s", "y", {})],
        {"s": np.array([1, 1, 1e9, 1e9], np.float32)},
        "(Resize): its result would be [1, 1, 5000000000, 5000000000]",
    ),
    "slice up to a computed end": (
        [
            ("Shape", "x", "h", {}),
            ("AveragePool", "x", "p", {"kernel_shape": [9, 9]}),
            ("Slice", "p a h", "y", {}),
        ],
        {"a": [0, 0, 0, 0]},
        "(AveragePool): The kernel must fit into the padded input",
    ),
}


def _model(nodes: list[Node], constants: dict[str, Any], shape: list[Any]) -> onnx.ModelProto:
    made = [
        helper.make_node(
            op,
            ["" if name == "-" else name for name in inputs.split()],
            outputs.split(),
            name=f"n{i}",
            **attributes,
        )
        for i, (op, inputs, outputs, attributes) in enumerate(nodes)
    ]
    if len(shape) == 2:
        made.insert(0, helper.make_node("MatMul", ["x", "w"], ["d"], name="fc"))
        constants = {"w": np.eye(4, dtype=np.float32), **constants}
    graph = helper.make_graph(
        made,
        "odd",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _odd(case: str) -> tuple[onnx.ModelProto, str]:
    nodes, constants, words = (ODD | IMAGES)[case]
    return _model(nodes, constants, ["N", 4] if case in ODD else [1, 1, 5, 5]), words


@pytest.mark.parametrize("case", [*ODD, *IMAGES])
def test_refused_before_anything_is_tried(case: str) -> None:
    model, words = _odd(case)
    with pytest.raises(ModelError) as caught:
        rpucc.compile(model, "ideal", training=False)
    message = str(caught.value)
    assert words in message
    assert message.startswith("model 'odd': node '")
    assert "\n" not in message
    assert message in rpucc.check(model, "ideal", training=False).problems


def test_inside_functions() -> None:
    """A function of the file is looked into."""
    model, _ = _odd("tile")
    body = [each for each in model.graph.node if each.op_type == "Tile"]
    function = helper.make_function(
        "own", "Much", ["d", "r"], ["y"], body, [helper.make_opsetid("", 17)]
    )
    model.graph.node.remove(body[0])
    model.graph.node.append(helper.make_node("Much", ["d", "r"], ["y"], domain="own", name="f"))
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    with pytest.raises(ModelError, match="its result would be"):
        rpucc.compile(model, "ideal", training=False)


def test_subgraphs_are_refused_before_their_sizes_are_asked() -> None:
    """`check` collects what is wrong; onnx would end the process at what the If holds."""
    nodes: list[Node] = [("MaxPool", "x", "p", {"kernel_shape": [9, 9]})]
    model = _model([*nodes, ("Identity", "p", "y", {})], {"a": [0], "b": [1]}, [1, 1, 5, 5])
    inner = helper.make_graph(
        [helper.make_node("Slice", ["p", "a", "b"], ["q"])],
        "inner",
        [],
        [helper.make_tensor_value_info("q", 1, None)],
    )
    model.graph.node[-1].CopyFrom(
        helper.make_node("If", ["yes"], ["y"], name="if", then_branch=inner, else_branch=inner)
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    problems = rpucc.check(model, "ideal", training=False).problems
    assert any("control flow is not supported" in problem for problem in problems)


def test_large_values_of_many_samples_are_none() -> None:
    """What is sane for one sample is for a batch, too."""
    model = _model([("Expand", "d r", "y", {})], {"r": [2**20, 2**12, 4]}, [2**20, 4])
    with pytest.raises(ModelError) as caught:
        rpucc.compile(model, "ideal", training=False)
    assert "its result would be" not in str(caught.value)


def test_a_program_whose_node_ends_the_process(tmp_path: Any) -> None:
    """Loading looks at sizes before onnx's full check does."""
    nodes: list[Node] = [("LayerNormalization", "d s", "y", {"axis": 1})]
    model = _model(nodes, {"s": np.ones(4, np.float32)}, ["N", 4])
    path = tmp_path / "p.onnx"
    rpucc.compile(model, "ideal", training=False).save(path)
    program = onnx.load(path)
    (node,) = (each for each in program.graph.node if each.op_type == "LayerNormalization")
    next(each for each in node.attribute if each.name == "axis").i = 2**63 - 1
    onnx.save(program, path)
    code = (
        "import sys, rpucc\ntry: rpucc.Program.load(sys.argv[1])\n"
        "except rpucc.RpuccError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "axis is 9223372036854775807" in done.stdout


def test_every_session_is_opened_in_one_place() -> None:
    """Where telemetry is off."""
    from tests.repository import ROOT

    found = [
        str(path.relative_to(ROOT))
        for folder in ("passes", "runtime", "rpucc", "models")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "InferenceSession(" in path.read_text()
    ]
    assert found == ["rpucc/ort_session.py"]
