"""Networks with the exporters' habits compile, every pass verified, and their gradients hold."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt
import pytest

from rpucc.compiler import compile_model
from rpucc.passes.execute import random_feeds
from rpucc.passes.verify import compare_models
from rpucc.program import Program

from .gradient_check import session
from .habits import HABITS
from .lowering import with_arrays

STEP = 2e-3


@pytest.mark.parametrize("name", HABITS)
def test_inference_equals_the_original_at_every_value(name: str) -> None:
    habit = HABITS[name]
    original = habit.build()
    program = compile_model(original, with_arrays((100, 60)), training=False, verify=False)
    assert len(program.plan.analog_layers) == habit.layers
    assert compare_models(original, program.model).compared >= habit.layers


@pytest.mark.parametrize("name", HABITS)
def test_scaled_weights_keep_every_value(name: str) -> None:
    """Factors move on and outputs are scaled, wherever that is in the graph."""
    habit = HABITS[name]
    original = habit.build()
    target = with_arrays((100, 60), overrides=("mapping.weight_scaling=0.1",))
    program = compile_model(original, target, loss=habit.loss, verify=False)
    layers = program.plan.analog_layers
    assert len(layers) == habit.layers
    assert any(layer.weight_scale != (1.0, 1.0) for layer in layers)
    assert compare_models(original, program.model).compared >= 1


def with_weights_as_inputs(program: Program) -> rt.InferenceSession:
    """A session that takes a trained weight in place of its stored value."""
    proto = ir.to_proto(program.model)
    for tensor in proto.graph.initializer:
        if tensor.name in program.updates:
            proto.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return session(proto)


@pytest.mark.parametrize("name", HABITS)
def test_every_layer_gets_the_gradient_that_differences_give(name: str) -> None:
    """Along each weight's own gradient G the loss must rise by |G| a unit of length."""
    habit = HABITS[name]
    program = compile_model(habit.build(), with_arrays((100, 60)), loss=habit.loss, verify=True)
    assert len(program.plan.analog_layers) == habit.layers
    assert {f"{layer.name}.W" for layer in program.plan.analog_layers} <= set(program.updates)
    runner, feeds = with_weights_as_inputs(program), random_feeds(program.model, seed=1)
    notes = program.model.metadata_props
    loss, rate = notes["rpucc.loss_value"], float(feeds[notes["rpucc.lr"]])
    for weight, updated in program.updates.items():
        old = program.model.graph.initializers[weight].const_value.numpy()
        (new,) = runner.run([updated], feeds)
        gradient = (old.astype(np.float64) - new) / rate
        length = np.linalg.norm(gradient)
        assert length > 1e-4, weight
        step = (STEP * gradient / length).astype(np.float32)
        (above,) = runner.run([loss], {**feeds, weight: old + step})
        (below,) = runner.run([loss], {**feeds, weight: old - step})
        slope = (float(above) - float(below)) / (2 * STEP)
        assert slope == pytest.approx(length, rel=0.02, abs=2e-4), weight


def test_the_numbers_of_a_formula_are_not_trained() -> None:
    """The 3 of a hard swish stands in an Add right behind a layer, where a bias would."""
    program = compile_model(HABITS["mobilenet v3"].build(), with_arrays((100, 60)), verify=False)
    assert set(program.updates) == {f"{layer.name}.W" for layer in program.plan.analog_layers}
