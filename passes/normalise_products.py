"""Write products with a constant matrix as layers: an activation times the matrix.

Not for what is a layer already, nor for which layers live on arrays: select_analog decides that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.layers import NO_LAYER
from rpucc.origins.notes import carry_layout
from rpucc.passes.base import RpuPass
from rpucc.passes.contraction import Contraction, contraction_of
from rpucc.passes.graph_reader import constant_of, int_of, known_shape
from rpucc.passes.graph_writer import Emitter, drop_unused_initializers
from rpucc.passes.layer_bias import only_consumer
from rpucc.passes.ties import carry_ties

Made = dict[tuple[object, ...], ir.Value]
"""New constants by what they are made of: what the file shares stays shared."""


@dataclass(frozen=True)
class NormaliseProducts(RpuPass):
    """Write dense layers that look otherwise as MatMul or Gemm with the weight on the right.

    Requires: named nodes; folded constants; known shapes.
    Leaves behind: an Einsum or MatMul that is a dense layer is MatMul(x [N, .., K], W [K, M]), or
    where indices are shared by activation, weight and result, MatMul(x [N, G, P, K], W [G, K, M]):
    one matrix a group. A Gemm with a constant first operand has it second. Transposes and Reshapes
    around it keep the values; an Add of one constant an output comes right behind the product. What
    has constant weights and is no dense layer says why in metadata `rpucc.no_layer`.

        before: q = Einsum(x, W [d, h, k], "bld,dhk->blhk"); y = Add(q, b [h, k])
        after:  p = MatMul(x, W' [d, h·k]); s = Add(p, b' [h·k]); y = Reshape(s, [0, 0, h, k])
    """

    name: ClassVar[str] = "normalise_products"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite or mark every product with a constant."""
        made: Made = {}
        changed = False
        e = Emitter(model)
        for node in list(model.graph):
            e.before, e.scope = node, node.name or ""
            if node.op_type == "Gemm" and _has_first_constant(node):
                _turn_gemm(e, node, made)
                changed = True
                continue
            found = contraction_of(node)
            why = found.why_no_layer() if isinstance(found, Contraction) else found
            if why is not None:
                node.metadata_props[NO_LAYER] = why
            elif isinstance(found, Contraction) and not _is_layer(node, found):
                _Rewrite(e, node, found, made)()
                changed = True
        drop_unused_initializers(model.graph)
        return ir.passes.PassResult(model, modified=changed)


def could_be_layer(node: ir.Node) -> bool:
    """Whether the pass would make a layer of the node, as far as shapes are known."""
    if any(value is not None and value.shape is None for value in node.inputs):
        return False
    found = contraction_of(node)
    is_product = isinstance(found, Contraction) and found.why_no_layer() is None
    return is_product or (node.op_type == "Gemm" and _has_first_constant(node))


def _has_first_constant(node: ir.Node) -> bool:
    constants = [constant_of(value) is not None for value in node.inputs[:2]]
    return node.domain in ("", "ai.onnx") and constants == [True, False]


def _is_layer(node: ir.Node, found: Contraction) -> bool:
    """Whether a MatMul has the form of a layer as it is."""
    if node.op_type != "MatMul" or found.operand != 1 or found.dropped:
        return False
    weight = constant_of(node.inputs[1])
    assert weight is not None
    if weight.ndim == 2:
        return True
    first, *rest = found.x
    grouped = len(rest) == 3 and first == found.samples and found.groups == (rest[0],)
    return grouped and weight.ndim == 3


class _Rewrite:
    """Rewriting one product as a MatMul of the activation and a matrix, or one a group."""

    def __init__(self, e: Emitter, node: ir.Node, found: Contraction, made: Made) -> None:
        self.e, self.node, self.found, self.made = e, node, found, made
        self.grouped = bool(found.groups)
        samples, *places = found.positions
        self.rows = (samples, *found.groups, *places) if self.grouped else found.positions
        """The indices of the product before its inputs, and of its result before its outputs."""

    def __call__(self) -> None:
        """Emit the product and put it in the place of the node, and of an Add behind it."""
        e, node, found = self.e, self.node, self.found
        last, bias = self._bias()
        product = e.op("MatMul", self._activation(), self._weight(), out=f"{node.name}.product")
        layer = product.producer()
        if bias is not None:
            product = e.op("Add", product, bias, out=f"{node.name}.sum")
        made = (*self.rows, *found.outputs)
        result = self._reshaped(product, made, self._lead_is(made))
        result = self._permuted(result, made, found.out)
        add = None if bias is None else product.producer()
        _replace(e.graph, node, last, result, layer, add)

    def _activation(self) -> ir.Value:
        e, found = self.e, self.found
        x = self.node.inputs[1 - found.operand]
        assert x is not None
        if found.dropped:
            x = e.op("Squeeze", x, e.constant(list(found.dropped)))
        wanted = (*self.rows, *found.inputs)
        x = self._permuted(x, found.x, wanted)
        if not self.grouped and len(found.inputs) == 1:
            return x
        inner = found.size(found.inputs)
        if not self.grouped:
            return e.reshape(x, [*[0] * len(self.rows), inner])
        return e.reshape(x, [0, found.size(found.groups), self._places(), inner])

    def _places(self) -> int:
        return self.found.size(self.found.positions[1:])

    def _weight(self) -> ir.Value:
        """[K, M], or [G, K, M]."""
        found = self.found
        wanted = (*found.groups, *found.inputs, *found.outputs)
        lead = [found.size(found.groups)] if self.grouped else []
        shape = [*lead, found.size(found.inputs), found.size(found.outputs)]
        weight = self.node.inputs[found.operand]
        assert weight is not None
        return self._laid_out(weight, found.weight, wanted, shape, "weight")

    def _bias(self) -> tuple[ir.Node, ir.Value | None]:
        """Return the last node to replace, and what it adds to each output, as [M] or [G, 1, M]."""
        add = only_consumer(self.node)
        result = self.node.outputs[0]
        if add is None or add.op_type != "Add" or add.domain not in ("", "ai.onnx"):
            return self.node, None
        others = [value for value in add.inputs if value is not result]
        constant = constant_of(others[0]) if len(others) == 1 else None
        found = self.found
        own = (*found.groups, *found.outputs)
        if constant is None or constant.ndim > len(found.out):
            return self.node, None
        indices = found.out[len(found.out) - constant.ndim :]
        wanted = [found.dims[i] if i in own else 1 for i in indices]
        if list(constant.shape) != wanted or constant.size != found.size(own):
            return self.node, None
        there = tuple(i for i in indices if i in own)
        missing = tuple(i for i in own if i not in there)  # of size 1
        groups, outputs = found.size(found.groups), found.size(found.outputs)
        shape = [groups, 1, outputs] if self.grouped else [outputs]
        assert others[0] is not None
        return add, self._laid_out(others[0], (*missing, *there), own, shape, "bias")

    def _laid_out(
        self,
        value: ir.Value,
        indices: Sequence[str],
        wanted: Sequence[str],
        shape: Sequence[int],
        suffix: str,
    ) -> ir.Value:
        """Return a constant with axes `indices` in the order `wanted` and this shape."""
        array = constant_of(value)
        assert array is not None
        sizes = [self.found.size([i]) for i in indices]
        perm = [list(indices).index(i) for i in wanted]

        def layout(numbers: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(numbers.reshape(sizes).transpose(perm).reshape(shape))

        if list(array.shape) == list(shape) and perm == sorted(perm):
            return value
        key = (value, tuple(sizes), tuple(perm), tuple(shape))
        if key not in self.made:
            made = self.made[key] = self.e.initializer(f"{self.node.name}.{suffix}", layout(array))
            carry_ties(value, made, layout)
            carry_layout(value, made, layout)
        return self.made[key]

    def _permuted(self, x: ir.Value, indices: Sequence[str], wanted: Sequence[str]) -> ir.Value:
        perm = [list(indices).index(i) for i in wanted]
        return x if perm == sorted(perm) else self.e.transpose(x, perm)

    def _lead_is(self, made: Sequence[str]) -> list[int]:
        """Return the shape that gives each index of the result an axis of its own."""
        copied = 1 if self.grouped else len(self.rows)
        return [0] * copied + [self.found.size([i]) for i in made[copied:]]

    def _reshaped(self, x: ir.Value, made: Sequence[str], shape: list[int]) -> ir.Value:
        if not self.grouped and len(self.found.outputs) == 1:
            return x
        same = list(known_shape(x).dims)[1:] == shape[1:] and len(made) == len(shape)
        return x if same else self.e.reshape(x, shape)


def _turn_gemm(e: Emitter, node: ir.Node, made: Made) -> None:
    """A'·B' + C with a constant A is (B'ᵀ·A'ᵀ + Cᵀ)ᵀ; a C that is no bias is added behind."""
    A, B, *more = node.inputs
    attributes = node.attributes
    C, beta = (more[0] if more else None), attributes.get_float("beta", 1.0)
    bias = None if C is None else _column(e, node, C, made)
    inputs = [B, A] if bias is None else [B, A, bias]
    product = e.op(
        "Gemm",
        *inputs,
        out=f"{node.name}.product",
        transA=1 - int_of(node, "transB", 0),
        transB=1 - int_of(node, "transA", 0),
        alpha=attributes.get_float("alpha", 1.0),
        beta=beta if bias is not None else 1.0,
    )
    layer = product.producer()
    result = e.transpose(product, (1, 0))
    if C is not None and bias is None:
        scaled = C if beta == 1.0 else e.op("Mul", C, e.like(C, beta))
        result = e.op("Add", result, scaled)
    _replace(e.graph, node, node, result, layer, None)


def _column(e: Emitter, node: ir.Node, C: ir.Value, made: Made) -> ir.Value | None:
    """Return C [M, 1] of a Gemm as a bias [M], a single number as it is; None for any other C."""
    array = constant_of(C)
    if array is None:
        return None
    if array.size == 1:
        return C
    if array.ndim != 2 or array.shape[1] != 1:
        return None
    if (C,) not in made:
        made[(C,)] = e.initializer(f"{node.name}.bias", array.reshape(-1))
        carry_layout(C, made[(C,)], lambda numbers: numbers.reshape(-1))
    return made[(C,)]


def _replace(
    graph: ir.Graph,
    node: ir.Node,
    last: ir.Node,
    result: ir.Value,
    layer: ir.Node | None,
    add: ir.Node | None,
) -> None:
    """Put `result` in the place of the output of `last`; the new nodes take the names over."""
    out = last.outputs[0]
    name, result.type = out.name, out.type or result.type
    result.shape = out.shape if out.shape is not None else result.shape
    out.replace_all_uses_with(result, replace_graph_outputs=True)
    if last is not node:
        graph.remove(last, safe=True)
    graph.remove(node, safe=True)
    result.name = name
    assert layer is not None
    layer.name = node.name
    if add is not None:
        add.name = last.name
