"""Any legal convolution on arrays of any size: forward, backward and update are onnxruntime's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.runtime.backend import Backend
from rpucc.runtime.machine import Machine

from .stock import (
    assert_agree,
    assert_close,
    run_executor,
    stock_values,
    training_feeds,
    training_outputs,
)


@dataclass(frozen=True)
class Layer:
    """A convolution, or a transposed one, of 1 to 3 dimensions."""

    op: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    group: int
    channels: tuple[int, int]
    """Inputs and outputs of each group."""
    space: tuple[int, ...]
    bias: bool


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    op, kernel, dilations = draw(st.sampled_from(["Conv", "ConvTranspose"])), each(1, 3), each(1, 2)
    if op == "Conv":
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        space = tuple(r + more for r, more in zip(reach, each(0, 3), strict=True))
        pads = each(0, 2) + each(0, 2)
    else:  # the least that leaves an output whatever the pads
        space, pads = each(4, 5), each(0, 1) + each(0, 1)
    return Layer(
        op,
        kernel,
        strides=each(1, 3),
        dilations=dilations,
        pads=pads,
        group=draw(st.sampled_from([1, 2, 3])),
        channels=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        space=space,
        bias=draw(st.booleans()),
    )


def model(layer: Layer) -> onnx.ModelProto:
    """1×1 convolution, the layer, tanh, mean over the positions: the layer gets a gradient back."""
    rng = np.random.default_rng(7)
    rank, inputs = len(layer.kernel), layer.group * layer.channels[0]
    outputs = layer.group * layer.channels[1]
    shape = (outputs, layer.channels[0])
    if layer.op == "ConvTranspose":
        shape = (inputs, layer.channels[1])

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((rng.normal(size=shape) * 0.5).astype(np.float32), name)

    initializers = [
        weights("p.w", inputs, 2, *(1,) * rank),
        weights("c.w", *shape, *layer.kernel),
        weights("fc.w", 10, outputs),
    ]
    if layer.bias:
        initializers.append(weights("c.b", outputs))
    settings = {key: list(getattr(layer, key)) for key in ("strides", "dilations", "pads")}
    nodes = [
        helper.make_node("Conv", ["x", "p.w"], ["p"], name="p"),
        helper.make_node(
            layer.op,
            ["p", "c.w", *(["c.b"] if layer.bias else [])],
            ["c"],
            name="c",
            group=layer.group,
            **settings,
        ),
        helper.make_node("Tanh", ["c"], ["t"], name="t"),
        helper.make_node("GlobalAveragePool", ["t"], ["m"], name="m"),
        helper.make_node("Flatten", ["m"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "fc.w"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, *layer.space])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    layer=layers(),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    batch=st.integers(1, 3),
    bias=st.sampled_from(["auto", "array", "digital"]),
)
def test_a_training_step_is_that_of_onnxruntime(
    backend: Backend, layer: Layer, size: tuple[int, int], batch: int, bias: str
) -> None:
    overrides = [f"array.rows={size[0]}", f"array.cols={size[1]}", f"mapping.bias={bias}"]
    program = rpucc.compile(model(layer), "ideal", verify=False, overrides=overrides)
    feeds = training_feeds(program, batch)
    outputs = training_outputs(program)
    executor = run_executor(Machine(program), feeds, outputs, batch, backend=backend)
    agreed = assert_agree(executor, stock_values(program.model, feeds))
    assert agreed >= {"c", "logits", "loss", "p.W.next", "c.W.next", "fc.W.next"}
    original = stock_values(model(layer), feeds)  # and the program is what the user gave
    for name in ("c", "logits"):
        assert_close(executor[name], original[name], name)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(layers(), st.integers(2, 5))
def test_devices_that_share_a_weight_move_it_as_one_does(layer: Layer, devices: int) -> None:
    one, many = (_matrices_after_a_step(layer, n) for n in (1, devices))
    groups, rows, columns = one.shape
    mean = many.reshape(groups, devices, rows, columns).mean(axis=1)
    assert_close(mean, one)


def _matrices_after_a_step(layer: Layer, devices: int) -> np.ndarray:
    """The layer's weights [groups, rows, columns] after a step in ideal mode."""
    override = f"mapping.devices_per_weight={devices}"
    program = rpucc.compile(model(layer), "ideal", verify=False, overrides=[override])
    machine = Machine(program)
    run_executor(machine, training_feeds(program, 2), training_outputs(program), 2)
    return machine.arrays["c.W"].matrices
