"""Tiling: cuts cover a matrix exactly and evenly; layers get their arrays and periphery."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.errors import ModelError
from rpucc.layers import READS, analog_layers
from rpucc.models import build
from rpucc.passes.array_kinds import smallest_kind
from rpucc.passes.pipeline import run_pipeline
from rpucc.passes.tile import Tile
from rpucc.passes.verify import compare_models
from rpucc.placement.cuts import balanced_cuts
from rpucc.target.target import ArrayKind

from .lowering import SIZES, ints, lowered, node, with_arrays

PERIPHERY = ("noise", "bound", "dac_bits", "adc_bits")

extents = st.integers(1, 5000)


@given(extents, extents)
def test_cuts_cover_exactly_and_are_balanced(lines: int, limit: int) -> None:
    cuts = balanced_cuts(lines, limit)
    sizes = [b - a for a, b in pairwise(cuts)]
    assert cuts[0] == 0
    assert cuts[-1] == sum(sizes) == lines
    assert max(sizes) <= limit
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-lines // limit), "no more segments than needed"


@given(
    extents,
    extents,
    st.lists(st.tuples(extents, extents, st.floats(1e-9, 1e-6)), min_size=1, max_size=5),
)
def test_kind_is_the_smallest_that_holds_the_matrix_else_the_largest(
    R: int, C: int, sizes: list[tuple[int, int, float]]
) -> None:
    kinds = [
        ArrayKind(name=f"a{i}", rows=rows, cols=cols, t_read=seconds)
        for i, (rows, cols, seconds) in enumerate(sizes)
    ]
    chosen = smallest_kind(R, C, kinds)
    area = chosen.rows * chosen.cols
    holding = [kind for kind in kinds if kind.rows >= R and kind.cols >= C]
    if holding:
        assert chosen in holding
        assert area == min(kind.rows * kind.cols for kind in holding)
    else:
        assert area == max(kind.rows * kind.cols for kind in kinds)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("training", [True, False])
def test_every_node_of_a_matrix_gets_the_same_grid(size: tuple[int, int], training: bool) -> None:
    model = lowered(build("lenet"), with_arrays(size), until="tile", training=training)
    layers = analog_layers(model)
    assert [(la.rows, la.columns) for la in layers] == [(16, 26), (32, 401), (128, 513), (10, 129)]
    for layer in layers:
        for each in layer.nodes:
            assert ints(each, "row_cuts") == list(balanced_cuts(layer.rows, size[0]))
            assert ints(each, "col_cuts") == list(balanced_cuts(layer.columns, size[1]))
            assert each.metadata_props["rpucc.array_kind"] == "a0"


def test_partial_sums_change_shape_and_name_only_where_there_are_several() -> None:
    model = lowered(build("lenet"), with_arrays((128, 60)), until="tile")
    one, several = node(model, "conv1.read"), node(model, "conv2.read")
    assert one.outputs[0].name == "conv1.part"
    assert list(one.outputs[0].shape.dims[1:]) == [576, 1, 16]
    assert several.outputs[0].name == "conv2.part.tiled"
    assert list(several.outputs[0].shape.dims[1:]) == [64, 7, 32]
    # the backward read of fc1 has one segment of rows, though several of columns
    backward = next(la for la in analog_layers(model) if la.name == "fc1").backward[0]
    assert list(backward.outputs[0].shape.dims[1:]) == [1, 513]
    assert "tiled" not in backward.outputs[0].name


def test_periphery_comes_from_the_layer_s_policy() -> None:
    target = with_arrays((512, 512))
    data = target.model_dump(by_alias=True)
    data["layer"] = [{"match": "conv*", "periphery": {"read_noise": 0.5, "dac_bits": 5}}]
    model = lowered(build("lenet"), type(target).model_validate(data), until="tile")
    for layer in analog_layers(model):
        for each in layer.nodes:
            if each.op_type in READS:
                found = {key: each.attributes[key].value for key in PERIPHERY}
                conv = layer.name.startswith("conv")
                expected = (0.5, 5) if conv else (0.06, 7)
                assert found["noise"] == pytest.approx(expected[0])
                assert (found["bound"], found["dac_bits"], found["adc_bits"]) == (
                    12,
                    expected[1],
                    9,
                )


def test_a_cycle_s_own_periphery_is_on_its_reads_alone() -> None:
    own = ("read_noise_backward=0", "bound_backward=5", "dac_bits_backward=6")
    target = with_arrays((512, 512), overrides=tuple(f"layer.fc2.periphery.{key}" for key in own))
    model = lowered(build("lenet"), target, until="tile")
    same = (0.06, 12, 7, 9)
    for layer in analog_layers(model):
        for nodes, values in (
            (layer.forward, same),
            (layer.backward, (0, 5, 6, 9) if layer.name == "fc2" else same),
        ):
            for each in nodes:
                found = [each.attributes[key].value for key in PERIPHERY]
                assert found == pytest.approx(values)


def test_stochastic_dacs_round_in_both_cycles_where_there_are_any() -> None:
    overrides = ("periphery.dac_stochastic=true", "layer.fc1.periphery.dac_bits_backward=0")
    model = lowered(build("lenet"), with_arrays((512, 512), overrides=overrides), until="tile")
    for layer in analog_layers(model):
        for each in (*layer.forward, *layer.backward):
            none = layer.name == "fc1" and each in layer.backward
            assert each.attributes.get_int("dac_stochastic", 0) == (not none)


def test_two_kinds_go_by_size() -> None:
    model = lowered(build("lenet"), with_arrays((32, 401), (1000, 1000)), until="tile")
    kinds = {
        la.name: la.forward[0].metadata_props["rpucc.array_kind"] for la in analog_layers(model)
    }
    assert kinds == {"conv1": "a0", "conv2": "a0", "fc1": "a1", "fc2": "a0"}


@pytest.mark.parametrize("size", SIZES)
def test_tiled_equals_untiled(size: tuple[int, int]) -> None:
    target = with_arrays(size)
    before = lowered(build("lenet"), target, until="tile", before=True)
    after = lowered(build("lenet"), target, until="tile")
    assert compare_models(before, after).compared > 50


def test_digital_layers_stay_untouched() -> None:
    target = with_arrays((7, 5))
    data = target.model_dump(by_alias=True)
    data["layer"] = [{"match": "fc*", "analog": False}]
    target = type(target).model_validate(data)
    model = lowered(build("lenet"), target, until="tile", training=False)
    assert [la.name for la in analog_layers(model)] == ["conv1", "conv2"]
    assert node(model, "fc1").op_type == "Gemm"


def test_a_tiled_model_is_refused() -> None:
    target = with_arrays((7, 5))
    model = lowered(build("lenet"), target, until="tile")
    with pytest.raises(ModelError, match=r"^node 'conv1\.read': row_cuts .* is tiled already"):
        run_pipeline(model, [Tile(target)])
