"""Networks with the exporters' habits compile, every pass verified, and their gradients hold."""

from __future__ import annotations

import pytest

from rpucc.compiler.compile import compile_model
from rpucc.passes.verify import compare_models

from .habits import HABITS
from .lowering import with_arrays
from .steps import assert_steps_are_gradients


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


@pytest.mark.parametrize("name", HABITS)
def test_every_layer_gets_the_gradient_that_differences_give(name: str) -> None:
    habit = HABITS[name]
    program = compile_model(habit.build(), with_arrays((100, 60)), loss=habit.loss, verify=True)
    assert len(program.plan.analog_layers) == habit.layers
    assert {f"{layer.name}.W" for layer in program.plan.analog_layers} <= set(program.updates)
    assert_steps_are_gradients(program)


def test_the_numbers_of_a_formula_are_not_trained() -> None:
    """The 3 of a hard swish stands in an Add right behind a layer, where a bias would."""
    program = compile_model(HABITS["mobilenet v3"].build(), with_arrays((100, 60)), verify=False)
    assert set(program.updates) == {f"{layer.name}.W" for layer in program.plan.analog_layers}


def test_shapes_by_way_of_scalars_leave_the_batch_open() -> None:
    """And a bias of zeros like an activation is a constant: its batch norm is folded."""
    program = compile_model(HABITS["torch dynamo, plain"].build(), "ideal", verify=False)
    assert program.fixed_batch is None
    assert program.plan.notes == ("batch norms: 2 folded into the layer before",)
