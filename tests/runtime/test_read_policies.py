"""Periphery and management of a target reach the reads of a running program, cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.layers import analog_layers
from rpucc.runtime.instructions.read import read_settings
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Settings
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data, train


def peripheries(*overrides: str) -> tuple[Settings, Settings]:
    """Of the forward and the backward read of the dense layer."""
    layers = {
        layer.name: layer for layer in analog_layers(tiny("rpu-managed", "", *overrides).model)
    }
    forward, backward = layers["fc"].forward[0], layers["fc"].backward[0]
    return read_settings(forward, False), read_settings(backward, True)


def test_values_of_a_cycle_are_in_its_reads_alone() -> None:
    forward, backward = peripheries(
        "periphery.read_noise_backward=0",
        "periphery.bound_backward=0",
        "periphery.adc_bits_backward=0",
        "periphery.dac_bits_backward=5",
    )
    assert forward.noise == np.float32(0.06)
    assert (forward.bound, forward.dac_levels) == (12, 63)
    assert forward.adc_step > 0
    assert (backward.noise, backward.adc_step) == (0, 0)
    assert (backward.bound, backward.dac_levels) == (np.float32(UNBOUNDED), 15)


def test_worst_case_management_reads_again_once_at_most() -> None:
    forward, backward = peripheries("management.bound_mode=worst-case")
    assert forward.max_halvings == 1
    assert forward.worst_case == pytest.approx(0.6 / 12)
    assert (backward.max_halvings, backward.worst_case) == (0, 0)
    forward, _ = peripheries("management.bound_mode=worst-case", "management.max_halvings=0")
    assert forward.max_halvings == 0
    forward, _ = peripheries()
    assert (forward.max_halvings, forward.worst_case) == (10, 0)


NEAR = ("periphery.bound=0.7", "periphery.read_noise=0")  # reads of the tiny network meet it


def test_a_worst_case_training_re_reads_and_never_saturates() -> None:
    program = tiny("rpu-managed", "", *NEAR, "management.bound_mode=worst-case")
    _, (last,) = train(program, tiny_data(), epochs=1)
    assert 0 < last.rereads < last.reads
    assert last.saturated_reads < last.rereads


def test_stochastic_dacs_change_the_outputs_and_repeat_them() -> None:
    data = tiny_data()
    quiet = ("periphery.read_noise=0", "periphery.dac_bits=4")
    chance = Machine(tiny("rpu-managed", "", *quiet, "periphery.dac_stochastic=true"), seed=1)
    nearest = Machine(tiny("rpu-managed", "", *quiet), seed=1)
    y = Trainer(chance).predict(data.x_train)
    np.testing.assert_array_equal(y, Trainer(chance, threads=2).predict(data.x_train))
    assert np.mean(y != Trainer(nearest).predict(data.x_train)) > 0.5


def test_a_training_with_stochastic_dacs_does_not_depend_on_threads() -> None:
    program = tiny("rpu-managed", "", "periphery.dac_stochastic=true")
    one, several = (train(program, tiny_data(), threads=n, epochs=1)[0] for n in (1, 2))
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array.weights, several.arrays[name].weights)
    assert one.history == several.history
