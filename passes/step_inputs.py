"""Graph inputs that say how a run of a step is meant: its mode, and which numbers it draws.

Ops whose forward cycle differs between a step of training and an evaluation have them as inputs;
the step contract names them, and whoever runs the graph sets them. Made once a model.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from rpucc.passes.graph_writer import Emitter, graph_input
from rpucc.step_contract import StepContract

WORDS = 3
"""Of `draws`: two of the seed, and the number of a sample."""


def mode_input(e: Emitter) -> ir.Value:
    """Return the input `training`, [], that is 1 in a step of training and 0 in an evaluation."""
    contract = StepContract.of(e.model)
    if contract.mode is not None:
        return _named(e, contract.mode)
    value = graph_input(e, "training", ir.DataType.FLOAT, ir.Shape([]))
    replace(contract, mode=str(value.name)).write(e.model)
    return value


def draws_input(e: Emitter) -> ir.Value:
    """Return the input `draws`, int64 [3]: see `StepContract.draws`."""
    contract = StepContract.of(e.model)
    if contract.draws is not None:
        return _named(e, contract.draws)
    value = graph_input(e, "draws", ir.DataType.INT64, ir.Shape([WORDS]))
    replace(contract, draws=str(value.name)).write(e.model)
    return value


def _named(e: Emitter, name: str) -> ir.Value:
    return next(value for value in e.graph.inputs if value.name == name)
