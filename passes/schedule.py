"""Count the reads and updates that each layer does for one sample.

What follows from them (stage times, the bottleneck, the critical path) is derived, and so belongs
to the plan (rpucc/plan/plan.py), not into the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import PER_SAMPLE, analog_layers, reads_per_sample
from rpucc.passes.base import RpuPass


@dataclass(frozen=True)
class Schedule(RpuPass):
    """Write on each Read and Update how many vectors it takes a sample, and check that it is known.

    Requires: static shapes but for the batch. Leaves behind: metadata `rpucc.per_sample`, for
    whoever opens the graph; one read is one vector through all tiles of the grid at once.

        before: Read(x [N, 576, 26], W)
        after:  Read(x [N, 576, 26], W) rpucc.per_sample = 576
    """

    name: ClassVar[str] = "schedule"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Annotate; a layer whose reads cannot be counted raises UnsupportedError."""
        layers = analog_layers(model)
        for layer in layers:
            for node in layer.nodes:
                try:
                    count = reads_per_sample(node)
                except ValueError as error:
                    raise UnsupportedError(
                        f"{error}; only the batch may be dynamic: export the model with a fixed "
                        "image size"
                    ) from error
                node.metadata_props[PER_SAMPLE] = str(count)
        return ir.passes.PassResult(model, modified=bool(layers))
