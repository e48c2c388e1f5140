"""Training and evaluating: equal to NumPy where that can be, learning, and clear refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, DataError, RpuccError
from rpucc.runtime import training as training_module
from rpucc.runtime.data import Dataset, load_dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import EpochMetrics, Progress, StepMetrics
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.warmup import warm_up
from rpucc.target.load import preset_text
from rpucc.target.target import Target

from .numpy_lenet import lenet_step
from .small import centred, on_progress, tiny, tiny_cnn, tiny_data, train
from .stock import assert_close, stock_values

LAYERS = ("conv1", "conv2", "fc1", "fc2")


def lenet_data(n: int = 6) -> Dataset:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (n, 1, 28, 28)).astype(np.uint8), rng.integers(0, 10, n)
    return Dataset("noise", x, y, x[:2], y[:2])


# Against NumPy -------------------------------------------------------------------------------


@pytest.mark.parametrize("digital", [(), ("fc2",), ("conv1", "fc1"), LAYERS[1:]])
def test_ideal_training_equals_numpy_sgd_also_with_digital_layers(digital: tuple[str, ...]) -> None:
    """Three full-batch steps, so that the order of samples plays no part."""
    rules = "".join(f'\n[[layer]]\nmatch = "{name}"\nanalog = false\n' for name in digital)
    target = Target.from_toml(preset_text("ideal") + rules)
    machine = Machine(rpucc.compile("lenet", target, verify=False))
    assert set(machine.arrays) == {f"{name}.W" for name in LAYERS if name not in digital}
    data = lenet_data()
    weights = as_matrices(machine)
    Trainer(machine).fit(data, epochs=3, batch_size=6, lr=0.1)
    for _ in range(3):
        _, _, weights = lenet_step(weights, data.x_train / 255, data.y_train, 0.1)
    for name, found in as_matrices(machine).items():
        assert_close(found, weights[name].astype(np.float32), name)


def as_matrices(machine: Machine) -> dict[str, np.ndarray]:
    """Weights [R, C + 1] by layer, also of digital layers, whose bias may be apart."""
    state = {name: np.array(array) for name, array in machine.state().items()}
    found = {}
    for layer in LAYERS:
        if f"{layer}.W" in state:
            found[layer] = state[f"{layer}.W"]
        else:
            weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
            flat = weight.reshape(len(weight), -1)
            found[layer] = np.concatenate([flat, bias.reshape(-1, 1)], axis=1)
    return found


def test_a_mean_squared_error_is_trained_too() -> None:
    program = rpucc.compile(tiny_cnn(), "ideal", loss="mse", verify=False)
    data = tiny_data(9)
    y = np.eye(3, dtype=np.float32)[data.y_train]
    regression = Dataset("mse", data.x_train, y, data.x_test, np.eye(3)[data.y_test])
    machine, metrics = train(program, regression, batch_size=9, epochs=1, lr=0.1)
    x = data.x_train.astype(np.float32) / 255
    outputs = stock_values(tiny_cnn(), {"x": x})["logits"]
    assert metrics[0].train_loss == pytest.approx(float(np.mean((outputs - y) ** 2)), rel=1e-5)
    again = Trainer(machine).evaluate(data.x_train, y)
    assert again.loss < metrics[0].train_loss


def test_epoch_metrics_are_those_of_the_samples() -> None:
    """With a vanishing rate nothing changes, so they can be computed from the first weights."""
    data = tiny_data(23)
    _, metrics = train(tiny("ideal"), data, epochs=1, batch_size=5, lr=1e-30)
    logits = stock_values(tiny_cnn(), {"x": data.x_train.astype(np.float32) / 255})["logits"]
    z = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(23), data.y_train]
    assert metrics[0].train_loss == pytest.approx(losses.mean(), rel=1e-5)
    assert metrics[0].train_error == np.mean(logits.argmax(axis=1) != data.y_train)
    assert (metrics[0].epoch, metrics[0].samples) == (1, 23)
    tests = stock_values(tiny_cnn(), {"x": data.x_test.astype(np.float32) / 255})["logits"]
    assert metrics[0].test_error == np.mean(tests.argmax(axis=1) != data.y_test)


def test_counts_of_pulses_and_reads() -> None:
    machine, metrics = train(tiny(), tiny_data(), epochs=2, batch_size=5)
    for epoch in metrics:
        # Forward: 36 windows and a vector; backward below fc only (no error below the input).
        assert 23 * (36 + 1) < epoch.reads <= 23 * (36 + 1 + 1)
        assert 0 < epoch.pulses_per_weight < 100
    _, ideal = train(tiny("ideal"), tiny_data(), epochs=1)
    assert (ideal[0].reads, ideal[0].pulses_per_weight) == (0, 0)
    assert machine.history == [m.reproducible() for m in metrics]


def test_a_last_smaller_batch_counts_each_sample_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "PROGRESS_SECONDS", -1.0)
    seen: list[Progress] = []
    machine, _ = train(
        tiny(), tiny_data(23), epochs=1, batch_size=10, callbacks=[on_progress(seen.append)]
    )
    assert [p.samples_done for p in seen] == [10, 20, 23]
    assert machine.counters.sample == 23
    assert all((p.epoch, p.epochs, p.samples) == (1, 1, 23) for p in seen)
    assert all(p.loss > 0 and p.samples_per_second > 0 for p in seen)


def test_each_epoch_takes_every_sample_once_in_an_order_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_module, "PROGRESS_SECONDS", -1.0)
    x = np.arange(23, dtype=np.uint8).repeat(64).reshape(23, 1, 8, 8)
    data = Dataset("numbered", x, np.zeros(23, int), x[:2], np.zeros(2, int))
    trainer = Trainer(Machine(tiny("ideal")))
    seen: list[int] = []

    def note(_: Progress) -> None:
        seen.append(round(float(trainer.executor(1, evaluating=False)["x"][0, 0, 0, 0]) * 255))

    trainer.fit(data, epochs=2, lr=1e-9, callbacks=[on_progress(note)])
    assert sorted(seen[:23]) == sorted(seen[23:]) == list(range(23))
    assert seen[:23] != seen[23:]
    assert seen[:23] != list(range(23))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_evaluation_does_not_depend_on_the_batch_in_ideal_mode(batch_size: int) -> None:
    data = tiny_data()
    trainer = Trainer(Machine(tiny("ideal")))
    found = trainer.evaluate(data.x_test, data.y_test, batch_size)
    whole = trainer.evaluate(data.x_test, data.y_test, 11)
    assert found.loss == pytest.approx(whole.loss, rel=1e-6)
    assert found.error == whole.error
    assert_close(trainer.predict(data.x_test, batch_size), trainer.predict(data.x_test, 11))


def test_bytes_and_floats_are_the_same_samples() -> None:
    data = tiny_data()
    trainer = Trainer(Machine(tiny("ideal")))
    expected = trainer.predict(data.x_test)
    for dtype in (np.float16, np.float32, np.float64):
        x = (data.x_test / 255).astype(dtype)
        found = trainer.predict(x)
        scale = 2e-3 if dtype == np.float16 else 1e-5
        np.testing.assert_allclose(found, expected, rtol=0, atol=scale * np.abs(expected).max())


def test_an_inference_program_evaluates_but_does_not_train() -> None:
    program = rpucc.compile(tiny_cnn(), "rpu-managed", training=False, verify=False)
    trainer, data = Trainer(Machine(program)), tiny_data()
    evaluation = trainer.evaluate(data.x_test, data.y_test)
    assert math.isnan(evaluation.loss)
    assert 0 <= evaluation.error <= 1
    with pytest.raises(RpuccError, match="compiled for inference: compile it without --inference"):
        trainer.fit(data, epochs=1)


def test_a_model_of_a_fixed_batch_size() -> None:
    program = rpucc.compile(centred(4), "ideal", verify=False)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (8, 6)).astype(np.uint8), rng.integers(0, 3, 8)
    machine = Machine(program)
    trainer = Trainer(machine)
    warm_up(trainer, 4)
    metrics = trainer.fit(Dataset("even", x, y, x, y), epochs=1, batch_size=4, lr=0.1)
    assert metrics[0].samples == 8
    assert trainer.predict(x).shape == (8, 3)  # in fours, whatever batch size evaluations use
    for batch_size, samples in ((1, 8), (8, 8), (4, 7)):
        data = Dataset("uneven", x[:samples], y[:samples], x, y)
        with pytest.raises(RpuccError, match="batches of exactly 4 samples, not") as caught:
            Trainer(Machine(program)).fit(data, epochs=1, batch_size=batch_size)
        assert "\n" not in str(caught.value)
    with pytest.raises(RpuccError, match="batches of exactly 4 samples, not 3"):
        trainer.evaluate(x[:7], y[:7])


# Learning ------------------------------------------------------------------------------------


def test_managed_arrays_learn_digits() -> None:
    data = load_dataset("mnist-mini")
    part = Dataset("part", data.x_train[:1500], data.y_train[:1500], data.x_test, data.y_test)
    machine = Machine(rpucc.compile("lenet", "rpu-managed", verify=False))
    before = Trainer(machine).evaluate(part.x_test, part.y_test)
    metrics = Trainer(machine).fit(part, epochs=1, batch_size=1, lr=0.01)
    assert before.error > 0.8
    assert metrics[0].test_error < 0.4
    assert metrics[0].test_loss < before.loss
    assert metrics[0].pulses_per_weight > 1


# Refusals ------------------------------------------------------------------------------------


def refused(
    error: type[RpuccError], match: str, *, data: Dataset | None = None, **how: Any
) -> None:
    """`fit` raises one line, and nothing is trained."""
    machine = Machine(tiny("ideal"))
    before = machine.arrays["fc.W"].weights.copy()
    with pytest.raises(error, match=match) as caught:
        Trainer(machine).fit(data or tiny_data(), **{"epochs": 1, **how})
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(machine.arrays["fc.W"].weights, before)
    assert machine.counters.sample == 0


@pytest.mark.parametrize("how", [{"epochs": 0}, {"epochs": -1}, {"batch_size": 0}])
def test_epochs_and_batches_must_be_positive(how: dict[str, int]) -> None:
    refused(ArgumentError, "allowed: an integer from 1 to ", **how)


@pytest.mark.parametrize("lr", [0.0, -0.1, math.nan, math.inf])
def test_the_learning_rate_must_be_positive_and_finite(lr: float) -> None:
    refused(ArgumentError, "^lr: found .* allowed: a positive, finite number", lr=lr)


def test_at_least_one_thread() -> None:
    with pytest.raises(ArgumentError, match="threads: found 0; allowed: an integer from 1 to 1024"):
        Trainer(Machine(tiny("ideal")), threads=0)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("value", [1.5, -0.1, math.nan])
def test_samples_beyond_the_input_range(part: str, value: float) -> None:
    data = tiny_data(dtype=np.float32)
    x = {"train": data.x_train.copy(), "test": data.x_test.copy()}
    x[part][3, 0, 2, 2] = value
    bad = Dataset("bad", x["train"], data.y_train, x["test"], data.y_test)
    refused(DataError, "beyond the program's input range|NaN", data=bad)


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 9, 9), (3, 8, 8)])
def test_samples_of_another_shape(shape: tuple[int, ...]) -> None:
    x, y = np.zeros((6, *shape), np.uint8), np.zeros(6, np.int64)
    refused(DataError, "shape", data=Dataset("bad", x, y, x, y))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [3, -1, 2**40])
def test_labels_that_the_model_has_no_output_for(part: str, label: int) -> None:
    data = tiny_data()
    y = {"train": data.y_train.copy(), "test": data.y_test.copy()}
    y[part][10] = label
    bad = Dataset("bad", data.x_train, y["train"], data.x_test, y["test"])
    refused(DataError, f"label {label}", data=bad)


def test_evaluating_refuses_what_does_not_fit() -> None:
    trainer, data = Trainer(Machine(tiny("ideal"))), tiny_data()
    x, y = data.x_test, data.y_test
    with pytest.raises(ArgumentError, match="batch_size: found 0"):
        trainer.evaluate(x, y, batch_size=0)
    with pytest.raises(
        DataError, match=r"samples of shape \[1, 7, 8\] but the model takes \[1, 8, 8\]"
    ):
        trainer.predict(x[:, :, 1:])
    with pytest.raises(DataError, match="beyond the program's input range"):
        trainer.predict(np.full((2, 1, 8, 8), 2, np.float32))
    with pytest.raises(DataError, match="label 7"):
        trainer.evaluate(x, np.full(len(x), 7))
    with pytest.raises(DataError):
        trainer.evaluate(x, y[:-1])
    with pytest.raises(DataError):
        trainer.evaluate(x[:0], y[:0])
    with pytest.raises(DataError):
        trainer.predict(x[:0])


@pytest.mark.parametrize("model", ["tiny", "lenet"])
def test_a_diverging_run_ends_with_one_clear_line(model: str, tmp_path: Path) -> None:
    program = tiny("ideal") if model == "tiny" else rpucc.compile("lenet", "ideal", verify=False)
    data = tiny_data() if model == "tiny" else lenet_data(20)
    with pytest.raises(RpuccError, match=r"the loss is not finite .* a smaller --lr") as caught:
        train(program, data, lr=3e38, batch_size=1, checkpoint=tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_last_update_that_diverges_is_told_too(tmp_path: Path) -> None:
    """No loss shows it: what comes after it is the test, whose error says nothing."""
    machine, data = Machine(tiny("ideal")), tiny_data()

    class LastUpdate:
        def on_step(self, step: StepMetrics) -> None:
            if step.done == len(data.y_train):
                next(iter(machine.state().values()))[0] = np.inf

    with pytest.raises(RpuccError, match=r"the weights '.*' are not finite after sample 23 of ep"):
        Trainer(machine).fit(data, epochs=1, checkpoint=tmp_path / "c", callbacks=[LastUpdate()])
    assert list(tmp_path.iterdir()) == []


def test_a_smaller_data_set_than_the_checkpoints() -> None:
    machine = Machine(tiny("ideal"))
    machine.counters.done = machine.counters.sample = 20
    with pytest.raises(DataError, match="further into its epoch than this data set is long"):
        Trainer(machine).fit(tiny_data(15), epochs=1)


def test_metrics_survive_their_record() -> None:
    _, metrics = train(tiny(), tiny_data(), epochs=1)
    record = metrics[0].reproducible()
    assert "seconds" not in record
    assert EpochMetrics.from_record({**record, "unknown": 1}).reproducible() == record


def test_a_prediction_is_not_counted_in_the_next_evaluation() -> None:
    data = load_dataset("mnist-mini")
    x, y = data.x_test[:20], data.y_test[:20]
    trainer = Trainer(Machine(rpucc.compile("mlp", "rpu-managed", verify=False)))
    reads = trainer.evaluate(x, y, batch_size=10).reads
    trainer.predict(x, batch_size=10)
    assert trainer.evaluate(x, y, batch_size=10).reads == reads > 0
