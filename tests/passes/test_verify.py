"""The verifier: it passes what is right and, which matters more, catches what is wrong.

The mutation tests put a mistake into a pass and expect VerificationError. Two constants are never
compared by these mutants' values alone: a flipped weight under a new name can only show in values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from rpucc.errors import UnverifiableError, VerificationError
from rpucc.layers import analog_layers
from rpucc.models import build
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import StructureCheck
from rpucc.passes.execute import random_feeds, run_model
from rpucc.passes.importer import load_model
from rpucc.passes.pipeline import Options, build_pipeline, run_pipeline
from rpucc.passes.verify import (
    Verify,
    compare_models,
    compare_snapshots,
    first_snapshot,
    take_snapshot,
)
from rpucc.target.target import Target

from .lowering import imported, ints, lowered, with_arrays
from .test_batch_statistics import model as norms

SMALL = """
<ir_version: 10, opset_import: ["" : 21]>
small (float[N, 1, 6, 6] x) => (float[N, 3] y)
<float[4, 1, 3, 3] k, float[4] kb, float[3, 16] w>
{
  c = Conv <pads = [0, 0, 0, 0]> (x, k, kb)
  r = Relu (c)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  f = Flatten (p)
  y = Gemm <transB = 1> (f, w)
}
"""
"""A ReLU network, in which some units are dead on any few images."""


def small_model() -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    proto = onnx.parser.parse_model(SMALL)
    arrays = {
        "k": rng.normal(0, 0.5, (4, 1, 3, 3)),
        "kb": rng.normal(-1.0, 0.5, 4),
        "w": rng.normal(0, 1, (3, 16)),
    }
    del proto.graph.initializer[:]
    for name, array in arrays.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), name))
    return proto


@dataclass(frozen=True)
class Mutated(RpuPass):
    """A pass that does its work and then makes a mistake."""

    inner: RpuPass
    mistake: Callable[[ir.Model], None] = field(compare=False)

    name: ClassVar[str] = "mutated"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        self.inner.call(model)
        self.mistake(model)
        return ir.passes.PassResult(model, modified=True)


def run_with_mistake(
    model: onnx.ModelProto,
    target: Target,
    at: str,
    mistake: Callable[[ir.Model], None],
    *,
    training: bool = True,
) -> None:
    """Run the pipeline with a mistake in the pass called `at`, verified."""
    passes = build_pipeline(Options(target, training=training))
    passes = [Mutated(each, mistake) if each.name == at else each for each in passes]
    run_pipeline(imported(model, target), passes, [Verify()])


def flip(model: ir.Model, weight: str, index: int, *, rename: bool) -> None:
    """Flip one weight's sign; under a new name, the constant itself cannot be compared."""
    value = model.graph.initializers[weight]
    array = value.const_value.numpy().copy()
    assert array.flat[index] != 0
    array.flat[index] *= -1
    value.const_value = ir.tensor(array, name=weight)
    if rename:
        value.name = f"{weight}.other"


# ---------------------------------------------------------------- mutants


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("source", [lambda: build("lenet"), small_model], ids=["lenet", "relu"])
def test_any_flipped_weight_of_any_layer_is_caught_by_values_alone(
    source: Callable[[], onnx.ModelProto], training: bool
) -> None:
    target = with_arrays((100, 60))
    original = load_model(source())
    program = lowered(source(), target, until="schedule", training=training)
    feeds = random_feeds(program)
    before = first_snapshot(original, feeds, "the original")
    compare_snapshots(
        before, take_snapshot(program, feeds, before.probes, "unchanged"), 1e-5, "unchanged"
    )
    rng = np.random.default_rng(0)
    layers = analog_layers(program)
    for layer in layers:
        size = layer.rows * layer.columns
        for index in rng.choice(size, min(size, 8), replace=False):
            mutant = program.clone()
            flip(mutant, layer.weight.name or "", int(index), rename=True)
            after = take_snapshot(mutant, feeds, before.probes, "mutant")
            with pytest.raises(VerificationError, match=r"^mutant.*relative difference"):
                compare_snapshots(before, after, 1e-5, "mutant")


@pytest.mark.parametrize("at", ["unroll", "differentiate", "tile", "manage_noise", "place"])
@pytest.mark.parametrize("layer", ["conv1", "conv2", "fc1", "fc2"])
def test_a_weight_flipped_in_any_pass_stops_the_pipeline(at: str, layer: str) -> None:
    index = int(np.random.default_rng(7).integers(200))

    def mistake(model: ir.Model) -> None:
        flip(model, f"{layer}.W", index, rename=False)

    with pytest.raises(VerificationError, match=r"^pass 'mutated'"):
        run_with_mistake(build("lenet"), with_arrays((100, 60)), at, mistake)


def test_a_weight_flipped_in_its_own_buffer_is_caught() -> None:
    def mistake(model: ir.Model) -> None:
        value = model.graph.initializers["fc2.W"]
        array = value.const_value.numpy().copy()
        value.const_value = ir.tensor(array, name="fc2.W")
        seen[:] = [array]

    seen: list[np.ndarray] = []

    def later(model: ir.Model) -> None:
        seen[0][0, 0] *= -1

    target = with_arrays((512, 512))
    passes = build_pipeline(Options(target))
    mistakes = {"tile": mistake, "place": later}
    passes = [Mutated(p, mistakes[p.name]) if p.name in mistakes else p for p in passes]
    with pytest.raises(VerificationError, match=r"constant 'fc2\.W' keeps its name"):
        run_pipeline(imported(build("lenet"), target), passes, [Verify()])


@pytest.mark.parametrize("layer", ["conv1", "conv2", "fc1", "fc2"])
def test_rounding_is_let_through_where_it_grows_but_a_flipped_weight_is_not(layer: str) -> None:
    # tanh of sums of several hundred: rounding alone moves its values by more than 1e-5
    target = with_arrays((100, 60))
    passes = build_pipeline(Options(target))

    def run(passes: list[RpuPass]) -> None:
        model = imported(build("lenet"), target)
        model.metadata_props["rpucc.input_range"] = "0 255"
        run_pipeline(model, passes, [verify])

    verify = Verify()
    run(passes)
    assert max(found.worst_difference for found in verify.results.values()) > 1e-5
    for at in ("unroll", "manage_noise"):
        verify = Verify()
        flipped = functools.partial(flip, weight=f"{layer}.W", index=77, rename=True)
        with pytest.raises(VerificationError, match=r"^pass 'mutated'.*relative difference"):
            run([Mutated(each, flipped) if each.name == at else each for each in passes])


def test_what_only_a_step_of_training_shows_is_caught() -> None:
    """Passes behind the last that gives an op a mode are compared in training."""

    def mistake(model: ir.Model) -> None:
        (norm,) = (node for node in model.graph if node.op_type == "BatchNorm")
        norm.attributes.add(ir.AttrFloat32("momentum", 0.1))

    target = with_arrays((100, 60), overrides=("batch_norm.policy=batch",))
    with pytest.raises(VerificationError, match=r"^pass 'mutated'.*value 'm\.next'"):
        run_with_mistake(norms("behind a convolution"), target, "tile", mistake)


def _find(model: ir.Model, op: str, layer: str, transpose: int = 0) -> ir.Node:
    return next(
        node
        for node in model.graph
        if node.op_type == op
        and node.metadata_props.get("rpucc.layer") == layer
        and node.attributes.get_int("transpose", 0) == transpose
    )


def lost_column(model: ir.Model) -> None:
    """The last column segment ends one column early."""
    read = _find(model, "Read", "fc1")
    read.attributes["col_cuts"] = ir.AttrInt64s("col_cuts", [*ints(read, "col_cuts")[:-1], 512])


def swapped_names(model: ir.Model) -> None:
    """A value and another one of its layer exchange their names."""
    values = {v.name: v for node in model.graph for v in node.outputs}
    one, other = values["conv2.cols"], values["conv2.x1"]
    one.name, other.name = other.name, one.name


def kept_name(model: ir.Model) -> None:
    """A value that means something else keeps its old name."""
    part = _find(model, "Read", "fc1").outputs[0]
    part.name = (part.name or "").removesuffix(".tiled")


def wrong_operand(model: ir.Model) -> None:
    """The update takes the wrong input of the right shape: zeros instead of x."""
    update = _find(model, "Update", "fc2")
    update.replace_input_with(1, _scaled(model, update.inputs[1], 0.0))


def scaled_error(model: ir.Model) -> None:
    """The backward read takes an error that is 0.1 % too large."""
    read = _find(model, "Read", "fc2", transpose=1)
    read.replace_input_with(0, _scaled(model, read.inputs[0], 1.001))


def _scaled(model: ir.Model, value: ir.Value | None, factor: float) -> ir.Value:
    assert value is not None
    tensor = ir.tensor(np.float32(factor), name="factor")
    constant = ir.val("factor", const_value=tensor)
    model.graph.register_initializer(constant)
    node = ir.node("Mul", [value, constant], name="scaled")
    node.outputs[0].name = "scaled_value"
    node.outputs[0].type, node.outputs[0].shape = value.type, value.shape
    first = next(user.node for user in value.uses() if user.node is not node)
    model.graph.insert_before(first, node)
    return node.outputs[0]


def lost_output(model: ir.Model) -> None:
    """An output of the graph is renamed."""
    model.graph.outputs[0].name = "renamed"


@pytest.mark.parametrize(
    ("mistake", "at", "message"),
    [
        (lost_column, "tile", r"value 'fc1_out' .*relative difference"),
        (swapped_names, "tile", r"value 'conv2\.(x1|cols)'.*shape"),
        (kept_name, "tile", r"value 'fc1\.part' \(node 'fc1\.read', op rpu\.Read\): shape"),
        (wrong_operand, "place", r"value 'fc2\.W\.next' .*relative difference"),
        (scaled_error, "tile", r"relative difference 0\.001"),
        (lost_output, "place", r"output 'logits' of the model before is gone"),
    ],
)
def test_other_mistakes_are_caught(
    mistake: Callable[[ir.Model], None], at: str, message: str
) -> None:
    with pytest.raises(VerificationError, match=message) as caught:
        run_with_mistake(build("lenet"), with_arrays((100, 60)), at, mistake)
    assert str(caught.value).startswith("pass 'mutated'")
    assert "\n" not in str(caught.value)


def test_cuts_that_disagree_between_cycles_are_caught_by_structure() -> None:
    # the ideal semantics of the forward read does not depend on row cuts, so values cannot tell
    model = lowered(build("lenet"), with_arrays((100, 60)), until="place")
    read = _find(model, "Read", "fc1", transpose=1)
    read.attributes["col_cuts"] = ir.AttrInt64s("col_cuts", [0, *ints(read, "col_cuts")[2:]])
    from rpucc.passes.callbacks import PassEvent

    with pytest.raises(VerificationError, match=r"^after pass 'place': node .*col_cuts.*differ"):
        StructureCheck()(PassEvent(1, "place", model, 0.0, modified=True))


def test_the_message_names_pass_value_node_magnitudes_and_difference() -> None:
    before, after = load_model(build("mlp")), load_model(build("mlp"))
    name = next(n for n in after.graph if n.op_type == "Gemm").inputs[1].name
    flip(after, name, 5, rename=True)
    with pytest.raises(VerificationError) as caught:
        compare_models(before, after, where="pass 'test'")
    assert "pass 'test'" in str(caught.value)
    assert "op Gemm" in str(caught.value)
    assert "relative difference" in str(caught.value)
    assert " before, " in str(caught.value)
    assert "values differ" in str(caught.value)


# ---------------------------------------------------------------- what is right passes


@pytest.mark.parametrize("training", [True, False])
def test_every_pass_of_a_right_pipeline_verifies(training: bool) -> None:
    target = with_arrays((7, 5))
    passes = build_pipeline(Options(target, training=training))
    verify = Verify()
    run_pipeline(imported(small_model(), target), passes, [StructureCheck(), verify])
    assert list(verify.results) == [each.name for each in passes]
    assert all(found.compared > 3 for found in verify.results.values())
    assert max(found.worst_difference for found in verify.results.values()) < 1e-5
    # the check says something: splitting sums does change the last bits
    assert verify.results["tile"].worst_difference > 0


def test_same_seed_same_inputs_another_seed_others() -> None:
    model = load_model(build("mlp"))
    one, same, other = (random_feeds(model, seed=seed)["x"] for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.shape == (2, 1, 28, 28)


def test_inputs_lie_where_they_should() -> None:
    model = lowered(build("lenet"), with_arrays((512, 512)), until="differentiate")
    model.metadata_props["rpucc.input_range"] = "-3 255"
    feeds = random_feeds(model, batch=50)
    assert feeds["x"].min() < 0
    assert 200 < feeds["x"].max() <= 255
    assert set(feeds["labels"]) == set(range(10))
    assert feeds["labels"].dtype == np.int64
    assert feeds["lr"] == np.float32(0.01)


def test_probes_cut_the_graph_and_still_show_what_was_computed() -> None:
    model = load_model(small_model())
    feeds = random_feeds(model)
    plain = run_model(model, feeds)
    name = next(node for node in model.graph if node.op_type == "Gemm").inputs[0].name
    zeros = {name: np.zeros_like(plain[name])}
    probed = run_model(model, feeds, probes=zeros)
    assert np.array_equal(probed[name], plain[name])
    assert not probed["y"].any()
    assert plain["y"].any()


def test_what_onnxruntime_refuses_is_one_line() -> None:
    model = load_model(build("mlp"))
    node = next(iter(model.graph))
    node.op_type = "NoSuchOp"
    with pytest.raises(UnverifiableError, match=r"^here: onnxruntime cannot run") as caught:
        run_model(model, random_feeds(model), "here")
    assert "\n" not in str(caught.value)


def test_a_dynamic_dimension_beyond_the_batch_cannot_be_drawn() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model(
            '<ir_version: 10, opset_import: ["" : 21]>'
            "g (float[N, M] x) => (float[N, M] y) { y = Tanh(x) }"
        )
    )
    with pytest.raises(UnverifiableError, match="input 'x': dimension 1"):
        random_feeds(model)


def test_trained_model_equals_its_original(shared: Path) -> None:
    """The ONNX-zoo MNIST network, opset 8 and batch 1 in the file, against its lowered forms."""
    path = shared / "models" / "mnist-conv" / "model.onnx"
    stored = [
        onnx.numpy_helper.to_array(onnx.load_tensor(path.parent / f"{name}_0.pb"))
        for name in ("input", "output")
    ]
    for size in ((512, 512), (128, 128), (100, 60), (7, 5)):
        target = with_arrays(size)
        for training in (True, False):
            model = imported(path, target)
            model.metadata_props["rpucc.input_range"] = "0 255"
            checks = [StructureCheck(), Verify()]
            run_pipeline(model, build_pipeline(Options(target, training=training)), checks)
            assert compare_models(onnx.load(path), model).compared > 5
            if not training:
                result = run_model(model, {model.graph.inputs[0].name: stored[0]})
                found = result[model.graph.outputs[0].name]
                assert np.abs(found - stored[1]).max() <= 1e-5 * np.abs(stored[1]).max()
