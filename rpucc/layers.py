"""The layers of a program: which nodes read, update and rescale which weight matrix.

One place that knows how passes mark a layer's nodes, for passes, plan and runtime alike. Not for
numbers about layers: those are the plan's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.cells import UPDATE_OPS, Cell
from rpucc.cells.base import CELL
from rpucc.node_attributes import carried

LAYER_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The ONNX ops that are layers: with constant weights, what can live on arrays."""

CONVOLUTIONS = ("Conv", "ConvTranspose")
"""Those of them whose weight is a kernel."""

OTHER_NAMES = "rpucc.other_names"
"""Model metadata: JSON {layer or batch norm: [its other names]}; where none has any, absent."""

READS = ("Read", "BoundedRead")
"""The rpu ops that read a matrix."""

FIRST_STATE = 4
"""Inputs of an update before its state: W, x, d, lr."""

MASKED = "Masked"
"""What the name of an update op begins with that has a mask as its last input."""

PLAIN_UPDATES = tuple(UPDATE_OPS)
"""Update, and the update ops of cells with a state of their own."""

UPDATES = (*PLAIN_UPDATES, *(f"{MASKED}{op}" for op in PLAIN_UPDATES))
"""The rpu ops that change a matrix: those, each of them with a mask, too."""

ABSENT = "absent"
"""Attribute of the rpu ops that work on a matrix: the tiles that are not there, by their place in
[matrix, row block, column segment]; absent where all are."""

FIXED_ZEROS = "rpucc.fixed_zeros"
"""Node metadata of a Read: "1" where `update.mask` is about its layer and nothing trains that: all
of its zeros are fixed, and no node of it has a mask that would say so."""

OP = "rpucc.op"
"""Node metadata: the op that the layer was, Conv, ConvTranspose, Gemm or MatMul."""

REPLICAS = "rpucc.replicas"
"""Node metadata of a Read: how many copies of the layer share out its reads, if more than one."""

MATRIX = "rpucc.matrix"
"""Node metadata of a layer that uses the matrix of another one: that layer's name."""

MATRIX_TRANSPOSED = "rpucc.matrix_transposed"
"""Node metadata of such a layer: "1" where the rows of the matrix are its inputs."""

NO_LAYER = "rpucc.no_layer"
"""Node metadata of a product with constant weights: why it is no dense layer."""
OF_LOSS = "it is part of the loss"
"""What `NO_LAYER` says of a node that a loss is computed by: its constants are no weights."""

FOR_INPUT = "rpucc.for_input"
"""Node metadata of a Read: "1" where only the gradient of an input of the network needs it."""

MOST_TILES = 1 << 24
"""Tile ids have 24 bits in the address of a random draw (runtime/scalars/philox.py)."""

DEVICES = "rpucc.devices_per_weight"
"""Node metadata of a Read: how many devices share a weight, where it is more than one."""

LR_SCALE = "rpucc.lr_scale"
"""Node metadata of an Update: its learning rate as a multiple of training's, where it is not 1."""
EQUALISED = "rpucc.equalised"
"""Node metadata of a layer whose weights gave factors to those of the layers behind."""
WEIGHT_SCALE = "rpucc.weight_scale"
"""Node metadata of a Read: the initializer that its outputs are multiplied by, where the matrix is
kept divided by it so that it fits the devices."""
BEYOND_BOUNDS = "rpucc.beyond_bounds"
"""Node metadata of a Read: how many of the layer's weights lie beyond its devices' mean bounds."""
ARRAY_KIND = "rpucc.array_kind"
"""Node metadata: the name of the array kind that holds the layer's tiles."""

PER_SAMPLE = "rpucc.per_sample"
"""Node metadata: vectors that the node takes for one sample."""


@dataclass
class AnalogLayer:
    """A weight matrix on arrays and the nodes that use it.

    `forward` holds one Read, more where the model shares the matrix among several places; those
    of places that have it transposed are Reads with transpose = 1. Of a feedback matrix it is
    empty: errors alone go through one (`update.feedback`).
    """

    name: str
    """`rpucc.layer` of its first Read."""
    weight: ir.Value
    """The initializer [R, C]; the bias, where it is analog, is the last column. Of a grouped layer
    it holds the groups' matrices one below the other: R / groups rows each."""
    forward: list[ir.Node] = field(default_factory=list)
    backward: list[ir.Node] = field(default_factory=list)
    updates: list[ir.Node] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """R, the number of outputs."""
        return static_shape(self.weight)[0]

    @property
    def columns(self) -> int:
        """C, the number of inputs, the bias line included."""
        return static_shape(self.weight)[1]

    @property
    def reads(self) -> list[ir.Node]:
        """Its Reads, those of the forward cycle first."""
        return [*self.forward, *self.backward]

    @property
    def first(self) -> ir.Node:
        """The Read that says what all its nodes have in common."""
        return self.reads[0]

    @property
    def shared(self) -> list[ir.Node]:
        """The Reads that its copies share out, of one cycle: forward, else backward."""
        return self.forward or self.backward

    @property
    def is_feedback(self) -> bool:
        """Whether it is the fixed matrix that the errors of another layer go back through."""
        return not self.forward

    @property
    def matrices(self) -> int:
        """Independent matrices of one shape: a group's, or a copy's that learns on its own."""
        return self.first.attributes.get_int("groups", 1)

    @property
    def groups(self) -> int:
        """Groups of a grouped layer."""
        return self.matrices // self.learners

    @property
    def learners(self) -> int:
        """Copies of the layer that learn on their own, each from its share of the positions."""
        return self.first.attributes.get_int("copies", 1)

    @property
    def group_rows(self) -> int:
        """The rows of one of the matrices."""
        return self.rows // self.matrices

    @property
    def replicas(self) -> int:
        """Copies of the layer on arrays of their own, which share out its reads."""
        return int(self.first.metadata_props.get(REPLICAS, self.learners))

    @property
    def devices(self) -> int:
        """Devices a weight: so many copies of each group's rows, whose mean is the output."""
        return int(self.first.metadata_props.get(DEVICES, "1"))

    @property
    def weight_scale(self) -> tuple[float, float]:
        """Smallest and largest factor of the layer's outputs; (1, 1) where it has none."""
        scale = weight_scale(self.first)
        return (1.0, 1.0) if scale is None else (float(scale.min()), float(scale.max()))

    @property
    def beyond_bounds(self) -> int:
        """Weights beyond the devices' mean bounds, which programming clips."""
        return int(self.first.metadata_props.get(BEYOND_BOUNDS, "0"))

    @property
    def tiles(self) -> int:
        """Tiles that all its matrices are cut into."""
        attributes = self.first.attributes
        row_cuts = tuple(attributes.get_ints("row_cuts", ()))
        col_cuts = tuple(attributes.get_ints("col_cuts", ()))
        return self.matrices * segments(row_cuts) * segments(col_cuts)

    @property
    def state(self) -> dict[str, str]:
        """What its cells hold besides the weights -> the initializer that it is; empty without."""
        states = states_of(self.updates[0]) if self.updates else ()
        if not states:
            return {}
        op = self.updates[0].op_type.removeprefix(MASKED)
        names = (value.name if value is not None else None for value in states)
        return dict(zip(UPDATE_OPS[op].state, map(str, names), strict=True))

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Which weights its update changes [R, C]; None where it changes all, or there is none."""
        value = mask_of(self.updates[0]) if self.updates else None
        tensor = None if value is None else value.const_value
        return None if tensor is None else tensor.numpy()

    @property
    def has_fixed_zeros(self) -> bool:
        """Whether all of its zeros stay zero: a mask is about it, and nothing trains it."""
        return not self.updates and FIXED_ZEROS in self.first.metadata_props

    @property
    def absent(self) -> tuple[int, ...]:
        """The tiles that are not there, by their place in [matrix, row block, column segment]."""
        return tuple(self.first.attributes.get_ints(ABSENT, ()))

    def state_name(self, key: str) -> str:
        """Return what a part of its state is called; the weight itself is "".

        A plane that the program does not have, because reads see a sum that it does have, is
        called by its own name behind the weight's.
        """
        return self.state.get(key, f"{self.weight.name}.{key}") if key else str(self.weight.name)

    @property
    def nodes(self) -> list[ir.Node]:
        """All nodes that touch the matrix."""
        return [*self.reads, *self.updates]


def analog_layers(model: ir.Model) -> list[AnalogLayer]:
    """Return the matrices on arrays in the order of their first Read: feedback matrices last."""
    layers: dict[str, AnalogLayer] = {}
    for node in model.graph:
        if node.domain != "rpu" or node.op_type not in (*READS, *UPDATES):
            continue
        weight = weight_of(node)
        name = weight.name or ""
        if name not in layers:
            layers[name] = AnalogLayer(node.metadata_props.get("rpucc.layer") or name, weight)
        layer = layers[name]
        if node.op_type in UPDATES:
            layer.updates.append(node)
        elif cycle_of(node) == "backward":
            layer.backward.append(node)
        else:
            layer.forward.append(node)
    return [layer for layer in layers.values() if layer.reads]


def other_names(model: ir.Model) -> dict[str, list[str]]:
    """Return what else the model's layers and batch norms are called, by the names they go by.

    Raises ValueError where the metadata are damaged.
    """
    found = json.loads(model.metadata_props.get(OTHER_NAMES, "{}"))
    lists = isinstance(found, dict) and all(isinstance(each, list) for each in found.values())
    if not lists or not all(isinstance(name, str) for each in found.values() for name in each):
        raise ValueError(f"metadata {OTHER_NAMES} hold no lists of names")
    return dict(found)


def cycle_of(read: ir.Node) -> str:
    """Return a Read's cycle, forward or backward; that of its direction where it says none."""
    by_direction = "backward" if read.attributes.get_int("transpose", 0) else "forward"
    return read.metadata_props.get("rpucc.cycle", by_direction)


def weight_of(node: ir.Node) -> ir.Value:
    """Return the initializer that a Read or Update works on, through a chain of Updates."""
    value = node.inputs[0 if node.op_type in UPDATES else 1]
    while value is not None:
        producer = value.producer()
        if producer is None or producer.op_type not in UPDATES:
            return value
        value = producer.inputs[0]
    raise ValueError(f"node {node.name!r}: its weight input is absent")


def mask_of(update: ir.Node) -> ir.Value | None:
    """Return the mask of an update, bool [R, C]: true where its weight is changed; None without."""
    return update.inputs[-1] if update.op_type.startswith(MASKED) else None


def states_of(update: ir.Node) -> Sequence[ir.Value | None]:
    """Return the inputs of an update that are the state of its cells."""
    end = len(update.inputs) - update.op_type.startswith(MASKED)
    return update.inputs[FIRST_STATE:end]


def settings_of(update: ir.Node) -> Cell:
    """Return the cell that an update op is of, with the settings that the node carries."""
    kind = UPDATE_OPS[update.op_type.removeprefix(MASKED)]
    cell = type(kind)
    keys = {each.key: each.of_node(update) for each in carried(cell, CELL)}
    return cell(**keys | {key: getattr(kind, key) for key in kind.model_fields_set})


def weight_scale(read: ir.Node) -> NDArray[np.float32] | None:
    """Return what the outputs of a Read are multiplied by, in their shape; None for nothing."""
    name = read.metadata_props.get(WEIGHT_SCALE)
    value = read.graph.initializers.get(name) if name and read.graph is not None else None
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy()


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of a constant as plain integers."""
    shape = value.const_value.shape if value.const_value is not None else value.shape
    return tuple(dim for dim in shape or () if isinstance(dim, int))


def reads_per_sample(node: ir.Node) -> int:
    """Count the vectors that a Read or an Update takes for one sample.

    Its input x is [N, ..., lines]: all dimensions but the batch and the lines, P for a
    convolution and 1 for a dense layer. The groups of a grouped layer (x [N, G, P, lines]) are
    read at once and count as one, copies that learn on their own do their shares. Raises
    ValueError where a dimension is not static.
    """
    x = node.inputs[1 if node.op_type in UPDATES else 0]
    if x is None or x.shape is None:
        raise ValueError(f"node {node.name!r}: its input has no shape")
    dims = list(x.shape)[1:-1]
    if node.attributes.get_int("groups", 1) > 1:
        dims = [*dims[1:], node.attributes.get_int("copies", 1)]
    if not all(isinstance(dim, int) for dim in dims):
        raise ValueError(f"node {node.name!r}: its input {x.name!r} {x.shape} is not static")
    return math.prod(int(dim) for dim in dims if isinstance(dim, int))


def left_out(node: ir.Node) -> Iterator[tuple[int, int, int, int]]:
    """Yield the tiles of a node's matrix that are not there: row block, segment, height, width.

    Those of all its matrices, one after the other.
    """
    rows, columns = (tuple(node.attributes.get_ints(key, ())) for key in ("row_cuts", "col_cuts"))
    for place in node.attributes.get_ints(ABSENT, ()):
        block, segment = divmod(place % (segments(rows) * segments(columns)), segments(columns))
        height, width = rows[block + 1] - rows[block], columns[segment + 1] - columns[segment]
        yield block, segment, height, width


def segments(cuts: tuple[int, ...]) -> int:
    """Count the segments between cuts [0, .., lines]."""
    return max(len(cuts) - 1, 0)
