"""The plan: how a network lies on the arrays and what that costs, derived from a program.

Nothing here is stored: every number follows from the graph and its target. Times are those of the
arrays alone (reads with the re-reads that the target expects, and pulses); digital operations and
transfers take none. How times follow, and energy: rpucc/cost.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from rpucc.cost.dependencies import array_steps
from rpucc.cost.pace import is_bound_managed, kind_of, pace_of, update_policy
from rpucc.cost.pipeline import Stage, critical_path, finish, timeline
from rpucc.cost.timing import Cycle, Pace
from rpucc.layers import ARRAY_KIND as ARRAY_KIND
from rpucc.layers import (
    CONVOLUTIONS,
    LAYER_OPS,
    OP,
    READS,
    AnalogLayer,
    analog_layers,
    reads_per_sample,
    segments,
    static_shape,
)
from rpucc.layers import PER_SAMPLE as PER_SAMPLE

if TYPE_CHECKING:
    from rpucc.placement import GridSpec, Placement
    from rpucc.target import ArrayKind, Target


@dataclass(frozen=True)
class LayerPlan:
    """One layer: its matrix, its grid, its cycles and their cost. Times are in seconds."""

    name: str
    op: str
    """Conv, ConvTranspose, or Gemm for any dense layer."""
    analog: bool
    R: int
    """Rows of one group's matrix: outputs; a transposed convolution has one for each tap of them.
    """
    C: int
    """Columns: inputs; the bias line included where the bias is on the array."""
    grid: tuple[int, int]
    """Row blocks and column segments; (0, 0) for a digital layer."""
    array: str
    """The kind of array; "" for a digital layer."""
    array_size: tuple[int, int]
    """Rows and columns of that kind."""
    tiles: int
    """Tiles of all groups and copies."""
    utilisation: float
    """Devices by crosspoints of the arrays that hold tiles of the layer, 0 to 1."""
    reads_forward: int
    """Reads of the whole grid for one sample; P for a convolution, 1 for a dense layer."""
    reads_backward: int
    updates: int
    """Updates for one sample; 0 in an inference program."""
    noise_forward: bool
    noise_backward: bool
    bound_forward: bool
    bound_backward: bool
    update: dict[str, bool | int]
    """pulsed, bl, update_management, update_bl_management; empty without an update cycle."""
    macs: int
    """Multiply-accumulates of the forward cycle for one sample, the bias line included."""
    seconds: float
    """The forward reads of one sample."""
    training_seconds: float
    """Forward and backward reads and the update's pulse slots for one sample."""
    is_bottleneck: bool = False
    """The slowest stage of the forward pipeline."""
    groups: int = 1
    """Independent matrices of that shape: the groups of a grouped convolution."""
    replicas: int = 1
    """Copies of the layer that share out its reads; each holds all of its weights."""
    devices_per_weight: int = 1
    """Devices, one below the other, whose mean is a weight."""
    arrays: int = 0
    """Arrays that hold tiles of the layer; where tiles share arrays, other layers may be there."""

    @property
    def weights(self) -> int:
        """Weights of the network in it: groups · R · C."""
        return self.groups * self.R * self.C

    @property
    def devices(self) -> int:
        """Devices of all copies."""
        return self.weights * self.devices_per_weight * self.replicas


@dataclass(frozen=True)
class Plan:
    """All layers of a program in forward order, and the totals."""

    target: str
    training: bool
    layers: tuple[LayerPlan, ...]
    latency_seconds: float
    """One image on its own: the slowest path through the layers."""
    notes: tuple[str, ...] = ()
    """What a user should know: shared matrices, layer rules without effect."""
    grids: tuple[GridSpec, ...] = ()
    """The grids of the layers on arrays: what `placement` places."""
    kinds: tuple[ArrayKind, ...] = ()
    """The target's kinds of array."""
    share: bool = False
    """Whether tiles of several layers may share an array (`placement.share` of the target)."""
    stages: tuple[Stage, ...] = ()
    """One image in time: when each layer does which cycle; all three in a training program."""
    critical_path: tuple[str, ...] = ()
    """The layers of the slowest path through the forward cycle, in order."""
    expected_rereads: float = 0.0
    """Re-reads of a read under bound management that the times hold (`cost.expected_rereads`)."""

    def __str__(self) -> str:
        """The plan as people read it: the table of layers and the totals."""
        from rpucc.report.plan import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from rpucc.report.notebook import plan_html

        return plan_html(self)

    @classmethod
    def from_model(cls, model: ir.Model, target: Target | None = None) -> Plan:
        """Derive the plan of a compiled model.

        target: what times are taken from in place of the target in the model's metadata.

        >>> import rpucc
        >>> [(layer.R, layer.C) for layer in rpucc.compile("lenet", "rpu-managed").plan.layers]
        [(16, 26), (32, 401), (128, 513), (10, 129)]
        """
        from rpucc.placement import place
        from rpucc.placement.program import grids_of
        from rpucc.target import Target

        if target is None:
            target = Target.from_json(model.metadata_props["rpucc.target"])
        analog = analog_layers(model)
        paces = {layer.name: pace_of(layer, target) for layer in analog}
        order = {node: i for i, node in enumerate(model.graph)}
        grids = grids_of(model, target)
        placement = place(grids, target.arrays, share=target.placement.share)
        found = [
            (order[a.forward[0]], _analog_plan(a, grid, placement, target, paces[a.name]))
            for a, grid in zip(analog, grids, strict=True)
        ]
        found += [(order[node], _digital_plan(node)) for node in _digital_nodes(model)]
        layers = [layer for _, layer in sorted(found, key=lambda pair: pair[0])]
        slowest = max((layer.seconds for layer in layers), default=0.0)
        first = next((la for la in layers if la.analog and la.seconds == slowest), None)
        steps = array_steps(model, analog, lambda a, *work: paces[a.name].seconds(*work))
        stages = timeline(steps)
        return cls(
            target=target.name,
            training=bool(model.metadata_props.get("rpucc.updates", "{}") not in ("", "{}")),
            layers=tuple(dataclasses.replace(la, is_bottleneck=la is first) for la in layers),
            latency_seconds=finish(stages, "forward"),
            stages=stages,
            critical_path=critical_path(steps, "forward"),
            expected_rereads=target.cost.expected_rereads,
            notes=(
                *json.loads(model.metadata_props.get("rpucc.import_notes", "[]")),
                *_notes(analog, [layer.name for layer in layers] + _batch_norms(model), target),
            ),
            grids=grids,
            kinds=target.arrays,
            share=target.placement.share,
        )

    @property
    def analog_layers(self) -> tuple[LayerPlan, ...]:
        """The layers on arrays."""
        return tuple(layer for layer in self.layers if layer.analog)

    @property
    def arrays(self) -> dict[str, int]:
        """Array kind to the number of arrays used."""
        return self.placement.arrays

    @cached_property
    def placement(self) -> Placement:
        """Where every tile lies; worked out when it is asked for."""
        from rpucc.placement import place

        return place(self.grids, self.kinds, share=self.share)

    def arrays_if(self, *, share: bool) -> dict[str, int]:
        """Array kind to the number of arrays with or without sharing, pins of layers left out."""
        from rpucc.placement import place

        free = [dataclasses.replace(grid, pins=()) for grid in self.grids]
        return place(free, self.kinds, share=share).arrays

    @property
    def tiles(self) -> int:
        """Tiles of all layers."""
        return sum(layer.tiles for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights on arrays."""
        return sum(layer.weights for layer in self.analog_layers)

    @property
    def digital_weights(self) -> int:
        """Weights of the layers that stay digital (their biases not counted)."""
        return sum(layer.weights for layer in self.layers if not layer.analog)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights of the layers as float32."""
        return 4 * (self.weights + self.digital_weights)

    @property
    def utilisation(self) -> float:
        """Weights by crosspoints of all arrays used, 0 to 1."""
        return self.placement.utilisation()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward cycle for one sample."""
        return sum(layer.macs for layer in self.layers)

    @property
    def bottleneck(self) -> str | None:
        """The layer with the slowest forward stage; None without a layer on arrays."""
        return next((layer.name for layer in self.layers if layer.is_bottleneck), None)

    @property
    def image_seconds(self) -> float:
        """Time per image of the forward pipeline: its slowest stage (reads · t_read)."""
        return max((layer.seconds for layer in self.layers), default=0.0)

    @property
    def training_image_seconds(self) -> float:
        """Time per image where each layer does its three cycles: the slowest layer's."""
        return max((layer.training_seconds for layer in self.layers), default=0.0)

    def _layer_dict(self, layer: LayerPlan) -> dict[str, Any]:
        """A layer as plain data, with the cuts of its matrix: [0, .., R] and [0, .., C]."""
        data = dataclasses.asdict(layer)
        data |= {"grid": list(layer.grid), "array_size": list(layer.array_size)}
        cuts = {grid.layer: (grid.row_cuts, grid.col_cuts) for grid in self.grids}
        rows, columns = cuts.get(layer.name, ((), ()))
        return {**data, "row_cuts": list(rows), "col_cuts": list(columns)}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {
            "target": self.target,
            "training": self.training,
            "layers": [self._layer_dict(layer) for layer in self.layers],
            "totals": {
                "arrays": self.arrays,
                "arrays_apart": self.arrays_if(share=False),
                "arrays_sharing": self.arrays_if(share=True),
                "tiles": self.tiles,
                "weights": self.weights,
                "digital_weights": self.digital_weights,
                "weights_bytes": self.weights_bytes,
                "utilisation": self.utilisation,
                "macs": self.macs,
                "bottleneck": self.bottleneck,
                "image_seconds": self.image_seconds,
                "latency_seconds": self.latency_seconds,
                "training_image_seconds": self.training_image_seconds,
            },
            "notes": list(self.notes),
        }


# ---------------------------------------------------------------- one layer


def _seconds(pace: Pace, cycle: Cycle, nodes: list[ir.Node]) -> float:
    return sum(pace.seconds(cycle, reads_per_sample(node)) for node in nodes)


def _analog_plan(
    layer: AnalogLayer, spec: GridSpec, placement: Placement, target: Target, pace: Pace
) -> LayerPlan:
    read = layer.forward[0]
    kind = kind_of(read, target)
    grid = segments(spec.row_cuts), segments(spec.col_cuts)
    R, C = layer.group_rows // layer.devices, layer.columns
    arrays = len(placement.arrays_of(layer.name))
    devices = layer.group_rows * layer.groups * C * layer.replicas
    forward = sum(reads_per_sample(node) for node in layer.forward)
    backward = sum(reads_per_sample(node) for node in layer.backward)
    updates = sum(reads_per_sample(node) for node in layer.updates)
    forward_seconds = _seconds(pace, "forward", layer.forward)
    training_seconds = forward_seconds + _seconds(pace, "backward", layer.backward)
    training_seconds += _seconds(pace, "update", layer.updates)
    return LayerPlan(
        name=layer.name,
        op=_original_op(read),
        analog=True,
        R=R,
        C=C,
        grid=grid,
        array=kind.name,
        array_size=(kind.rows, kind.cols),
        tiles=spec.tiles,
        utilisation=devices / (arrays * kind.rows * kind.cols),
        reads_forward=forward,
        reads_backward=backward,
        updates=updates,
        noise_forward=any(_is_noise_managed(node) for node in layer.forward),
        noise_backward=any(_is_noise_managed(node) for node in layer.backward),
        bound_forward=is_bound_managed(layer.forward),
        bound_backward=is_bound_managed(layer.backward),
        update=update_policy(layer),
        macs=layer.groups * R * C * forward,
        seconds=forward_seconds,
        training_seconds=training_seconds,
        groups=layer.groups,
        replicas=layer.replicas,
        devices_per_weight=layer.devices,
        arrays=arrays,
    )


def _original_op(node: ir.Node) -> str:
    """The op that the layer was before it was lowered; Gemm for a MatMul too."""
    op = node.metadata_props.get(OP, node.op_type)
    return "Gemm" if op in ("MatMul", *READS) else op


def _is_noise_managed(read: ir.Node) -> bool:
    x = read.inputs[0]
    producer = x.producer() if x is not None else None
    return producer is not None and producer.op_type == "NoiseManage"


def digital_layers(model: ir.Model) -> list[LayerPlan]:
    """The layers that are not on arrays: of a model that is not lowered yet, all of them."""
    return [_digital_plan(node) for node in _digital_nodes(model)]


def _digital_nodes(model: ir.Model) -> list[ir.Node]:
    """Forward products with a constant matrix or kernel."""
    return [
        node
        for node in model.graph
        if node.domain == ""
        and node.op_type in LAYER_OPS
        and node.metadata_props.get("rpucc.cycle", "forward") == "forward"
        and _digital_weight(node) is not None
    ]


def _digital_weight(node: ir.Node) -> ir.Value | None:
    """The constant that the node multiplies by; a training program has it transposed, by group."""
    weight = node.inputs[1]
    producer = weight.producer() if weight is not None else None
    while producer is not None and producer.op_type in ("Transpose", "Reshape"):
        weight = producer.inputs[0]
        producer = weight.producer() if weight is not None else None
    if weight is None or not weight.is_initializer() or len(static_shape(weight)) < 2:
        return None  # a product with a vector is no layer
    return weight


def _digital_plan(node: ir.Node) -> LayerPlan:
    weight = _digital_weight(node)
    assert weight is not None
    shape, groups = static_shape(weight), node.attributes.get_int("group", 1)
    x = node.inputs[0].shape if node.inputs[0] is not None else None
    result = node.outputs[0].shape
    if node.op_type in CONVOLUTIONS:
        R, C = shape[0] // groups, math.prod(shape[1:])
        # every input position of a transposed convolution spreads over the kernel
        spaces = x if node.op_type == "ConvTranspose" else result
        places = list(spaces)[2:] if spaces is not None else []
    else:
        rows_first = bool(node.attributes.get_int("transB", 0)) or weight is not node.inputs[1]
        R, C = (shape[0], shape[1]) if rows_first else (shape[-1], shape[-2])
        places = list(result)[1:-1] if result is not None else []
        product = node.inputs[1]
        by_group = product.shape if product is not None else None
        if by_group is not None and len(by_group) == 3 and isinstance(by_group[0], int):
            groups, places = by_group[0], places[1:]  # [N, G, P, R]
            R //= groups
    positions = math.prod(dim for dim in places if isinstance(dim, int))
    return LayerPlan(
        name=node.metadata_props.get("rpucc.layer") or node.name or "",
        op=_original_op(node),
        analog=False,
        R=R,
        C=C,
        grid=(0, 0),
        array="",
        array_size=(0, 0),
        tiles=0,
        utilisation=0.0,
        reads_forward=0,
        reads_backward=0,
        updates=0,
        noise_forward=False,
        noise_backward=False,
        bound_forward=False,
        bound_backward=False,
        update={},
        macs=groups * R * C * positions,
        seconds=0.0,
        training_seconds=0.0,
        groups=groups,
    )


# ---------------------------------------------------------------- the whole


def _batch_norms(model: ir.Model) -> list[str]:
    """The names of the model's batch norms, folded or not: layer rules may be about them."""
    return [
        str(entry["node"])
        for entry in json.loads(model.metadata_props.get("rpucc.batch_norms", "[]"))
    ]


def _notes(analog: list[AnalogLayer], names: list[str], target: Target) -> tuple[str, ...]:
    notes = [
        f"{layer.name}: {len(layer.forward)} places of the model share this matrix and its arrays"
        for layer in analog
        if len(layer.forward) > 1
    ]
    notes += [
        f"[[layer]] match = {pattern!r} matches no layer of this model"
        for pattern in target.unmatched_rules(names)
    ]
    return tuple(notes)
