"""Cut each weight matrix into a grid of tiles that fit the target's arrays.

Not for giving tiles to physical arrays: `place` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import ModelError, TargetError
from rpucc.feedback import ruled_as
from rpucc.layers import ARRAY_KIND, READS, AnalogLayer, analog_layers, reads_per_sample, segments
from rpucc.passes.array_kinds import Need, choose_kinds
from rpucc.passes.base import RpuPass
from rpucc.passes.graph_writer import Emitter, infer_outputs
from rpucc.placement.cuts import grid_cuts
from rpucc.stamps import is_transposed, set_attributes, stamp_of

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind, LayerPolicy, Mapping, Target


@dataclass(frozen=True)
class Tile(RpuPass):
    """Choose each layer's kind of array, cut its matrix to that size, stamp its periphery.

    Requires: Reads with one segment (unroll), and Updates in training (differentiate). A grouped
    layer's matrices are all cut alike, and a feedback matrix as its layer's.
    Leaves behind: row_cuts and col_cuts, the same on all Reads and Updates of a matrix; their
    cycle's keys that are `OnNode("Read")` on Reads (noise, bound, converters); metadata
    `rpucc.array_kind`. Each Read gives one partial sum a segment of its input; where there are
    several, its result has another shape and so another name. The ReduceSum that unroll put behind
    a Read adds them up.

        before: part [N, 1, 128] = Read(x [N, 513], W) row_cuts=[0, 128] col_cuts=[0, 513]
        after:  part.tiled [N, 2, 128] = Read(x, W) row_cuts=[0, 128] col_cuts=[0, 257, 513]
    """

    target: Target

    name: ClassVar[str] = "tile"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Read and Update; a Read that is tiled already raises ModelError."""
        layers = analog_layers(model)
        emitter = Emitter(model)
        policies = {layer.name: self.target.for_layer(layer.name) for layer in layers}
        owners = [layer for layer in layers if not layer.is_feedback]
        needs = [_need(layer, policies[layer.name]) for layer in owners]
        chosen = choose_kinds(needs, self.target.arrays)
        kinds = {layer.name: kind for layer, kind in zip(owners, chosen, strict=True)}
        for layer in layers:
            policy, kind = policies[layer.name], kinds[ruled_as(layer.name)]
            cuts = layer_cuts(layer, policy.mapping, kind)
            for node in layer.nodes:
                _stamp_grid(node, kind, *cuts)
                if node.op_type in READS:
                    set_attributes(node, stamp_of(policy, node))
                    _widen_result(emitter, node, model)
        return ir.passes.PassResult(model, modified=bool(layers))

    def requires(self, model: ir.Model) -> None:
        """Hold that no Read is tiled yet."""
        for layer in analog_layers(model):
            _check_untiled(layer)


def _need(layer: AnalogLayer, policy: LayerPolicy) -> Need:
    replicas = policy.mapping.replicas
    copies = replicas if isinstance(replicas, int) else 1
    try:
        reads = sum(reads_per_sample(node) for node in layer.shared)
    except ValueError:
        reads = 0  # schedule refuses it, and says why
    return Need(layer.group_rows, layer.columns, -(-reads // copies), policy.mapping.array)


def layer_cuts(
    layer: AnalogLayer, mapping: Mapping, kind: ArrayKind
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (row cuts, column cuts): the user's own, or as few tiles as possible."""
    R, C = layer.group_rows, layer.columns
    row_cuts, col_cuts = grid_cuts(mapping, R, C, kind)
    _check_cuts(layer, kind, "row_cuts", row_cuts, R, kind.rows)
    _check_cuts(layer, kind, "col_cuts", col_cuts, C, kind.cols)
    return row_cuts, col_cuts


def _check_cuts(
    layer: AnalogLayer, kind: ArrayKind, key: str, cuts: Sequence[int], lines: int, limit: int
) -> None:
    """Refuse cuts of the target that do not fit the matrix or the arrays."""
    where = f"layer {layer.name!r}: mapping.{key} = {list(cuts)}"
    if cuts[-1] != lines:
        raise TargetError(f"{where} must end at {lines}, the size of its matrix there")
    longest = max(b - a for a, b in pairwise(cuts))
    if longest > limit:
        raise TargetError(
            f"{where} has a tile of {longest} lines; arrays of the kind {kind.name!r} have {limit}"
        )


def _stamp_grid(
    node: ir.Node, kind: ArrayKind, row_cuts: tuple[int, ...], col_cuts: tuple[int, ...]
) -> None:
    node.attributes["row_cuts"] = ir.AttrInt64s("row_cuts", row_cuts)
    node.attributes["col_cuts"] = ir.AttrInt64s("col_cuts", col_cuts)
    node.metadata_props[ARRAY_KIND] = kind.name


def _widen_result(emitter: Emitter, node: ir.Node, model: ir.Model) -> None:
    """Give a Read's result one partial sum a segment, and a new name where that is not one."""
    cuts = tuple(node.attributes.get_ints("row_cuts" if is_transposed(node) else "col_cuts", ()))
    if segments(cuts) == 1:
        return
    part = node.outputs[0]
    part.name = emitter.unique(f"{part.name}.tiled")
    infer_outputs(node, model.opset_imports)


def _check_untiled(layer: AnalogLayer) -> None:
    for node in layer.reads:
        rows = tuple(node.attributes.get_ints("row_cuts", ()))
        columns = tuple(node.attributes.get_ints("col_cuts", ()))
        if segments(rows) != 1 or segments(columns) != 1:
            raise ModelError(
                f"node {node.name!r}: row_cuts {list(rows)}, col_cuts {list(columns)}: the matrix "
                "is tiled already; compile from the original model, not from a program"
            )
