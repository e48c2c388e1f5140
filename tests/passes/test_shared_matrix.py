"""Tied weights: one matrix on arrays, read once for each use, updated once for all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.compiler.compile import compile_model
from rpucc.errors import TargetError, UnsupportedError
from rpucc.layers import WEIGHT_SCALE, analog_layers, weight_scale
from rpucc.passes.execute import random_feeds
from rpucc.passes.verify import compare_models

from .gradient_check import session
from .importer_models import net
from .lowering import with_arrays
from .steps import assert_steps_are_gradients
from .tied import TIED


@pytest.mark.parametrize("size", [(100, 60), (7, 5)])
@pytest.mark.parametrize("name", TIED)
def test_one_matrix_gets_the_gradient_of_all_its_uses(name: str, size: tuple[int, int]) -> None:
    habit = TIED[name]
    program = compile_model(habit.build(), with_arrays(size), loss=habit.loss, verify=True)
    layers = analog_layers(program.model)
    assert len(layers) == habit.layers
    assert all(len(layer.updates) == 1 for layer in layers)
    assert_steps_are_gradients(program)


@pytest.mark.parametrize("name", TIED)
def test_digital_layers_and_several_devices_a_weight_too(name: str) -> None:
    habit = TIED[name]
    for overrides in (("layer.*.analog=false",), ("mapping.devices_per_weight=3",)):
        target = with_arrays((100, 60), overrides=overrides)
        program = compile_model(habit.build(), target, loss=habit.loss, verify=True)
        if "analog" in overrides[0]:
            assert not analog_layers(program.model)
            assert sum(name.endswith(".W") for name in program.updates) == habit.layers
            assert_steps_are_gradients(program)


@pytest.mark.parametrize("name", TIED)
def test_inference_has_one_set_of_arrays_too(name: str) -> None:
    habit = TIED[name]
    program = compile_model(habit.build(), with_arrays((100, 60)), training=False, verify=True)
    assert len(analog_layers(program.model)) == habit.layers


def test_the_plan_counts_the_matrix_once_and_its_reads_for_each_use() -> None:
    plan = plan_of(TIED["siamese"].build, "mapping.weight_scaling=off")
    conv, fc = plan.layers
    assert (conv.name, conv.R, conv.C) == ("conv_a", 4, 10)
    assert conv.reads_forward == conv.updates == 2 * 16
    assert conv.macs == 2 * 16 * 40
    assert plan.weights == 40 + fc.weights
    assert "conv_a: 2 places of the model share this matrix and its arrays: conv_a, conv_b" in (
        plan.notes
    )


def test_each_direction_costs_its_own_converters() -> None:
    """The encoder drives 6 columns and converts 4 rows, the decoder the other way round."""
    plan = plan_of(TIED["autoencoder"].build, "mapping.bias=digital", "mapping.weight_scaling=off")
    (layer,) = plan.cost.layers
    forward, backward, update = layer.cycles
    assert (forward.count, forward.dac_conversions, forward.adc_conversions) == (2, 10, 10)
    assert (backward.count, backward.dac_conversions, backward.adc_conversions) == (1, 6, 4)
    assert update.count == 2


def plan_of(build: Callable[[], onnx.ModelProto], *overrides: str) -> rpucc.Plan:
    return rpucc.compile(build(), "rpu-managed", overrides=overrides).plan


def test_the_settings_of_the_first_place_are_those_of_the_matrix() -> None:
    build = TIED["autoencoder"].build
    plan = rpucc.compile(build(), "rpu-managed", overrides=["layer.enc.update.bl=3"]).plan
    assert [layer.update["bl"] for layer in plan.layers] == [3]
    plan = rpucc.compile(build(), "rpu-managed", overrides=["layer.enc.analog=false"]).plan
    assert plan.analog_layers == ()
    with pytest.raises(TargetError, match=r"'dec' reads the matrix of 'enc'.*the rule for 'enc'"):
        rpucc.compile(build(), "rpu-managed", overrides=["layer.dec.update.bl=3"])
    both = rpucc.compile(build(), "rpu-managed", overrides=["layer.*.update.bl=3"])
    assert both.plan.layers == plan_of(build, "update.bl=3").layers


# ---------------------------------------------------------------- what one array cannot serve


def embedding() -> onnx.ModelProto:
    """A table that is looked up, and read as the matrix of the last layer."""
    return net(
        """(float[N,3] x) => (float[N,7] y) {
            [i] i = Cast <to = 7> (x) [look] e = Gather (w, i) m = ReduceMean <keepdims = 0> (e, k)
            [h] h = Gemm (m, v)
            [t] wt = Transpose <perm = [1, 0]> (w) [out] y = Gemm (h, wt)
        }""",
        w=(7, 4),
        v=(4, 4),
        k=np.array([1]),
    )


def other_order() -> onnx.ModelProto:
    """The numbers of one weight, in two matrices that are not each other's transpose."""
    return net(
        """(float[N,4] x) => (float[N,4] y) {
            [one] a = Gemm (x, w) [r] s = Reshape (w, k) [two] b = MatMul (a, s) y = MatMul (b, v)
        }""",
        w=(4, 2),
        k=np.array([2, 4]),
        v=(4, 4),
    )


def scaled() -> onnx.ModelProto:
    """The second layer's weights are twice the first's."""
    return net(
        """(float[N,3] x) => (float[N,3] y) {
            [one] a = Gemm (x, w) [t] w2 = Mul (w, two) [two] y = Gemm (a, w2)
        }""",
        w=(3, 3),
        two=np.array(2, np.float32),
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (embedding, r"'out' \(Gemm\) and 'look' \(Gather\): both use the weight 'w', and the sec"),
        (other_order, r"'one' \(Gemm\) and 'two' \(MatMul\): .* 'w', whose numbers stand in anoth"),
        (scaled, r"'one' \(Gemm\) and 'two' \(Gemm\): .* 'w', from which the second computes"),
    ],
)
def test_copies_that_would_drift_apart_are_refused(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(UnsupportedError, match=message):
        rpucc.compile(build(), "ideal")
    assert rpucc.compile(build(), "ideal", training=False, verify=True).verified


def test_slices_of_one_weight_are_layers_of_their_own() -> None:
    """The packed projections of an attention: no number is in two of them."""
    model = net(
        """(float[N,3] x) => (float[N,3] y) {
            p, q = Split <axis = 1, num_outputs = 2> (w)
            [one] a = Gemm (x, p) [two] b = Gemm (x, q) y = Mul (a, b)
        }""",
        w=(3, 6),
    )
    assert [layer.name for layer in rpucc.compile(model, "ideal").plan.layers] == ["one", "two"]


def test_independent_copies_of_a_shared_matrix_are_refused() -> None:
    overrides = ["mapping.replicas=2", "mapping.replica_updates=independent"]
    with pytest.raises(UnsupportedError, match=r"'conv_a'.*a matrix that 2 layers share"):
        rpucc.compile(TIED["siamese"].build(), "ideal", overrides=overrides)


# ---------------------------------------------------------------- with weight scaling


def scaled_to(setting: str, build: Callable[[], onnx.ModelProto], loss: str) -> rpucc.Program:
    """A program whose weights are all scaled, or none; every pass verified."""
    target = with_arrays((100, 60), overrides=(f"mapping.weight_scaling={setting}",))
    return compile_model(build(), target, loss=loss, verify=True)


@pytest.mark.parametrize("name", ["siamese", "linear twice", "autoencoder", "one has a bias"])
def test_one_scale_for_all_uses_and_the_same_step(name: str) -> None:
    """scale · (new - old) of the devices is the step of the weights themselves."""
    habit = TIED[name]
    plain, scaled = (scaled_to(to, habit.build, habit.loss) for to in ("off", "0.1"))
    feeds = {**random_feeds(plain.model, seed=1), "lr": np.array(1, np.float32)}
    steps = []
    for program in (plain, scaled):
        runner = session(ir.to_proto(program.model))
        layer = analog_layers(program.model)[0]
        (new,) = runner.run([program.updates[str(layer.weight.name)]], feeds)
        assert len({read.metadata_props.get(WEIGHT_SCALE) for read in layer.forward}) == 1
        factor = weight_scale(layer.forward[0])
        by_line = np.ones((1, 1)) if factor is None else factor.reshape(-1, 1)
        steps.append(by_line * (new - layer.weight.const_value.numpy()))
    largest = np.abs(steps[0]).max()
    assert largest > 0
    columns = steps[1].shape[1]  # a bias may have moved off the arrays
    np.testing.assert_allclose(steps[0][:, :columns], steps[1], rtol=0, atol=1e-4 * largest)


def test_factors_do_not_move_into_or_out_of_a_tied_weight() -> None:
    """A ReLU lets factors through, but the weights behind it are also those of another place."""
    model = net(
        """(float[N,4] x) => (float[N,4] y) {
            [one] a = Gemm (x, w, c) h = Relu (a) [t] u = Transpose <perm = [1, 0]> (w)
            [two] b = Gemm (h, u) k = Relu (b) [fc] y = Gemm (k, v)
        }""",
        w=(4, 6),
        c=(6,),
        v=(4, 4),
    )
    program = scaled_to("0.1", lambda: model, "mse")
    assert compare_models(model, program.model).compared >= 3
    assert [layer.name for layer in program.plan.layers] == ["one", "fc"]
