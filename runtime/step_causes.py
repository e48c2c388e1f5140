"""Steps that are too fine or too coarse for what a training asks of them.

Not for how the figures come about (`step_sizes.py`), nor for words (`rpucc.report.text.verdict`).
The thresholds are measured with LeNet on mnist-mini, rpu-managed with other values of dw_min, the
test error after one epoch; docs/training.md has the table.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rpucc.runtime.cause import DEFAULT_LR, Cause
from rpucc.runtime.step_sizes import Slots, StepSizes, step_sizes

if TYPE_CHECKING:
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine

KEPT = 0.1
"""Pulses that make less than this part of the change that is asked for are too small.

The presets make 0.33 or more of it in every layer before training, a batch of 128 at its rate 0.12
(and learns), dw_min = 1e-5 0.13 (15 % test error in place of 7), 1e-6 0.04 (36 %), 1e-7 0.005
(86 %)."""
RESTORED = 0.4
"""Slots that make this part of it will do: 1e-6 with BL 255 and UM makes 0.5 to 1 of it (8 %)."""
COARSE = 0.5
"""A pulse this large, as a multiple of a layer's weights, is coarse where updates ask for few.

The presets have at most 0.08, dw_min = 0.01 0.4 (14 %), 0.02 0.7 (39 %), 0.03 1.2 (42 %), 0.1 3.9
(90 %)."""
FEW = 0.1
"""Pulses that nine in ten updates ask of their strongest crosspoint at most: their noise, about the
square root of their number, is three times what is asked for."""
MOST_SLOTS = 255


def step_causes(
    machine: Machine, dataset: Dataset, lr: float, batch_size: int
) -> tuple[Cause, ...]:
    """Return what the updates of a training on a data set would suffer from, as a machine stands.

    Reads a few samples (`step_sizes`). lr, batch_size: the training's.
    """
    sizes = step_sizes(machine, dataset, lr, batch_size)
    found = (_fine(sizes, lr), _coarse(sizes))
    return tuple(cause for cause in found if cause is not None)


def _fine(sizes: list[StepSizes], lr: float) -> Cause | None:
    """Updates whose pulse probabilities stop at 1, so that most of the change is lost."""
    lost = [s for s in sizes if s.made()[0] < KEPT]
    if not lost:
        return None
    worst = min(lost, key=lambda s: s.made()[0])
    kept, full = worst.made()
    names, bl = tuple(s.layer for s in lost), worst.slots.bl
    if DEFAULT_LR <= min(s.slots.bl * s.dw_min for s in lost) < lr:  # it is not for the steps
        return Cause("fine", names, kept, bl, DEFAULT_LR, full=full)
    options, enough = _slots(lost)
    step = None if enough else _larger_step(lost)
    return Cause("fine", names, kept, bl, options=options, full=full, step=step)


def _slots(lost: list[StepSizes]) -> tuple[tuple[str, ...], bool]:
    """Return settings of slots that make up for fine steps, and whether they do."""
    asked = max(float(np.quantile(s.asked, 0.9)) for s in lost)
    bl = min(MOST_SLOTS, max(math.ceil(min(asked, MOST_SLOTS)), *(s.slots.bl for s in lost)))
    tried = ((False, True), (True, False), (True, True))
    for longer, managed in tried:
        made = min(s.made(_with(s.slots, bl if longer else 0, managed))[0] for s in lost)
        if made >= RESTORED:
            break
    options = []
    if longer and any(s.slots.bl < bl for s in lost):
        options.append(f"update.bl={bl}")
    if managed and not all(s.slots.managed for s in lost):
        options.append("update.update_management=true")
    return tuple(options), made >= RESTORED


def _with(slots: Slots, bl: int, managed: bool) -> Slots:
    return replace(slots, bl=max(slots.bl, bl), managed=slots.managed or managed)


def _larger_step(lost: list[StepSizes]) -> float:
    """Return the dw_min at which BL slots carry what nine in ten updates ask for."""
    return max(float(np.quantile(s.asked, 0.9)) * s.dw_min / s.slots.bl for s in lost)


def _coarse(sizes: list[StepSizes]) -> Cause | None:
    """Single pulses that are large beside the weights, where updates ask for parts of one."""
    # Weights that others are handed on to move by means of many gradients: steps may be coarse.
    coarse = [
        s
        for s in sizes
        if s.direct and _share(s) > COARSE and float(np.quantile(s.asked, 0.9)) < FEW
    ]
    if not coarse:
        return None
    worst = max(coarse, key=_share)
    asked = float(np.quantile(worst.asked, 0.9))
    return Cause("coarse", tuple(s.layer for s in coarse), _share(worst), asked, step=worst.dw_min)


def _share(s: StepSizes) -> float:
    """One pulse as a multiple of the layer's weights.

    Initial weights may be zero: they will not stay smaller than about 1 / sqrt(3 C), what C inputs
    of size 1 want and PyTorch begins with.
    """
    return s.dw_min / s.devices / max(s.size, 1 / math.sqrt(3 * s.x.shape[1]))
