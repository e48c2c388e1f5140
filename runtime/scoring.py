"""Which answers of a network are wrong: by the largest output, or by each output's side of a half.

Not for how an error is shown, nor for the loss, which the program computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rpucc.program import RESTATING
from rpucc.runtime.kernels.batches import count_errors

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.program import Program

Array = NDArray[Any]


Kind = Literal["classes", "binary", "targets"]

_KINDS: dict[str, Kind] = {"classes": "classes", "bits": "binary"}
"""Rule of a step's error to how it is counted, where the labels have no say."""


@dataclass(frozen=True)
class Scoring:
    """How the outputs of a program are compared with labels, as `fitted_labels` gives them."""

    kind: Kind
    """Labels [n, *space] of classes; 0 or 1 for each output; or numbers, which are never wrong."""
    threshold: float
    """Of "binary": an output above it says 1. A half, or 0 where the outputs are logits."""

    @classmethod
    def of(cls, program: Program, labels: Array) -> Scoring:
        """By the error of the program's step, and the labels where the step leaves it to them.

        Targets are never missed, nor is anything where the step has no error.
        """
        metric = program.step.metric("error")
        kind: Kind = "targets" if metric is None else _KINDS.get(metric.rule, "classes")
        if metric is not None and metric.rule == "labels":
            if labels.dtype.kind == "f":
                kind = "targets"
            elif labels.ndim == _axes_of_output(program):
                kind = "binary"
        return cls(kind, 0.5 if _ends_in_probabilities(program) else 0.0)

    def errors(self, outputs: Array, labels: Array) -> int:
        """How many labels are missed by outputs [n, K, *space]."""
        if self.kind == "targets":
            return 0
        if self.kind == "binary":
            return int(np.count_nonzero((outputs > self.threshold) != (labels > 0.5)))
        if outputs.ndim == 2:
            return int(count_errors(outputs, labels))
        return int(np.count_nonzero(outputs.argmax(axis=1) != labels))

    def rate(self, errors: int, labels: Array, samples: int) -> float | None:
        """Errors as a fraction of the labels of so many samples; None where there are none."""
        return None if self.kind == "targets" else errors / (samples * self.per_sample(labels))

    def per_sample(self, labels: Array) -> int:
        """Labels a sample: one, or one a pixel or output; 1 for targets."""
        return 1 if self.kind == "targets" else math.prod(labels.shape[1:])


def _output(program: Program) -> ir.Value:
    """The value that labels are about."""
    made = {value.name: value for node in program.model.graph for value in node.outputs}
    return made[program.step.scored]


def _axes_of_output(program: Program) -> int:
    shape = _output(program).shape
    return 0 if shape is None else len(shape)


def _ends_in_probabilities(program: Program) -> bool:
    """Whether the output comes out of a Sigmoid, but for changes of shape."""
    node = _output(program).producer()
    while node is not None and node.op_type in RESTATING and node.op_type != "Sigmoid":
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node is not None and node.op_type in ("Sigmoid", "HardSigmoid")
