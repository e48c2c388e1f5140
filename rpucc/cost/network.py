"""The cost of a whole program: its layers, one image in time, many images, digital work, energy.

Derived from the program and its target whenever it is asked for. Not for how the layers lie on
the arrays: that is the plan (`rpucc/plan/plan.py`), which has the cost of a program (`Plan.cost`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from rpucc.cost.digital import DigitalWork, digital_work
from rpucc.cost.energy import Energy, digital_energy
from rpucc.cost.layer import LayerCost, LayerCoster, total_energy
from rpucc.cost.pace import pace_of
from rpucc.cost.sizes import batch_of
from rpucc.cost.timing import CYCLES, Cycle
from rpucc.layers import analog_layers
from rpucc.plan import schedule
from rpucc.plan.schedule import Stage

if TYPE_CHECKING:
    from rpucc.plan.layers import LayerPlan
    from rpucc.target.target import CostTable, Target

MODELLED = (
    "array time: reads with expected re-reads, pulses, and what waits for what in the graph",
    "energy of crosspoints, converters, pulses, digital operations and bytes that move",
)
NOT_MODELLED = (
    "time of digital work and of transfers: both are taken to keep up with the arrays",
    "overlap of layers within one image: each starts when its whole input is there",
    "energy of integrators, control, clocks, leakage, programming, and of what is kept for later",
)
"""What the numbers hold and what they leave out, for people."""


@dataclass(frozen=True)
class Throughput:
    """A way to run many images: seconds an image, what bounds it, and the energy of an image."""

    interval_seconds: float = 0.0
    """From the end of one image to that of the next; 0 without layers on arrays."""
    bottleneck: str | None = None
    """The layer that bounds it; None where images do not overlap."""
    energy: Energy = field(default_factory=Energy)

    @property
    def images_per_second(self) -> float:
        """1 / interval; 0 without layers on arrays."""
        return 1 / self.interval_seconds if self.interval_seconds else 0.0

    @property
    def watts(self) -> float:
        """Mean power; 0 without layers on arrays."""
        return self.energy.total * self.images_per_second

    def to_dict(self) -> dict[str, Any]:
        """The fields and what follows from them."""
        return {
            **dataclasses.asdict(self),
            "images_per_second": self.images_per_second,
            "joules": self.energy.total,
            "watts": self.watts,
        }


@dataclass(frozen=True)
class Planned:
    """What costs follow from: the plan of a network before anything is known of its cost."""

    training: bool
    layers: Sequence[LayerPlan]
    stages: tuple[Stage, ...]
    critical_path: tuple[str, ...]


def _default_table() -> CostTable:
    from rpucc.target.target import CostTable

    return CostTable()


@dataclass(frozen=True)
class NetworkCost:
    """What one sample costs on the arrays and around them; by default nothing."""

    table: CostTable = field(default_factory=_default_table)
    layers: tuple[LayerCost, ...] = ()
    stages: tuple[Stage, ...] = ()
    """One image alone, for a Gantt chart; in a training program with all three cycles."""
    critical_path: tuple[str, ...] = ()
    """The layers of the longest path through the forward cycle, in order."""
    digital: tuple[DigitalWork, ...] = ()
    uncounted: tuple[str, ...] = ()
    """Ops whose digital work is not counted."""
    inference: Throughput = Throughput()
    """Pipelined, forward only."""
    training_serial: Throughput | None = None
    """Each image after the one before: SGD with minibatch 1. None in an inference program."""
    training_pipelined: Throughput | None = None
    """Each layer on another image, so that updates are delayed. None in an inference program."""

    @property
    def latency_seconds(self) -> float:
        """One image alone, forward."""
        return schedule.finish(self.stages, "forward")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        serial, pipelined = self.training_serial, self.training_pipelined
        return {
            "table": self.table.model_dump(),
            "layers": [layer.to_dict() for layer in self.layers],
            "stages": [dataclasses.asdict(stage) for stage in self.stages],
            "critical_path": list(self.critical_path),
            "latency_seconds": self.latency_seconds,
            "digital": [dataclasses.asdict(work) for work in self.digital],
            "uncounted": list(self.uncounted),
            "inference": self.inference.to_dict(),
            "training_serial": None if serial is None else serial.to_dict(),
            "training_pipelined": None if pipelined is None else pipelined.to_dict(),
            "modelled": list(MODELLED),
            "not_modelled": list(NOT_MODELLED),
        }


def network_cost(model: ir.Model, planned: Planned, target: Target) -> NetworkCost:
    """Return the cost of a compiled model. planned: what is known of its plan."""
    layers = _layers(model, planned.layers, target)
    digital, uncounted = digital_work(model)
    energy = {cycle: _energy(layers, digital, target.cost, cycle) for cycle in CYCLES}
    trained = total_energy(energy.values())
    whole = schedule.finish(planned.stages)
    return NetworkCost(
        table=target.cost,
        layers=layers,
        stages=planned.stages,
        critical_path=planned.critical_path,
        digital=digital,
        uncounted=uncounted,
        inference=_pipelined(planned.stages, "forward", energy["forward"]),
        training_serial=Throughput(whole, None, trained) if planned.training else None,
        training_pipelined=_pipelined(planned.stages, None, trained) if planned.training else None,
    )


def _layers(model: ir.Model, layers: Sequence[LayerPlan], target: Target) -> tuple[LayerCost, ...]:
    planned = {layer.name: layer for layer in layers if layer.analog}
    batch = batch_of(model)
    return tuple(
        LayerCoster(
            layer,
            planned[layer.name],
            pace_of(layer, target),
            target.for_layer(layer.name).periphery,
            target.cost,
            len(target.for_layer(layer.name).cell.settings.gains),
            batch,
        ).run()
        for layer in analog_layers(model)
    )


def _energy(
    layers: Sequence[LayerCost], digital: Sequence[DigitalWork], table: CostTable, cycle: Cycle
) -> Energy:
    parts = [layer.energy(cycle) for layer in layers]
    parts += [digital_energy(work.operations, table) for work in digital if work.cycle == cycle]
    return total_energy(parts)


def _pipelined(stages: Sequence[Stage], cycle: Cycle | None, energy: Energy) -> Throughput:
    """An image leaves per busy time of the layer that works longest."""
    busy = schedule.busy(stages, cycle)
    slowest = max(busy, key=busy.__getitem__, default=None)
    return Throughput(busy[slowest] if slowest is not None else 0.0, slowest, energy)


def measured_rereads(layers: Iterable[LayerPlan], reads: int, rereads: int) -> float | None:
    """Return the re-reads of a read under bound management, from what a run counted over all reads.

    layers: those on arrays. reads, rereads: tile reads, and repetitions of them, of a training run
    (its metrics). What noise management skips (an input of zeros) is not counted there, so this is
    a lower bound. None where nothing is managed or nothing was read. For `cost.expected_rereads`.
    """
    tiles = {True: 0, False: 0}
    for layer in layers:
        tiles[layer.bound_forward] += layer.tiles * layer.reads_forward
        tiles[layer.bound_backward] += layer.tiles * layer.reads_backward
    managed = reads * tiles[True] / (sum(tiles.values()) or 1)
    return rereads / managed if managed else None
