"""Cells with exact updates are what any ONNX runtime makes of the program, for every layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.models import build
from rpucc.runtime.machine import Machine

from ..hostile.networks import network
from ..passes import tied
from .stock import assert_close, run_executor, stock_values, training_feeds, training_outputs

TIKI = ("cell.model=tiki-taka", "cell.fast_lr=0.5", "cell.transfer_lr=20")
MIXED = ("cell.model=mixed-precision", "cell.granularity=1e-4")
VECTORS = (*TIKI, "cell.transfer_by_minibatch=false", "cell.transfer_every=3", "cell.gamma=0.3")

MEMORY = {
    "tiki-taka-2": ("cell.momentum=0.2", "cell.transfer_columns=2", "cell.buffer_cap=2"),
    "chopped-tiki-taka": ("cell.in_chop_prob=0.4", "cell.transfer_every=2", "cell.gamma=0.3"),
    "agad": ("cell.in_chop_prob=0.4", "cell.tail_weightening=1"),
    "residual-2": ("cell.transfer_by_minibatch=true", "cell.transfer_columns=4"),
}
"""Cells with digital memory -> keys that matter."""
WRITES = ("cell.transfer_lr=20", "cell.auto_granularity=100", "cell.fast_lr=0.5", "update.bl=5")

Kind = tuple[Callable[[], onnx.ModelProto], tuple[str, ...]]

KINDS: dict[str, Kind] = {
    "lenet": (lambda: build("lenet"), ()),
    "tiled": (lambda: network("conv"), ("array.rows=3", "array.cols=5")),
    "devices": (lambda: network("conv"), ("mapping.devices_per_weight=3",)),
    "grouped": (lambda: network("grouped"), ()),
    "transposed": (lambda: network("transposed"), ()),
    "scaled": (lambda: network("dense"), ("mapping.weight_scaling=0.1",)),
    "shared": (lambda: network("conv"), ("layer.c.mapping.replicas=4",
                                         "layer.c.mapping.replica_updates=shared")),
    "siamese": (tied.siamese, ()),
    "windows": (tied.other_windows, ()),
    "autoencoder": (tied.autoencoder, ()),
}  # fmt: skip
"""What a layer may be -> the model, and what the target says."""


def exact(kind: str, *overrides: str) -> rpucc.Program:
    make, own = KINDS[kind]
    loss = "mse" if kind == "autoencoder" else "cross-entropy"
    return rpucc.compile(
        make(), rpucc.Target.load("ideal", [*own, *overrides]), loss=loss, verify=False
    )


def feeds_of(program: rpucc.Program) -> dict[str, np.ndarray]:
    """Two random samples with labels of the network."""
    feeds = training_feeds(program, 2)
    labels = str(program.step.labels)
    if program.loss == "mse":
        feeds[labels] = np.ones((2, 6), np.float32)
    else:
        feeds[labels] %= 2
    return feeds


@pytest.mark.parametrize(
    "overrides",
    [
        TIKI,
        VECTORS,
        (*VECTORS, "cell.transfer_columns=4", "cell.reset_fast=true"),
        MIXED,
        (*MIXED, "cell.transfer_rows=3", "cell.transfer_bl=2"),
        ("cell.model=one-sided",),
    ],
    ids=["minibatches", "vectors", "reset", "mixed", "rows", "one-sided"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_that_of_onnxruntime(kind: str, overrides: tuple[str, ...]) -> None:
    """W, the fast array and the count of every layer, and what is trained digitally."""
    program = exact(kind, *overrides)
    machine, feeds = Machine(program), feeds_of(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    expected = stock_values(program.model, feeds)
    run_executor(machine, feeds, training_outputs(program), 2)
    for name, after in program.step.state.items():
        found = machine.state()[name]
        if overrides[0] == MIXED[0] and name in machine.held and found.ndim:
            # What is left of a sum is no larger than a step, which the sum may be many of.
            np.testing.assert_allclose(found, expected[after], rtol=0, atol=2e-6, err_msg=name)
        else:
            assert_close(found, np.asarray(expected[after]), name)
        assert name not in machine.arrays or np.any(found != before[name]), name


@pytest.mark.parametrize("kind", ["tiled", "grouped", "windows"])
@pytest.mark.parametrize("cell", MEMORY)
def test_a_step_with_digital_memory_is_that_of_onnxruntime(cell: str, kind: str) -> None:
    """Memory, signs and sizes, too; writes are whole steps of the devices."""
    assert_memory_is_onnxruntimes(exact(kind, f"cell.model={cell}", *WRITES, *MEMORY[cell]))


def test_weights_that_stay_keep_their_memory() -> None:
    """Fixed zeros, on tiles that are not all there: nothing of their cells changes."""
    keys = "cell.model=agad", *WRITES, "cell.in_chop_prob=0.4", "cell.warm_up=false"
    tiles = (
        "update.mask=zeros",
        "cell.reset_fast=true",
        "cell.transfer_lr=500",
        "array.rows=3",
        "array.cols=5",
    )
    program = rpucc.compile(
        network("sparse"), rpucc.Target.load("ideal", [*keys, *tiles]), verify=False
    )
    assert any(node.op_type == "MaskedAgadUpdate" for node in program.model.graph)
    assert_memory_is_onnxruntimes(program)


def assert_memory_is_onnxruntimes(program: rpucc.Program) -> None:
    """A step changes all of a machine's state to what onnxruntime makes of it."""
    machine, feeds = Machine(program), feeds_of(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    expected, changed = stock_values(program.model, feeds), dict[str, bool]()
    run_executor(machine, feeds, training_outputs(program), 2)
    for name, after in program.step.state.items():
        found = machine.state()[name]
        if name.endswith(".buffer"):  # sums of reads in pulses: their rounding is many times larger
            np.testing.assert_allclose(found, expected[after], rtol=0, atol=1e-3, err_msg=name)
        else:
            assert_close(found, np.asarray(expected[after]), name)
        changed[name] = bool(np.any(found != before[name]))
    assert all(changed[f"{name}.fast"] for name in machine.arrays)
    # A write takes a whole pulse: few vectors may be too little for one.
    assert any(changed[name] for name in machine.arrays)


@pytest.mark.parametrize("kind", ["scaled", "devices"])
def test_it_learns_as_if_weights_were_not_held_otherwise(kind: str) -> None:
    """Scaled outputs, or several devices a weight: the network after a step is the same."""
    feeds = feeds_of(exact(kind, *VECTORS))
    outputs = []
    for own in (KINDS[kind][1], ()):
        make, _ = KINDS[kind]
        more = "cell.transfer_columns=1000", "mapping.bias=digital"
        target = rpucc.Target.load("ideal", [*own, *VECTORS, *more])
        program = rpucc.compile(make(), target, verify=False)
        machine = Machine(program)
        run_executor(machine, feeds, training_outputs(program), 2)
        after = run_executor(machine, feeds, [program.output], 2, evaluating=True)
        outputs.append(np.array(after[program.output]))
    np.testing.assert_allclose(*outputs, rtol=0, atol=2e-5 * float(np.abs(outputs[1]).max()))


def test_copies_that_learn_apart_learn_the_whole_gradient_together() -> None:
    """Positions are shared out at random on the machine: only the sum over copies is the same."""
    learn = "layer.c.mapping.replicas=4", "layer.c.mapping.replica_updates=independent"
    whole = (*TIKI, "cell.transfer_columns=1000", "cell.reset_fast=true")
    target = rpucc.Target.load("ideal", [*learn, *whole])
    program = rpucc.compile(network("conv"), target, verify=False)
    machine, feeds = Machine(program), feeds_of(program)
    before = program.model.graph.initializers["c.W"].const_value
    assert before is not None
    after = stock_values(program.model, feeds)[program.step.state["c.W"]]
    run_executor(machine, feeds, training_outputs(program), 2)
    start = before.numpy()
    found, expected = (
        np.sum((W - start).reshape(4, -1, start.shape[1]), axis=0)
        for W in (machine.state()["c.W"], after)
    )
    assert np.abs(expected).max() > 0.03
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
