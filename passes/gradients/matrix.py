"""Gradients of products of two activations: MatMul, Gemm and Einsum."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    float_of,
    input_of,
    rank_of,
    refuse,
    text_of,
    the,
)
from rpucc.passes.graph_reader import int_of, known_shape


def matmul(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """dA = g·Bᵀ, dB = Aᵀ·g, summed over broadcast dimensions."""
    A, B = input_of(node, 0), input_of(node, 1)
    if rank_of(A) < 2 or rank_of(B) < 2:
        refuse(node, "an operand is a vector; make it a matrix")
    dA = dB = None
    if e.wants(node, 0):
        dA = e.unbroadcast(e.op("MatMul", the(g), _swap(e, B)), A)
    if e.wants(node, 1):
        left, right = A, the(g)
        if rank_of(B) == 2 and rank_of(A) > 2:
            left, right = _flat(e, left), _flat(e, right)
        dB = e.unbroadcast(e.op("MatMul", _swap(e, left), right), B)
    return [dA, dB]


def _swap(e: GradientEmitter, x: ir.Value) -> ir.Value:
    """Transpose the last two dimensions."""
    axes = list(range(rank_of(x)))
    return e.transpose(x, [*axes[:-2], axes[-1], axes[-2]])


def _flat(e: GradientEmitter, x: ir.Value) -> ir.Value:
    """Merge all dimensions but the last."""
    last = known_shape(x)[-1]
    assert isinstance(last, int)
    return e.reshape(x, [-1, last])


def gemm(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = alpha·A'·B' + beta·C, A' being A or Aᵀ: dA' = alpha·g·B'ᵀ, dB' = alpha·A'ᵀ·g."""
    A, B = input_of(node, 0), input_of(node, 1)
    turned = [bool(int_of(node, "transA", 0)), bool(int_of(node, "transB", 0))]
    alpha, beta = float_of(node, "alpha", 1.0), float_of(node, "beta", 1.0)
    scaled = the(g) if alpha == 1.0 else e.times(the(g), alpha)
    dA = dB = dC = None
    if e.wants(node, 0):
        right = B if turned[1] else _swap(e, B)
        dA = e.op("MatMul", scaled, right)
        dA = _swap(e, dA) if turned[0] else dA
    if e.wants(node, 1):
        left = A if turned[0] else _swap(e, A)
        dB = e.op("MatMul", left, scaled)
        dB = _swap(e, dB) if turned[1] else dB
    if e.wants(node, 2):
        dC = e.unbroadcast(the(g), input_of(node, 2))
        dC = dC if beta == 1.0 else e.times(dC, beta)
    return [dA, dB, dC]


def einsum(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Swap an operand with the result: for ij,jk->ik the first gets ik,jk->ij of g and the rest."""
    equation = text_of(node, "equation", "").replace(" ", "")
    before, arrow, result = equation.partition("->")
    terms = before.split(",")
    if not arrow or "." in equation or any(len(set(t)) < len(t) for t in (*terms, result)):
        refuse(node, f"its equation '{equation}' is not of the form ij,jk->ik")
    gradients: Gradients = []
    for i, term in enumerate(terms):
        if not e.wants(node, i):
            gradients.append(None)
            continue
        others = [k for k in range(len(terms)) if k != i]
        letters = set(result).union(*(terms[k] for k in others))
        if not set(term) <= letters:
            refuse(node, f"its equation '{equation}' sums '{term}' over an index of its own")
        swapped = ",".join([result, *(terms[k] for k in others)]) + f"->{term}"
        values = [the(g), *(input_of(node, k) for k in others)]
        shape = known_shape(input_of(node, i))
        gradients.append(e.op("Einsum", *values, equation=swapped, shape=shape))
    return gradients
