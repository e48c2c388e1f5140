"""Reads and updates a sample."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from rpucc.errors import UnsupportedError
from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.passes.schedule import Schedule

from .lowering import lowered, with_arrays


def test_lenet_counts() -> None:
    model = lowered(build("lenet"), with_arrays((512, 512)), until="schedule")
    counts = {
        layer.name: [node.metadata_props["rpucc.per_sample"] for node in layer.nodes]
        for layer in analog_layers(model)
    }
    assert counts == {
        "conv1": ["576", "576"],
        "conv2": ["64", "64", "64"],
        "fc1": ["1", "1", "1"],
        "fc2": ["1", "1", "1"],
    }


def test_what_cannot_be_counted_is_refused() -> None:
    model = lowered(build("lenet"), with_arrays((512, 512)), until="place", training=False)
    read = analog_layers(model)[0].forward[0]
    read.inputs[0].shape = ir.Shape(["N", "P", 26])
    with pytest.raises(UnsupportedError, match=r"^node 'conv1\.read': its input .* not static"):
        Schedule()(model)
