"""Machines: fabricated from a seed, weights clipped to the devices, rules of layers in force."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.errors import RpuccError
from rpucc.runtime.counters import MAX_SEED
from rpucc.runtime.machine import Machine

from .small import tiny

RIGID = ("device.w_max_dtod=0", "device.w_min_dtod=0")
LOW = ("device.w_max=0.2", "mapping.weight_scaling=off")
"""Bounds beyond which weights lie, which are to be clipped."""


def initial(weight: str) -> np.ndarray:
    value = tiny().model.graph.initializers[weight].const_value
    assert value is not None
    return value.numpy()


def test_grids_hold_the_layers_weights() -> None:
    machine = Machine(tiny("ideal"))
    assert list(machine.arrays) == ["c.W", "fc.W"]
    assert machine.weights == 4 * 10 + 3 * 37
    for name, array in machine.arrays.items():
        np.testing.assert_array_equal(array.weights, initial(name))
        assert array.weights.dtype == np.float32
        assert array.weights.flags.c_contiguous
    assert machine.clipped == 0


def test_weights_are_clipped_to_the_devices_bounds_and_counted() -> None:
    machine = Machine(tiny("rpu-managed", "", *RIGID, *LOW, "device.w_min=-0.1"))
    outside = 0
    for name, array in machine.arrays.items():
        before = initial(name)
        high, low = np.float32(0.2), np.float32(-0.1)
        np.testing.assert_array_equal(array.weights, np.clip(before, low, high))
        outside += int(np.count_nonzero((before > high) | (before < low)))
    assert machine.clipped == outside > 20


def test_devices_with_spread_clip_each_at_its_own_bound() -> None:
    machine = Machine(tiny("rpu-managed", "", *LOW), seed=4)
    array = machine.arrays["fc.W"]
    _, _, w_max, w_min = array.planes["weight"].parameters
    assert len(np.unique(w_max)) > 100
    assert np.all((w_min <= array.weights) & (w_max >= array.weights))
    assert machine.clipped == sum(g.clipped for g in machine.arrays.values()) > 0


def test_bytes_per_weight_count_weight_and_device_parameters() -> None:
    assert Machine(tiny("ideal")).bytes_per_weight == 4
    machine = Machine(tiny())
    per_device = len(machine.arrays["c.W"].planes["weight"].device.per_device)
    tiles = sum(array.layout.tiles.size for array in machine.arrays.values())
    # Parameters in 16 bits each and a limit in 8; a tile keeps the range of each parameter.
    ranges = 8 * per_device * tiles / machine.weights
    assert machine.bytes_per_weight == pytest.approx(4 + 2 * per_device + 1 + ranges)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_out_of_range_is_one_clear_line(seed: int) -> None:
    with pytest.raises(
        RpuccError, match=f"seed: found {seed}; allowed: an integer from 0 to"
    ) as caught:
        Machine(tiny("ideal"), seed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [0, 2**32, MAX_SEED])
def test_the_seed_alone_decides_the_devices(seed: int) -> None:
    machines = [Machine(tiny(), each) for each in (seed, seed, seed ^ 1, seed ^ 2**40)]
    parameters = [machine.arrays["fc.W"].planes["weight"].parameters for machine in machines]
    np.testing.assert_array_equal(parameters[0], parameters[1])
    assert np.mean(parameters[0] == parameters[2]) < 0.01
    assert np.mean(parameters[0] == parameters[3]) < 0.01


def test_layers_have_devices_of_their_own() -> None:
    machine = Machine(tiny())
    planes = (array.planes["weight"] for array in machine.arrays.values())
    first, second = (plane.parameters[0].ravel()[:40] for plane in planes)
    assert np.mean(first == second) < 0.05


def test_rules_of_layers_reach_their_grids() -> None:
    rules = """
[[layer]]
match = "c"
[layer.device]
dw_min = 0.01
dw_min_dtod = 0.0
up_down_dtod = 0.0
[[layer]]
match = "f*"
[layer.update]
pulsed = false
"""
    machine = Machine(tiny("rpu-managed", rules))
    conv, dense = (machine.arrays[name].planes["weight"] for name in ("c.W", "fc.W"))
    assert conv.pulsed
    assert conv.device.dw_min == 0.01
    np.testing.assert_allclose(conv.parameters[0], 0.01)
    assert not dense.pulsed
    assert dense.parameters.shape == (0, 3, 37)
    assert dense.device.dw_min == 0.001
    np.testing.assert_array_equal(dense.W, initial("fc.W"))  # no devices, no clipping


def test_tiles_are_numbered_once_in_the_program() -> None:
    machine = Machine(tiny("rpu-managed", "", "array.rows=3", "array.cols=10"))
    tiles = [int(t) for array in machine.arrays.values() for t in array.layout.tiles.ravel()]
    assert len(set(tiles)) == len(tiles) == 2 * 1 + 1 * 4
    # One tile with the same devices as in the untiled machine would be a shared draw address.
    assert machine.arrays["fc.W"].layout.tiles.shape == (1, 4)


def test_the_program_stays_as_it_was() -> None:
    program = tiny("rpu-managed", "", *LOW)
    before = initial("fc.W").copy()
    machine = Machine(program)
    machine.arrays["fc.W"].visible[:] = 9
    np.testing.assert_array_equal(initial("fc.W"), before)
    assert Machine(program).arrays["fc.W"].weights.max() < 1


def test_variations_are_removed_from_the_layers_that_say_so() -> None:
    removed = 'layer.c.variations.remove=["dtod", "asymmetry", "bounds"]'
    without, plain = Machine(tiny("rpu-managed", "", removed)), Machine(tiny("rpu-managed"))
    bare = without.arrays["c.W"].planes["weight"]
    for found, mean in zip(bare.parameters, (1e-3, 1e-3, 0.6, -0.6), strict=True):
        np.testing.assert_allclose(found, mean, rtol=1e-6)
    assert bare.device.cycle_noise
    codes = (machine.arrays["fc.W"].planes["weight"].codes for machine in (without, plain))
    np.testing.assert_array_equal(*codes)
