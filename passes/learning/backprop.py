"""Backprop: append the loss, the backward cycle and the update cycle of one step of descent.

The rules of the operators are in `gradients/`, the sweep over the graph in `gradients/backward.py`,
what every learning rule needs in `step.py`; not for how an update is done on arrays, which
assign_update decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.constant_weights import by_op, digital_weights
from rpucc.errors import ModelError
from rpucc.passes.base import RpuPass
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.gradients.backward import sweep
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.learning.feedback_alignment import Draw, Feedback, undrawn
from rpucc.passes.learning.objective import Wanted, error_by_labels, objective, outside
from rpucc.passes.learning.step import StepWriter, parameters
from rpucc.passes.weight_scales import WeightBounds, unbounded

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class Differentiate(RpuPass):
    """Append loss, gradients and updates, so that one run of the graph is one SGD step.

    Requires: unrolled layers (training form), known shapes, one output. Leaves behind: graph inputs
    `labels` (int64) or `targets` (float) and `lr`; graph outputs `loss` and, for each trained
    weight W, `W.next`; the logits as an output where the model ends in a softmax, and the
    probabilities where a change of shape follows a sigmoid. Trained are the weights of Reads (by
    rpu Update) and the digital weights and biases of layers (W - lr·grad), each with `lr` times its
    layer's `update.lr_scale` (also in the Update's metadata where it is not 1). Where that is 0
    nothing changes and nothing is computed for it; all other constants are frozen, too. The
    gradient of a value v is called `v.grad`; MaxPools got their Indices output. Where errors go
    back through random matrices (`feedback_alignment.py`), below them it is no gradient. The step
    contract (`rpucc.step_contract`) says which of them is what. Without a loss (`Wanted.outside`)
    there are no labels, and the gradients of the outputs are graph inputs. Where the gradients of
    the data inputs are wanted, too, they are graph outputs, and each Read that only they need says
    so.

        before: part = Read(x, W); y = ReduceSum(part, -2)
        after:  … loss = SoftmaxCrossEntropyLoss(y, labels); y.grad = …;
                W.next = Update(W, x, y.grad, lr)
    """

    target: Target
    wanted: Wanted = field(default_factory=Wanted)
    draw: Draw = field(default=undrawn, repr=False, compare=False)
    bounds: WeightBounds = field(default=unbounded, repr=False, compare=False)
    problems: Problems = field(default_factory=Problems, repr=False, compare=False)

    name: ClassVar[str] = "differentiate"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Append the training step; a model that cannot be trained raises ModelError."""
        model.graph.sort()
        sources = parameters(model.graph)
        if not sources:
            raise ModelError(
                f"the model has nothing to train: {_why_nothing(model)}; compile with --inference"
            )
        e = GradientEmitter(model)
        e.through = feedback = Feedback(e, self.target, self.draw, self.bounds)
        feedback.note_digital()
        step = StepWriter(e, self.target)
        sources = step.trained(sources)
        inputs = step.inputs if self.wanted.input_gradients else []
        if self.wanted.outside:
            aim = None
            seeds = outside(e, self.wanted, sources)
            output = model.graph.outputs[0]
        else:
            aim = objective(e, self.wanted, self.problems)
            seeds, output = {aim.loss.at: aim.loss.gradient}, aim.output
            step.add_labels(aim.loss.labels)
        step.add_rate(output.dtype or ir.DataType.FLOAT)
        gradients = sweep(e, seeds, [*sources, *inputs], self.problems)
        self.problems.gate()
        step.add_input_gradients({x: gradients[x] for x in inputs if x in gradients})
        step.change(sources, e.products[::-1], gradients)  # in the order of the forward cycle
        if aim is None:
            entries = {str(at.name): str(gradient.name) for at, gradient in seeds.items()}
            step.finish(output, (error_by_labels(output),), entries)
        else:
            step.finish(output, aim.metrics(), aim.gradients())
        return ir.passes.PassResult(model, modified=True)


def _why_nothing(model: ir.Model) -> str:
    """Say what there is in the place of layers with constant weights."""
    weights = by_op(digital_weights(model))
    if not weights:
        return "it has no constant weights"
    ops = ", ".join(f"{op} {count:,}" for op, count in weights.items())
    return (
        f"its {sum(weights.values()):,} constant weights are in no layer ({ops}); layers are Conv, "
        "ConvTranspose, Gemm, MatMul and the Einsums that are one of those"
    )
