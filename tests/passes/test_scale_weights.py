"""Weight scaling: the programmed weights fit, every value stays, updates are those of the weights.

`mapping.weight_scaling` as a number scales layers of every kind, also where they would fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import rpucc
from rpucc.layers import analog_layers, weight_scale
from rpucc.models import build
from rpucc.runtime.executor import Executor

from .graphs import normal, program

HALF = "mapping.weight_scaling=0.05"

BODIES: dict[str, tuple[str, str, dict[str, np.ndarray]]] = {
    "dense": (
        "float[N,6] x) => (float[N,4] y",
        "[h] a = Gemm<transB = 1>(x, A, b) [t] c = Tanh(a) [z] y = Gemm<transB = 1>(c, B)",
        {"A": normal(5, 6), "b": normal(5, seed=1), "B": normal(4, 5, seed=2)},
    ),
    "steps": (
        "float[N,3,6] x) => (float[N,12] y",
        "[h] a = MatMul(x, A) [s] d = Add(a, b) [t] c = Tanh(d) [z] e = MatMul(c, B)"
        " [f] y = Flatten(e)",
        {"A": normal(6, 5), "b": normal(5, seed=1), "B": normal(5, 4, seed=2)},
    ),
    "conv": (
        "float[N,2,6,6] x) => (float[N,4] y",
        "[h] a = Conv(x, A, b) [t] c = Tanh(a) [q] d = Conv<group = 2>(c, B)"
        " [u] e = Tanh(d) [p] g = GlobalAveragePool(e) [f] y = Flatten(g)",
        {"A": normal(4, 2, 3, 3), "b": normal(4, seed=1), "B": normal(4, 2, 2, 2, seed=2)},
    ),
    "transposed": (
        "float[N,2,4,4] x) => (float[N,3] y",
        "[h] a = ConvTranspose(x, A, b) [t] c = Tanh(a) [p] g = GlobalAveragePool(c)"
        " [f] y = Flatten(g)",
        {"A": normal(2, 3, 3, 3), "b": normal(3, seed=1)},
    ),
}

VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": ("mapping.bias=array",),
    "one scale": ("mapping.bias=array", "mapping.weight_scaling_per=layer"),
    "one scale, two devices": (
        "mapping.bias=array",
        "mapping.weight_scaling_per=layer",
        "mapping.devices_per_weight=2",
    ),
    "digital biases": ("mapping.bias=digital",),
    "three devices a weight": ("mapping.bias=array", "mapping.devices_per_weight=3"),
    "managed, tiled": (
        "mapping.bias=array",
        "array.small.rows=3",
        "array.small.cols=3",
        "array.large.rows=4",
        "array.large.cols=4",
        "management.noise_forward=always",
        "management.noise_backward=always",
    ),
}


def compiled(body: str, *overrides: str, training: bool = True) -> rpucc.Program:
    """Compiled with every pass verified; raises if one changes a value."""
    head, text, constants = BODIES[body]
    model = program(f"({head}) {{ {text} }}", **constants)
    return rpucc.compile(model, "ideal", training=training, overrides=overrides, verify=True)


def weights_after_a_step(found: rpucc.Program) -> dict[str, np.ndarray]:
    """The layers' weights (not those on the devices), and digital parameters, after one step."""
    machine = rpucc.Machine(found)
    (name,), (rate,) = found.inputs, found.step.rates
    executor = Executor(machine, 3, found.step.computed)
    rng = np.random.default_rng(5)
    executor[name][...] = rng.uniform(0, 1, executor[name].shape)
    executor[found.step.labels][...] = rng.integers(0, 3, 3)
    executor[rate][...] = 0.1
    executor.run()
    weights: dict[str, Any] = dict(machine.state())
    for layer in analog_layers(found.model):
        held = weights.pop(str(layer.weight.name))
        by_matrix = held.reshape(layer.matrices, layer.devices, -1, held.shape[1])
        scale = weight_scale(layer.forward[0])
        factors = np.ones(1) if scale is None else scale.reshape(-1, 1, scale.shape[-1], 1)
        weights[f"{layer.name}.W"] = by_matrix * factors
    return weights


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("body", BODIES)
def test_one_step_changes_the_weights_as_without(body: str, variant: str) -> None:
    """Values, gradients and updates: those of the network, whatever the devices hold."""
    overrides = VARIANTS[variant]
    scaled = compiled(body, HALF, *overrides)
    plain = compiled(body, "mapping.weight_scaling=off", *overrides)
    assert all(layer.weight_scale[1] > 1 for layer in analog_layers(scaled.model))
    after, expected = weights_after_a_step(scaled), weights_after_a_step(plain)
    fresh = {f"{la.name}.W": la for la in analog_layers(plain.model)}
    assert after.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(after[name], value, rtol=2e-5, atol=2e-6, err_msg=name)
        if name in fresh:  # a step that moves nothing would agree with anything
            start = fresh[name].weight.const_value.numpy().reshape(value.shape)  # type: ignore[union-attr]  # fmt: skip
            assert np.abs(value - start).max() > 1e-3


@pytest.mark.parametrize("body", BODIES)
def test_the_largest_weight_on_devices_is_the_number(body: str) -> None:
    for layer in analog_layers(compiled(body, HALF, training=False).model):
        held = layer.weight.const_value
        assert held is not None
        largest = np.abs(held.numpy()).max(axis=1)
        np.testing.assert_allclose(largest, 0.05, rtol=1e-6)


def test_copies_that_learn_apart_are_scaled_alike() -> None:
    overrides = ("layer.h.mapping.replicas=3", "layer.h.mapping.replica_updates=independent")
    layer = analog_layers(compiled("conv", HALF, *overrides).model)[0]
    assert layer.learners == 3
    scale = weight_scale(layer.forward[0])
    assert scale is not None
    assert scale.shape == (3, 1, 4)
    assert (scale == scale[:1]).all()


def test_the_scale_is_an_op_of_the_program() -> None:
    graph = compiled("dense", HALF).model.graph
    (mul,) = (node for node in graph if node.name == "h.weight_scale")
    assert mul.op_type == "Mul"
    assert mul.inputs[1] is graph.initializers["h.scale"]
    assert "h.W.scaled" in graph.initializers
    assert "h.W" not in graph.initializers


def test_a_bias_that_does_not_fit_stays_digital() -> None:
    """It must not push the weights of its line into the noise."""
    model = program(
        "(float[N,6] x) => (float[N,4] y) { [h] y = Gemm<transB = 1>(x, A, b) }",
        A=normal(4, 6) / 10,
        b=np.array([0, 0, 5, 0], np.float32),
    )
    found = rpucc.compile(model, "rpu-managed", verify=True)
    assert "h.b" in found.model.graph.initializers
    assert analog_layers(found.model)[0].weight_scale == (1.0, 1.0)


@pytest.mark.parametrize("preset", ["ideal", "rpu-baseline", "rpu-managed", "soft-bounds"])
def test_lenet_fits(preset: str) -> None:
    """Where nothing has to be scaled the program is the one that it would be without."""
    lenet = build("lenet")
    del lenet.metadata_props[:]  # as of a user's own file, whose weights could be trained ones
    plain = rpucc.compile(lenet, preset, overrides=["mapping.weight_scaling=off"], verify=False)
    found = rpucc.compile(lenet, preset, verify=False)
    assert [n.name for n in found.model.graph] == [n.name for n in plain.model.graph]
    for name, value in plain.model.graph.initializers.items():
        other = found.model.graph.initializers[name].const_value
        assert isinstance(value, ir.Value)
        assert other is not None
        assert value.const_value is not None
        np.testing.assert_array_equal(other.numpy(), value.const_value.numpy())


def test_what_is_clipped_is_counted_and_said() -> None:
    model = program(
        "(float[N,6] x) => (float[N,4] y) { [h] y = Gemm<transB = 1>(x, A) }",
        A=np.arange(24, dtype=np.float32).reshape(4, 6) / 20,
    )
    off = rpucc.compile(model, overrides=["mapping.weight_scaling=off"], verify=False).plan
    assert off.layers[0].clipped == 11  # 13 / 20 and more
    assert any("'h' 11 of 24" in note and "weight_scaling" in note for note in off.notes)
    auto = rpucc.compile(model, verify=False).plan
    assert auto.layers[0].clipped == 0
    assert auto.layers[0].weight_scale == pytest.approx((1.0, 23 / 12))
    assert any("up to 1.92" in note for note in auto.notes)


def test_exact_updates_clip_nothing() -> None:
    """Where updates are exact the devices, bounds included, play no part."""
    model = program(
        "(float[N,6] x) => (float[N,4] y) { [h] y = Gemm<transB = 1>(x, A) }", A=9 * normal(4, 6)
    )
    plan = rpucc.compile(model, overrides=["update.pulsed=false"], verify=False).plan
    assert (plan.layers[0].clipped, plan.layers[0].weight_scale) == (0, (1.0, 1.0))
