"""Batch norms with the statistics of the minibatch: which may have them, and what they become.

How it works, from the file to the file. `fold_batchnorm` decides by the policy and calls this
module for a batch norm of policy "batch" in a program that trains. It becomes one rpu BatchNorm
(`rpucc/opset/batch_norm.py`), whose mode is a graph input, `training`, that the step contract names
(`StepContract.mode`): one graph is a step of training (1: statistics of the batch, gradient through
them) and an evaluation (0: the running ones), and computes in mode 0 what the file does, so every
pass verifies. `differentiate` trains scale and bias as of policy "train"
(`gradients/normalization.py`), and puts the running mean and variance into the state of the step
contract, where checkpoints, resumption and export find them like any digital parameter. The
executor of a step has the mode 1, those of evaluations 0 (`runtime/executor.py`).

Not for folding, nor for batch norms that keep the statistics of the file: `fold_batchnorm.py`.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.opset import DOMAIN
from rpucc.opset.batch_norm import EPSILON, MOMENTUM
from rpucc.passes.frontend.inference import CONSTANT_INPUTS, TRAINING_MODE
from rpucc.passes.graph_reader import constant_of, known_shape
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.step_inputs import mode_input

OP = "BatchNorm"


def is_fresh(node: ir.Node) -> bool:
    """Whether the statistics of a batch norm are 0 and 1: those of a network that saw no data."""
    mean, var = (constant_of(value) for value in node.inputs[3:5])
    if mean is None or var is None:
        return False
    return bool((mean == 0).all() and (var == 1).all())


def was_training(node: ir.Node) -> bool:
    """Whether the file has a batch norm in training mode."""
    return TRAINING_MODE in node.metadata_props


def why_not_batch(node: ir.Node) -> str | None:
    """Return why a batch norm cannot have statistics of the batch; None where it can."""
    if any(constant_of(value) is None for value in node.inputs[1:5]):
        return "its scale, bias, mean or variance is computed"
    x = node.inputs[0]
    assert x is not None
    if known_shape(x).rank() < 2:
        return "its input has no axis of channels"
    for rule, default in ((EPSILON, 1e-5), (MOMENTUM, 0.9)):
        found = node.attributes.get_float(rule.name, default)
        if not rule.accepts(found):
            return f"its {rule.name} is {found:g}, not {rule.allowed.text}"
    return None


class BatchStatistics:
    """Gives batch norms of one model the statistics of the batch."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._running: dict[ir.Value, ir.Value] = {}

    def give(self, node: ir.Node) -> ir.Node:
        """Put an rpu BatchNorm in the place of a batch norm that may have one; return it.

        Batch norms that have their statistics in common move them one after the other.
        """
        e = self._emitter
        x, scale, bias, *running = node.inputs
        e.before = node
        mean, var = (self._running.get(value, value) for value in running if value is not None)
        labels = (f"{value.name}.next" for value in running if value is not None)
        name = str(node.name)
        found = e.ops(
            OP,
            x,
            scale,
            bias,
            mean,
            var,
            mode_input(e),
            outputs=["", *labels, f"{name}.centre", f"{name}.deviation"],
            name=name,
            domain=DOMAIN,
            epsilon=node.attributes.get_float("epsilon", 1e-5),
            momentum=node.attributes.get_float("momentum", 0.9),
        )
        self._running.update(zip((v for v in running if v is not None), found[1:3], strict=True))
        made = e.take_place(node, found[0])
        if CONSTANT_INPUTS in node.metadata_props:
            made.metadata_props[CONSTANT_INPUTS] = node.metadata_props[CONSTANT_INPUTS]
        return made
