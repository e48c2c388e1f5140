"""Random matrices that errors go back through: which there are, and what passes make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from rpucc.compiler.compile import compile_model
from rpucc.errors import TargetError, VerificationError
from rpucc.layers import AnalogLayer, analog_layers
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import StructureCheck
from rpucc.passes.pipeline import Options, build_pipeline, run_pipeline
from rpucc.passes.verify import Verify
from rpucc.passes.weight_scales import WeightBounds, unbounded
from rpucc.placement.program import grids_of
from rpucc.program import Program
from rpucc.runtime.feedback import draw
from rpucc.target.target import Target

from ..runtime.feedback import network
from .importer_models import net
from .lowering import imported, with_arrays

RANDOM = "update.feedback=random"


@dataclass(frozen=True)
class Mistaken(RpuPass):
    """A pass that flips the sign of a number of a feedback matrix after its work."""

    inner: RpuPass
    weight: str
    index: int
    rename: bool

    name: ClassVar[str] = "mistaken"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        self.inner.call(model)
        value = model.graph.initializers[self.weight]
        assert value.const_value is not None
        array = value.const_value.numpy().copy()
        array.flat[self.index] *= -1
        value.const_value = ir.tensor(array, name=self.weight)
        if self.rename:
            value.name = f"{self.weight}.other"
        return ir.passes.PassResult(model, modified=True)


def compiled(
    model: onnx.ModelProto,
    target: Target,
    bounds: WeightBounds = unbounded,
    mistaken: Callable[[RpuPass], RpuPass] = lambda each: each,
) -> ir.Model:
    passes = build_pipeline(Options(target, bounds=bounds, draw=draw))
    checks = [StructureCheck(), Verify()]
    return run_pipeline(imported(model, target), [mistaken(p) for p in passes], checks)


def layers_of(model: ir.Model) -> dict[str, AnalogLayer]:
    return {layer.name: layer for layer in analog_layers(model)}


def test_errors_are_read_through_it_and_nothing_else_is() -> None:
    target = with_arrays((8, 8), overrides=(RANDOM, "layer.c.update.lr_scale=0"))
    layers = layers_of(compiled(network(), target))
    assert list(layers) == ["a", "b", "c", "d", "d:feedback", "c:feedback", "b:feedback"]
    for name in "bcd":
        layer, feedback = layers[name], layers[f"{name}:feedback"]
        assert not layer.backward
        assert not feedback.forward
        assert not feedback.updates
        (read,) = feedback.backward
        assert read.attributes["transpose"].as_int() == 1
        for key in ("row_cuts", "col_cuts"):
            assert list(read.attributes[key].as_ints()) == list(
                layer.first.attributes[key].as_ints()
            )
    assert not layers["a"].backward, "nothing below it is trained"


@pytest.mark.parametrize("at", ["differentiate", "tile", "manage_noise", "manage_bounds", "place"])
@pytest.mark.parametrize("rename", [False, True])
@pytest.mark.parametrize("weight", ["b.B", "d.B"])
def test_a_number_that_a_pass_changes_stops_the_pipeline(
    at: str, weight: str, rename: bool
) -> None:
    """What a matrix holds is free; that all passes keep it is not."""
    if at == "differentiate":
        at = "replicate"
    with pytest.raises(VerificationError, match=weight if not rename else "pass 'mistaken'"):
        compiled(
            network(),
            with_arrays((8, 8), overrides=(RANDOM,)),
            mistaken=lambda p: Mistaken(p, weight, 5, rename) if p.name == at else p,
        )


def test_places_that_share_a_matrix_share_the_random_one() -> None:
    model = net(
        """(float[N,4] x) => (float[N,3] y) {
            [in] a = MatMul (x, v) t = Tanh (a) [one] b = MatMul (t, w) u = Tanh (b)
            [two] c = MatMul (u, w) r = Tanh (c) wt = Transpose <perm = [1, 0]> (w)
            [three] e = MatMul (r, wt) s = Tanh (e) [out] y = MatMul (s, z)
        }""",
        v=(4, 5),
        w=(5, 5),
        z=(5, 3),
    )
    layers = layers_of(compiled(model, with_arrays((8, 8), overrides=(RANDOM,))))
    assert list(layers) == ["in", "one", "out", "out:feedback", "one:feedback"]
    assert len(layers["one"].forward) == len(layers["one:feedback"].backward) == 3
    directions = [n.attributes.get_int("transpose", 0) for n in layers["one:feedback"].backward]
    assert sorted(directions) == [0, 1, 1]


@pytest.mark.parametrize(
    "layer",
    [
        "Conv <group = 2, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, g)",
        "ConvTranspose <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, w)",
        "Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], dilations = [1, 1]> (t, w)",
    ],
)
@pytest.mark.parametrize("overrides", [(), ("mapping.devices_per_weight=2",)])
def test_any_convolution_has_one(layer: str, overrides: tuple[str, ...]) -> None:
    model = net(
        f"""(float[N,2,4,4] x) => (float[N,3] y) {{
            [first] a = Conv <kernel_shape = [1, 1]> (x, v) t = Tanh (a)
            [second] b = {layer} u = Tanh (b) f = Flatten (u) [out] y = MatMul (f, z)
        }}""",
        v=(4, 2, 1, 1),
        g=(4, 2, 3, 3),
        w=(4, 4, 3, 3),
        z=(64, 3),
    )
    layers = layers_of(compiled(model, with_arrays((16, 16), overrides=(RANDOM, *overrides))))
    second, feedback = layers["second"], layers["second:feedback"]
    assert second.weight.shape == feedback.weight.shape
    assert (second.groups, second.devices) == (feedback.groups, feedback.devices)
    values = feedback.weight.const_value
    assert values is not None
    B = values.numpy().reshape(second.groups, second.devices, -1, second.columns)
    assert np.array_equal(B, np.broadcast_to(B[:, :1], B.shape)), "devices hold the same"
    # 9 taps of the outputs of a group; a transposed convolution has them as rows.
    assert np.abs(B).max() == pytest.approx((9 * 4 // second.groups) ** -0.5, rel=0.1)


def test_copies_that_learn_apart_hold_the_same_one() -> None:
    apart = "mapping.replicas=3", "mapping.replica_updates=independent"
    target = with_arrays((40, 40), overrides=(RANDOM, *(f"layer.b.{key}" for key in apart)))
    feedback = layers_of(compiled(network(), target))["b:feedback"]
    assert feedback.learners == feedback.replicas == 3
    values = feedback.weight.const_value
    assert values is not None
    one, *others = values.numpy().reshape(3, 4, 28)
    assert all(np.array_equal(one, other) for other in others)


def test_it_has_as_many_copies_as_its_layer_within_the_budget() -> None:
    target = with_arrays((40, 40), overrides=(RANDOM, "mapping.replicas=auto"))
    data = target.model_dump(by_alias=True)
    data["array"][0]["count"] = 16
    layers = layers_of(compiled(network(), Target.model_validate(data)))
    assert layers["a"].replicas > 1
    assert layers["b"].replicas > 1
    for name in "bcd":
        assert layers[f"{name}:feedback"].replicas == layers[name].replicas


def test_it_has_no_more_copies_than_reads(tmp_path: Path) -> None:
    """Of three places that share a weight the first is on the input: two errors go back."""
    model = net(
        """(float[N,4] x) => (float[N,3] y) {
            a = MatMul (x, w)  b = MatMul (a, w)  c = MatMul (b, w)  y = MatMul (c, v)
        }""",
        w=(4, 4),
        v=(4, 3),
    )
    budget = RANDOM, "mapping.replicas=auto", "array.small.count=9"
    program = compile_model(model, "rpu-managed", overrides=budget, verify=False)
    found = layers_of(program.model)
    assert (found["matmul_1"].replicas, found["matmul_1:feedback"].replicas) == (3, 2)
    program.save(tmp_path / "p.rpu.onnx")
    Program.load(tmp_path / "p.rpu.onnx")


def test_arrays_that_a_rule_names_are_the_layers_own() -> None:
    target = with_arrays((40, 40), overrides=(RANDOM, "layer.c.arrays=[5]"))
    grids = {grid.layer: grid for grid in grids_of(compiled(network(), target), target)}
    assert grids["c"].pins == (5,)
    assert grids["c:feedback"].pins == ()


def test_devices_that_hold_no_weights_of_both_signs_are_refused() -> None:
    refused = r"layer 'd': update\.feedback = \"random\" needs .* both signs; .* hold 0 to 1 on"
    target = with_arrays((40, 40), overrides=(RANDOM,))
    with pytest.raises(TargetError, match=refused):
        compiled(network(), target, bounds=lambda policy: (0.0, 1.0))


def test_digital_layers_keep_their_weights_and_a_note_says_so() -> None:
    digital = "layer.d.analog=false", "layer.b.analog=false"
    program = compile_model(network(), "ideal", overrides=[RANDOM, *digital], verify=False)
    assert [layer.name for layer in analog_layers(program.model)] == ["a", "c", "c:feedback"]
    (note,) = program.plan.notes
    assert note == (
        "'b', 'd': digital, so errors go back through their own weights (update.feedback)"
    )
    plain = compile_model(network(), "ideal", overrides=digital, verify=False)
    assert plain.plan.notes == ()


@pytest.mark.parametrize("name", ["fc:feedback", "fc:feedback:feedback"])
def test_no_layer_is_called_as_a_feedback_matrix(name: str) -> None:
    """A file may call a node anything; the rules of 'fc' are not those of another layer."""
    model = net("(float[N,4] x) => (float[N,3] y) { y = MatMul (x, w) }", w=(4, 3))
    model.graph.node[0].name = name
    target = with_arrays((8, 8))
    assert list(layers_of(compiled(model, target))) == ["fc"]
