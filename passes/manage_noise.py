"""Noise management (NM): scale each read's input into the DAC's range, and its output back.

Source: Gokmen, Onen & Haensch 2017 (arXiv 1705.08014). Not for bound management.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc import opset
from rpucc.layers import analog_layers
from rpucc.op_spec import Interval
from rpucc.passes.base import RpuPass
from rpucc.passes.graph_reader import CYCLE, LAYER
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.ranges import value_ranges, within_unit

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy, Target


@dataclass(frozen=True)
class ManageNoise(RpuPass):
    """Insert NoiseManage before and Rescale after the reads of the cycles that the target names.

    Requires: tiled Reads. A NoiseManage cuts its input as the Read does, one scale a segment.
    Leaves behind: the partial sums under their old name, now out of Rescale; the update cycle
    keeps the unscaled x and d. `noise_forward = "auto"` leaves a forward read alone where value
    range analysis proves |x| <= 1.

        before: part = Read(d, W) transpose=1
        after:  xs, s = NoiseManage(d) cuts=row_cuts; raw = Read(xs, W) transpose=1;
                part = Rescale(raw, s)
    """

    target: Target

    name: ClassVar[str] = "manage_noise"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Insert the pairs; a Read that has one already is left alone."""
        ranges = value_ranges(model)
        chosen: list[ir.Node] = []
        for layer in analog_layers(model):
            policy = self.target.for_layer(layer.name)
            chosen += [node for node in layer.forward if _wanted_forward(policy, node, ranges)]
            if policy.management.noise_backward == "always":
                chosen += layer.backward
        chosen = [node for node in chosen if not is_noise_managed(node)]
        emitter = Emitter(model)
        for node in chosen:
            _insert(emitter, node)
        return ir.passes.PassResult(model, modified=bool(chosen))


def is_noise_managed(read: ir.Node) -> bool:
    """Tell whether a Read's input comes out of a NoiseManage."""
    x = read.inputs[0]
    producer = x.producer() if x is not None else None
    return producer is not None and producer.op_type == "NoiseManage"


def _wanted_forward(policy: LayerPolicy, node: ir.Node, ranges: dict[str, Interval]) -> bool:
    choice = policy.management.noise_forward
    x = node.inputs[0]
    if choice == "auto" and x is not None:
        return not within_unit(ranges[x.name or ""])
    return choice == "always"


def _insert(emitter: Emitter, read: ir.Node) -> None:
    """Put NoiseManage and Rescale around one Read."""
    x, part = read.inputs[0], read.outputs[0]
    transpose = read.attributes.get_int("transpose", 0)
    cuts = list(read.attributes.get_ints("row_cuts" if transpose else "col_cuts", ()))
    emitter.metadata = {
        k: read.metadata_props[k] for k in (LAYER, CYCLE) if k in read.metadata_props
    }
    emitter.before = read
    xs, s = emitter.ops(
        "NoiseManage",
        x,
        outputs=[f"{read.name}.xs", f"{read.name}.s"],
        name=f"{read.name}.noise_manage",
        domain=opset.DOMAIN,
        cuts=cuts,
        mode="abs-max",
    )
    read.replace_input_with(0, xs)
    rescaled = ir.Value(name=None)
    name = part.name
    part.name = emitter.unique(f"{name}.raw")
    node = ir.node(
        "Rescale",
        [part, s],
        domain=opset.DOMAIN,
        outputs=[rescaled],
        name=emitter.unique(f"{read.name}.rescale"),
        metadata_props=dict(emitter.metadata),
    )
    rescaled.type, rescaled.shape = part.type, part.shape
    read.graph.insert_after(read, node)  # type: ignore[union-attr]
    for user, index in list(part.uses()):
        if user is not node:
            user.replace_input_with(index, rescaled)
    rescaled.name = name
