"""Zero-shifting: where the reference array ends up, what asymmetry is left, the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rpucc.errors import TargetError
from rpucc.runtime import layout
from rpucc.runtime.calibration import pulse_devices
from rpucc.runtime.checkpoint import load_checkpoint
from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.kernels.philox import CALIBRATE, REFERENCE
from rpucc.runtime.machine import Machine
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.philox import normals
from rpucc.runtime.spread import Spread
from rpucc.target.target import Calibration

from .bounds import correlation, deviations
from .small import tiny, tiny_data, train
from .tilings import Pulsing, Tiling, make_plane, plain_pulse, pulse

TILING = Tiling((0, 3, 7), (0, 70, 75, 139), first_tile=5)
ASYMMETRIC = {"up_down": 0.2, "up_down_dtod": 0.3, "dw_min": 0.01}
SAME = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}


def shifted_plane(
    device: Device, tiling: Tiling = TILING, seed: int = 1, W: np.ndarray | None = None,
    pulsed: bool = True, **calibration: Any,
) -> Plane:  # fmt: skip
    how = Calibration(zero_shift=True, **{"pairs": 300, **calibration})
    return make_plane(device, tiling, W, seed, how, pulsed)


def whole(plane: Plane) -> slice:
    return slice(0, len(plane.W))


@pytest.mark.parametrize("model", ["constant-step", "linear-step", "soft-bounds", "ideal"])
@pytest.mark.parametrize("noise", [{}, {"dw_min_std": 0.0}])
def test_pulses_equal_the_plain_step(model: str, noise: dict[str, float]) -> None:
    """Pulse i of element e of a tile has noise (e, first + i, CALIBRATE, tile)."""
    if model == "ideal":
        noise = {}
    plane = make_plane(make_device(model, {"dw_min": 0.05, **noise}), TILING)
    rows, first = slice(2, 6), 7  # across the border of two row blocks
    start = np.random.default_rng(2).uniform(-0.3, 0.3, (4, 139)).astype(np.float32)
    directions = np.array([1, -1, 1, 1, -1], np.int8)
    fabricated = draw_devices(plane.layout, plane.device, rows)
    found = start.copy()
    pulse_devices(plane.layout, plane.device, rows, found, fabricated, directions, first)
    key = (int(plane.layout.key[0]), int(plane.layout.key[1]))
    for tile, tile_rows, columns in TILING.blocks():
        width = columns.stop - columns.start
        for row in range(max(tile_rows.start, 2), min(tile_rows.stop, 6)):
            elements = (row - tile_rows.start) * width + np.arange(width)
            for i, direction in enumerate(directions):
                z = normals(elements, first + i, CALIBRATE << 24 | tile, 0, key)
                for c in range(width):
                    at = row - 2, columns.start + c
                    values = (float(a[at]) for a in fabricated)
                    start[at] = plane.device.step(
                        float(start[at]), float(direction), float(z[c]), *values, *plane.constants
                    )
    np.testing.assert_allclose(found, start, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", ["linear-step", "soft-bounds"])
def test_without_noise_the_reference_is_the_symmetry_point(model: str) -> None:
    """Within the step in which up and down pulses leave it oscillating."""
    even = {"dw_min_std": 0.0, "dw_min_dtod": 0.1}  # so that no device is slow
    plane = shifted_plane(make_device(model, {**ASYMMETRIC, **even}), pairs=3000)
    fabricated = draw_devices(plane.layout, plane.device, whole(plane))
    point = plane.device.symmetry_point(fabricated)
    assert point is not None
    assert plane.reference is not None
    largest = np.maximum(fabricated[0], fabricated[2])
    assert np.all(np.abs(plane.reference - point) < 1.01 * largest)
    assert np.abs(point).max() > 0.3


def test_what_pulse_noise_leaves() -> None:
    """Identical devices at w* = 0: each pulse multiplies by 1 - k, k = a / w_max, and adds a noise
    of variance a² v² (1 + w² / w_max²), so that var(w) = a² v² / (2 k - k²), to 1e-3."""
    a, w_max, v = 0.01, 0.6, 0.3
    device = SoftBounds(dw_min=a, dw_min_std=v, w_max=w_max, w_min=-w_max, **SAME)
    plane = shifted_plane(device, Tiling((0, 100), (0, 200)), pairs=600)
    assert plane.reference is not None
    k, n = a / w_max, plane.reference.size
    expected = a * v / np.sqrt(2 * k - k * k)
    assert abs(plane.reference.std() / expected - 1) < deviations(2) / np.sqrt(2 * n) + 2e-3
    # An up pulse from -a / 2 leads to +a / 2, to first order in k, and back.
    assert abs(plane.reference.mean() + a / 2) < expected * deviations(2) / np.sqrt(n) + a * k


def test_what_is_reported() -> None:
    plane = shifted_plane(SoftBounds(**ASYMMETRIC), Tiling((0, 100), (0, 200)))
    fabricated = draw_devices(plane.layout, plane.device, whole(plane))
    point = plane.device.symmetry_point(fabricated)
    assert plane.symmetry is not None
    assert plane.reference is not None
    assert point is not None
    record = plane.symmetry.record()
    assert record["devices"] == 20_000
    for values, name in ((point, "before"), (point - plane.reference, "after")):
        assert record[f"mean_{name}"] == pytest.approx(values.mean(dtype=float), abs=1e-6)
        assert record[f"std_{name}"] == pytest.approx(values.std(dtype=float), rel=1e-5)
    assert record["mean_before"] > 0.1
    assert record["std_before"] > 0.15
    assert abs(record["mean_after"]) < 0.01
    assert record["std_after"] < 0.1 * record["std_before"]


def test_spreads_add_up() -> None:
    values = np.random.default_rng(0).normal(3, 2, 1000).astype(np.float32)
    parts = Spread(), Spread()
    parts[0].add(values[:10])
    parts[0].add(values[10:300])
    parts[1].add(values[300:])
    both = parts[0] + parts[1]
    assert both.count == 1000
    assert both.mean == pytest.approx(values.mean(dtype=float))
    assert both.std == pytest.approx(values.std(dtype=float))
    assert Spread().mean == Spread().std == 0


def test_programming_error_of_the_reference() -> None:
    tiling = Tiling((0, 100), (0, 200), first_tile=3)
    exact = shifted_plane(SoftBounds(**ASYMMETRIC), tiling, pairs=50)
    wrong = shifted_plane(SoftBounds(**ASYMMETRIC), tiling, pairs=50, reference_std=0.05)
    assert exact.reference is not None
    assert wrong.reference is not None
    error = wrong.reference - exact.reference
    key = tuple(int(word) for word in exact.layout.key)
    z = normals(np.arange(error.size), 0, REFERENCE << 24 | 3, 0, key).reshape(error.shape)
    np.testing.assert_allclose(error, 0.05 * z, atol=1e-6)
    r, sigma = correlation(error, exact.reference)
    assert abs(r) < deviations() * sigma
    assert wrong.symmetry is not None
    assert wrong.symmetry.after.std > 0.045


def test_the_devices_are_kept_as_seen_from_the_reference() -> None:
    """Pulses act on W as they would on W + reference of the devices as fabricated."""
    start = np.random.default_rng(3).uniform(-0.2, 0.2, TILING.shape).astype(np.float32)
    device = SoftBounds(**ASYMMETRIC)
    plane, plain = shifted_plane(device, W=start), make_plane(device, TILING)
    assert plane.reference is not None
    X = np.random.default_rng(4).uniform(-1, 1, (6, 139)).astype(np.float32)
    D = np.random.default_rng(5).uniform(-1, 1, (6, 7)).astype(np.float32)
    how = Pulsing(lr=0.1, bl=5, positions=3)
    plain.W[:] = plane.W + plane.reference
    assert pulse(plane, X, D, how) == pulse(plain, X, D, how) > 100
    np.testing.assert_allclose(plane.W + plane.reference, plain.W, atol=2e-4)  # packed parameters
    assert np.abs(plane.W - start).max() > 0.05


def test_the_update_equals_the_reference_draw_for_draw() -> None:
    plane = shifted_plane(SoftBounds(**ASYMMETRIC))
    X = np.random.default_rng(4).uniform(-1, 1, (6, 139)).astype(np.float32)
    D = np.random.default_rng(5).uniform(-1, 1, (6, 7)).astype(np.float32)
    how = Pulsing(lr=0.1, bl=5, positions=3)
    W, pulses = plain_pulse(plane, X, D, how)
    assert pulse(plane, X, D, how) == pulses > 100
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=1e-5)


def test_weights_are_clipped_to_what_is_left_of_the_range() -> None:
    start = np.random.default_rng(3).uniform(-1, 1, TILING.shape).astype(np.float32)
    plane = shifted_plane(SoftBounds(**ASYMMETRIC), W=start)
    fabricated = draw_devices(plane.layout, plane.device, whole(plane))
    low, high = plane.device.weight_range(fabricated)
    assert plane.reference is not None
    expected = np.clip(start, low - plane.reference, high - plane.reference)
    np.testing.assert_allclose(plane.W, expected, atol=1e-4)
    assert plane.clipped > 100


def test_the_same_seed_gives_the_same_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are done at once, wherever a tile lies; another seed gives another."""
    device = SoftBounds(**ASYMMETRIC)

    def references(seed: int = 1, tiling: Tiling = TILING) -> np.ndarray:
        plane = shifted_plane(device, tiling, seed, reference_std=0.01)
        assert plane.reference is not None
        return plane.reference

    base = references()
    alone = replace(TILING, row_cuts=(0, 4), col_cuts=(0, 5), first_tile=9)
    np.testing.assert_array_equal(references(tiling=alone), base[3:7, 70:75])
    assert np.mean(references(seed=2) == base) < 0.01
    symmetry = shifted_plane(device).symmetry
    for devices in (1, 2 * TILING.shape[1], 3 * TILING.shape[1]):
        monkeypatch.setattr(layout, "BLOCK_DEVICES", devices)
        np.testing.assert_array_equal(references(), base)
        parts = shifted_plane(device).symmetry
        assert parts is not None
        assert symmetry is not None
        assert parts.record() == pytest.approx(symmetry.record())


def test_exact_updates_have_no_devices_to_shift() -> None:
    plane = shifted_plane(SoftBounds(), pulsed=False)
    assert plane.reference is None
    assert plane.symmetry is None
    assert plane.bytes == plane.W.nbytes


class Unshiftable(SoftBounds):
    """A model whose author did not say how it looks from elsewhere."""

    name = "unshiftable"
    shifted = Device.shifted


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (make_device("constant-step", {}), "device 'constant-step' has no symmetry point"),
        (make_device("ideal", {}), "device 'ideal' has no symmetry point"),
        (Unshiftable(), "device 'unshiftable' does not say how it looks shifted"),
    ],
)
def test_devices_that_cannot_be_shifted(device: Device, why: str) -> None:
    with pytest.raises(TargetError) as caught:
        shifted_plane(device)
    message = str(caught.value)
    assert message.startswith(f"layer 'fc': calibration.zero_shift: {why}")
    assert "\n" not in message


# ---------------------------------------------------------------- machines


SHIFTED = ("device.model=soft-bounds", "device.up_down_dtod=0.3", "calibration.pairs=200")


def test_rules_of_layers_choose_what_is_shifted() -> None:
    program = tiny("rpu-managed", "", *SHIFTED, "layer.c.calibration.zero_shift=true")
    machine = Machine(program)
    assert list(machine.symmetry) == ["c"]
    assert machine.arrays["fc.W"].planes["weight"].reference is None
    plain = Machine(tiny("rpu-managed", "", *SHIFTED))
    assert not plain.symmetry
    both = (m.arrays["fc.W"].planes["weight"].parameters for m in (machine, plain))
    np.testing.assert_array_equal(*both)
    assert machine.bytes_per_weight * machine.weights == pytest.approx(
        plain.bytes_per_weight * plain.weights + 4 * machine.arrays["c.W"].size
    )


def test_a_checkpoint_restores_the_shifted_machine(tmp_path: Path) -> None:
    """Stopped after an epoch and resumed: the bits of the training that went through."""
    program = tiny("rpu-managed", "", *SHIFTED, "calibration.zero_shift=true")
    through, _ = train(program, tiny_data(), seed=5)
    train(program, tiny_data(), seed=5, epochs=1, checkpoint=tmp_path / "c")
    resumed = load_checkpoint(tmp_path / "c", program)
    for name, array in resumed.arrays.items():
        before = through.arrays[name].planes["weight"]
        np.testing.assert_array_equal(array.planes["weight"].parameters, before.parameters)
    assert resumed.symmetry["fc"].record() == through.symmetry["fc"].record()
    from rpucc.runtime.trainer import Trainer

    Trainer(resumed).fit(tiny_data(), epochs=2, batch_size=5, lr=0.05)
    for name, array in resumed.arrays.items():
        np.testing.assert_array_equal(array.weights, through.arrays[name].weights)
