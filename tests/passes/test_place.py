"""Tiles are numbered through the layers, alike in all cycles of a matrix."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from rpucc.errors import InfeasibleError, TargetError, UnsupportedError
from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.target.target import Target

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


def test_too_few_arrays_are_refused_with_a_report() -> None:
    target = with_arrays((32, 401), overrides=("placement.share=false",))
    target = target.model_copy(
        update={"arrays": tuple(k.model_copy(update={"count": 7}) for k in target.arrays)}
    )
    with pytest.raises(InfeasibleError) as refused:
        lowered(build("lenet"), target, until="place", training=False)
    assert str(refused.value) == (
        "target rpu-managed: the network needs 11 arrays 'a0' of 32 × 401 and there are 7 "
        "(4 too few); larger arrays (a0 64 × 802) would be enough"
    )
    report = refused.value.report
    assert [(s.kind, s.needed, s.count, s.missing) for s in report.shortages] == [("a0", 11, 7, 4)]
    assert {n.layer: n.arrays for n in report.layers} == {
        "conv1": 1, "conv2": 1, "fc1": 8, "fc2": 1
    }  # fmt: skip
    assert {remedy.change: remedy.fits for remedy in report.remedies} == {
        "larger arrays (a0 64 × 802)": True,
        "analog = false for 1 layer": True,
        "placement.share = true": False,
    }


def test_as_many_arrays_as_needed_are_enough() -> None:
    target = with_arrays((32, 401))
    target = target.model_copy(
        update={"arrays": tuple(k.model_copy(update={"count": 11}) for k in target.arrays)}
    )
    lowered(build("lenet"), target, until="place", training=False)


def test_a_layer_rule_that_names_arrays_is_held_to() -> None:
    text = """
name = "mine"
array = [{name = "a", rows = 512, cols = 1024, t_read = 1e-8, count = 6}]
device = {model = "ideal"}
[[layer]]
match = "fc*"
arrays = [6]
"""
    target = Target.from_toml(text)
    with pytest.raises(TargetError, match=r"^target mine: layer 'fc1': arrays: found array 6; "):
        lowered(build("lenet"), target, until="place", training=False)
