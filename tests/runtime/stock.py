"""Stock onnxruntime as the judge of the runtime, and how close values must come to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt

import rpucc
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 1e-5
"""Relative to a value's largest entry."""


def stock_values(model: onnx.ModelProto | ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run on onnxruntime with optimisations off; return what every node makes, by name."""
    proto = onnx.ModelProto()
    proto.CopyFrom(ir.to_proto(model) if isinstance(model, ir.Model) else model)
    listed = {output.name for output in proto.graph.output}
    made = [name for node in proto.graph.node for name in node.output if name]
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in made if n not in listed)
    options = rt.SessionOptions()
    options.graph_optimization_level = rt.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = rt.InferenceSession(proto.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    fed = {name: array for name, array in feeds.items() if name in wanted}
    return dict(zip(names, session.run(names, fed), strict=True))


def assert_close(found: Array, expected: Array, name: str = "") -> None:
    """Same shape and type, and equal to 1e-5 of the largest expected entry; integers exactly."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, name
    assert found.dtype == expected.dtype, name
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=name)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max(initial=0.0)) or 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)


def assert_agree(executor: Executor, expected: Mapping[str, Array]) -> set[str]:
    """Compare every value that both hold; return their names."""
    common = {name for name in executor.names() if name in expected}
    for name in common:
        assert_close(executor[name], expected[name], name)
    return common


def training_outputs(program: rpucc.Program) -> list[str]:
    """What a training step must compute: logits, loss and all new weights."""
    return [program.output, *program.step.computed]


def training_feeds(program: rpucc.Program, batch: int, lr: float = 0.1) -> dict[str, Array]:
    """Random samples in the input range with labels below 10, and a learning rate."""
    rng = np.random.default_rng(7)
    (name,), (rate,) = program.inputs, program.step.rates
    x = next(v for v in program.model.graph.inputs if v.name == name)
    assert x.shape is not None
    space = [int(d) for d in list(x.shape)[1:] if isinstance(d, int)]
    return {
        name: rng.uniform(*program.input_range, (batch, *space)).astype(np.float32),
        str(program.step.labels): rng.integers(0, 10, batch),
        rate: np.array(lr, np.float32),
    }


def training_mode(program: rpucc.Program, seed: int = 0, sample: int = 0) -> dict[str, Array]:
    """What a program has for a step of training: its mode, and the names of its draws."""
    step, words = program.step, (seed % 2**32, seed >> 32, sample)
    feeds: dict[str, Array] = {}
    if step.mode is not None:
        feeds[step.mode] = np.ones((), np.float32)
    if step.draws is not None:
        feeds[step.draws] = np.array(words, np.int64)
    return feeds


def run_executor(
    machine: Machine, feeds: Mapping[str, Array], outputs: Iterable[str], batch: int, **how: Any
) -> Executor:
    """An executor after one step on `feeds`; it keeps all values that it can."""
    executor = Executor(machine, batch, list(outputs), **{"fuse": False, **how})
    for name, array in feeds.items():
        if name in executor:
            executor[name][...] = array
    executor.run()
    return executor


def ideal(model: Any, rows: int = 512, cols: int = 512, **how: Any) -> rpucc.Program:
    """A model on ideal arrays of a size, biases too; not verified by the compiler itself."""
    overrides = [f"array.rows={rows}", f"array.cols={cols}", "mapping.bias=array"]
    return rpucc.compile(model, "ideal", overrides=overrides, verify=False, **how)
