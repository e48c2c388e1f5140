"""What became of each batch norm of a model: in its metadata, and in lines for people.

Not for deciding it: `fold_batchnorm.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import onnx_ir as ir

from rpucc.batch_norms import BATCH_NORMS, Decision
from rpucc.passes.notes import add_notes, listed


def decisions_of(model: ir.Model) -> list[Decision]:
    """Return what the pass did to each batch norm, in graph order."""
    return [Decision(**entry) for entry in json.loads(model.metadata_props.get(BATCH_NORMS, "[]"))]


def describe(
    model: ir.Model,
    decisions: list[Decision],
    as_inference: Sequence[str],
    unmeasured: Sequence[str],
) -> None:
    """Write the decisions and their summary into the model's metadata.

    as_inference: the names of those that the file has in training mode; unmeasured: of those that
    the policy "auto" gives statistics of the batch.
    """
    notes = model.metadata_props
    notes[BATCH_NORMS] = json.dumps([asdict(decision) for decision in decisions])
    batch = {decision.node for decision in decisions if decision.fate == "batch"}
    lines = _summary(decisions)
    if chosen := [name for name in unmeasured if name in batch]:
        lines.append(
            f"{listed(chosen)}: mean and variance of the file were never measured (0 and 1, or "
            "training mode), so batch_norm.policy auto is batch; fold takes them as they are"
        )
    if left := [name for name in as_inference if name not in batch]:
        was = "was" if len(left) == 1 else "were"
        lines.append(
            f"{listed(left)} {was} exported in training mode: taken as in inference, with the "
            "file's mean and variance"
        )
    add_notes(model, lines)


def _summary(decisions: Iterable[Decision]) -> list[str]:
    """Return one line of counts, and one for each reason why some could not be as wanted."""
    decisions = list(decisions)
    count: Counter[str] = Counter(decision.fate for decision in decisions)
    texts = {
        "folded": "folded into the layer before",
        "frozen": "digital and frozen",
        "trained": "digital and trained",
        "batch": "digital, with statistics of the batch",
    }
    lines = [
        "batch norms: " + ", ".join(f"{count[k]} {text}" for k, text in texts.items() if count[k])
    ]
    reasons: dict[str, list[str]] = {}
    for decision in decisions:
        if decision.why:
            reasons.setdefault(decision.why, []).append(decision.node)
    for why, names in reasons.items():
        verb = "stays" if len(names) == 1 else "stay"
        lines.append(f"{listed(names)} {verb} frozen: {why}")
    return lines
