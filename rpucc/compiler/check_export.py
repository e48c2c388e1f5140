"""Whether onnxruntime makes of an exported model what the arrays do when they are read ideally.

Not for how a model is exported: `rpucc/origins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rpucc.errors import UnverifiableError, VerificationError
from rpucc.passes.execute import random_feeds, run_model
from rpucc.runtime.trainer import Trainer

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.origins.export import Export
    from rpucc.runtime.machine import Machine

SAMPLES = 8
LARGEST = 1e-3
"""Largest difference of an output, relative to its largest magnitude: float32 sums in another
order give some 1e-6, a wrong weight far more."""


def check_export(machine: Machine, found: Export, threads: int = 1) -> str:
    """Compare the outputs for random inputs; say how far they lie apart, or why nothing compares.

    Raises VerificationError where they differ.
    """
    program = machine.program
    feeds = random_feeds(program.model, batch=_own_batch(found.model) or SAMPLES)
    inputs = {name: feeds[name] for name in program.inputs}
    names = {value.name for value in found.model.graph.inputs}
    try:
        run = run_model(found.model, {k: a for k, a in inputs.items() if k in names})
    except UnverifiableError as error:
        return f"not compared, because {error.reason}"
    x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    ours = Trainer(machine, threads).outputs(x, ideal=True)
    compared = {n: a for n, a in ours.items() if n in run and run[n].shape == a.shape}
    if not compared:
        return "not compared, because no output of the file has the shape that it has on the arrays"
    worst = 0.0
    for name, values in compared.items():
        size = max(float(np.abs(values).max(initial=0.0)), 1e-30)
        apart = float(np.abs(run[name] - values).max(initial=0.0)) / size
        if not apart <= LARGEST:
            raise VerificationError(
                f"program {program.name!r}: the exported model differs from the arrays in output "
                f"{name!r}, by {apart:.2g} of its largest value; this is a bug of rpucc, or a pass "
                "of your own changes what the network computes"
            )
        worst = max(worst, apart)
    return f"computes what the arrays do, to {worst:.1g} of the largest output"


def _own_batch(model: ir.Model) -> int | None:
    """The number of samples that the file wants at once; None where it leaves that open."""
    sizes = [value.shape[0] for value in model.graph.inputs if value.shape]
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)
