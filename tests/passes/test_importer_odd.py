"""Odd and hostile models: one line about the file, never a process that dies of one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from rpucc.compiler.check import check_model
from rpucc.compiler.compile import compile_model
from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.errors import ModelError, RpuccError
from rpucc.left_out import LEFT_OUT
from rpucc.passes.frontend.onnx_tools import foreign_errors
from rpucc.passes.importer import INPUT_RANGE_KEY

from ..repository import ROOT

Nodes = list[tuple[str, str, str, dict[str, Any]]]

TAIL: Nodes = [
    ("GlobalAveragePool", "c", "g", {}),
    ("Flatten", "g", "f", {}),
    ("Gemm", "f wf", "y", {}),
]


def model(
    nodes: Nodes,
    shape: tuple[Any, ...] = ("N", 2, 6, 6),
    kernel: int = 3,
    opset: int = 21,
    **constants: Any,
) -> onnx.ModelProto:
    """A convolution of 4 channels, called c, then `nodes`."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(size=(4, 2, kernel, kernel)).astype("f4"),
        "wf": random.normal(size=(4, 3)).astype("f4"),
        **{name: np.asarray(value) for name, value in constants.items()},
    }
    everything = [("Conv", "x w", "c", {}), *nodes]
    graph = helper.make_graph(
        [helper.make_node(op, i.split(), o.split(), o, **a) for op, i, o, a in everything],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8 if opset < 20 else 10)


def refusal(odd: onnx.ModelProto, error: type[ModelError] = ModelError) -> str:
    """What the compiler and the check say; both refuse."""
    with pytest.raises(error) as caught:
        compile_model(odd, verify=False)
    assert not check_model(odd).compiles
    message = str(caught.value)
    assert message.startswith("model 'odd': ")
    assert "\n" not in message
    return message


SLICE: Nodes = [("Slice", "c s e a", "t", {}), ("Identity", "t", "u", {})]
CUTS = {"s": [0], "e": [2], "a": [2]}


@pytest.mark.parametrize("further", [0, 1, 3])
def test_a_kernel_larger_than_its_image_before_a_slice(further: int) -> None:
    """onnx's shape inference ends the process at a Slice of a size below zero."""
    chain: Nodes = []
    name = "x0"
    for i in range(further):  # Slices that are as they should be come first
        chain.append(("Slice", f"{'c' if not i else name} s e6 a", f"x{i + 1}", {}))
        name = f"x{i + 1}"
    start = name if further else "c"
    odd = model(
        [
            *chain,
            ("Conv", f"{start} w9", "big", {}),
            ("Slice", "big s e a", "t", {}),
            ("GlobalAveragePool", "t", "g", {}),
            *TAIL[1:],
        ],
        w9=np.zeros((4, 4, 9, 9), "f4"),
        e6=[6],
        **CUTS,
    )
    message = refusal(odd)
    assert "node 'big' (Conv): The kernel must fit into the padded input" in message


def test_slices_alone_are_no_obstacle() -> None:
    nodes: Nodes = [("Slice", "c s e a", "t", {}), ("GlobalAveragePool", "t", "g", {}), *TAIL[1:]]
    assert compile_model(model(nodes, **CUTS), verify=True).verified


@pytest.mark.parametrize("axes", [[2, 2, 3], [2, -2, 3]])
def test_axes_that_are_named_twice(axes: list[int]) -> None:
    odd = model([("ReduceMean", "c", "f", {"axes": axes, "keepdims": 0}), TAIL[2]], opset=17)
    assert "Axes must name each axis once" in refusal(odd)
    newer = model([("ReduceMean", "c axes", "f", {"keepdims": 0}), TAIL[2]], axes=axes)
    assert "Axes must name each axis once" in refusal(newer)


def test_what_onnx_refuses_in_a_pass() -> None:
    """Whatever its tools raise becomes a line about the file."""
    expected = r"^m\.onnx: onnx cannot work on it: Axis 2 is wrong$"
    with pytest.raises(ModelError, match=expected), foreign_errors("m.onnx"):
        raise onnx.shape_inference.InferenceError("Axis 2 is wrong")


def test_a_text_that_is_none() -> None:
    odd = model([("Pad", "c p", "d", {"mode": "constant"}), *TAIL], p=[0] * 8)
    content = odd.SerializeToString().replace(b"constant", b"cons\xa7ant")
    with pytest.raises(ModelError, match=r"node 'd' \(Pad\): attribute mode is no text in UTF-8"):
        compile_model(content)


@pytest.mark.parametrize("shape", [(2**40, 2, 6, 6), (2**21, 2, 6, 6), ("N", 2, 2**20, 2**20)])
def test_sizes_that_nobody_has(shape: tuple[Any, ...]) -> None:
    assert " has no more than " in refusal(model(TAIL, shape))


def test_what_a_model_says_in_our_words_is_not_believed() -> None:
    odd = model(TAIL)
    helper.set_model_props(
        odd,
        {"rpucc.fixed_batch": "two", "rpucc.input_range": "-1 1", "rpucc.import_notes": "{"},
    )
    odd.graph.node[0].metadata_props.add(key="rpucc.layer", value="another")
    program = compile_model(odd, verify=False)
    assert program.fixed_batch is None
    assert program.input_range == (-1.0, 1.0)
    assert program.plan.layers[0].name == "c"


def test_nothing_that_rpucc_keeps_in_metadata_is_believed_of_a_plain_model() -> None:
    """Whatever key it is, and whatever holds it, the program is that of the model without it."""
    sources = [*package_sources("rpucc"), *package_sources("passes"), *package_sources("runtime")]
    keys = set(re.findall(r'"(rpucc\.[a-z_]+)"', "".join(sources)))
    assert {"rpucc.layer", "rpucc.cycle", "rpucc.step", "rpucc.fixed_batch"} <= keys
    keys -= {"rpucc.version", INPUT_RANGE_KEY, INITIAL_WEIGHTS, LEFT_OUT}
    odd, plain = model(TAIL), model(TAIL)
    graph = odd.graph
    holders = [odd, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    for holder in holders:
        for key in sorted(keys):
            holder.metadata_props.add(key=key, value="two")
    made = [compile_model(each, verify=False).model for each in (odd, plain)]
    for each in made:
        del each.metadata_props["rpucc.source"]  # the file as it was
    first, second = (ir.to_proto(each).SerializeToString(deterministic=True) for each in made)
    assert first == second
    helper.set_model_props(odd, {"rpucc.version": "two"})
    with pytest.raises(ModelError, match="is a compiled rpucc program already"):
        compile_model(odd)


def package_sources(folder: str) -> list[str]:
    """The texts of the modules of a part of the package."""
    return [path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py")]


def test_an_output_without_a_batch_cannot_be_trained() -> None:
    nodes: Nodes = [*TAIL[:2], ("Gemm", "f wf", "z", {}), ("Transpose", "z", "y", {"perm": [1, 0]})]
    odd = model(nodes, (1, 2, 6, 6))
    with pytest.raises(RpuccError, match="its first axis is not the batch"):
        compile_model(odd)
    assert compile_model(odd, training=False).plan.layers
