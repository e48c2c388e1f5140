"""The plan: how a network lies on the arrays and what that costs, derived from a program.

Nothing here is stored: every number follows from the graph and its target. Times are those of the
arrays alone (reads with the re-reads that the target expects, and pulses); digital operations and
transfers take none. How times follow, and energy: rpucc/cost.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from rpucc import arguments
from rpucc.constant_weights import DigitalWeights, digital_weights
from rpucc.cost.network import NetworkCost, Planned, network_cost
from rpucc.cost.pace import pace_of
from rpucc.cost.timing import CYCLES
from rpucc.feedback import ruled_as
from rpucc.layers import AnalogLayer, analog_layers
from rpucc.plan.dependencies import array_steps
from rpucc.plan.layers import LayerPlan as LayerPlan
from rpucc.plan.layers import (
    analog_plan,
    as_trained,
    digital_nodes,
    digital_plan,
    with_arrays_saved,
)
from rpucc.plan.layers import digital_layers as digital_layers
from rpucc.plan.schedule import Stage, critical_path, finish, timeline
from rpucc.step_contract import StepContract

if TYPE_CHECKING:
    from rpucc.placement import GridSpec, Placement
    from rpucc.target.target import ArrayKind, Target


@dataclass(frozen=True)
class Plan:
    """All layers of a program in forward order, feedback matrices behind theirs, and the totals."""

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
    digital: tuple[DigitalWeights, ...] = ()
    """Constant weights outside the arrays, node by node."""
    expected_rereads: float = 0.0
    """Re-reads of a read under bound management that the times hold (`cost.expected_rereads`)."""
    arrays_saved: dict[str, int] = field(default_factory=dict)
    """Array kind to the arrays that tiles of nothing but fixed zeros, left out, would take."""
    cost: NetworkCost = field(default_factory=NetworkCost)
    """Throughput, energy and digital work."""

    def __str__(self) -> str:
        """The plan as people read it: the table of layers and the totals."""
        from rpucc.report.text.plan import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_html import plan_html

        return plan_html(self)

    @classmethod
    def from_model(cls, model: ir.Model, target: Target | None = None) -> Plan:
        """Derive the plan of a compiled model.

        target: what times are taken from in place of the target in the model's metadata.

        Raises ArgumentError for what is no ir.Model; `Program.plan` is this of `Program.model`.

        >>> import rpucc
        >>> [(layer.R, layer.C) for layer in rpucc.compile("lenet", "rpu-managed").plan.layers]
        [(16, 26), (32, 401), (128, 513), (10, 129)]
        """
        from rpucc.placement import place
        from rpucc.placement.program import grids_of
        from rpucc.target.target import Target

        arguments.instance("Plan.from_model(model)", model, ir.Model, "an ir.Model, program.model")
        if target is None:
            target = Target.from_json(model.metadata_props["rpucc.target"])
        analog = analog_layers(model)
        paces = {layer.name: pace_of(layer, target) for layer in analog}
        order = {node: i for i, node in enumerate(model.graph)}
        grids = grids_of(model, target)
        placement = place(grids, target.arrays, share=target.placement.share)
        owners = {a.name: order[a.first] for a in analog}
        placed = [
            (
                (owners[ruled_as(a.name)], a.is_feedback),
                analog_plan(a, grid, placement, target, paces[a.name]),
            )
            for a, grid in zip(analog, grids, strict=True)
        ]
        placed += [
            ((order[nodes[0]], False), digital_plan(nodes)) for nodes in digital_nodes(model)
        ]
        layers = [layer for _, layer in sorted(placed, key=lambda pair: pair[0])]
        whole = _with_all_tiles(grids, target.arrays, share=target.placement.share)
        if whole is not None:
            layers = [with_arrays_saved(layer, whole) for layer in layers]
        if StepContract.of(model).state:
            layers = [as_trained(layer, target) for layer in layers]
        slowest = max((layer.seconds for layer in layers), default=0.0)
        steps = array_steps(model, analog, lambda a, *work: paces[a.name].seconds(*work))
        stages = timeline(steps)
        plan = cls(
            target=target.name,
            training=bool(StepContract.of(model).state),
            layers=tuple(layers),
            latency_seconds=finish(stages, "forward"),
            stages=stages,
            critical_path=critical_path(steps, "forward"),
            digital=digital_weights(model),
            expected_rereads=target.cost.expected_rereads,
            notes=(
                *json.loads(model.metadata_props.get("rpucc.import_notes", "[]")),
                *_notes(analog),
            ),
            grids=grids,
            kinds=target.arrays,
            share=target.placement.share,
            arrays_saved={} if whole is None else _saved(placement, whole),
        )
        planned = Planned(plan.training, plan.layers, plan.stages, plan.critical_path)
        cost = network_cost(model, planned, target)
        found = {layer.name: layer for layer in cost.layers}
        rows = tuple(
            dataclasses.replace(
                layer,
                is_bottleneck=math.isclose(layer.seconds, slowest),
                joules=found[layer.name].energy("forward").total,
                training_joules=found[layer.name].energy(*CYCLES).total,
            )
            if layer.analog
            else layer
            for layer in layers
        )
        return dataclasses.replace(plan, layers=rows, cost=cost)

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
        """Weights of the network on arrays."""
        return sum(layer.weights for layer in self.analog_layers if not layer.feedback)

    @property
    def feedback_weights(self) -> int:
        """Fixed random numbers on arrays that errors go back through."""
        return sum(layer.weights for layer in self.analog_layers if layer.feedback)

    @property
    def digital_weights(self) -> int:
        """Weights outside the arrays: of digital layers, biases, norms, tables and the like."""
        return sum(each.count for each in self.digital)

    @property
    def frozen(self) -> tuple[DigitalWeights, ...]:
        """Those of them that training leaves as they are; in an inference program none."""
        return tuple(each for each in self.digital if self.training and not each.trained)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights as float32."""
        return 4 * (self.weights + self.feedback_weights + self.digital_weights)

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
        """The layer with the slowest forward stage, of equals the first; None without arrays."""
        return next((layer.name for layer in self.layers if layer.is_bottleneck), None)

    @property
    def bottlenecks(self) -> tuple[LayerPlan, ...]:
        """All layers whose forward stage is the slowest."""
        return tuple(layer for layer in self.layers if layer.is_bottleneck)

    @property
    def image_seconds(self) -> float:
        """Time per image of the forward pipeline: its slowest stage (reads · t_read)."""
        return max((layer.seconds for layer in self.layers), default=0.0)

    @property
    def training_image_seconds(self) -> float:
        """Time per image where each layer does its three cycles: the slowest layer's."""
        return max((layer.training_seconds for layer in self.layers), default=0.0)

    @property
    def tops_per_watt(self) -> float:
        """Tera-operations a second and watt, forward: 2 · macs by the joules of an image, / 1e12.

        Of digital layers too, in operations and in energy. 0 where nothing takes energy.
        """
        joules = self.cost.inference.energy.total
        return 2 * self.macs / joules / 1e12 if joules else 0.0

    def _throughput_dict(self) -> dict[str, Any]:
        """Images a second, energy and power; of training None in an inference program."""
        run, serial = self.cost.inference, self.cost.training_serial
        pipelined = self.cost.training_pipelined
        return {
            "images_per_second": run.images_per_second,
            "joules": run.energy.total,
            "watts": run.watts,
            "tops_per_watt": self.tops_per_watt,
            "training_images_per_second": serial and serial.images_per_second,
            "training_images_per_second_pipelined": pipelined and pipelined.images_per_second,
            "training_joules": serial and serial.energy.total,
        }

    def _layer_dict(self, layer: LayerPlan) -> dict[str, Any]:
        """A layer as plain data, with the cuts of its matrix and where its tiles lie."""
        data = dataclasses.asdict(layer)
        data |= {"grid": list(layer.grid), "array_size": list(layer.array_size)}
        data |= {"weight_scale": list(layer.weight_scale), "planes": list(layer.planes)}
        cuts = {grid.layer: (grid.row_cuts, grid.col_cuts) for grid in self.grids}
        rows, columns = cuts.get(layer.name, ((), ()))
        data |= {"row_cuts": list(rows), "col_cuts": list(columns)}
        ids, digest = self.placement.places(layer.name) if layer.name in cuts else ([], "")
        return {**data, "array_ids": ids, "places_digest": digest}

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
                "arrays_saved": self.arrays_saved,
                "tiles": self.tiles,
                "weights": self.weights,
                "feedback_weights": self.feedback_weights,
                "digital_weights": self.digital_weights,
                "frozen_weights": sum(each.count for each in self.frozen),
                "weights_bytes": self.weights_bytes,
                "utilisation": self.utilisation,
                "macs": self.macs,
                "bottleneck": self.bottleneck,
                "image_seconds": self.image_seconds,
                "latency_seconds": self.latency_seconds,
                "training_image_seconds": self.training_image_seconds,
                **self._throughput_dict(),
            },
            "digital": [each.to_dict() for each in self.digital],
            "notes": list(self.notes),
        }


def _with_all_tiles(
    grids: Sequence[GridSpec], kinds: Sequence[ArrayKind], *, share: bool
) -> Placement | None:
    """Return where tiles would lie if all were there; None where they are."""
    from rpucc.placement import place

    if not any(grid.absent for grid in grids):
        return None
    whole = [dataclasses.replace(grid, absent=(), pins=()) for grid in grids]
    return place(whole, kinds, share=share)


def _saved(placement: Placement, whole: Placement) -> dict[str, int]:
    """Return the arrays of each kind that a placement with all tiles there takes more."""
    saved = {kind: n - placement.arrays.get(kind, 0) for kind, n in whole.arrays.items()}
    return {kind: count for kind, count in saved.items() if count > 0}


def _notes(analog: list[AnalogLayer]) -> tuple[str, ...]:
    return tuple(
        f"{layer.name}: {len(layer.forward)} places of the model share this matrix and its arrays: "
        + ", ".join(
            node.metadata_props.get("rpucc.layer") or str(node.name) for node in layer.forward
        )
        for layer in analog
        if len(layer.forward) > 1
    )
