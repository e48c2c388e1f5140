"""The step contract: what is read is what was written; what the graph does not keep is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from rpucc.errors import ModelError
from rpucc.program import Program
from rpucc.step_contract import STEP, Metric, StepContract
from rpucc.write_model import write_model

from ..hostile.networks import KINDS, program

Data = dict[str, Any]


@pytest.mark.parametrize("kind", KINDS)
def test_every_program_has_one_that_survives_its_json(kind: str) -> None:
    made = program(kind)
    assert StepContract.from_json(made.step.to_json()) == made.step
    assert made.step.inputs == (("x", "x2") if kind == "two inputs" else ("x",))
    assert bool(made.step.state) == bool(made.step.rates) == made.training
    values = {str(v.name) for node in made.model.graph for v in node.outputs}
    assert {made.output, *made.step.measured, *made.step.computed} <= values


@pytest.mark.parametrize(
    ("kind", "metrics"),
    [
        ("conv", [("loss", "cross-entropy", "samples"), ("error", "classes", "labels")]),
        ("binary", [("loss", "binary-cross-entropy", "samples"), ("error", "bits", "labels")]),
        ("mse", [("loss", "mse", "samples")]),
        ("inference", [("error", "labels", "labels")]),
    ],
)
def test_it_says_what_is_measured_and_how_that_is_averaged(
    kind: str, metrics: list[tuple[str, str, str]]
) -> None:
    step = program(kind).step
    assert [(each.name, each.rule, each.average) for each in step.metrics] == metrics
    assert {each.output for each in step.metrics} == {step.output} == {step.scored}
    assert [each.value for each in step.metrics if each.average == "labels"] in ([], [None])


def test_a_model_without_one_is_no_program() -> None:
    model = program("conv").model.clone()
    del model.metadata_props[STEP]
    assert StepContract.find(model) is None
    with pytest.raises(ModelError, match=r"is no program, its metadata lack rpucc.step$"):
        StepContract.of(model)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is no valid JSON"),
        ("[" * 99_999, "is no valid JSON"),
        ("[1]", "it needs the keys inputs, output, labels, rates, state, metrics"),
        ('{"inputs": ["x"], "inputs": ["y"]}', "holds 'inputs' twice"),
    ],
)
def test_what_is_no_contract_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        StepContract.from_json(text)
    assert str(caught.value).startswith(expected)


def setting(key: str, value: object) -> Callable[[Data], None]:
    return lambda data: data.__setitem__(key, value)


def metric(index: int, key: str, value: object) -> Callable[[Data], None]:
    return lambda data: data["metrics"][index].__setitem__(key, value)


def gone(key: str) -> Callable[[Data], None]:
    return lambda data: data.__delitem__(key)


def twice(data: Data) -> None:
    data["metrics"].append(data["metrics"][0])


CHANGES: list[tuple[str, Callable[[Data], None], str]] = [
    # its form
    ("conv", gone("rates"), "it needs the keys inputs, output, labels, rates, state, metrics"),
    ("conv", setting("more", 1), "it needs the keys"),
    ("conv", setting("inputs", "x"), 'inputs needs a list of names, found "x"'),
    ("conv", setting("inputs", [""]), "inputs needs a list of names"),
    ("conv", setting("output", None), "output needs a name, found null"),
    ("conv", setting("labels", 1), "labels needs a name or null, found 1"),
    ("conv", setting("state", ["c.W"]), "state needs names of initializers"),
    ("conv", setting("state", {"c.W": 1}), "state needs names of initializers"),
    ("conv", setting("metrics", {}), "metrics needs a list of metrics"),
    ("conv", setting("metrics", [1]), "metrics[0] needs the keys name, output, rule, average"),
    ("conv", metric(1, "rule", None), "rule needs a name"),
    ("conv", setting("gradients", ["y"]), "gradients needs names of values with the names of"),
    # its names
    ("conv", setting("inputs", ["y"]), "inputs: 'y' is no input of the graph"),
    ("conv", setting("inputs", []), "the graph has the inputs labels, lr, x; inputs, labels and"),
    ("conv", setting("inputs", ["x", "x"]), "inputs, labels and rates are labels, lr, x, x"),
    ("two inputs", setting("inputs", ["x"]), "the graph has the inputs labels, lr, x, x2; inputs"),
    ("conv", setting("labels", "lr"), "labels: 'lr' is no FLOAT or INT64 of 1 to 16 axes"),
    ("conv", setting("labels", None), "inputs, labels and rates are lr, x"),
    ("conv", setting("rates", ["x"]), "rates: 'x' is no FLOAT of 0 axes"),
    ("conv", setting("rates", []), "inputs, labels and rates are labels, x"),
    ("conv", setting("rates", ["lr", "lr"]), "are labels, lr, lr, x"),
    ("conv", setting("output", "nothing"), "output: 'nothing' is no result of a node"),
    ("conv", setting("output", "x"), "output: 'x' is no result of a node"),
    # its metrics
    ("conv", twice, "metrics: 'loss' is there twice"),
    ("conv", metric(0, "name", "gain"), "metrics: 'gain' is none of loss, error"),
    ("conv", metric(0, "rule", "hinge"), "'loss': its rule is 'hinge', none of cross-entropy,"),
    ("conv", metric(1, "rule", "mse"), "'error': its rule is 'mse', none of classes, bits,"),
    ("conv", metric(0, "average", "labels"), "'loss': its average is over 'labels', not samples"),
    ("conv", metric(0, "value", None), "a mean over samples has a value in the graph"),
    ("conv", metric(1, "value", "loss"), "a share of labels has none"),
    ("conv", metric(0, "value", "y"), "'loss': value: 'y' is no FLOAT of 0 axes"),
    ("conv", metric(1, "output", "lr"), "'error': output: 'lr' is no result of a node"),
    ("conv", metric(0, "output", "loss"), "output 'loss' []: training needs one that is FLOAT"),
    ("mse", metric(0, "rule", "cross-entropy"), "input 'targets' [N,3]: does not fit the output"),
    # its gradients
    ("outside", gone("gradients"), "the graph has the inputs lr, x, y.grad; inputs, labels and"),
    ("outside", setting("gradients", {"x": "y.grad"}), "gradients: 'x' is no value that has a"),
    ("outside", setting("gradients", {"y": "z"}), "gradients: 'z', the gradient of 'y', is no"),
    ("outside", setting("gradients", {"y": "lr"}), "'lr' is no FLOAT of the shape of 'y', [N,3]"),
    ("outside", setting("gradients", {"y": "y"}), "'y', the gradient of 'y', is no input of the"),
    ("outside", setting("input_gradients", {"y": "x.grad"}), "input_gradients: 'y' is no value"),
    ("outside", setting("input_gradients", {"x": "y.grad"}), "of 'x', is no result of a node"),
    ("conv", setting("input_gradients", {"x": "y.grad"}), "'y.grad' is no FLOAT of the shape of"),
    ("inference", setting("input_gradients", {"x": "y"}), "a step that changes nothing has none"),
    # its state
    ("conv", setting("state", {}), "rates and state: a step has a rate where it changes something"),
    ("conv", setting("state", {"W": "c.W.next"}), "state: 'W' is no initializer"),
    ("conv", setting("state", {"c.W": "lr"}), "state: 'lr', the next 'c.W', is no graph output"),
    ("conv", setting("state", {"c.W": "loss"}), "state: 'loss' is there twice"),
    ("conv", setting("state", {"c.W": "fc.b.next"}), "'c.W' is [4,8], its next value is [3]"),
    (
        "conv",
        setting("state", {"c.W": "c.W.next", "fc.W": "c.W.next"}),
        "state: 'c.W.next' is there twice",
    ),
    ("conv", setting("state", {"c.W": "c.W.next"}), "(Update): its result is no next value of"),
]


@pytest.mark.parametrize(("kind", "change", "expected"), CHANGES)
def test_a_contract_that_does_not_fit_is_named(
    kind: str, change: Callable[[Data], None], expected: str, tmp_path: Path
) -> None:
    model = program(kind).model.clone()
    data = json.loads(model.metadata_props[STEP])
    change(data)
    model.metadata_props[STEP] = json.dumps(data)
    path = tmp_path / "bad.onnx"
    write_model(model, path)
    with pytest.raises(ModelError, match=r"^[^\n]*$") as caught:
        Program.load(path)
    assert str(caught.value).startswith(f"{path}: a damaged program: ")
    assert expected in str(caught.value)


def test_gradients_from_outside_are_for_programs_without_labels(tmp_path: Path) -> None:
    """Those of a loss are made by nodes: an input in their place would go nowhere."""
    model = program("conv").model.clone()
    data = json.loads(model.metadata_props[STEP])
    output = next(v for node in model.graph for v in node.outputs if v.name == data["output"])
    extra = ir.Value(name="extra", shape=output.shape, type=ir.TensorType(ir.DataType.FLOAT))
    model.graph.inputs.append(extra)
    model.metadata_props[STEP] = json.dumps({**data, "gradients": {data["output"]: "extra"}})
    write_model(model, tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match="gradients: 'extra', the gradient of 'y', is no result"):
        Program.load(tmp_path / "bad.onnx")


def test_a_plain_models_own_words_are_not_taken_for_a_contract() -> None:
    import rpucc
    from rpucc.models import build

    proto = build("mlp")
    entry = proto.metadata_props.add()
    entry.key, entry.value = STEP, "{"
    assert rpucc.compile(proto, "ideal", verify=True).verified


def test_inference_is_a_contract_too() -> None:
    model = ir.from_proto(ir.to_proto(program("inference").model))
    made = StepContract.inference(model)
    assert made == StepContract(("x",), "y", metrics=(Metric("error", "y", "labels", "labels"),))
    assert replace(made, metrics=()).scored == "y"
    assert (made.loss, made.computed, made.measured) == ("none", (), ("y",))
