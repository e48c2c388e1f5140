"""Batch norms of programs and checkpoints that somebody has edited: each slip is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import rpucc
from rpucc.errors import CheckpointError, ModelError
from rpucc.program import Program
from rpucc.runtime.checkpoint_file import Checkpoint, write_checkpoint

from ..passes.test_batch_statistics import BATCH, model

Edit = Callable[[onnx.ModelProto], None]


def node(proto: onnx.ModelProto, *ops: str) -> onnx.NodeProto:
    return next(each for each in proto.graph.node if each.op_type in ops)


def numbers(name: str, array: object) -> Edit:
    def edit(proto: onnx.ModelProto) -> None:
        (tensor,) = (each for each in proto.graph.initializer if each.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), name))

    return edit


def attribute(name: str, value: float) -> Edit:
    def edit(proto: onnx.ModelProto) -> None:
        for each in node(proto, "BatchNorm", "BatchNormalization").attribute:
            each.f = value if each.name == name else each.f

    return edit


def reads(index: int, name: str | None, op: str = "BatchNorm") -> Edit:
    """Another input; None for one less."""

    def edit(proto: onnx.ModelProto) -> None:
        inputs = node(proto, op).input
        if name is None:
            del inputs[index]
        else:
            inputs[index] = name

    return edit


def mode(kind: int, *dims: int) -> Edit:
    def edit(proto: onnx.ModelProto) -> None:
        (value,) = (each for each in proto.graph.input if each.name == "training")
        value.type.tensor_type.elem_type = kind
        for dim in dims:
            value.type.tensor_type.shape.dim.add().dim_value = dim

    return edit


def contract(change: Callable[[dict], object]) -> Edit:
    def edit(proto: onnx.ModelProto) -> None:
        (entry,) = (each for each in proto.metadata_props if each.key == "rpucc.step")
        step = json.loads(entry.value)
        change(step)
        entry.value = json.dumps(step)

    return edit


def constant_mode(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    node(proto, "BatchNorm").input[5] = "one"


NEGATIVE = np.float32([1, -0.5, 1])
OF_THE_BATCH: dict[str, tuple[Edit, str]] = {
    **{
        f"{name} of another shape": (
            numbers(name, np.ones(4, "f4")),
            f"metadata rpucc.step: state: '{name}' is [4], its next value is [3]",
        )
        for name in "stmv"
    },
    "a double": (numbers("m", np.ones(3)), "metadata rpucc.step: state: 'm' and its next value"),
    "a variance below 0": (
        numbers("v", NEGATIVE),
        "node 'bn' (BatchNorm): variance 'v' has 1 of 3 that are -0.5",
    ),
    "a momentum of 2": (
        attribute("momentum", 2.0),
        "node 'bn' (BatchNorm): momentum = 2.0: allowed is a number from 0 to 1",
    ),
    "an epsilon below 0": (
        attribute("epsilon", -1.0),
        "node 'bn' (BatchNorm): epsilon = -1.0: allowed is a number from 0 to 1e6",
    ),
    "no mode": (reads(5, None), "has input size 5 not in range [min=6, max=6]"),
    "a mode left out": (reads(5, ""), "input 5 is marked single but has an empty string"),
    "a mode that is a vector": (reads(5, "s"), "training must be one number, found rank 1"),
    "another mode": (
        reads(5, "lr"),
        "node 'bn' (BatchNorm): has 'lr' for its mode; the step contract has 'training'",
    ),
    "a constant mode": (constant_mode, "has 'one' for its mode; the step contract has 'training'"),
    "another mode of the gradient": (
        reads(5, "lr", "BatchNormGradient"),
        "(BatchNormGradient): has 'lr' for its mode; the step contract has 'training'",
    ),
    "a mode that counts": (mode(7), "mode: 'training' is no FLOAT of 0 axes"),
    "a mode with an axis": (mode(1, 2), "mode: 'training' is no FLOAT of 0 axes"),
    "a contract without mode": (contract(lambda step: step.pop("mode")), "the graph has the in"),
    "a state without the mean": (
        contract(lambda step: step["state"].pop("m")),
        "the running statistic 'm' becomes 'm.next'; the state of the step contract says None",
    ),
    "a state that swaps both": (
        contract(lambda step: step["state"].update(m="v.next", v="m.next")),
        "the running statistic 'm' becomes 'm.next'; the state of the step contract says 'v.next'",
    ),
    "a mean that is a number": (reads(3, "lr"), "mean must be [C], found rank 0"),
}
FROZEN: dict[str, tuple[Edit, str]] = {
    "a variance below 0": (
        numbers("v", NEGATIVE),
        "node 'bn' (BatchNormalization): variance 'v' has 1 of 3 that are -0.5",
    ),
    "a variance of 0 without epsilon": (
        lambda proto: [
            edit(proto) for edit in (numbers("v", np.zeros(3, "f4")), attribute("epsilon", 0.0))
        ],
        "node 'bn' (BatchNormalization): variance 'v' has 3 of 3 that are 0, with epsilon 0",
    ),
    "a mean that is none": (numbers("m", np.float32([1, np.nan, 1])), "constant 'm': holds NaN"),
    "a variance of another shape": (numbers("v", np.ones(4, "f4")), "constant 'v' is [4], its"),
}
CASES = [
    *((BATCH, name, *case) for name, case in OF_THE_BATCH.items()),
    *((["batch_norm.policy=frozen"], name, *case) for name, case in FROZEN.items()),
]


@pytest.mark.parametrize(
    ("overrides", "name", "edit", "said"), CASES, ids=[f"{c[0][0][18:]}: {c[1]}" for c in CASES]
)
def test_it_is_named(
    overrides: list[str], name: str, edit: Edit, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.rpu.onnx"
    place = model("behind a convolution")
    rpucc.compile(place, "ideal", overrides=overrides, verify=False).save(path)
    proto = onnx.load(path)
    edit(proto)
    onnx.save(proto, path)
    with pytest.raises(ModelError) as caught:
        Program.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("policy", ["batch", "frozen"])
@pytest.mark.parametrize(
    ("var", "epsilon", "said"),
    [
        (NEGATIVE, 0.01, "has 1 of 3 that are -0.5"),
        (np.float32([1, 0, 0]), 0.0, "has 2 of 3 that are 0, with epsilon 0"),
    ],
)
def test_a_checkpoint_with_variances_that_have_no_root(
    policy: str, var: np.ndarray, epsilon: float, said: str, tmp_path: Path
) -> None:
    proto = model("behind a convolution")
    attribute("epsilon", epsilon)(proto)
    overrides = [f"batch_norm.policy={policy}"]
    program = rpucc.compile(proto, "ideal", overrides=overrides, verify=False)
    machine = rpucc.Machine(program)
    state = {**machine.state(), "m": machine.values["m"], "v": var}
    path = tmp_path / "c.safetensors"
    write_checkpoint(Checkpoint(0, machine.counters, [], state), program, path)
    with pytest.raises(CheckpointError) as caught:
        rpucc.Machine.load(path, program)
    assert str(caught.value) == (
        f"{path}: variance 'v' of batch norm 'bn' {said}; a variance is 0 or more, and above 0 "
        "with its epsilon"
    )


@pytest.mark.parametrize("output", ["centre", "deviation"])
@pytest.mark.parametrize(("index", "name"), [(3, "m"), (4, "v")])
def test_a_statistic_that_another_norm_gives_but_does_not_move(
    index: int, name: str, output: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.rpu.onnx"
    rpucc.compile(model("used twice"), "ideal", overrides=BATCH, verify=False).save(path)
    proto = onnx.load(path)
    first, second = (each for each in proto.graph.node if each.op_type == "BatchNorm")
    found = dict(zip(("y", "mean2", "var2", "centre", "deviation"), first.output, strict=True))
    second.input[index] = found[output]
    onnx.save(proto, path)
    with pytest.raises(ModelError) as caught:
        Program.load(path)
    said = f"the running statistic {name!r} becomes '{name}.next'; the state of the step contract"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
