"""Figures of a layer's devices, weights and reads, from a machine as it stands.

For a verdict on a training that did not learn. Not for what they mean: that is `verdict.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.devices import Device
from rpucc.runtime.devices.symmetry import symmetry_points

if TYPE_CHECKING:
    from rpucc.cells import Cell
    from rpucc.plan.layers import LayerPlan
    from rpucc.runtime.array import Array
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.plane import Plane
    from rpucc.target.target import LayerPolicy

SAMPLE = 1 << 16
"""Devices that are looked at for what all of a layer have alike."""
TRIED = 64
"""Devices whose steps are tried one by one."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class LayerFigures:
    """What one layer's arrays are like, and where its weights have come to."""

    layer: str
    rows: int
    """Outputs of one matrix."""
    size: float
    """Its weights before training (root of the mean square)."""
    moved: float
    """How far they are from there, as a multiple of that."""
    pulsed: bool
    on_devices: bool
    """Whether updates go by the devices' steps: pulses, or the mean of what they do."""
    dw_min: float
    """The granularity of the devices that are pulsed; 0 where updates are exact."""
    gain: float
    """lr / (BL · dw_min): the learning rate in units of what one update can do to the devices that
    are pulsed."""
    train_change: float
    """BL · dw_min, the learning rate of gain 1."""
    update_management: bool
    devices: int
    """Devices a weight."""
    states: float
    """Steps from the lowest to the highest weight of a device, on average; inf without bounds."""
    direct: bool
    """Whether pulses of x and d go to the weights themselves, not to a plane of cells, or a digital
    sum, that hands them on."""
    at_bounds: float
    """Part of the weights within a step of a bound."""
    clipped: float
    """Part of the weights that did not fit their devices when they were programmed."""
    scaled: bool
    """Whether weight scaling may fit the weights to the devices."""
    symmetry: float
    """Its devices' symmetry points as training sees them (root of the mean square); 0 without."""
    pulled: bool
    """Whether its devices have such points, to which every pulse pulls them."""
    shift: str
    """The setting that would zero-shift its devices; "" where it is not left to try."""
    asymmetry: float
    """Up steps less down steps, as a part of their mean; 0 where a symmetry point evens them."""
    read_noise: float
    """Of backward reads."""
    reads_backward: int
    noise_backward: bool
    unmanaged: frozenset[str]
    """The cycles that read with a bound, without bound management."""

    def bare(self, cycle: str) -> bool:
        """Tell whether reads of a cycle can saturate and stay so."""
        return cycle in self.unmanaged


def layer_figures(machine: Machine, lr: float) -> list[LayerFigures]:
    """Return the figures of every layer on arrays; lr: the training's learning rate."""
    program = machine.program
    plans = {layer.name: layer for layer in program.plan.layers}
    found = []
    for name, array in machine.arrays.items():
        before = program.model.graph.initializers[name].const_value
        assert before is not None  # a machine was made of it
        policy = program.target.for_layer(array.layer)
        found.append(_figures(array, before.numpy(), plans[array.layer], policy, lr))
    return found


def _figures(
    array: Array, before: FloatArray, plan: LayerPlan, policy: LayerPolicy, lr: float
) -> LayerFigures:
    cell, plane = policy.cell.settings, array.main
    pulsed = array.planes.get(cell.pulsed, plane)  # what learns; it is there in training programs
    size = math.sqrt(float(np.mean(np.square(before, dtype=np.float64))))
    change = float(np.mean(np.square(array.visible - before, dtype=np.float64)))
    update = policy.update
    dw_min = pulsed.device.granularity if plane.pulsed else 0.0
    train = update.bl * dw_min / (cell.rate or 1.0) if cell.pulsed else 0.0
    direct = pulsed is plane and bool(cell.pulsed)
    # A pair is pulsed up alone, each of its devices for one sign.
    balanced = bool(plane.pulsed) and cell.sides is None
    symmetry, asymmetry = _balance(pulsed) if balanced else (None, 0.0)
    states, at_bounds = steps_and_bounds(plane) if plane.pulsed else (math.inf, 0.0)
    backward = policy.periphery.backward
    forward_open = policy.periphery.bound > 0 and not plan.bound_forward
    backward_open = float(backward.bound) > 0 and plan.reads_backward and not plan.bound_backward
    open_cycles = (("forward", forward_open), ("backward", backward_open))
    return LayerFigures(
        layer=plan.name,
        rows=plan.R,
        size=size,
        moved=math.sqrt(change) / max(size, 1e-30),
        pulsed=plane.pulsed is True and bool(plan.updates),
        on_devices=bool(plane.pulsed and plan.updates),
        dw_min=dw_min,
        gain=lr * update.lr_scale / train if train else 0.0,
        train_change=train,
        update_management=update.update_management,
        devices=plan.devices_per_weight,
        states=states,
        at_bounds=at_bounds,
        clipped=plane.clipped / plane.W.size,
        scaled=policy.mapping.weight_scaling != "off",
        symmetry=symmetry or 0.0,
        pulled=symmetry is not None,
        direct=direct,
        shift=_shift(cell, pulsed, direct=pulsed is plane),
        asymmetry=asymmetry,
        read_noise=float(backward.read_noise),
        reads_backward=plan.reads_backward,
        noise_backward=plan.noise_backward,
        unmanaged=frozenset(cycle for cycle, is_open in open_cycles if is_open),
    )


def _shift(cell: Cell, plane: Plane, *, direct: bool) -> str:
    """Return the setting that would zero-shift a plane that learns; "" where none does."""
    if cell.sides is not None:
        return ""
    if plane.reference is not None or type(plane.device).shifted is Device.shifted:
        return ""
    return "calibration.zero_shift=true" if direct else f"cell.{cell.shift_key}=true"


def _blocks(plane: Plane) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield rows of a plane with the lowest and highest weight of their devices."""
    for rows in plane.layout.row_blocks():
        low, high = plane.device.weight_range(tuple(plane.parameters_of(rows)))
        yield rows, np.asarray(low), np.asarray(high)


def steps_and_bounds(plane: Plane) -> tuple[float, float]:
    """Return (steps between pulsed devices' bounds on average, part of the weights at a bound)."""
    step, states, held = np.float32(plane.device.granularity), 0.0, 0
    for rows, low, high in _blocks(plane):
        W = plane.W[rows]
        inside = (low + step < W) & (high - step > W)
        held += W.size - int(np.count_nonzero(inside))
        states += float(np.mean(high - low, dtype=np.float64)) / float(step) * W.size
    return states / plane.W.size, held / plane.W.size


def _balance(plane: Plane) -> tuple[float | None, float]:
    """(symmetry points, or None and the asymmetry) of a sample of the plane's devices."""
    columns = int(plane.W.shape[1])
    rows = slice(0, min(len(plane.W), max(1, SAMPLE // columns)))
    fabricated = tuple(plane.parameters_of(rows))
    points = symmetry_points(plane.device, fabricated, (rows.stop, columns))
    if points.exists.mean() > 0.5:
        return math.sqrt(float(np.mean(np.square(points.known, dtype=np.float64)))), 0.0
    return None, _asymmetry(plane.device, fabricated)


def _asymmetry(device: Device, fabricated: tuple[FloatArray, ...]) -> float:
    """Up steps less down steps from weight 0, as a part of their mean, over some devices."""
    constants = device.step_constants()
    own: list[list[float]] = [[]]
    if fabricated:
        own = np.stack([a.reshape(-1)[:TRIED] for a in fabricated], axis=1).tolist()
    ups, downs = (
        np.array([float(device.step(0.0, d, 0.0, *p, *constants)) for p in own])
        for d in (1.0, -1.0)
    )
    total = float(np.mean(np.abs(ups) + np.abs(downs)))
    return abs(float(np.mean(ups + downs))) / (total / 2) if total else 0.0
