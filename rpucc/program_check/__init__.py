"""Whether a model that was read is a program that rpucc could have written for its target.

A program says some things twice: in its graph, and in the target that it carries. Kernels and plans
take the graph's word, so everything is compared before anything runs. The order matters: later
checks, and onnx's own, rely on what earlier ones hold.

| file | what it checks |
| --- | --- |
| `notes.py` | the model's metadata |
| `step.py` | the step contract: the inputs, outputs and weights that it names |
| `values.py` | types, sizes and numbers of all values and constants |
| `attributes.py` | which attributes each op has, their types and ranges |
| `step_inputs.py` | modes and draws of nodes: those that the step contract names |
| `batch_norms.py` | running statistics of batch norms, variances |
| `chains.py` | what stands before and behind the reads of a matrix |
| `layers.py` | each layer's grid, copies, devices and policy against the target |
| `feedback.py` | which layers have a feedback matrix, and that nothing changes it |
| `masks.py` | which weights are fixed, and which tiles are not there |

Not for the rules that hold at every stage of compilation: `rpucc/structure.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rpucc.origins.notes import origin_problems
from rpucc.program_check.attributes import attribute_problems
from rpucc.program_check.batch_norms import batch_norm_problems
from rpucc.program_check.chains import chain_problems
from rpucc.program_check.layers import layer_problems
from rpucc.program_check.notes import note_problems
from rpucc.program_check.step import fit_problems, step_problems
from rpucc.program_check.step_inputs import step_input_problems
from rpucc.program_check.values import value_problems
from rpucc.texts import text_problems

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.target.target import Target

__all__ = ["form_problems", "meaning_problems"]


def form_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with single values, nodes and metadata, one line each.

    Where this yields nothing, onnx's shape inference and `rpucc.structure` can look at the model.
    """
    yield from text_problems(model)
    yield from note_problems(model)
    yield from step_problems(model)
    yield from fit_problems(model)
    yield from value_problems(model)
    yield from attribute_problems(model)
    yield from origin_problems(model)


def meaning_problems(model: ir.Model, target: Target) -> Iterator[str]:
    """Yield where the graph is not what rpucc writes for this target, one line each.

    Needs a model of sound form and structure.
    """
    yield from step_input_problems(model)
    yield from batch_norm_problems(model)
    yield from chain_problems(model)
    yield from layer_problems(model, target)
