"""A program's training step against differences of its own loss."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt
import pytest

from rpucc.passes.execute import random_feeds
from rpucc.program import Program

from .gradient_check import session

STEP = 2e-3


def with_weights_as_inputs(program: Program) -> rt.InferenceSession:
    """A session that takes a trained weight in place of its stored value."""
    proto = ir.to_proto(program.model)
    for tensor in proto.graph.initializer:
        if tensor.name in program.updates:
            proto.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return session(proto)


def assert_steps_are_gradients(program: Program) -> None:
    """Along each weight's own gradient G the loss must rise by |G| a unit of length."""
    runner, feeds = with_weights_as_inputs(program), random_feeds(program.model, seed=1)
    (rate,) = (float(feeds[name]) for name in program.step.rates)
    loss = program.step.metric("loss").value
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
