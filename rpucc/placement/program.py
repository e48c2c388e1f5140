"""The grids of a program: what its nodes say about the cuts, as `place` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.layers import ARRAY_KIND, AnalogLayer, analog_layers
from rpucc.placement.grids import GridSpec

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.target.target import Target


def grids_of(model: ir.Model, target: Target) -> tuple[GridSpec, ...]:
    """Return the grid of each layer of a tiled program, in forward order.

    Raises TargetError where layer rules contradict each other.
    """
    return tuple(_grid(layer, target) for layer in analog_layers(model))


def _grid(layer: AnalogLayer, target: Target) -> GridSpec:
    read, policy = layer.first, target.for_layer(layer.name)
    planes = policy.cell.settings.arrays(training=bool(layer.updates))
    return GridSpec(
        layer=layer.name,
        kind=read.metadata_props[ARRAY_KIND],
        row_cuts=tuple(read.attributes.get_ints("row_cuts", ())),
        col_cuts=tuple(read.attributes.get_ints("col_cuts", ())),
        groups=layer.groups,
        copies=layer.replicas * len(planes),
        planes=planes,
        devices=layer.devices,
        absent=_of_one_copy(layer),
        pins=() if layer.is_feedback else policy.arrays,
    )


def _of_one_copy(layer: AnalogLayer) -> tuple[int, ...]:
    """The tiles left out of each copy; copies that learn apart, which are alike, are several."""
    of_a_copy = layer.tiles // layer.learners
    return tuple(place for place in layer.absent if place < of_a_copy)
