"""A learning rule that is no descent, in one file: what all rules share does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
import pytest

import rpucc
from rpucc.layers import analog_layers
from rpucc.opset import DOMAIN
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import StructureCheck
from rpucc.passes.graph_reader import CYCLE
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.learning.outer_product import outer_product
from rpucc.passes.learning.step import StepWriter, parameters
from rpucc.passes.pipeline import Options, build_pipeline, run_pipeline
from rpucc.passes.verify import Verify
from rpucc.program import Program
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer
from rpucc.step_contract import Metric
from rpucc.target.target import Target

from .importer_models import net
from .lowering import imported


@dataclass(frozen=True)
class Contrast(RpuPass):
    """W + lr (y x^T of the first read - y x^T of the second), as contrastive rules learn."""

    target: Target

    name: ClassVar[str] = "contrast"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        model.graph.sort()
        sources = parameters(model.graph)
        reads = [node for node in model.graph if node.op_type == "Read" and node.domain == DOMAIN]
        e = Emitter(model)
        step = StepWriter(e, self.target)
        step.add_rate(ir.DataType.FLOAT)
        products = []
        for sign, read in zip((-1.0, 1.0), reads, strict=True):
            e.scope, e.metadata = f"{read.name}.phase", {CYCLE: "update"}
            (summed,) = read.outputs[0].consumers()
            answer = summed.outputs[0]
            signed = e.op("Mul", answer, e.like(answer, sign))
            products.append(outer_product(e, read, read.inputs[0], signed))
        step.change(sources, products, {})
        output = model.graph.outputs[0]
        step.finish(output, (Metric("error", str(output.name), "labels", "labels"),))
        return ir.passes.PassResult(model, modified=True)


WEIGHT = np.random.default_rng(0).uniform(-0.3, 0.3, (6, 4)).astype(np.float32)


def compiled(*overrides: str) -> rpucc.Program:
    model = net(
        """(float[N,6] x, float[N,6] free) => (float[N,4] y) {
            [one] a = MatMul (x, w) [two] b = MatMul (free, w) y = Sub (a, b)
        }""",
        w=WEIGHT,
    )
    target = Target.load("ideal", ["mapping.weight_scaling=off", *overrides])
    passes = [
        Contrast(target) if each.name == "differentiate" else each
        for each in build_pipeline(Options(target))
    ]
    checks = [StructureCheck(), Verify()]
    return Program(run_pipeline(imported(model, target), passes, checks))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_two_outer_products_on_a_matrix_are_one_update(scale: float) -> None:
    """The sign of a phase is in d; the rate of a layer no rule has to think of."""
    program = compiled(f"update.lr_scale={scale}")
    assert (program.inputs, program.step.labels, program.loss) == (("x", "free"), None, "none")
    (layer,) = analog_layers(program.model)
    (update,) = layer.updates
    assert [str(value.shape) for value in update.inputs[1:3]] == ["[N,2,6]", "[N,2,4]"]
    rng = np.random.default_rng(1)
    x, free = (rng.random((8, 6)).astype(np.float32) for _ in range(2))
    labels = np.arange(8) % 4
    machine = Machine(program)
    trainer = Trainer(machine)
    before = np.argmax(x @ WEIGHT - free @ WEIGHT, axis=1)
    (metrics,) = trainer.fit(
        ({"x": x, "free": free}, labels, {"x": x, "free": free}, labels),
        epochs=1, batch_size=8, lr=0.1,
    )  # fmt: skip
    assert metrics.train_error == np.mean(before != labels)
    assert np.isnan(metrics.train_loss)
    moved = 0.1 * scale * (x.T @ (x @ WEIGHT) - free.T @ (free @ WEIGHT))
    expected = x @ (WEIGHT + moved) - free @ (WEIGHT + moved)
    np.testing.assert_allclose(trainer.predict({"x": x, "free": free}), expected, atol=1e-5)


def test_its_program_is_sound_and_trains_on_devices_too(tmp_path: Path) -> None:
    program = compiled("update.pulsed=true", "device.model=constant-step", "device.dw_min=0.001")
    program.save(tmp_path / "contrast.onnx")
    loaded = Program.load(tmp_path / "contrast.onnx")
    assert loaded.step == program.step
    assert loaded.plan.layers[0].updates == 2
    rng = np.random.default_rng(1)
    x = {"x": rng.random((20, 6), np.float32), "free": rng.random((20, 6), np.float32)}
    machine = Machine(loaded)
    start = machine.state()["one.W"].copy()
    Trainer(machine).fit((x, np.arange(20) % 4), epochs=1, lr=0.05)
    assert np.any(machine.state()["one.W"] != start)
