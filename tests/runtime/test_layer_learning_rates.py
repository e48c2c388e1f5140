"""`update.lr_scale`: a layer's own learning rate, on arrays and off them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.report.text.plan import update_policy

from .small import tiny, tiny_data
from .stock import run_executor, stock_values, training_feeds, training_outputs

LAYERS = ("c", "bn", "d", "fc")
PLACES = ["batch_norm.policy=train", "mapping.bias=digital", "layer.d.analog=false"]


def network() -> Any:
    """Conv, a trained batch norm, a digital Gemm, and a Gemm with a digital bias."""
    rng = np.random.default_rng(3)
    shapes = {"c.w": (4, 1, 3, 3), "d.w": (6, 36), "d.b": (6,), "fc.w": (10, 6), "fc.b": (10,)}
    shapes |= dict.fromkeys(("s", "t", "mean", "variance"), (4,))
    weights = {name: 0.3 * rng.normal(size=shape) for name, shape in shapes.items()}
    weights["variance"] = 1 + np.abs(weights["variance"])
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "c.w"], ["c_out"], name="c"),
        node("BatchNormalization", ["c_out", "s", "t", "mean", "variance"], ["n"], name="bn"),
        node("Tanh", ["n"], ["a"], name="tanh"),
        node("Flatten", ["a"], ["f"], name="f"),
        node("Gemm", ["f", "d.w", "d.b"], ["h"], name="d", transB=1),
        node("Gemm", ["h", "fc.w", "fc.b"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "rates",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 5, 5])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def changes(**scales: float) -> tuple[rpucc.Program, dict[str, Any]]:
    """The program, and by how much one step changes each trained weight; onnxruntime agrees."""
    own = [f"layer.{layer}.update.lr_scale={scale}" for layer, scale in scales.items()]
    # Verified: every pass computes what the one before did.
    program = rpucc.compile(network(), "ideal", overrides=[*PLACES, *own])
    feeds = training_feeds(program, 3)
    machine = rpucc.Machine(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    run_executor(machine, feeds, training_outputs(program), 3)
    after, stock = machine.state(), stock_values(program.model, feeds)
    for weight, updated in program.updates.items():
        np.testing.assert_allclose(after[weight], stock[updated], rtol=0, atol=1e-5)
    return program, {weight: after[weight] - before[weight] for weight in program.updates}


def test_each_layer_has_its_own_rate() -> None:
    _, usual = changes()
    assert len(usual) == 6
    assert all(np.abs(change).max() > 1e-3 for change in usual.values())
    scales = {"c": 0.5, "bn": 2.0, "d": 0.25, "fc": 0.0}
    program, scaled = changes(**scales)
    assert set(usual) - set(scaled) == {"fc.W", "fc.b_2"}
    for weight, change in scaled.items():
        layer = "bn" if weight in ("s", "t") else weight.split(".")[0]
        np.testing.assert_allclose(change, scales[layer] * usual[weight], rtol=0, atol=1e-6)
    shown = {layer.name: update_policy(layer) for layer in program.plan.layers}
    assert shown["c"] == "exact lr × 0.5"
    assert shown["fc"] == "frozen"


@pytest.mark.parametrize("device", ["constant-step", "soft-bounds"])
def test_a_frozen_layer_gets_no_pulse(device: str) -> None:
    program = tiny("rpu-managed", "", f"device.model={device}", "layer.c.update.lr_scale=0")
    machine = rpucc.Machine(program, seed=1)
    before = {name: array.copy() for name, array in machine.state().items()}
    rpucc.Trainer(machine).fit(tiny_data(), epochs=1, batch_size=2, lr=0.05)
    after = machine.state()
    np.testing.assert_array_equal(after["c.W"], before["c.W"])
    assert {layer.name: layer.frozen for layer in program.plan.layers} == {"c": True, "fc": False}
    # Nothing below the trained layer asks for its errors: there is no backward cycle at all.
    assert [layer.reads_backward for layer in program.plan.layers] == [0, 0]
    assert [node.op_type for node in program.model.graph].count("Update") == 1
    assert np.mean(after["fc.W"] != before["fc.W"]) > 0.5


def test_a_layer_between_trained_ones_passes_errors_on() -> None:
    """What is trained takes the very step that it takes where nothing is frozen."""
    _, usual = changes()
    program, found = changes(d=0.0)
    assert set(usual) - set(found) == {"d.W"}
    for weight, change in found.items():
        np.testing.assert_allclose(change, usual[weight], rtol=0, atol=1e-6)
    assert [layer.name for layer in program.plan.layers if layer.frozen] == ["d"]


def test_a_network_of_frozen_layers_alone_is_refused() -> None:
    with pytest.raises(rpucc.ModelError, match="nothing to train: all of its layers are frozen"):
        rpucc.compile("mlp", "ideal", freeze=["*"])


@pytest.mark.parametrize("cell", ["plain", "tiki-taka"])
def test_a_frozen_program_is_sound_on_devices_of_any_cell(cell: str, tmp_path: Path) -> None:
    """Only what is trained has the planes that only training pulses."""
    rules = (f"cell.model={cell}", "layer.c.update.lr_scale=0")
    program = tiny("soft-bounds", "", *rules)
    program.save(tmp_path / "frozen.onnx")
    loaded = rpucc.Program.load(tmp_path / "frozen.onnx")
    planes = {layer.name: len(layer.planes) for layer in loaded.plan.layers}
    assert planes == {"c": 1, "fc": 2 if cell == "tiki-taka" else 1}
    machine = rpucc.Machine(loaded, seed=1)
    before = machine.state()["c.W"].copy()
    rpucc.Trainer(machine).fit(tiny_data(), epochs=1, batch_size=2, lr=0.05)
    machine.save(tmp_path / "run")
    again = rpucc.Machine.load(tmp_path / "run")
    np.testing.assert_array_equal(again.state()["c.W"], before)
