"""Programs are checked as a whole when they are loaded: every mutation of a sound one is named."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.cells import UPDATE_OPS
from rpucc.errors import ModelError
from rpucc.layers import MASKED, READS
from rpucc.node_attributes import policy_attributes
from rpucc.opset import OPS
from rpucc.program import Program
from rpucc.program_check.attributes import attribute_problems
from rpucc.stamps import set_attributes
from rpucc.target.target import Target, preset_names
from rpucc.write_model import write_model

from ..hostile.networks import KINDS, program


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_the_compiler_makes_is_sound(kind: str, tmp_path: Path) -> None:
    program(kind).save(tmp_path / "p.onnx")
    assert Program.load(tmp_path / "p.onnx").plan == program(kind).plan


OF_DEVICES = {name for name in preset_names() if Target.load(name).periphery.read_noise == 0.1}
"""Presets that differ from each other in their devices alone."""


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (model, target)
        for model in ("lenet", "mlp", "unet")
        for target in preset_names()
        if model == "mlp" or target not in OF_DEVICES
    ],
)
def test_the_zoo_is_sound_on_every_preset(model: str, target: str, tmp_path: Path) -> None:
    rpucc.compile(model, target, verify=False).save(tmp_path / "p.onnx")
    Program.load(tmp_path / "p.onnx")


# ---------------------------------------------------------------- every attribute, every key


def attributes_of_ops() -> list[tuple[str, str]]:
    return [(op, key) for op, spec in OPS.items() for key in spec.attributes]


VALUES: dict[str, list[object]] = {
    "INT": [-(2**40), 2**40, 1.5, "1", [1]],
    "FLOAT": [-1.0, float("nan"), float("inf"), 3, "1"],
    "STRING": ["nothing", 1],
    "INTS": [[-(2**40)], [2**40, 1], [-1], 1, 1.5],
}
"""Type of an attribute -> values that none of that type may have, and values of other types."""


@pytest.mark.parametrize(("op", "key"), attributes_of_ops())
def test_an_attribute_of_another_type_or_out_of_its_range_is_named(op: str, key: str) -> None:
    spec = OPS[op]
    for value in VALUES[spec.attributes[key].kind]:
        graph = ir.Graph([], [], nodes=[ir.node(op, [], {key: value}, domain="rpu", name="n")])
        found = [*attribute_problems(ir.Model(graph, ir_version=10))]
        named = [line for line in found if line.startswith(f"node 'n' ({op}): {key} = ")]
        assert len(named) == 1, value
        assert named[0].endswith(f": allowed is {spec.attributes[key].allowed.text}")


def attributes_of_policies() -> list[tuple[str, str]]:
    """(op, attribute) of all that a target decides; of ops that differ in their number of planes
    those of the first."""
    alike = {op for op in UPDATE_OPS if re.fullmatch(r"MultiTile[3-8]Update", op)}
    return [
        (op, each.name)
        for op, spec in OPS.items()
        if op.removeprefix(MASKED) not in alike
        for each in policy_attributes(spec.carries)
    ]


@pytest.mark.parametrize(("op", "key"), attributes_of_policies())
def test_a_node_that_contradicts_the_target_is_refused(op: str, key: str, tmp_path: Path) -> None:
    """Whatever it says that is legal by itself."""
    kinds = (kind for kind in KINDS if any(n.op_type == op for n in program(kind).model.graph))
    model = program(next(kinds)).model.clone()
    changed = node(model, op)
    found, allowed = changed.attributes[key].value, OPS[op].attributes[key].allowed
    legal = (v for v in (1, 0, 2, 0.25, 7, 3.5) if allowed.test(v))
    other = next(v for v in legal if v != found and isinstance(v, type(found)))
    set_attributes(changed, {key: other})
    write_model(model, tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match=rf"{key} = {other}; the target has"):
        Program.load(tmp_path / "bad.onnx")


Change = Callable[[ir.Model], None]


def node(model: ir.Model, op: str, index: int = 0) -> ir.Node:
    return [each for each in model.graph if each.op_type == op][index]


def attribute(op: str, key: str, value: int | float | list[int], index: int = 0) -> Change:
    def change(model: ir.Model) -> None:
        make = ir.AttrInt64s if isinstance(value, list) else ir.AttrInt64
        make = ir.AttrFloat32 if isinstance(value, float) else make  # type: ignore[assignment]
        node(model, op, index).attributes[key] = make(key, value)

    return change


def note(op: str, key: str, value: str) -> Change:
    def change(model: ir.Model) -> None:
        node(model, op).metadata_props[key] = value

    return change


def metadata(key: str, value: str) -> Change:
    def change(model: ir.Model) -> None:
        model.metadata_props[key] = value

    return change


def target(section: str, key: str, value: object) -> Change:
    def change(model: ir.Model) -> None:
        data = json.loads(model.metadata_props["rpucc.target"])
        data[section][key] = value
        model.metadata_props["rpucc.target"] = json.dumps(data)

    return change


def rewired(op: str, index: int, other: str, nth: int = 0) -> Change:
    def change(model: ir.Model) -> None:
        node(model, op).replace_input_with(index, node(model, other, nth).outputs[0])

    return change


def swapped(op: str, new: str) -> Change:
    def change(model: ir.Model) -> None:
        node(model, op).op_type = new

    return change


def not_finite(model: ir.Model) -> None:
    weight = model.graph.initializers["c.W"]
    assert weight.const_value is not None
    array = weight.const_value.numpy().copy()
    array[0, 0] = float("nan")
    weight.const_value = ir.tensor(array, name="c.W")


def state(name: str, array: np.ndarray[Any, Any]) -> Change:
    def change(model: ir.Model) -> None:
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
        value = model.graph.initializers[name]
        value.shape, value.dtype = ir.Shape(array.shape), value.const_value.dtype  # type: ignore[union-attr]

    return change


def state_shared(model: ir.Model) -> None:
    """Two layers count together."""
    one, other = (node(model, TIKI, i) for i in (0, 1))
    other.replace_input_with(5, one.inputs[5])


def state_dropped(model: ir.Model) -> None:
    update = node(model, TIKI)
    update.resize_inputs(5)


def state_unnamed(model: ir.Model) -> None:
    """The count goes on to nobody."""
    step = json.loads(model.metadata_props["rpucc.step"])
    step["state"].pop("c.W.count")
    model.metadata_props["rpucc.step"] = json.dumps(step)


def state_read(model: ir.Model) -> None:
    """Another node looks at the fast array."""
    update = node(model, TIKI)
    first = next(iter(model.graph))
    fast = update.inputs[4]
    assert fast is not None
    other = ir.node("Identity", [fast])
    other.outputs[0].name, other.name = "looked", "looks"
    other.outputs[0].shape, other.outputs[0].dtype = fast.shape, fast.dtype
    model.graph.insert_before(first, other)


def weight_is(node: ir.Node, name: str) -> bool:
    return node.op_type in READS and node.inputs[1] is node.graph.initializers[name]


def of_feedback(change: Callable[[ir.Node], None]) -> Change:
    """Change the Read of the only feedback matrix."""

    def apply(model: ir.Model) -> None:
        (read,) = (n for n in model.graph if weight_is(n, "fc.B"))
        change(read)

    return apply


def feedback_renamed(name: str) -> Change:
    return of_feedback(lambda read: read.metadata_props.__setitem__("rpucc.layer", name))


def layer_renamed(name: str) -> Change:
    def change(model: ir.Model) -> None:
        for each in model.graph:
            if each.metadata_props.get("rpucc.layer") == "c":
                each.metadata_props["rpucc.layer"] = name

    return change


def weights_read_back(model: ir.Model) -> None:
    """The errors go through the weights after all."""
    weight = model.graph.initializers["fc.W"]
    of_feedback(lambda read: read.replace_input_with(1, weight))(model)


def feedback_changed(model: ir.Model) -> None:
    """The update of the weights becomes one of the random matrix."""
    update = next(n for n in model.graph if n.name == "fc.W.update")
    update.replace_input_with(0, model.graph.initializers["fc.B"])
    of_feedback(lambda read: update.attributes.add(read.attributes["first_tile"]))(model)
    step = json.loads(model.metadata_props["rpucc.step"])
    step["state"]["fc.B"] = step["state"].pop("fc.W")
    model.metadata_props["rpucc.step"] = json.dumps(step)


def absent_in_feedback(model: ir.Model) -> None:
    of_feedback(lambda read: read.attributes.add(ir.AttrInt64s("absent", [0])))(model)


def backward_absent(model: ir.Model) -> None:
    """One Read, of the backward cycle alone, leaves out a tile."""
    reads = (n for n in model.graph if n.op_type in READS and n.attributes.get_int("transpose", 0))
    next(reads).attributes.add(ir.AttrInt64s("absent", [0]))


TIKI = "TikiTakaUpdate"
CELL = "is an integer from"

CHANGES: list[tuple[str, Change, str]] = [
    # attributes against ranges
    ("conv", attribute("Read", "transpose", 2), "transpose = 2: allowed is an integer from 0 to 1"),
    (
        "conv",
        attribute("Im2Col", "strides", [0, 1]),
        "strides = [0, 1]: allowed is integers from 1",
    ),
    ("conv", attribute("Im2Col", "pads", [0, 0, -1, 0]), "allowed is integers from 0"),
    ("conv", attribute("Im2Col", "kernel_shape", [2**40, 2]), "allowed is integers from 1"),
    ("conv", attribute("Update", "bl", -1), "bl = -1: allowed is 0 or an integer from 1 to"),
    ("conv", attribute("Read", "noise", -1.0), "noise = -1.0: allowed is a number from 0 to 1e6"),
    ("conv", attribute("Read", "adc_bits", 0.5), "adc_bits"),
    ("conv", attribute("Read", "extra", 1), "extra"),
    ("conv", attribute("MaxPool", "strides", [0, 2]), "strides = [0, 2]: allowed is integers"),
    ("independent", attribute("Assign", "copies", [0]), "copies = [0]: allowed is one integer"),
    ("independent", attribute("Collect", "positions", [-3]), "allowed is one integer"),
    # ... against the target
    ("exact", attribute("Update", "pulsed", 1), "pulsed = 1; the target has 0"),
    ("conv", attribute("Update", "bl", 200), "bl = 200; the target has 10"),
    ("conv", target("update", "pulsed", False), "pulsed = 1; the target has 0"),
    ("conv", target("update", "bl", 3), "bl = 10; the target has 3"),
    ("conv", target("periphery", "read_noise", 0.5), "noise = 0.05999999865889549; the target has"),
    ("conv", target("management", "max_halvings", 3), "max_halvings = 10; the target has 3"),
    ("conv", target("management", "bound_forward", False), "bound management says otherwise"),
    ("conv", target("management", "noise_backward", "never"), "noise management says 'never'"),
    ("conv", target("mapping", "devices_per_weight", 2), "has 1 devices a weight"),
    ("conv", target("mapping", "replicas", 2), "has 1 copies; the target has 2"),
    ("tiled", target("mapping", "cuts", "greedy"), "row_cuts = "),
    ("conv", swapped("BoundedRead", "Read"), "max_halvings"),
    # ... and against the graph
    ("tiled", attribute("Update", "first_tile", 1), "first_tile"),
    ("conv", attribute("NoiseManage", "cuts", [0, 2, 4]), "cuts"),
    ("tiled", attribute("Update", "row_cuts", [0, 1, 4]), "row_cuts"),
    ("independent", attribute("Assign", "layer", 7), "layer = 7 is that of"),
    ("conv", attribute("ReduceSum", "keepdims", 1), "InferenceError"),
    ("conv", rewired("Update", 2, "ReduceSum", 1), "x and d must be alike but for their lines"),
    ("conv", rewired("Rescale", 1, "Rescale"), ""),
    # metadata of nodes
    ("conv", note("BoundedRead", "rpucc.layer", "another"), "is called layer 'c', not layer"),
    ("conv", note("BoundedRead", "rpucc.array_kind", "huge"), "its kind of array is not that of"),
    ("replicas", note("BoundedRead", "rpucc.replicas", "-2"), "rpucc.replicas is no number"),
    ("devices", note("Read", "rpucc.devices_per_weight", "²"), "is no number"),
    ("long trains", note("Update", "rpucc.lr_scale", "nan"), "is 'nan'; the target has 0.5"),
    ("long trains", target("update", "lr_scale", 2), "is '0.5'; the target has 2"),
    ("long trains", rewired("Update", 3, "SoftmaxCrossEntropyLoss"), "is not 'lr' times 0.5"),
    ("conv", rewired("Update", 3, "SoftmaxCrossEntropyLoss"), "its rate is not the input 'lr'"),
    ("scaled", note("BoundedRead", "rpucc.weight_scale", "c.W"), "rpucc.weight_scale"),
    ("scaled", note("BoundedRead", "rpucc.weight_scale", "x"), "names no one constant"),
    (
        "conv",
        note("BoundedRead", "rpucc.beyond_bounds", "many"),
        "rpucc.beyond_bounds is no number",
    ),
    ("conv", metadata("rpucc.other_names", "[]"), "found [], allowed: an object"),
    ("conv", metadata("rpucc.other_names", '{"c": [1]}'), "c: found [1], allowed: a list of names"),
    ("conv", metadata("rpucc.other_names", '{"c": [], "c": []}'), "holds 'c' twice"),
    ("conv", metadata("rpucc.batch_norms", "[3]"), "0: found 3, allowed: an object"),
    ("conv", metadata("rpucc.batch_norms", '[{"node": "n"}]'), "'0.fate' is missing"),
    (
        "conv",
        metadata("rpucc.batch_norms", '[{"node": "n", "fate": "gone"}]'),
        '0.fate: found "gone", allowed: folded, frozen, trained or batch',
    ),
    ("conv", note("Update", "rpucc.per_sample", "1e9"), "rpucc.per_sample is not the 16"),
    ("conv", note("BoundedRead", "rpucc.op", "Mul"), "rpucc.op is 'Mul', none of"),
    # metadata of the model
    ("conv", metadata("rpucc.input_range", "0 inf"), "metadata rpucc.input_range: needs a finite"),
    ("conv", metadata("rpucc.fixed_batch", "two"), "needs a number of samples from 1 to 1,048,576"),
    ("conv", metadata("rpucc.fixed_batch", str(2**40)), "needs a number of samples from 1 to"),
    ("conv", metadata("rpucc.fixed_batch", "5"), "its first axis is not the batch, 5"),
    ("conv", metadata("rpucc.import_notes", "{"), "metadata rpucc.import_notes: is no valid JSON"),
    ("conv", metadata("rpucc.import_notes", "[" * 9999), "is no valid JSON"),
    ("conv", not_finite, "holds NaN"),
    # feedback matrices
    ("conv", target("update", "feedback", "random"), "reads the weights of layer 'fc'; the target"),
    ("feedback", target("update", "feedback", "weights"), "the target has none for 'fc'"),
    ("feedback", weights_read_back, "first_tile differs from that of 'fc.read'"),
    ("feedback", feedback_changed, "node 'fc.W.update': changes a feedback matrix"),
    ("feedback", feedback_renamed("c:feedback"), "has not the shape of 'c'"),
    ("feedback", feedback_renamed("nobody:feedback"), "its matrix has no forward read"),
    ("conv", layer_renamed("c:feedback"), "is called as a feedback matrix, but has a forward read"),
    ("feedback", feedback_renamed("fc"), "two matrices are called layer 'fc'"),
    # cells
    ("tiki-taka", attribute(TIKI, "transfer_every", 0), f"transfer_every = 0: allowed {CELL} 1"),
    ("tiki-taka", attribute(TIKI, "transfer_bl", 0), f"transfer_bl = 0: allowed {CELL} 1 to 255"),
    ("tiki-taka", attribute(TIKI, "transfer_columns", 0), f"transfer_columns = 0: allowed {CELL}"),
    ("tiki-taka", attribute(TIKI, "reset_fast", 2), f"reset_fast = 2: allowed {CELL} 0 to 1"),
    ("tiki-taka", attribute(TIKI, "transfer_by_minibatch", -1), "allowed is an integer from 0 to"),
    ("tiki-taka", attribute(TIKI, "gamma", -0.5), "gamma = -0.5: allowed is a number from 0"),
    ("tiki-taka", attribute(TIKI, "fast_lr", float("nan")), "fast_lr = nan: allowed is a number"),
    ("tiki-taka", attribute(TIKI, "transfer_lr", 1e9), "transfer_lr = 1000000000.0: allowed is"),
    ("tiki-taka", attribute(TIKI, "transfer_every", 3), "transfer_every = 3; the target has 2"),
    ("tiki-taka", attribute(TIKI, "gamma", 0.5), "gamma = 0.5; the target has 0.2"),
    ("tiki-taka", target("cell", "gamma", 0.5), "the target has 0.5"),
    ("tiki-taka", target("cell", "model", "plain"), "the keys of a plain cell: none"),
    ("conv", target("cell", "model", "tiki-taka"), "whose update is TikiTakaUpdate"),
    # masks
    ("masked", state("fc.W.mask", np.ones((3, 17), bool)), "its mask fixes no weight"),
    ("masked", state("fc.W.mask", np.zeros((3, 17), bool)), "its mask does not keep the zeros"),
    ("masked", state("fc.W.mask", np.zeros((3, 16), bool)), "the mask is not of W's shape"),
    ("masked", state("fc.W.mask", np.zeros((3, 17), np.float32)), "keep masks in BOOL: here BOOL"),
    ("masked", target("update", "mask", "none"), "has a mask, or tiles that are not there"),
    ("masked", attribute("MaskedUpdate", "absent", [0, 1]), "leaves out 2 tiles; 1 hold"),
    ("masked", attribute("MaskedUpdate", "absent", [1, 0]), "allowed is integers that rise"),
    ("masked", attribute("Read", "absent", [1]), "leaves out 1 tiles; 1 hold"),
    ("tiled", attribute("Update", "absent", [0]), "leaves out 1 tiles; 0 hold nothing but zeros"),
    ("tiled", backward_absent, "leaves out 1 tiles; 0 hold nothing but zeros"),
    ("feedback", absent_in_feedback, "leaves out 1 tiles; 0 hold nothing but zeros"),
    ("inference", note("BoundedRead", "rpucc.fixed_zeros", "1"), "the target has no mask"),
    ("inference", target("update", "mask", "zeros"), "lacks rpucc.fixed_zeros; the target's mask"),
    ("tiki-taka", swapped(TIKI, "Update"), "has input size 6"),
    ("conv", swapped("Update", TIKI), "has input size 4"),
    ("tiki-taka", state_dropped, "has input size 5"),
    ("tiki-taka", state_shared, "its state 'c.W.count' is used elsewhere, too"),
    ("tiki-taka", state_unnamed, "'c.W.count.next' is no next value of 'c.W.count'"),
    ("tiki-taka", state_read, "its state 'c.W.fast' is used elsewhere, too"),
    ("tiki-taka", state("c.W.fast", np.zeros((3, 3), "f4")), "c.W.fast"),
    ("tiki-taka", state("c.W.fast", np.zeros((4, 8), "f8")), "c.W.fast"),
    ("tiki-taka", state("c.W.count", np.zeros((1,), "i8")), "c.W.count"),
    ("tiki-taka", state("c.W.count", np.zeros((), "f4")), "c.W.count"),
    ("tiki-taka", state("c.W.count", np.full((), -1, "i8")), "'count' does not start at zero"),
    ("tiki-taka", state("c.W.fast", np.full((4, 9), 0.1, "f4")), "'fast' does not start at zero"),
    ("tiki-taka", rewired(TIKI, 4, TIKI, 1), "is not output of any previous nodes"),
    ("tiki-taka", attribute(TIKI, "first_tile", 1), "first_tile"),
]


@pytest.mark.parametrize(("kind", "change", "expected"), CHANGES)
def test_damage_is_named(kind: str, change: Change, expected: str, tmp_path: Path) -> None:
    model = program(kind).model.clone()
    change(model)
    path = tmp_path / "bad.onnx"
    write_model(model, path)
    with pytest.raises(ModelError) as caught:
        Program.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")  # what onnx's checker refuses first it says itself
    assert "damaged" in message
    assert "\n" not in message
    assert expected in message


@pytest.mark.slow
def test_checking_a_large_program_is_quick(tmp_path: Path) -> None:
    """ResNet-50 for training: most of loading is onnx's checker and the 100 MB of weights."""
    from rpucc.program_check import form_problems, meaning_problems

    made = rpucc.compile("resnet50", "rpu-managed", verify=False)
    started = time.perf_counter()
    assert not [*form_problems(made.model), *meaning_problems(made.model, made.target)]
    assert time.perf_counter() - started < 2.0
    made.save(tmp_path / "p.onnx")
    assert onnx.load(tmp_path / "p.onnx", load_external_data=False).ir_version
    Program.load(tmp_path / "p.onnx")
