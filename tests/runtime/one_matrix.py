"""A program of one weight matrix and nothing else, lowered by the passes: its three cycles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rpucc.opset import VERSION
from rpucc.passes.assign_update import AssignUpdate
from rpucc.passes.manage_bounds import ManageBounds
from rpucc.passes.manage_noise import ManageNoise
from rpucc.passes.pipeline import run_pipeline
from rpucc.passes.tile import Tile
from rpucc.program import Program
from rpucc.step_contract import StepContract
from rpucc.target.target import Target

FloatArray = NDArray[np.float32]


def one_matrix(W: FloatArray, target: Target, positions: int = 0) -> Program:
    """x -> y, d -> z, and the update of (x, d, lr) of W [R, C].

    x: [N, C], or [N, positions, C] where there are some, as a convolution has them.
    """
    (R, C), cuts = W.shape, {"row_cuts": [0, W.shape[0]], "col_cuts": [0, W.shape[1]]}
    lines: list[int | str] = ["N", positions] if positions else ["N"]

    def node(op: str, inputs: Sequence[str], output: str, domain: str = "rpu", **how: Any) -> Any:
        return helper.make_node(op, inputs, [output], name=output, domain=domain, **how)

    def info(name: str, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            node("Read", ["x", "W"], "part", **cuts),
            node("ReduceSum", ["part", "axes"], "y", "", keepdims=0),
            node("Read", ["d", "W"], "zpart", transpose=1, **cuts),
            node("ReduceSum", ["zpart", "axes"], "z", "", keepdims=0),
            node("Update", ["W", "x", "d", "lr"], "W2", **cuts),
        ],
        "matrix",
        [info("x", [*lines, C]), info("d", [*lines, R]), info("lr", [])],
        [info("y", [*lines, R]), info("z", [*lines, C]), info("W2", [R, C])],
        [
            numpy_helper.from_array(W, "W"),
            numpy_helper.from_array(np.array([-2], np.int64), "axes"),
        ],
        value_info=[info("part", [*lines, 1, R]), info("zpart", [*lines, 1, C])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("rpu", VERSION)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    model.metadata_props["rpucc.target"] = target.to_json()
    StepContract.inference(model).write(model)
    for item in model.graph:
        item.metadata_props["rpucc.layer"] = "matrix"
    passes = [Tile(target), ManageNoise(target), ManageBounds(target), AssignUpdate(target)]
    return Program(run_pipeline(model, passes))
