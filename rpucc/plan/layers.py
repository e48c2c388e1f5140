"""One layer of the plan: its matrix, its grid, its cycles and their cost, on arrays or digital.

Not for the network as a whole: `plan.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.cost.pace import is_bound_managed, kind_of, update_policy
from rpucc.cost.timing import Cycle, Pace
from rpucc.layers import (
    CONVOLUTIONS,
    LAYER_OPS,
    MATRIX,
    NO_LAYER,
    OP,
    READS,
    AnalogLayer,
    reads_per_sample,
    segments,
    static_shape,
)
from rpucc.masks import missing_devices
from rpucc.node_attributes import Value

if TYPE_CHECKING:
    from rpucc.placement import GridSpec, Placement
    from rpucc.target.target import Target


@dataclass(frozen=True)
class LayerPlan:
    """One layer: its matrix, its grid, its cycles and their cost. Times are in seconds."""

    name: str
    op: str
    """Conv, ConvTranspose, or Gemm for any dense layer."""
    analog: bool
    R: int
    """Rows of one group's matrix: outputs; a transposed convolution has one for each tap of them.
    """
    C: int
    """Columns: inputs; the bias line included where the bias is on the array."""
    grid: tuple[int, int]
    """Row blocks and column segments; (0, 0) for a digital layer."""
    array: str
    """The kind of array; "" for a digital layer."""
    array_size: tuple[int, int]
    """Rows and columns of that kind."""
    tiles: int
    """Tiles of all groups, copies and planes."""
    utilisation: float
    """Devices by crosspoints of the arrays that hold tiles of the layer, 0 to 1."""
    reads_forward: int
    """Reads of the whole grid for one sample; P for a convolution, 1 for a dense layer."""
    reads_backward: int
    updates: int
    """Updates for one sample; 0 in an inference program."""
    noise_forward: bool
    noise_backward: bool
    bound_forward: bool
    bound_backward: bool
    update: dict[str, Value]
    """What its Updates carry of `[update]`: pulsed, bl, ..., and lr_scale; empty without one, but
    for the lr_scale 0 of a layer that training leaves as it is."""
    macs: int
    """Multiply-accumulates of the forward cycle for one sample, the bias line included."""
    seconds: float
    """The forward reads of one sample."""
    training_seconds: float
    """Forward and backward reads and the update's pulse slots for one sample."""
    is_bottleneck: bool = False
    """A stage of the forward pipeline than which none is slower."""
    groups: int = 1
    """Independent matrices of that shape: the groups of a grouped convolution."""
    replicas: int = 1
    """Copies of the layer that share out its reads; each holds all of its weights."""
    devices_per_weight: int = 1
    """Devices, one below the other, whose mean is a weight."""
    cell: str = ""
    """The model of its cells (`rpucc cells`); "" for a digital layer."""
    planes: tuple[str, ...] = ()
    """The planes of a cell that have arrays; each holds every weight. Only those that a read sees
    where nothing is trained."""
    arrays: int = 0
    """Arrays that hold tiles of the layer; where tiles share arrays, other layers may be there."""
    joules: float = 0.0
    """Energy of the forward cycle of one sample; digital work is not in it, nor in the next."""
    training_joules: float = 0.0
    """Energy of all cycles that the program has, of one sample."""
    weight_scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest digital factor of the outputs, by which the weights on the devices are
    smaller (`mapping.weight_scaling`)."""
    clipped: int = 0
    """Weights beyond the devices' mean bounds, which programming clips."""
    feedback: bool = False
    """Whether it is the fixed random matrix that the errors of a layer go back through
    (`update.feedback`): it is read in the backward cycle alone."""
    fixed: int = 0
    """Weights that `update.mask` keeps what they are."""
    tiles_left_out: int = 0
    """Tiles of all groups, copies and planes that hold nothing but fixed zeros: there are none."""
    arrays_saved: int = 0
    """Arrays that the layer would take more if they were there."""
    reads_saved: int = 0
    """Reads of single tiles, of all planes that a read sees, that one sample would take more."""

    @property
    def frozen(self) -> bool:
        """Whether training leaves the layer as it is because its rate is 0."""
        return self.update == FROZEN

    @property
    def images_per_second(self) -> float:
        """What the layer's stage could take if it were the slowest; 0 for a digital layer."""
        return 1 / self.seconds if self.seconds else 0.0

    @property
    def tops_per_watt(self) -> float:
        """2 · macs by its joules, / 1e12; 0 where it takes no energy."""
        return 2 * self.macs / self.joules / 1e12 if self.joules else 0.0

    @property
    def weights(self) -> int:
        """Weights of the network in it: groups · R · C."""
        return self.groups * self.R * self.C

    @property
    def devices(self) -> int:
        """Devices of all copies and planes."""
        return self.weights * self.devices_per_weight * self.replicas * len(self.planes)


FROZEN: dict[str, Value] = {"lr_scale": 0.0}
"""`LayerPlan.update` of a frozen layer."""


def as_trained(layer: LayerPlan, target: Target) -> LayerPlan:
    """Return the plan of a layer of a training program, which says so where it is frozen."""
    if layer.update or layer.feedback or target.for_layer(layer.name).update.lr_scale:
        return layer
    return replace(layer, update=dict(FROZEN))


def with_arrays_saved(layer: LayerPlan, whole: Placement) -> LayerPlan:
    """Return a layer's plan with what it saves; whole: the placement with all tiles there."""
    if not layer.tiles_left_out:
        return layer
    # Tiles that a rule pins to arrays may take more of them than all would that share some.
    return replace(layer, arrays_saved=max(0, whole.count_of(layer.name) - layer.arrays))


def _seconds(pace: Pace, cycle: Cycle, nodes: list[ir.Node]) -> float:
    return sum(pace.seconds(cycle, reads_per_sample(node)) for node in nodes)


def analog_plan(
    layer: AnalogLayer, spec: GridSpec, placement: Placement, target: Target, pace: Pace
) -> LayerPlan:
    """Return the plan of a layer on arrays."""
    read = layer.first
    kind = kind_of(read, target)
    grid = segments(spec.row_cuts), segments(spec.col_cuts)
    R, C = layer.group_rows // layer.devices, layer.columns
    arrays = len(placement.arrays_of(layer.name))
    cell = target.for_layer(layer.name).cell.settings
    planes = cell.arrays(training=bool(layer.updates))
    forward = sum(reads_per_sample(node) for node in layer.forward)
    backward = sum(reads_per_sample(node) for node in layer.backward)
    updates = sum(reads_per_sample(node) for node in layer.updates)
    forward_seconds = _seconds(pace, "forward", layer.forward)
    training_seconds = forward_seconds + _seconds(pace, "backward", layer.backward)
    training_seconds += _seconds(pace, "update", layer.updates)
    return LayerPlan(
        name=layer.name,
        op=_original_op(read),
        analog=True,
        R=R,
        C=C,
        grid=grid,
        array=kind.name,
        array_size=(kind.rows, kind.cols),
        tiles=spec.tiles,
        utilisation=spec.weights / (arrays * kind.rows * kind.cols) if arrays else 0.0,
        reads_forward=forward,
        reads_backward=backward,
        updates=updates,
        noise_forward=any(_is_noise_managed(node) for node in layer.forward),
        noise_backward=any(_is_noise_managed(node) for node in layer.backward),
        bound_forward=is_bound_managed(layer.forward),
        bound_backward=is_bound_managed(layer.backward),
        update=update_policy(layer),
        macs=layer.groups * R * C * forward,
        seconds=forward_seconds,
        training_seconds=training_seconds,
        groups=layer.groups,
        replicas=layer.replicas,
        devices_per_weight=layer.devices,
        cell=cell.model,
        planes=planes,
        arrays=arrays,
        weight_scale=layer.weight_scale,
        clipped=layer.beyond_bounds,
        feedback=layer.is_feedback,
        fixed=fixed_weights(layer),
        tiles_left_out=spec.with_all_tiles().tiles - spec.tiles,
        reads_saved=len(spec.absent) * len(cell.gains) * (forward + backward),
    )


def fixed_weights(layer: AnalogLayer) -> int:
    """Count the weights of the network in a layer that its mask keeps what they are."""
    held = missing_devices(layer) if layer.mask is None else ~layer.mask
    return 0 if held is None else int(held.sum()) // (layer.devices * layer.learners)


def _original_op(node: ir.Node) -> str:
    """The op that the layer was before it was lowered; Gemm for a MatMul too."""
    op = node.metadata_props.get(OP, node.op_type)
    return "Gemm" if op in ("MatMul", *READS) else op


def _is_noise_managed(read: ir.Node) -> bool:
    x = read.inputs[0]
    producer = x.producer() if x is not None else None
    return producer is not None and producer.op_type == "NoiseManage"


def digital_layers(model: ir.Model) -> list[LayerPlan]:
    """The layers that are not on arrays: of a model that is not lowered yet, all of them."""
    return [digital_plan(nodes) for nodes in digital_nodes(model)]


def digital_nodes(model: ir.Model) -> list[list[ir.Node]]:
    """Return the forward products with a constant matrix or kernel, by matrix.

    Several nodes stand together where they share a matrix, that of the first.
    """
    products = [
        node
        for node in model.graph
        if node.domain == ""
        and node.op_type in LAYER_OPS
        and node.metadata_props.get("rpucc.cycle", "forward") == "forward"
        and NO_LAYER not in node.metadata_props
        and _digital_weight(node) is not None
    ]
    found: dict[str, list[ir.Node]] = {}
    for node in products:
        name = node.metadata_props.get("rpucc.layer") or node.name or ""
        found.setdefault(node.metadata_props.get(MATRIX, name), []).append(node)
    return list(found.values())


def _digital_weight(node: ir.Node) -> ir.Value | None:
    """The constant that the node multiplies by; a training program has it transposed, by group."""
    weight = node.inputs[1]
    producer = weight.producer() if weight is not None else None
    while producer is not None and producer.op_type in ("Transpose", "Reshape"):
        weight = producer.inputs[0]
        producer = weight.producer() if weight is not None else None
    if weight is None or not weight.is_initializer() or len(static_shape(weight)) < 2:
        return None  # a product with a vector is no layer
    return weight


def digital_plan(nodes: list[ir.Node]) -> LayerPlan:
    """Return the plan of a layer that is not on arrays, at all places that share its matrix."""
    node = nodes[0]
    R, C, groups = _digital_matrix(node)
    return LayerPlan(
        name=node.metadata_props.get("rpucc.layer") or node.name or "",
        op=_original_op(node),
        analog=False,
        R=R,
        C=C,
        grid=(0, 0),
        array="",
        array_size=(0, 0),
        tiles=0,
        utilisation=0.0,
        reads_forward=0,
        reads_backward=0,
        updates=0,
        noise_forward=False,
        noise_backward=False,
        bound_forward=False,
        bound_backward=False,
        update={},
        macs=groups * R * C * sum(_digital_positions(each) for each in nodes),
        seconds=0.0,
        training_seconds=0.0,
        groups=groups,
    )


def _digital_matrix(node: ir.Node) -> tuple[int, int, int]:
    """Return R, C and the number of matrices of a layer outside the arrays."""
    weight = _digital_weight(node)
    assert weight is not None
    shape, groups = static_shape(weight), node.attributes.get_int("group", 1)
    if node.op_type == "ConvTranspose":
        return shape[1] * math.prod(shape[2:]), shape[0] // groups, groups
    if node.op_type == "Conv":
        return shape[0] // groups, math.prod(shape[1:]), groups
    product = node.inputs[1]
    if weight is not product:  # a program's: rows first, those of all groups below each other
        by_group = product.shape if product is not None else None
        if by_group is not None and len(by_group) == 3 and isinstance(by_group[0], int):
            groups = by_group[0]
        return shape[0] // groups, shape[1], groups
    if node.attributes.get_int("transB", 0):
        return shape[0], shape[1], 1
    return shape[-1], shape[-2], math.prod(shape[:-2])


def _digital_positions(node: ir.Node) -> int:
    """Return how many vectors meet each matrix of such a layer for one sample."""
    x, result = (value.shape if value is not None else None for value in _ends(node))
    if node.op_type in CONVOLUTIONS:
        # every input position of a transposed convolution spreads over the kernel
        spaces = x if node.op_type == "ConvTranspose" else result
        places = list(spaces)[2:] if spaces is not None else []
    else:
        places = list(result)[1:-1] if result is not None else []
        groups = _digital_matrix(node)[2]
        if groups > 1:  # [N, .., P, R]: of the axes before P, those of the groups are no positions
            static = math.prod(dim for dim in places if isinstance(dim, int))
            return max(static // groups, 1)
    return math.prod(dim for dim in places if isinstance(dim, int))


def _ends(node: ir.Node) -> tuple[ir.Value | None, ir.Value]:
    return node.inputs[0], node.outputs[0]
