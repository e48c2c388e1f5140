"""Lowering with every check: what is compared with what, and what is said where it cannot be.

Not for the comparison itself: that is `verify.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.errors import UnsupportedError, UnverifiableError, VerificationError
from rpucc.passes.callbacks import StructureCheck
from rpucc.passes.execute import TooLargeError, random_feeds, run_model
from rpucc.passes.frontend.constants import RANDOM_OPS
from rpucc.passes.frontend.equal_form import equal_form
from rpucc.passes.frontend.inference import standard_nodes
from rpucc.passes.frontend.messages import node_text
from rpucc.passes.verify import Verify, compare_models

WHOLE = "every value, after every pass, against onnxruntime"
"""What is compared of a model that onnxruntime runs."""


@dataclass(frozen=True)
class Proof:
    """A lowered model, and what is known about it."""

    model: ir.Model
    whole: bool
    """Whether the passes and the import were compared."""
    text: str
    """What was compared with what, or what was not and why."""


def lower_and_verify(lower: Callable[..., ir.Model], original: ir.Model, *, seed: int) -> Proof:
    """Lower with all checks after each pass, then compare the whole with the original.

    lower: runs the pipeline with the callbacks that it is given. An original that onnxruntime does
    not run is compared in an equal form, one that draws random numbers not at all. Raises
    VerificationError where two models differ.
    """
    if (drawing := _drawing(original)) is not None:
        return Proof(lower(StructureCheck()), False, f"no, because {drawing}")
    try:
        lowered = lower(StructureCheck(), Verify(seed))
    except UnverifiableError as error:
        if not isinstance(error, TooLargeError) and _runs(original, seed):
            raise VerificationError(str(error)) from error
        return Proof(lower(StructureCheck()), False, f"no, because {error.reason}")
    try:
        compare_models(original, lowered, seed=seed)
    except UnverifiableError as error:
        return _in_equal_form(lowered, original, seed, error)
    return Proof(lowered, True, WHOLE)


def _in_equal_form(
    lowered: ir.Model, original: ir.Model, seed: int, why: UnverifiableError
) -> Proof:
    """Compare with an equal form of the original, or say why not."""
    try:
        compare_models(equal_form(original), lowered, seed=seed)
    except (UnverifiableError, UnsupportedError) as error:
        reason = error.reason if isinstance(error, UnverifiableError) else str(error)
        text = f"every pass against onnxruntime, but not the import of the file, because {reason}"
        return Proof(lowered, False, text)
    return Proof(lowered, True, f"{WHOLE}; the file in an equal form, because {why.reason}")


def _drawing(model: ir.Model) -> str | None:
    """Say which node gives other values in each run; None where there is none."""
    node = next((each for each in standard_nodes(model) if each.op_type in RANDOM_OPS), None)
    return None if node is None else f"{node_text(node)} draws other numbers in each run"


def _runs(model: ir.Model, seed: int) -> bool:
    try:
        run_model(model, random_feeds(model, seed=seed))
    except UnverifiableError:
        return False
    return True
