"""Bound management: which Reads become BoundedReads."""

from __future__ import annotations

import pytest

from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.passes.verify import compare_models

from .lowering import lowered, with_arrays


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("backward", [True, False])
def test_cycles_that_the_target_names(forward: bool, backward: bool) -> None:
    target = with_arrays(
        (100, 60),
        overrides=(
            f"management.bound_forward={str(forward).lower()}",
            f"management.bound_backward={str(backward).lower()}",
            "management.max_halvings=6",
        ),
    )
    model = lowered(build("lenet"), target, until="manage_bounds")
    for layer in analog_layers(model):
        for nodes, wanted in ((layer.forward, forward), (layer.backward, backward)):
            for node in nodes:
                assert node.op_type == ("BoundedRead" if wanted else "Read")
                assert node.attributes.get_int("max_halvings", -1) == (6 if wanted else -1)
    functions = {name for _, name, _ in model.functions}
    assert ("BoundedRead" in functions) == (forward or backward)


def test_the_worst_case_mode_by_layer() -> None:
    target = with_arrays(
        (100, 60),
        overrides=(
            "management.assumed_w_max=0.8",
            "layer.conv*.management.bound_mode=worst-case",
            "layer.conv2.management.assumed_w_max=0.5",
        ),
    )
    model = lowered(build("lenet"), target, until="manage_bounds")
    found = {
        layer.name: layer.forward[0].attributes.get_float("assumed_w_max", 0.0)
        for layer in analog_layers(model)
    }
    assert found == pytest.approx({"conv1": 0.8, "conv2": 0.5, "fc1": 0, "fc2": 0})


def test_a_read_without_a_bound_cannot_saturate() -> None:
    target = with_arrays((512, 512), overrides=("periphery.bound=0", "periphery.adc_bits=0"))
    model = lowered(build("lenet"), target, until="manage_bounds")
    assert not any(node.op_type == "BoundedRead" for node in model.graph)


def test_ideal_values_stay() -> None:
    target = with_arrays((7, 5), overrides=("management.bound_backward=true",))
    before = lowered(build("lenet"), target, until="manage_bounds", before=True)
    after = lowered(build("lenet"), target, until="manage_bounds")
    assert compare_models(before, after).worst_difference == 0.0
