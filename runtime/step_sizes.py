"""How the steps that a training asks for compare with what pulses can do, on a few samples.

Reads a few samples forward and backward on the machine as it stands, and looks at x and d of every
update; nothing is updated, counted or drawn that training would draw. Not for what the figures
mean: that is `step_causes.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.layers import AnalogLayer, analog_layers
from rpucc.runtime.data.inputs import by_input
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import Feed, fill
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.scalars.pulses import gains

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.array import Array as Cells
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine

Array = NDArray[Any]

SAMPLES = 16
"""That are read. Figures of the presets differ by a tenth of themselves between such groups."""
POSITIONS = 1024
"""Updates of a layer that are looked at, of all positions of these samples."""


@dataclass(frozen=True)
class Slots:
    """What decides about the pulse slots of a layer's updates (`[update]` of a target)."""

    bl: int
    managed: int
    """UM, as `PulsePolicy` has it."""
    bl_managed: bool


@dataclass(frozen=True)
class StepSizes:
    """A layer's updates: outer products of |x| and |d|, and what one pulse of its devices does."""

    layer: str
    x: Array
    """float32 [M, C], where d is not all zero."""
    d: Array
    """float32 [M, R]."""
    rate: float
    """Of the plane that x and d pulse."""
    dw_min: float
    """The granularity of its devices: what one pulse does on average."""
    slots: Slots
    size: float
    """The layer's weights (root of the mean square)."""
    direct: bool
    """Whether pulses go to the weights themselves, not to a plane of cells that hands them on."""
    devices: int
    """Devices a weight."""

    @property
    def asked(self) -> Array:
        """Pulses that the strongest crosspoint of each update is asked for [M]."""
        found: Array = self.x.max(axis=1) * self.d.max(axis=1) * (self.rate / self.dw_min)
        return found

    def made(self, slots: Slots | None = None) -> tuple[float, float]:
        """Return (part of the change asked for that pulses make, part of updates that are full).

        Full is an update whose strongest crosspoint fires in every slot. Both on average: of a
        firing probability that is cut to 1 the rest is lost (physics.md section 3). slots: others
        than the layer's.
        """
        x_gain, d_gain, carried = self._gains(slots or self.slots)
        columns, rows = self.x * x_gain[:, None], self.d * d_gain[:, None]
        pulses = carried * np.minimum(columns, 1).sum(axis=1) * np.minimum(rows, 1).sum(axis=1)
        wanted = self.rate / self.dw_min * self.x.sum(axis=1) * self.d.sum(axis=1)
        full = (columns.max(axis=1) >= 1) & (rows.max(axis=1) >= 1)
        return float(pulses.sum() / wanted.sum()), float(full.mean())

    def _gains(self, slots: Slots) -> tuple[Array, Array, Array]:
        """Cx, Cd and BL of each update, float64 [M]."""
        rate, dw_min = np.float32(self.rate), np.float32(self.dw_min)
        found = [
            gains(x, d, rate, dw_min, slots.bl, slots.managed, slots.bl_managed)
            for x, d in zip(self.x.max(axis=1), self.d.max(axis=1), strict=True)
        ]
        bl, x_gain, d_gain = np.array(found, np.float64).T
        return x_gain, d_gain, bl


def step_sizes(machine: Machine, dataset: Dataset, lr: float, batch_size: int) -> list[StepSizes]:
    """Return what the updates of each layer would be now; none of layers that are not pulsed.

    dataset: of whose training part a few samples are read; lr: the training's rate; batch_size:
    samples of a step of it, over which the loss is a mean. Raises DataError where the data are not
    the program's.
    """
    layers = [
        layer
        for layer in analog_layers(machine.program.model)
        if layer.updates and _is_pulsed(machine, machine.arrays[str(layer.weight.name)])
    ]
    if not layers:
        return []
    size = machine.program.fixed_batch or min(
        SAMPLES, len(dataset.y_train), evaluation_batch(machine.program)
    )
    executor = _executor(machine, layers, size)
    _feed(executor, dataset, lr)
    executor.run(machine.counters.sample)
    found = [_sizes(machine, executor, layer, size / batch_size) for layer in layers]
    return [each for each in found if each is not None]


def _is_pulsed(machine: Machine, array: Cells) -> bool:
    """Whether x and d make pulses, and do not add up digitally."""
    cell = machine.program.target.for_layer(array.layer).cell.settings
    return array.main.pulsed is True and bool(cell.pulsed)


def _executor(machine: Machine, layers: list[AnalogLayer], size: int) -> Executor:
    """What computes x, d and the rate of every update, and so no update."""
    inputs = {name for layer in layers for node in layer.updates for name in _names(node)}
    return Executor(machine, size, sorted(inputs))


def _names(update: ir.Node) -> tuple[str, ...]:
    """The names of an update's x, d and rate."""
    return tuple(str(value.name) for value in update.inputs[1:4] if value is not None)


def _feed(executor: Executor, dataset: Dataset, lr: float) -> None:
    """Put samples from all over the data in: what is stored by class has all classes then."""
    program = executor.machine.program
    feed, step, x, y = Feed(program), program.step, dataset.x_train, dataset.y_train
    chosen = np.linspace(0, len(y) - 1, executor.batch).astype(np.int64)
    few = {name: a[chosen] for name, a in x.items()} if isinstance(x, Mapping) else x[chosen]
    rows = feed.rows(by_input(few, feed.shapes, "x_train", _unsaid), "x_train")
    fill(feed.buffers(executor), rows, np.arange(executor.batch), 0)
    if step.labels is not None:
        labels, output = executor[step.labels], scored_shape(program)
        fitting = fitted_labels(y[chosen], output, program.loss, "y_train", _unsaid)
        labels[...] = np.asarray(fitting).reshape(labels.shape)
    for name in step.rates:
        executor[name][...] = lr


def scored_shape(program: Program) -> tuple[int, ...]:
    """The shape of what labels are about, of one sample."""
    values = (value for node in program.model.graph for value in node.outputs)
    output = next(value for value in values if value.name == program.step.scored)
    return tuple(dim for dim in list(output.shape or ())[1:] if isinstance(dim, int))


def _unsaid(line: str) -> None:
    """Leave out what training says."""


def _sizes(
    machine: Machine, executor: Executor, layer: AnalogLayer, samples: float
) -> StepSizes | None:
    """Return the figures of one layer; None where no error reached it.

    samples: those that were read as a multiple of a step's. Errors are those of a mean over what
    was read: over a step's samples they are so many times as large.
    """
    array = machine.arrays[str(layer.weight.name)]
    policy = machine.program.target.for_layer(array.layer)
    cell, update = policy.cell.settings, policy.update
    plane = array.planes.get(cell.pulsed, array.main)
    x, d = ([executor[_names(node)[i]] for node in layer.updates] for i in (0, 1))
    X, D = (np.abs(np.concatenate([a.reshape(-1, a.shape[-1]) for a in each])) for each in (x, d))
    some = slice(None, None, -(-len(X) // POSITIONS))
    X, D = X[some], D[some] * np.float32(samples)
    live = (D.max(axis=1) > 0) & (X.max(axis=1) > 0) & np.isfinite(X.sum(axis=1) * D.sum(axis=1))
    rate = float(executor[_names(layer.updates[0])[2]]) * cell.rate
    if not live.any() or not rate > 0:
        return None
    return StepSizes(
        layer=array.layer,
        x=X[live],
        d=D[live],
        rate=rate,
        dw_min=plane.device.granularity,
        slots=Slots(update.bl, update.managed, update.update_bl_management),
        size=_size(array),
        direct=plane is array.main,
        devices=policy.mapping.devices_per_weight,
    )


def _size(array: Cells) -> float:
    return math.sqrt(float(np.mean(np.square(array.visible, dtype=np.float64))))
