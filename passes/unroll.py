"""Lower layers to the reads of weight matrices.

Not for cutting the matrices to array size: tile does that. What a layer's matrix is:
`layer_matrix.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import DEVICES, EQUALISED, MATRIX, MATRIX_TRANSPOSED, OP
from rpucc.origins.notes import note_origin
from rpucc.passes.base import RpuPass
from rpucc.passes.bias import bias_fits, bias_on_arrays, infinite_bias, is_finite
from rpucc.passes.col2im import col2im
from rpucc.passes.graph_reader import ANALOG, CYCLE, LAYER, known_shape, static_dims
from rpucc.passes.graph_writer import Emitter, drop_unused_initializers
from rpucc.passes.layer_bias import bias_array, bias_value, following_bias
from rpucc.passes.layer_matrix import LayerMatrix
from rpucc.passes.layer_origin import bias_origin, matrix_origin
from rpucc.passes.shared_matrix import (
    Users,
    owner_of,
    refuse_drifting_copies,
    users_of_matrices,
)
from rpucc.passes.weight_scales import Scaling, WeightBounds, unbounded
from rpucc.passes.window import Window, static_space, transposed_window

if TYPE_CHECKING:
    from rpucc.target.target import Mapping, Target


@dataclass(frozen=True)
class Unroll(RpuPass):
    """Turn each analog layer into im2col, an appended 1 and one read of its whole matrix.

    Requires: select_analog's marks; static shapes but for the batch.
    Leaves behind: no analog Conv, ConvTranspose, Gemm or MatMul. Weight and bias of a layer are one
    initializer `<layer>.W` [R, C+1] (without a bias [R, C], and no AppendOne); unused initializers
    are gone. The layer's result keeps its name. In a training program digital layers take the same
    form with MatMul(x, Wᵀ) for the read, so that the same gradient rules hold; in an inference
    program they stay as they were.

    A grouped convolution (or MatMul) is G independent matrices, one below the other in `<layer>.W`,
    and its values have an axis for them before the positions. A transposed convolution reads the
    channels of each input position and adds the windows that come out with Col2Im. A bias that is
    not on the arrays (`bias.py`) is added digitally: `<layer>.b`. With n devices a weight the
    matrix holds n copies of its rows, and the output is their mean. Replicas that learn on their
    own are independent matrices too: Assign shares the positions out among them, Collect undoes
    that.

    Layers that share a matrix (`shared_matrix.py`) read one initializer, `<first layer>.W`; a layer
    that has it transposed does so by Reads with transpose = 1.

        before: out = Conv(X, W, b)                              (node conv1, analog)
        after:  cols = Im2Col(X); x1 = AppendOne(cols); part = Read(x1, conv1.W) [N, P, 1, R];
                y = ReduceSum(part, -2); t = Transpose(y); out = Reshape(t, [0, R, *space])
    """

    target: Target
    training: bool = True
    bounds: WeightBounds = field(default=unbounded, repr=False, compare=False)

    name: ClassVar[str] = "unroll"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Lower the marked layers; what has no matrix form raises UnsupportedError."""
        layers = list(self._layers(model.graph))
        if self.training:
            refuse_drifting_copies(model.graph, layers)
        emitter = Emitter(model)
        matrices = users_of_matrices(layers)
        for number, node in enumerate(layers):
            users = matrices[owner_of(node)]
            _Lowering(emitter, node, self.target, self.bounds, number, users).run()
        drop_unused_initializers(model.graph)
        return ir.passes.PassResult(model, modified=bool(layers))

    def _layers(self, graph: ir.Graph) -> Iterator[ir.Node]:
        for node in graph:
            analog = node.metadata_props.get(ANALOG)
            if node.metadata_props.get(LAYER) != node.name or analog is None:
                continue
            if analog == "1" or self.training:
                yield node


class _Lowering:
    """The lowering of one layer node; the pieces are emitted before it, then it goes away."""

    def __init__(
        self,
        emitter: Emitter,
        node: ir.Node,
        target: Target,
        bounds: WeightBounds,
        number: int,
        users: Users,
    ) -> None:
        self.emitter = emitter
        self.node, self.users = node, users
        self.layer, self.number = node.name or "", number
        self.analog = node.metadata_props[ANALOG] == "1"
        self.matrix = LayerMatrix.of(node)
        self.turned = MATRIX_TRANSPOSED in node.metadata_props
        """Whether the matrix is that of another layer, rows for columns."""
        policy = target.for_layer(owner_of(node))
        mapping = policy.mapping
        self.devices = mapping.devices_per_weight if self.analog else 1
        self.copies = self._learners(mapping)
        bias = bias_array(node)
        scaling = Scaling.of(policy, bounds, emitter.model)
        on_arrays = users.alike and (
            not self.analog
            or mapping.bias == "array"
            or (
                bias_on_arrays(self.matrix, mapping, target.arrays)
                and EQUALISED not in node.metadata_props
                and bias_fits(self.matrix, bias, scaling)
            )
        )
        if on_arrays and self.analog and mapping.bias == "array" and not is_finite(bias):
            raise infinite_bias(node)
        self.column = bias if on_arrays else None
        """The bias where it is a column of the matrix."""
        self.added = None if self.column is not None else bias
        """The bias where it is added digitally."""
        emitter.before = node
        emitter.scope = self.layer
        emitter.metadata = {
            LAYER: self.layer,
            ANALOG: node.metadata_props[ANALOG],
            CYCLE: "forward",
            OP: node.op_type,
        }
        if MATRIX in node.metadata_props:
            emitter.metadata[MATRIX] = node.metadata_props[MATRIX]

    def run(self) -> None:
        """Emit the layer and put its result in the place of the old one."""
        bias_node = following_bias(self.node)
        last = self.node if bias_node is None else bias_node
        x = self.node.inputs[0]
        assert x is not None
        lower = {"Conv": self._convolution, "ConvTranspose": self._transposed}
        result = lower.get(self.node.op_type, self._dense)(x)
        self._replace(last.outputs[0], result, last)

    # ------------------------------------------------------------ the kinds of layers

    def _dense(self, x: ir.Value) -> ir.Value:
        groups, R = self.matrix.groups, self.matrix.rows
        shape = [R] if groups == 1 else [groups, 1, R]
        return self._plus_bias(self._product(self._with_one(x)), shape)

    def _convolution(self, x: ir.Value) -> ir.Value:
        """Windows to rows, a product, and the rows back to channels of an image."""
        window = Window.of(self.node, self.matrix.kernel)
        self._check_positions(window)
        rows = self.emitter.rpu(
            "Im2Col",
            self._by_group(x),
            out=f"{self.layer}.cols",
            kernel_shape=list(window.kernel),
            strides=list(window.strides),
            pads=list(window.pads),
            dilations=list(window.dilations),
        )
        rows = self._with_groups(self._with_one(rows), known_shape(x)[0])
        groups, R = self.matrix.groups, self.matrix.rows
        shape = [R] if groups == 1 else [groups, 1, R]
        positions = math.prod(window.positions)
        result = self._plus_bias(self._shared_out(rows, positions), shape)
        t = self._swap_last(result, out=f"{self.layer}.t")
        return self.emitter.reshape(t, [0, self.matrix.outputs, *window.positions])

    def _transposed(self, x: ir.Value) -> ir.Value:
        """Channels of a position to a row, a product, and its windows added to the image."""
        e, matrix = self.emitter, self.matrix
        space = static_space(self.node)
        batch, positions = known_shape(x)[0], math.prod(space)
        flat = e.reshape(self._by_group(x), [0, matrix.columns, positions])
        rows = self._swap_last(flat, out=f"{self.layer}.rows")
        product = self._shared_out(self._with_groups(rows, batch), positions)
        taps = self._swap_last(product, out=f"{self.layer}.t")
        taps = e.reshape(taps, [0, matrix.groups * matrix.rows, positions])
        taps.shape = ir.Shape([batch, matrix.groups * matrix.rows, positions])
        window = transposed_window(self.node, space, matrix.kernel)
        image = col2im(e, taps, matrix.outputs, window, out=f"{self.layer}.image")
        return self._plus_bias(image, [matrix.outputs, *(1,) * window.rank])

    # ------------------------------------------------------------ pieces

    def _weight(self) -> ir.Value:
        """Register `<layer>.W` once for all users; the bias is its last column if it is one."""
        if self.users.weight is None:
            values = self.matrix.values(self.column, self.devices, self.copies)
            self.users.weight = self.emitter.initializer(f"{self.layer}.W", values)
            origin = matrix_origin(
                self.node,
                self.matrix,
                with_bias=self.column is not None,
                devices=self.devices,
                copies=self.copies,
            )
            note_origin(self.users.weight, origin)
        return self.users.weight

    def _plus_bias(self, y: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Add the bias digitally, in this shape, where it is not on the arrays."""
        if self.added is None:
            return y
        e, b = self.emitter, self._added_bias(shape)
        total = e.op("Add", y, b, out=f"{self.layer}.sum")
        add = total.producer()
        assert add is not None
        add.metadata_props[ANALOG] = "0"  # it is trained as digital weights are
        return total

    def _added_bias(self, shape: Sequence[int]) -> ir.Value:
        """Register `<layer>.b`, once for all layers that have both matrix and bias in common."""
        assert self.added is not None
        before, known = bias_value(self.node), self.users.biases
        assert before is not None
        if before in known:
            same = static_dims(known[before]) == list(shape)
            return known[before] if same else self.emitter.reshape(known[before], shape)
        values = self.added.reshape(shape).astype(self.matrix.dtype)
        # A file may call the bias so itself, and this one may be another.
        name = f"{self.layer}.b{'.equalised' if EQUALISED in self.node.metadata_props else ''}"
        known[before] = self.emitter.initializer(name, values)
        origin = bias_origin(self.node)
        note_origin(known[before], None if origin is None else origin.reshaped(shape))
        return known[before]

    def _with_one(self, rows: ir.Value) -> ir.Value:
        if self.column is None:
            return rows
        return self.emitter.rpu("AppendOne", rows, out=f"{self.layer}.x1")

    def _by_group(self, x: ir.Value) -> ir.Value:
        """[N, C, *space] to [N·G, C/G, *space]: each group is an image of its own."""
        groups = self.matrix.groups
        if groups == 1:
            return x
        channels, *space = static_dims(x, 1)
        out = self.emitter.reshape(x, [-1, channels // groups, *space], out=f"{self.layer}.groups")
        out.shape = ir.Shape([_times(known_shape(x)[0], groups), channels // groups, *space])
        return out

    def _with_groups(self, rows: ir.Value, batch: int | ir.SymbolicDim) -> ir.Value:
        """[N·G, P, C] to [N, G, P, C]."""
        if self.matrix.groups == 1:
            return rows
        shape = [self.matrix.groups, *static_dims(rows, 1)]
        out = self.emitter.reshape(rows, [-1, *shape], out=f"{self.layer}.x")
        out.shape = ir.Shape([batch, *shape])
        return out

    def _shared_out(self, rows: ir.Value, positions: int) -> ir.Value:
        """The product, done by copies that learn on their own where there are several."""
        copies = self.copies = min(self.copies, positions)
        if copies == 1:
            return self._product(rows)
        e, layer = self.emitter, self.number
        shares = e.rpu("Assign", rows, out=f"{self.layer}.shares", copies=[copies], layer=layer)
        done = self._product(shares)
        return e.rpu(
            "Collect", done, out=f"{self.layer}.collected", positions=[positions], layer=layer
        )

    def _swap_last(self, x: ir.Value, out: str) -> ir.Value:
        axes = list(range(known_shape(x).rank()))
        return self.emitter.transpose(x, [*axes[:-2], axes[-1], axes[-2]], out=out)

    def _product(self, rows: ir.Value) -> ir.Value:
        """Emit rows · Wᵀ: a read and the sum of its one segment, or digitally a MatMul."""
        e, W = self.emitter, self._weight()
        if self.turned:
            return self._product_with_transposed(rows, W)
        if not self.analog:
            return e.op("MatMul", rows, self._transposed_weight(W), out=f"{self.layer}.y")
        part = e.rpu(
            "Read",
            rows,
            W,
            out=f"{self.layer}.part",
            row_cuts=[0, self.devices * self.matrix.rows],
            col_cuts=[0, known_shape(W)[1]],
            groups=self.matrix.groups * self.copies,
            copies=self.copies,
        )
        if self.devices == 1:
            return e.reduce_sum(part, [-2], out=f"{self.layer}.y")
        read = part.producer()
        assert read is not None
        read.metadata_props[DEVICES] = str(self.devices)
        each = e.reduce_sum(part, [-2], out=f"{self.layer}.devices")
        lead = [0] * (known_shape(each).rank() - 1)
        split = e.reshape(each, [*lead, self.devices, self.matrix.rows])
        return e.op("ReduceMean", split, e.constant([-2]), out=f"{self.layer}.y", keepdims=0)

    def _product_with_transposed(self, rows: ir.Value, W: ir.Value) -> ir.Value:
        """Emit rows · W, where W is another layer's: inputs of this one are the rows of the matrix.

        With n devices a weight each copy of a row gets 1/n of its input.
        """
        e, groups = self.emitter, self.matrix.groups
        length, columns = static_dims(W)[0] // groups, static_dims(W)[1]
        if not self.analog:
            by_group = W if groups == 1 else e.reshape(W, [groups, length, columns])
            return e.op("MatMul", rows, by_group, out=f"{self.layer}.y")
        if self.devices > 1:
            copies = e.op("Concat", *[rows] * self.devices, axis=-1)
            rows = e.op("Mul", copies, e.like(copies, 1 / self.devices))
        part = e.rpu(
            "Read",
            rows,
            W,
            out=f"{self.layer}.part",
            transpose=1,
            row_cuts=[0, length],
            col_cuts=[0, columns],
            groups=groups,
        )
        if self.devices > 1:
            read = part.producer()
            assert read is not None
            read.metadata_props[DEVICES] = str(self.devices)
        return e.reduce_sum(part, [-2], out=f"{self.layer}.y")

    def _transposed_weight(self, W: ir.Value) -> ir.Value:
        if self.matrix.groups == 1:
            return self.emitter.transpose(W, (1, 0), out=f"{self.layer}.WT")
        shape = [self.matrix.groups, self.matrix.rows, static_dims(W)[1]]
        by_group = self.emitter.reshape(W, shape)
        return self.emitter.transpose(by_group, (0, 2, 1), out=f"{self.layer}.WT")

    def _learners(self, mapping: Mapping) -> int:
        """Copies that learn on their own; only a convolution has positions to share out."""
        if not self.analog or not self.matrix.kernel or mapping.replica_updates == "shared":
            return 1
        assert isinstance(mapping.replicas, int)  # the target holds that
        if mapping.replicas > 1 and len(self.users.layers) > 1:
            raise UnsupportedError(
                f"node {self.layer!r} ({self.node.op_type}): mapping.replica_updates = "
                f'"independent" is not supported for a matrix that {len(self.users.layers)} layers '
                'share; use "shared" for it in a [[layer]] rule of the target'
            )
        if mapping.replicas > 1 and self.matrix.groups > 1:
            raise UnsupportedError(
                f"node {self.layer!r} ({self.node.op_type}): mapping.replica_updates = "
                f'"independent" is not supported with group={self.matrix.groups}; use "shared" for '
                "it in a [[layer]] rule of the target"
            )
        return mapping.replicas

    def _check_positions(self, window: Window) -> None:
        if min(window.positions) < 1:
            raise UnsupportedError(
                f"node {self.layer!r} (Conv): kernel {list(window.kernel)} with pads "
                f"{list(window.pads)} is larger than its input {list(window.space)}"
            )

    def _replace(self, out: ir.Value, result: ir.Value, last: ir.Node) -> None:
        result.type = out.type or result.type
        result.shape = out.shape if out.shape is not None else result.shape
        name = out.name
        out.replace_all_uses_with(result, replace_graph_outputs=True)
        graph = self.emitter.graph
        if last is not self.node:
            graph.remove(last, safe=True)
        graph.remove(self.node, safe=True)
        result.name = name


def _times(batch: int | ir.SymbolicDim, groups: int) -> int | ir.SymbolicDim:
    return batch * groups if isinstance(batch, int) else ir.SymbolicDim(f"{batch.value}*{groups}")
