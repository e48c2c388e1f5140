"""Where biases live: on the arrays where that takes no further arrays, or as the target says."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.layers import analog_layers
from rpucc.target.target import Target

from .graphs import normal, program
from .lowering import with_arrays


def dense(inputs: int) -> rpucc.Program:
    """An untrained layer [4, inputs] with a bias, compiled for 8 × 8 arrays."""
    return compiled(inputs, with_arrays((8, 8), overrides=("mapping.bias=auto",)))


def compiled(inputs: int, target: Target) -> rpucc.Program:
    model = program(
        f"(float[N,{inputs}] x) => (float[N,4] y) {{ [fc] y = Gemm(x, W, b) }}",
        W=normal(inputs, 4),
        b=normal(4, seed=1),
    )
    return rpucc.compile(model, target, verify=True)


@pytest.mark.parametrize(
    ("inputs", "columns"), [(7, 8), (8, 8), (9, 10), (15, 16), (16, 16), (1, 2)]
)
def test_the_column_takes_no_further_array(inputs: int, columns: int) -> None:
    found = dense(inputs)
    assert analog_layers(found.model)[0].columns == columns
    assert (columns == inputs) == ("fc.b" in found.model.graph.initializers)


def test_a_digital_bias_is_trained() -> None:
    assert set(dense(8).updates) == {"fc.W", "fc.b"}
    assert set(dense(7).updates) == {"fc.W"}


@pytest.mark.parametrize(("bias", "arrays"), [("array", 2), ("digital", 1), ("auto", 1)])
def test_the_target_may_say_where(bias: str, arrays: int) -> None:
    program = compiled(8, with_arrays((8, 8), overrides=(f"mapping.bias={bias}",)))
    assert program.plan.arrays == {"a0": arrays}


def test_cuts_say_what_they_are_meant_for() -> None:
    for last in (8, 9):
        overrides = ("mapping.bias=auto", f"mapping.col_cuts=[0,4,{last}]")
        layer = analog_layers(compiled(8, with_arrays((8, 8), overrides=overrides)).model)[0]
        assert layer.columns == last


def test_packed_groups_count_by_arrays() -> None:
    """9 columns a group fit 7 groups on 64 columns, 10 only 6."""
    model = program(
        "(float[N,7,5,5] x) => (float[N,7,3,3] y) { [dw] y = Conv<group = 7>(x, K, b) }",
        K=normal(7, 1, 3, 3),
        b=np.ones(7, np.float32),
    )
    target = with_arrays((64, 64), overrides=("mapping.bias=auto",))
    layer = analog_layers(rpucc.compile(model, target, training=False).model)[0]
    assert (layer.groups, layer.columns) == (7, 9)


def test_one_output_is_trained_too() -> None:
    """A bias of one number is a bias, not a constant of a formula."""
    model = program(
        "(float[N,2,3,3] x) => (float[N,1,6,6] y)"
        " { [up] y = ConvTranspose<strides = [2,2]>(x, K, b) }",
        K=normal(2, 1, 2, 2),
        b=normal(1, seed=1),
    )
    found = rpucc.compile(model, with_arrays((8, 8)), loss="mse")
    assert set(found.updates) == {"up.W", "up.b"}
