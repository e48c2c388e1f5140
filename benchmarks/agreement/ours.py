"""rpucc's side: samples of one weight matrix, lowered by the passes and run by the executor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

import rpucc
from benchmarks.agreement.cases import (
    COLUMNS,
    DEVICES,
    READS,
    ROWS,
    UPDATES,
    FloatArray,
    moments,
    vectors,
    with_sums,
)
from rpucc.errors import TargetError
from rpucc.passes.assign_update import AssignUpdate
from rpucc.passes.manage_bounds import ManageBounds
from rpucc.passes.manage_noise import ManageNoise
from rpucc.passes.pipeline import run_pipeline
from rpucc.passes.tile import Tile
from rpucc.program import Program
from rpucc.runtime.devices import make_device
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine
from rpucc.step_contract import StepContract
from rpucc.target import Target

Result = dict[str, Any]
BATCH = 1000
UNIFORM = (
    "device.model=constant-step",
    "device.w_max=20",
    "device.w_min=-20",
    'variations.remove=["dtod", "asymmetry", "bounds"]',
)
"""The RPU-baseline's step and pulse noise, without spreads, bounds out of reach."""


def prepare(side: str) -> dict[str, str]:
    """The versions."""
    return {"rpucc": rpucc.__version__}


def measure(case: Result) -> Result:
    """Sample one case."""
    return {"read": read, "update": update, "response": response}[case["what"]](case)


def compiled(W: FloatArray, overrides: Sequence[str]) -> Program:
    """A program of one matrix [R, C]: x -> y, d -> z, and the update of (x, d, lr)."""
    R, C = W.shape
    target = Target.load("ideal", ["update.pulsed=true", *overrides])
    grid: dict[str, Any] = {"row_cuts": [0, R], "col_cuts": [0, C]}

    def node(op: str, inputs: Sequence[str], output: str, domain: str = "rpu", **how: Any) -> Any:
        return helper.make_node(op, inputs, [output], name=output, domain=domain, **how)

    def info(name: str, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            node("Read", ["x", "W"], "part", **grid),
            node("ReduceSum", ["part", "axes"], "y", "", keepdims=0),
            node("Read", ["d", "W"], "zpart", transpose=1, **grid),
            node("ReduceSum", ["zpart", "axes"], "z", "", keepdims=0),
            node("Update", ["W", "x", "d", "lr"], "W2", **grid),
        ],
        "matrix",
        [info("x", ["N", C]), info("d", ["N", R]), info("lr", [])],
        [info("y", ["N", R]), info("z", ["N", C]), info("W2", [R, C])],
        [
            numpy_helper.from_array(W, "W"),
            numpy_helper.from_array(np.array([-2], np.int64), "axes"),
        ],
        value_info=[info("part", ["N", 1, R]), info("zpart", ["N", 1, C])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("rpu", 1)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    model.metadata_props["rpucc.target"] = target.to_json()
    StepContract.inference(model).write(model)
    for item in model.graph:
        item.metadata_props["rpucc.layer"] = "matrix"
    passes = [Tile(target), ManageNoise(target), ManageBounds(target), AssignUpdate(target)]
    return Program(run_pipeline(model, passes))


def read(case: Result) -> Result:
    """Moments of the outputs of one input."""
    W, x, d = vectors(case)
    keys = ("read_noise", "bound", "dac_bits", "adc_bits", "dac_stochastic")
    overrides = ["update.pulsed=false", *(f"periphery.{key}={_toml(case[key])}" for key in keys)]
    if case["noise_managed"]:
        overrides += ["management.noise_forward=always", "management.noise_backward=always"]
    if case["bound_mode"]:
        overrides += [
            "management.bound_forward=true",
            f"management.bound_mode={case['bound_mode']}",
        ]
    machine = Machine(compiled(W, overrides), seed=1)
    output = "z" if case["transpose"] else "y"
    executor = Executor(machine, BATCH, [output])
    executor["x"][...], executor["d"][...] = x, d
    samples = []
    for first in range(0, READS, BATCH):
        executor.run(first)
        samples.append(executor[output].copy())
    return moments(np.concatenate(samples))


def _toml(value: object) -> str:
    return str(value).lower()


def update(case: Result) -> Result:
    """Moments of the weight changes by one pair."""
    _, x, d = vectors(case)
    keys = ("bl", "update_management", "update_bl_management")
    overrides = [*UNIFORM, *(f"update.{key}={_toml(case[key])}" for key in keys)]
    machine = Machine(compiled(np.zeros((ROWS, COLUMNS), np.float32), overrides), seed=1)
    executor = Executor(machine, 1, ["W2"])
    executor["x"][...], executor["d"][...], executor["lr"][...] = x, d, 0.01
    W = machine.arrays["W"].visible
    changes = np.empty((UPDATES, ROWS, COLUMNS), np.float32)
    for i in range(UPDATES):
        W[...] = 0
        executor.run(i)
        changes[i] = W
    return moments(with_sums(changes))


def response(case: Result) -> Result:
    """Moments of the weights over devices, after each number of pulses."""
    try:
        make_device(case["model"], {})
    except TargetError:
        return {"absent": f"rpucc has no device model {case['model']}"}
    parameters = [f"device.{key}={value}" for key, value in case["parameters"]]
    overrides = [f"device.model={case['model']}", "update.bl=1", *parameters]
    machine = Machine(compiled(np.zeros(DEVICES, np.float32), overrides), seed=1)
    executor = Executor(machine, 1, ["W2"])
    # lr = dw_min: with BL 1, x = 1 and |d| = 1 every device gets a pulse
    executor["x"][...], executor["lr"][...] = 1, 0.001
    seen = []
    for pulse in range(1, 2 * case["pulses"] + 1):
        executor["d"][...] = -1 if pulse <= case["pulses"] else 1
        executor.run(pulse)
        if pulse in case["points"]:
            seen.append(machine.arrays["W"].weights.ravel().copy())
    return moments(np.stack(seen, axis=1))
