"""Bytes a weight: what is said before anything is fabricated is what a machine then takes."""

from __future__ import annotations

import pytest

import rpucc
from rpucc.runtime.memory import bytes_per_weight, state_bytes

SHIFT = ("calibration.zero_shift=true", "calibration.pairs=1")


@pytest.mark.parametrize(
    ("target", "overrides", "each"),
    [
        ("rpu-managed", (), 13),
        ("ideal", (), 4),
        ("ideal", SHIFT, 4),
        ("soft-bounds", (), 16),
        ("soft-bounds", SHIFT, 20),
    ],
)
def test_state_bytes_are_those_of_the_machine(
    target: str, overrides: tuple[str, ...], each: int
) -> None:
    program = rpucc.compile("lenet", target, overrides=overrides, verify=False)
    machine = rpucc.Machine(program)
    ranges = sum(array.planes["weight"].ranges.nbytes for array in machine.arrays.values())
    assert state_bytes(program) == machine.bytes_per_weight * machine.weights - ranges
    assert state_bytes(program) == each * 80202
    assert bytes_per_weight(program.target.for_layer("conv1"), training=True) == each


def test_an_unknown_device_module_is_no_error() -> None:
    """A program can be inspected where its target's own device module is not at hand."""
    target = rpucc.Target.load("rpu-managed")
    policy = target.for_layer("conv1")
    device = policy.device.model_copy(update={"model": "no_such_module:Device"})
    assert bytes_per_weight(policy.model_copy(update={"device": device}), training=True) is None
