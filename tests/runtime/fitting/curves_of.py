"""Curves that rpucc's own devices give, with reads that have errors."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rpucc.runtime.calibration import nearest_to_zero, pulse_devices
from rpucc.runtime.devices import Device
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.fitting.curves import Curves, DeviceCurve
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout


def directions_of(legs: Sequence[int]) -> np.ndarray:
    """+1 and -1 of legs of so many pulses up (positive) and down."""
    parts = [np.full(abs(leg), np.sign(leg)) for leg in legs]
    return np.concatenate(parts).astype(np.int8)


def weights_of(device: Device, devices: int, legs: Sequence[int], seed: int) -> np.ndarray:
    """What devices hold before the first and after every pulse [pulses + 1, devices]."""
    layout, row = Layout.of((0, 1), (0, devices), seed_key(seed)), slice(0, 1)
    fabricated = draw_devices(layout, device, row)
    w = nearest_to_zero(device, fabricated, (1, devices)).copy()
    directions = directions_of(legs)
    found = np.empty((len(directions) + 1, devices))
    found[0] = w
    for i in range(len(directions)):
        pulse_devices(layout, device, row, w, fabricated, directions[i : i + 1], i)
        found[i + 1] = w
    return found


def curves_of(
    device: Device, devices: int, legs: Sequence[int], seed: int, read: float = 0.0
) -> Curves:
    """The curves of devices whose reads have a normal error `read`."""
    weights = weights_of(device, devices, legs, seed)
    weights += read * np.random.default_rng(seed).standard_normal(weights.shape)
    counts = np.concatenate([[0], directions_of(legs)]).astype(np.int64)
    fresh = np.arange(len(counts)) == 0
    seen = np.ones(len(counts), bool)
    return Curves(
        tuple(
            DeviceCurve(str(k), counts, seen, fresh, np.ascontiguousarray(column))
            for k, column in enumerate(weights.T)
        )
    )


def write_csv(path: Path, curves: Curves, value: str = "weight", scale: float = 1.0) -> None:
    """Write curves as the file that they were read from."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["device", "pulse", "direction", value])
        for curve in curves.devices:
            for number, (count, read) in enumerate(zip(curve.counts, curve.values, strict=True)):
                rows.writerow([curve.name, number, {1: "up", -1: "down"}.get(int(count), "read"),
                               f"{read * scale:.9g}"])  # fmt: skip
