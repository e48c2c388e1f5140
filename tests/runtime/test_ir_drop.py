"""IR drop from a target to the reads of a running program, and back from a damaged file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from rpucc.errors import ModelError, TargetError
from rpucc.layers import analog_layers
from rpucc.program import Program
from rpucc.runtime.executor import Executor
from rpucc.runtime.instructions.read import read_settings, stages_of
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.composed import read_kernels
from rpucc.runtime.kernels.read import REREADS
from rpucc.runtime.kernels.read_arguments import Draws, Lines, Scratch, Settings
from rpucc.runtime.machine import Machine
from rpucc.runtime.reference.read import wire_loss
from rpucc.stages.ir_drop import IrDrop
from rpucc.target.target import Target
from rpucc.write_model import write_model

from .small import tiny, tiny_data, train

OPEN = (
    "periphery.read_noise=0", "periphery.dac_bits=0", "periphery.adc_bits=0", "periphery.bound=0",
    "management.noise_forward=never",
)  # fmt: skip


def reads(*overrides: str) -> tuple[ir.Node, ir.Node]:
    """The forward and the backward read of the dense layer."""
    model = tiny("rpu-managed", "", *overrides).model
    layer = next(layer for layer in analog_layers(model) if layer.name == "fc")
    return layer.forward[0], layer.backward[0]


@pytest.mark.parametrize(
    ("overrides", "forward", "backward"),
    [
        ((), 0, 0),
        (("periphery.ir_drop=1",), 1, 1),
        (("periphery.ir_drop=1", "periphery.ir_drop_backward=0"), 1, 0),
        (("periphery.ir_drop_backward=2.5",), 0, 2.5),
        (("layer.fc.periphery.ir_drop=3",), 3, 3),
    ],
)
def test_each_cycle_has_its_own(
    overrides: tuple[str, ...], forward: float, backward: float
) -> None:
    for node, strength in zip(reads(*overrides), (forward, backward), strict=True):
        assert node.attributes.get_float("ir_drop", 0.0) == strength
        assert stages_of(node) == ({IrDrop: (np.float32(strength),)} if strength else {})
        assert read_settings(node, False).stages == ((np.float32(strength),) if strength else ())


@pytest.mark.parametrize("evaluating", [False, True])
def test_the_steps_of_a_program_have_it(evaluating: bool) -> None:
    """Nothing but IR drop around the dense layer: the closed form, also in an evaluation."""
    strength = 2e5  # the layer is small
    program = tiny("rpu-managed", "", *OPEN, f"periphery.ir_drop={strength}")
    executor = Executor(Machine(program, seed=1), 4, ["fc.x1", "logits"], evaluating=evaluating)
    executor["x"][...] = np.random.default_rng(1).uniform(0, 1, executor["x"].shape)
    executor.run(0)
    W = executor.machine.arrays["fc.W"].visible.astype(float)
    X = executor["fc.x1"].astype(float)
    expected = [W @ x - strength * wire_loss(W, x) for x in X]
    assert np.abs(X @ W.T - expected).max() > 0.05
    np.testing.assert_allclose(executor["logits"], expected, rtol=0, atol=1e-4)


def test_groups_are_read_as_one_by_one() -> None:
    read, read_groups = read_kernels((IrDrop,))
    G, R, C, P, N = 3, 5, 7, 4, 2
    rng, f, blas = np.random.default_rng(1), np.float32, blas_routines()
    W = rng.uniform(-0.6, 0.6, (G, R, C)).astype(f)
    tiles = np.arange(G).reshape(G, 1, 1)
    settings = Settings(True, 3, f(0), f(0.06), f(0.3), f(63), False, f(0.01), stages=(f(3e4),))
    draws, scratch = Draws(P, 1, 0, np.uint32(1), np.uint32(2)), Scratch.of(P, C, C, 2)
    for transpose in (False, True):
        inputs, outputs = (R, C) if transpose else (C, R)
        cuts = np.array([0, inputs]), np.array([0, outputs])
        X = rng.uniform(-1, 1, (N * G, P, inputs)).astype(f)
        Y, expected = np.empty((2, N * G, P, outputs), f)
        tally, sums = np.zeros((2, 3), np.int64)
        lines = Lines(*cuts, tiles, transpose)
        read_groups(0, N * G, 9, blas, W, X, Y, lines, settings, draws, scratch, tally)
        for q in range(N * G):
            lines = Lines(*cuts, tiles[q % G], transpose)
            one = (W[q % G], X[q], expected[q], lines, settings, draws, scratch, sums)
            read(0, P, 9 + q // G, blas, *one)
        np.testing.assert_array_equal(Y, expected)
        np.testing.assert_array_equal(tally, sums)
        assert sums[REREADS] > 0


def test_a_training_with_it_does_not_depend_on_threads() -> None:
    program = tiny("rpu-managed", "", "periphery.ir_drop=1e4")
    one, several = (train(program, tiny_data(), threads=n, epochs=1)[0] for n in (1, 2))
    plain = train(tiny("rpu-managed", ""), tiny_data(), epochs=1)[0]
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array.visible, several.arrays[name].visible)
        assert np.any(array.visible != plain.arrays[name].visible)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1.0, "ir_drop = -1.0: allowed is a number from 0 to 1e6"),
        (0.5, "ir_drop = 0.5; the target has 1"),
    ],
)
def test_a_program_with_another_is_refused(value: float, expected: str, tmp_path: Path) -> None:
    model = tiny("rpu-managed", "", "periphery.ir_drop=1").model.clone()
    read = next(node for node in model.graph if node.op_type == "BoundedRead")
    read.attributes["ir_drop"] = ir.AttrFloat32("ir_drop", value)
    write_model(model, tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match="damaged") as caught:
        Program.load(tmp_path / "bad.onnx")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("ir_drop=-1", "periphery.ir_drop=-1: found -1, allowed: a number from 0 to 1e6"),
        ("ir_drop=true", "allowed: a number from 0 to 1e6"),
        ("ir_drop_backward=none", 'a number from 0 to 1e6, or "same" (as forward)'),
    ],
)
def test_what_a_target_may_say(value: str, allowed: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.load("ideal", [f"periphery.{value}"])
    assert allowed in str(caught.value)
