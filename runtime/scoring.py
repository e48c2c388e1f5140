"""Which answers of a network are wrong: by the largest output, or by each output's side of a half.

Not for how an error is shown, nor for the loss, which the program computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import ArgumentError
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
    classes: int
    """Outputs of which one is the largest, K of [n, K, *space]."""

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
        shape = list(_output(program).shape or ())
        classes = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else 1
        return cls(kind, 0.5 if _ends_in_probabilities(program) else 0.0, classes)

    def errors(self, outputs: Array, labels: Array) -> int:
        """How many labels are missed by outputs [n, K, *space]."""
        if self.kind == "targets":
            return 0
        if self.kind == "binary":
            return int(np.count_nonzero((outputs > self.threshold) != (labels > 0.5)))
        if outputs.ndim == 2:
            return int(count_errors(outputs, labels))
        return int(np.count_nonzero(outputs.argmax(axis=1) != labels))

    def beyond(self, outputs: Array, labels: Array, k: int) -> int:
        """How many labels are not among the k largest outputs [n, K, *space]; of classes alone.

        Of equal outputs the first counts as the largest, as it does for the error; NaN is larger
        than all.
        """
        chosen = np.take_along_axis(outputs, np.expand_dims(labels, 1), axis=1)
        place = np.arange(outputs.shape[1]).reshape(-1, *[1] * (outputs.ndim - 2))
        first = (outputs == chosen) & (place < np.expand_dims(labels, 1))
        ahead = np.count_nonzero(~(outputs <= chosen) | first, axis=1)
        return int(np.count_nonzero(ahead >= k))

    def check_top(self, top_k: object) -> int | None:
        """Return a k for which some labels can be beyond it; None stays. Raises ArgumentError."""
        if top_k is None:
            return None
        k = arguments.integer("top_k", top_k, 1)
        if self.kind != "classes":
            raise ArgumentError(
                "top_k: the labels are no classes, so that no answer is the k-th; leave it out"
            )
        if not k < self.classes:
            allowed = f"less than the {self.classes} classes of the output"
            raise arguments.wrong("top_k", k, allowed)
        return k

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
