"""Noise management: where it goes, where it is left out, what it keeps."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.passes.manage_noise import is_noise_managed
from rpucc.passes.verify import compare_models
from rpucc.target.target import Target

from .lowering import SIZES, ints, lowered, with_arrays


def managed(model: ir.Model) -> dict[str, tuple[bool, bool]]:
    return {
        layer.name: (
            any(is_noise_managed(node) for node in layer.forward),
            any(is_noise_managed(node) for node in layer.backward),
        )
        for layer in analog_layers(model)
    }


def update_inputs(model: ir.Model) -> list[list[str | None]]:
    updates = [node for layer in analog_layers(model) for node in layer.updates]
    return [[value.name for value in node.inputs if value is not None] for node in updates]


def target_with(forward: str, backward: str) -> Target:
    overrides = (
        f'management.noise_forward="{forward}"',
        f'management.noise_backward="{backward}"',
    )
    return with_arrays((100, 60), overrides=overrides)


@pytest.mark.parametrize("forward", ["auto", "always", "never"])
@pytest.mark.parametrize("backward", ["always", "never"])
def test_cycles_that_the_target_names(forward: str, backward: str) -> None:
    target = target_with(forward, backward)
    found = managed(lowered(build("lenet"), target, until="manage_noise"))
    # tanh keeps every layer's input in [-1, 1], and the input range is [0, 1]
    assert found == {
        name: (forward == "always", backward == "always" and name != "conv1")  # no error goes on
        for name in ("conv1", "conv2", "fc1", "fc2")
    }


def test_auto_manages_what_cannot_be_proved() -> None:
    target = with_arrays((512, 512))
    model = lowered(build("lenet"), target, until="manage_noise", before=True)
    model.metadata_props["rpucc.input_range"] = "0 255"
    from rpucc.passes.manage_noise import ManageNoise

    ManageNoise(target)(model)
    assert {name: f for name, (f, _) in managed(model).items()} == {
        "conv1": True,
        "conv2": False,
        "fc1": False,
        "fc2": False,
    }


@pytest.mark.parametrize("size", SIZES)
def test_values_keep_names_and_values_and_the_update_stays_unscaled(size: tuple[int, int]) -> None:
    target = with_arrays(size, overrides=('management.noise_forward="always"',))
    before = lowered(build("lenet"), target, until="manage_noise", before=True)
    after = lowered(build("lenet"), target, until="manage_noise")
    values = {v.name for node in before.graph for v in node.outputs}
    assert values <= {v.name for node in after.graph for v in node.outputs}
    assert compare_models(before, after).compared == len(values)
    old = {
        la.name: [[v.name for v in u.inputs] for u in la.updates] for la in analog_layers(before)
    }
    new = {la.name: [[v.name for v in u.inputs] for u in la.updates] for la in analog_layers(after)}
    assert old == new


def test_cuts_follow_the_side_that_is_read_in() -> None:
    target = with_arrays((100, 60), overrides=('management.noise_forward="always"',))
    model = lowered(build("lenet"), target, until="manage_noise")
    layer = next(la for la in analog_layers(model) if la.name == "fc1")
    for read, key in ((layer.forward[0], "col_cuts"), (layer.backward[0], "row_cuts")):
        manager = read.inputs[0].producer()
        rescale = next(iter(read.outputs[0].uses())).node
        assert ints(manager, "cuts") == ints(read, key)
        assert rescale.op_type == "Rescale"
        assert rescale.inputs[1] is manager.outputs[1]
        for each in (manager, rescale):
            assert each.metadata_props["rpucc.layer"] == "fc1"
            assert each.metadata_props["rpucc.cycle"] == read.metadata_props["rpucc.cycle"]


def test_nothing_to_do_is_said() -> None:
    target = target_with("never", "never")
    from rpucc.passes.manage_noise import ManageNoise

    model = lowered(build("lenet"), target, until="tile")
    assert not ManageNoise(target)(model).modified
    assert not any(node.op_type == "NoiseManage" for node in model.graph)
