"""One ONNX operator through the executor and through stock onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import settings
from hypothesis import strategies as st
from onnx import helper

from rpucc.program import Program
from rpucc.runtime.backend import Backend
from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.cpu import CPU
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine
from rpucc.step_contract import StepContract

from .stock import Array, assert_close, stock_values

OPSET = 21

few = settings(max_examples=25, deadline=None, derandomize=True)
filled = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
"""Shapes of at least one axis, without empty ones."""


def normal(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def op_model(
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    outputs: tuple[str, ...] = ("y",),
) -> onnx.ModelProto:
    """A checked model with inferred shapes; `outputs` are what is wanted of it."""

    def info(name: str, array: Array) -> onnx.ValueInfoProto:
        element = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, element, array.shape)

    graph = helper.make_graph(
        nodes,
        "one-op",
        [info(name, array) for name, array in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [onnx.numpy_helper.from_array(a, name) for name, a in (constants or {}).items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(inferred)
    return inferred


def executor_of(
    model: onnx.ModelProto, outputs: tuple[str, ...], batch: int = 1, backend: Backend = CPU
) -> Executor:
    """The runtime's executor of a model that is no compiled program."""
    found = ir.from_proto(model)
    StepContract.inference(found).write(found)
    return Executor(Machine(Program(found)), batch, outputs, backend=backend)


def noting_sessions(backend: Backend) -> tuple[Backend, list[str]]:
    """The backend, and the operators that it will have left to onnxruntime."""
    left: list[str] = []

    def noting(builder: Builder, node: ir.Node) -> Instruction | None:
        left.append(node.op_type)
        return backend.other(builder, node)

    return replace(backend, other=noting), left


def check_nodes(
    backend: Backend,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    outputs: tuple[str, ...] = ("y",),
    native: bool | None = True,
) -> None:
    """Every value that the runtime keeps equals onnxruntime's, on two successive steps.

    native: whether rpucc's own backend must do it without a session; None leaves it open.
    """
    model = op_model(nodes, inputs, constants, outputs)
    noting, left = noting_sessions(backend)
    executor = executor_of(model, outputs, backend=noting)
    if native is not None and backend is CPU:
        assert bool(left) is not native, left
    other = {name: np.asarray(np.flip(array)) for name, array in inputs.items()}
    for feeds in (inputs, other):
        for name, array in feeds.items():
            executor[name][...] = array
        executor.run()
        expected = stock_values(model, feeds)
        for name in outputs:
            assert_close(executor[name], expected[name], f"{nodes[-1].op_type}: {name}")


def check_op(
    backend: Backend,
    op: str,
    *inputs: Array | None,
    constants: Mapping[int, Array] | None = None,
    outputs: int = 1,
    native: bool | None = True,
    **attributes: Any,
) -> None:
    """`check_nodes` of one node; `constants` are initializers by input position."""
    fixed = constants or {}
    arrays = {i: array for i, array in enumerate(inputs) if array is not None}
    arrays.update(fixed)
    names = [f"x{i}" if i in arrays else "" for i in range(max(arrays) + 1)]
    made = tuple(["y", "y1", "y2"][:outputs])
    node = helper.make_node(op, names, list(made), name=op.lower(), **attributes)
    check_nodes(
        backend,
        [node],
        {f"x{i}": array for i, array in arrays.items() if i not in fixed},
        {f"x{i}": array for i, array in fixed.items()},
        made,
        native,
    )
