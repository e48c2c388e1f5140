"""What a loss may be called, and which kind of labels each is of; not for what it computes.

The names that a user writes; the losses themselves are `rpucc.passes.gradients`, what a step
contract calls them is `step_contract.LOSSES`.
"""

from __future__ import annotations

import math
from typing import Literal

BINARY = "binary-cross-entropy"
HUBER = "huber"

NONE = "none"
"""A program without a loss: its gradients come from a loop of one's own."""

LOSSES = ("auto", "cross-entropy", BINARY, "mse", "mae", HUBER, NONE)
"""What a user may name; besides these `huber:DELTA`, and the ONNX file of a loss of their own."""

ALLOWED = (
    f"one of {', '.join(LOSSES)}, huber:DELTA with a DELTA above 0, or the ONNX file of a loss of "
    "your own, FILE.onnx"
)

OWN_CLASSES, OWN_TARGETS = "own-classes", "own-targets"
"""What a loss of a user's own is called in a program, by the labels that it takes."""

Labels = Literal["classes", "bits", "targets"]

LABELS: dict[str, Labels] = {
    "cross-entropy": "classes",
    OWN_CLASSES: "classes",
    BINARY: "bits",
    "mse": "targets",
    "mae": "targets",
    HUBER: "targets",
    OWN_TARGETS: "targets",
}
"""Loss of a program -> its labels: an integer for [K, *space] outputs, at each place of them; a 0
or 1 for each output; a number for each output."""


def named(text: str) -> tuple[str, float] | None:
    """Return the loss of LOSSES that a text names with its DELTA; None where it names none.

    >>> named("huber:0.5"), named("mse"), named("l2")
    (('huber', 0.5), ('mse', 1.0), None)
    """
    name, colon, number = text.partition(":")
    if name not in LOSSES or (colon and name != HUBER):
        return None
    try:
        delta = float(number) if colon else 1.0
    except ValueError:
        return None
    return (name, delta) if 1e-30 < delta < math.inf else None


def is_file(text: str) -> bool:
    """Tell whether a text is to be the file of a loss of a user's own.

    >>> is_file("my_loss.onnx"), is_file("mse")
    (True, False)
    """
    return text.lower().endswith(".onnx") and "\0" not in text
