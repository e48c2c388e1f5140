"""The update policy of each layer."""

from __future__ import annotations

import pytest

from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.target.target import Target

from .lowering import lowered, with_arrays

KEYS = ("pulsed", "bl", "update_management", "update_bl_management")


def policies(target: Target) -> dict[str, tuple[int, ...]]:
    model = lowered(build("lenet"), target, until="assign_update")
    return {
        layer.name: tuple(layer.updates[0].attributes.get_int(key, -1) for key in KEYS)
        for layer in analog_layers(model)
    }


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("ideal", (0, 0, 0, 0)),
        ("rpu-managed", (1, 10, 0, 0)),
        ("rpu-baseline", (1, 10, 0, 0)),
        ("rpu-managed-um", (1, 1, 1, 0)),
    ],
)
def test_presets(preset: str, expected: tuple[int, ...]) -> None:
    assert set(policies(Target.load(preset)).values()) == {expected}


def test_layer_rules_and_overrides() -> None:
    data = with_arrays((512, 512), overrides=("update.update_bl_management=true",)).model_dump(
        by_alias=True
    )
    data["layer"] = [
        {"match": "conv2", "update": {"bl": 1, "update_management": True}},
        {"match": "fc2", "update": {"pulsed": False}},
    ]
    assert policies(Target.model_validate(data)) == {
        "conv1": (1, 10, 0, 1),
        "conv2": (1, 1, 1, 1),
        "fc1": (1, 10, 0, 1),
        "fc2": (0, 0, 0, 0),
    }
