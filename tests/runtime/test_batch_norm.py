"""Batch norms with statistics of the batch on a machine: kernels, steps, state and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.runtime.executor import Executor
from rpucc.runtime.kernels.batch_norm import batch_norm_gradient, batch_statistics, normalise
from rpucc.runtime.reference import batch_norm as reference

from ..passes.test_batch_statistics import BATCH, PLACES, constants, model

PLACE = "behind a convolution"


@pytest.mark.parametrize("shape", [(4, 3, 7), (2, 5, 1), (1, 2, 16)])
def test_kernels_are_the_plain_statement(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, d = rng.normal(3, 2, size=(2, *shape)).astype("f4")
    C = shape[1]
    scale, bias, mean, var = (array[:C] for array in constants(C).values())
    mean2, var2, centre, deviation, dscale, dbias = np.zeros((6, C), "f4")
    y, dx = np.zeros((2, *shape), "f4")
    for a, b in ((0, 1), (1, C)):
        batch_statistics(x, mean, var, 0.7, 0.01, mean2, var2, centre, deviation, a, b)
        normalise(x, scale, bias, centre, deviation, y, a, b)
        batch_norm_gradient(d, x, scale, centre, deviation, 1.0, dx, dscale, dbias, a, b)
    expected = reference.batch_norm(x, scale, bias, mean, var, 0.7, 0.01)
    for found, wanted in zip((y, mean2, var2), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    expected = reference.batch_norm_gradient(d, x, scale, 0.01)
    for found, wanted in zip((dx, dscale, dbias), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def data(program: rpucc.Program, samples: int = 12, seed: int = 0) -> rpucc.Dataset:
    shape = [d for d in program.model.graph.inputs[0].shape if isinstance(d, int)]
    rng = np.random.default_rng(seed)
    x, y = rng.random((samples, *shape), np.float32), rng.integers(0, 4, samples)
    return rpucc.load_dataset((x[:-2], y[:-2], x[-2:], y[-2:]))


def compiled(place: str = PLACE, target: str = "ideal", *overrides: str) -> rpucc.Program:
    return rpucc.compile(model(place), target, overrides=[*BATCH, *overrides], verify=False)


@pytest.mark.parametrize("place", PLACES)
def test_a_step_is_that_of_the_program_on_onnxruntime(place: str) -> None:
    """Every value: loss, gradients, weights and running statistics, all by the ideal bodies."""
    from rpucc.passes.execute import random_feeds, run_model

    program = compiled(place)
    feeds = {**random_feeds(program.model, batch=6), "training": np.ones((), "f4")}
    expected = run_model(program.model, feeds)
    step = program.step
    executor = Executor(rpucc.Machine(program), 6, [*step.measured, *step.state.values()])
    for name in ("x", "labels", "lr"):
        executor[name][...] = feeds[name]
    executor.run()
    for name in {*step.state, *step.measured}:
        new = step.state.get(name, name)
        found = executor.machine.state()[name] if name in step.state else executor[name]
        np.testing.assert_allclose(found, expected[new], rtol=1e-4, atol=2e-5, err_msg=name)


def test_evaluation_has_the_running_statistics_and_leaves_them() -> None:
    program = compiled()
    machine = rpucc.Machine(program)
    trainer, digits = rpucc.Trainer(machine), data(program)
    before = {name: machine.state()[name].copy() for name in ("m", "v")}
    trainer.fit(digits, epochs=1, lr=0.1, batch_size=5)
    state = {name: array.copy() for name, array in machine.state().items()}
    for name in before:
        assert (before[name] != state[name]).all()
    together = trainer.predict(digits.x_train)
    alone = np.concatenate([trainer.predict(digits.x_train[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, state[name])
    exported = machine.export()
    assert {"s", "t", "m", "v"} <= set(exported.written)
    weights = exported.weights
    for name in ("s", "t", "m", "v"):
        np.testing.assert_array_equal(weights[name], state[name])
    again = rpucc.compile(exported.to_onnx(), "ideal", training=False, verify=True)
    np.testing.assert_allclose(
        rpucc.Trainer(rpucc.Machine(again)).predict(digits.x_train), together, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_the_same_bits_on_any_threads_and_when_resumed(
    target: str, tmp_path: Path, many_parts: list[int]
) -> None:
    program = compiled("behind an Add", target)
    digits = data(program, samples=42)

    def trained(threads: int) -> dict[str, np.ndarray]:
        machine = rpucc.Machine(program, seed=2)
        rpucc.Trainer(machine, threads=threads).fit(digits, epochs=2, lr=0.05, batch_size=8)
        return machine.state()

    one = trained(1)
    stopped = rpucc.Machine(program, seed=2)

    def stop(step: rpucc.StepMetrics) -> None:
        if (step.epoch, step.done) == (2, 16):
            raise KeyboardInterrupt

    class Stop:
        on_step = staticmethod(stop)

    place = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        rpucc.Trainer(stopped).fit(
            digits, epochs=2, lr=0.05, batch_size=8, checkpoint=place, callbacks=[Stop()]
        )
    resumed = rpucc.Machine.load(place, program)
    assert resumed.counters.done == 16
    rpucc.Trainer(resumed).fit(digits, epochs=2, lr=0.05, batch_size=8)
    two = trained(2)
    assert max(many_parts) == 2
    for other in (two, resumed.state()):
        assert other.keys() == one.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_at_minibatch_1_the_statistics_are_those_over_positions() -> None:
    program = compiled()
    machine = rpucc.Machine(program)
    digits = data(program, samples=3)
    rpucc.Trainer(machine).fit(digits, epochs=1, lr=0.1)
    assert np.isfinite(machine.state()["v"]).all()


@pytest.mark.parametrize(("samples", "batch_size"), [(12, 1), (13, 5), (3, 4)])
def test_a_channel_of_one_number_is_refused_before_the_first_step(
    samples: int, batch_size: int
) -> None:
    program = compiled("on a dense layer")
    machine = rpucc.Machine(program)
    with pytest.raises(rpucc.RpuccError) as caught:
        rpucc.Trainer(machine).fit(data(program, samples), epochs=1, lr=0.1, batch_size=batch_size)
    assert str(caught.value) == (
        "node 'bn' (BatchNorm): a channel has one number only in a step of 1 sample, and no "
        "statistics: train with a larger batch (--batch-size) that leaves no single sample over, "
        'or with the file\'s statistics (batch_norm.policy = "frozen")'
    )
    assert machine.counters.sample == 0


def test_a_mode_that_is_no_input_is_a_damaged_program(tmp_path: Path) -> None:
    path = tmp_path / "p.rpu.onnx"
    compiled().save(path)
    proto = onnx.load(path)
    (entry,) = (each for each in proto.metadata_props if each.key == "rpucc.step")
    entry.value = entry.value.replace('"mode": "training"', '"mode": "lr"')
    onnx.save(proto, path)
    with pytest.raises(rpucc.ModelError, match=r"inputs, labels, rates and mode"):
        rpucc.Program.load(path)
