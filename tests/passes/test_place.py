"""Placement: every tile has its array, and no array two tiles."""

from __future__ import annotations

import pytest

from rpucc.layers import analog_layers
from rpucc.models import build

from .lowering import SIZES, ints, lowered, with_arrays


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [True, False])
def test_ids_count_up_and_agree_in_all_cycles(size: tuple[int, int], training: bool) -> None:
    model = lowered(build("lenet"), with_arrays(size), until="place", training=training)
    seen: list[int] = []
    for layer in analog_layers(model):
        rows, columns = -(-layer.rows // size[0]), -(-layer.columns // size[1])
        arrays = ints(layer.forward[0], "arrays")
        assert len(arrays) == rows * columns
        assert all(ints(node, "arrays") == arrays for node in layer.nodes)
        seen += arrays
    assert seen == list(range(len(seen)))


def test_the_docstring_s_example() -> None:
    model = lowered(build("lenet"), with_arrays((32, 401)), until="place", training=False)
    grids = {layer.name: ints(layer.forward[0], "arrays") for layer in analog_layers(model)}
    assert grids == {"conv1": [0], "conv2": [1], "fc1": list(range(2, 10)), "fc2": [10]}
