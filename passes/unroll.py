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
from rpucc.layers import DEVICES, EQUALISED, OP
from rpucc.passes.base import RpuPass
from rpucc.passes.bias import bias_fits, bias_on_arrays
from rpucc.passes.col2im import col2im
from rpucc.passes.emit import (
    ANALOG,
    CYCLE,
    LAYER,
    Emitter,
    drop_unused_initializers,
    known_shape,
    static_dims,
)
from rpucc.passes.layer_matrix import LayerMatrix
from rpucc.passes.select_analog import bias_array, following_bias
from rpucc.passes.weight_scales import Scaling, WeightBounds, unbounded
from rpucc.passes.window import Window, ints, static_space

if TYPE_CHECKING:
    from rpucc.target import Mapping, Target


@dataclass(frozen=True)
class Unroll(RpuPass):
    """Turn each analog layer into im2col, an appended 1 and one read of its whole matrix.

    Requires: select_analog's marks; static shapes but for the batch.
    Leaves behind: no analog Conv, ConvTranspose, Gemm or MatMul. Weight and bias of a layer are one
    initializer `<layer>.W` [R, C+1] (without a bias [R, C], and no AppendOne); unused initializers
    are gone. The layer's result keeps its name. In a training program digital layers take the same
    form with MatMul(x, Wᵀ) for the read, so that the same gradient rules hold; in an inference
    program they stay as they were.

    A grouped convolution is G independent matrices, one below the other in `<layer>.W`, and its
    values have an axis for them before the positions. A transposed convolution reads the channels
    of each input position and adds the windows that come out with Col2Im. A bias that is not on
    the arrays (`bias.py`) is added digitally: `<layer>.b`. With n devices a weight the matrix holds
    n copies of its rows, and the output is their mean. Replicas that learn on their own are
    independent matrices too: Assign shares the positions out among them, Collect undoes that.

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
            _refuse_shared_weights(layers)
        emitter = Emitter(model)
        for number, node in enumerate(layers):
            _Lowering(emitter, node, self.target, self.bounds, number).run()
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
    ) -> None:
        self.emitter = emitter
        self.node = node
        self.layer, self.number = node.name or "", number
        self.analog = node.metadata_props[ANALOG] == "1"
        self.matrix = LayerMatrix.of(node)
        policy = target.for_layer(self.layer)
        mapping = policy.mapping
        self.devices = mapping.devices_per_weight if self.analog else 1
        self.copies = self._learners(mapping)
        transposed = node.op_type == "ConvTranspose"
        bias = bias_array(node)
        scaling = Scaling.of(policy, bounds)
        on_arrays = not transposed and (
            not self.analog
            or mapping.bias == "array"
            or (
                bias_on_arrays(self.matrix, mapping, target.arrays)
                and EQUALISED not in node.metadata_props
                and bias_fits(self.matrix, bias, scaling)
            )
        )
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
        return self._plus_bias(self._product(self._with_one(x)), [self.matrix.outputs])

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
        window = _transposed_window(self.node, space, matrix.kernel)
        image = col2im(e, taps, matrix.outputs, window, out=f"{self.layer}.image")
        return self._plus_bias(image, [matrix.outputs, *(1,) * window.rank])

    # ------------------------------------------------------------ pieces

    def _weight(self) -> ir.Value:
        """Register `<layer>.W`, with the bias as its last column if it is one."""
        values = self.matrix.values(self.column, self.devices, self.copies)
        return self.emitter.initializer(f"{self.layer}.W", values)

    def _plus_bias(self, y: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Add the bias digitally, in this shape, where it is not on the arrays."""
        if self.added is None:
            return y
        e = self.emitter
        # A file may call the bias so itself, and this one may be another.
        name = f"{self.layer}.b{'.equalised' if EQUALISED in self.node.metadata_props else ''}"
        b = e.initializer(name, self.added.reshape(shape).astype(self.matrix.dtype))
        total = e.op("Add", y, b, out=f"{self.layer}.sum")
        add = total.producer()
        assert add is not None
        add.metadata_props[ANALOG] = "0"  # it is trained as digital weights are
        return total

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


def _transposed_window(node: ir.Node, space: Sequence[int], kernel: tuple[int, ...]) -> Window:
    """Return the window that slides over a transposed convolution's output."""
    rank = len(space)
    strides, dilations = ints(node, "strides", (1,) * rank), ints(node, "dilations", (1,) * rank)
    pads = ints(node, "pads", (0,) * 2 * rank)
    extra = ints(node, "output_padding", (0,) * rank)
    if any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        raise UnsupportedError(
            f"node {node.name!r} (ConvTranspose): output_padding {list(extra)} must be less than "
            f"strides {list(strides)}; pad its result with a Pad node instead"
        )
    size = tuple(
        strides[i] * (space[i] - 1) + dilations[i] * (kernel[i] - 1) + 1
        + extra[i] - pads[i] - pads[i + rank]
        for i in range(rank)
    )  # fmt: skip
    return Window(size, kernel, strides, pads, dilations)


def _refuse_shared_weights(layers: list[ir.Node]) -> None:
    """Two layers on one weight would need one update from two reads: not supported yet."""
    owners: dict[str, str] = {}
    for node in layers:
        weight = node.inputs[1]
        assert weight is not None
        if weight.name in owners:
            raise UnsupportedError(
                f"nodes {owners[weight.name]!r} and {node.name!r} ({node.op_type}): they share the "
                f"weight {weight.name!r}; training a shared weight is not supported yet; give "
                "each its own copy, or compile with --inference"
            )
        owners[weight.name or ""] = node.name or ""
