"""Tiles are numbered through the layers, alike in all cycles of a matrix."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from rpucc.errors import UnsupportedError
from rpucc.layers import analog_layers
from rpucc.models import build

from .graphs import program
from .lowering import SIZES, lowered, with_arrays


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [True, False])
def test_ids_count_up_and_agree_in_all_cycles(size: tuple[int, int], training: bool) -> None:
    model = lowered(build("lenet"), with_arrays(size), until="place", training=training)
    expected = 0
    for layer in analog_layers(model):
        assert {first_tile(node) for node in layer.nodes} == {expected}
        expected += -(-layer.rows // size[0]) * -(-layer.columns // size[1])


def test_the_docstring_s_example() -> None:
    model = lowered(build("lenet"), with_arrays((32, 401)), until="place", training=False)
    firsts = {layer.name: first_tile(layer.forward[0]) for layer in analog_layers(model)}
    assert firsts == {"conv1": 0, "conv2": 1, "fc1": 2, "fc2": 10}


def test_more_tiles_than_there_are_numbers() -> None:
    target = with_arrays((1, 1))
    model = program(
        "(float[N,4200] x) => (float[N,4200] y) { [fc] y = MatMul(x, W) }",
        W=np.zeros((4200, 4200), np.float32),
    )
    with pytest.raises(UnsupportedError, match=r"'fc'.*16,777,216 tiles.*17,640,000 for this"):
        lowered(model, target, until="place", training=False)


def first_tile(node: ir.Node) -> int:
    return node.attributes.get_int("first_tile", -1)
