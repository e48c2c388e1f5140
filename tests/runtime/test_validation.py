"""Validation samples: which they are, that they are not trained on, and what is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.checkpoint import save_checkpoint
from rpucc.runtime.data import Dataset
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import EpochMetrics, RunInfo
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.validation import split, whole

from .small import centred, tiny, tiny_data, train


def numbered(n: int) -> Dataset:
    """Samples that say which they are."""
    x = np.arange(n, dtype=np.float32)[:, None]
    return Dataset("numbered", x, np.arange(n), x[:1], np.zeros(1, int))


@pytest.mark.parametrize(("n", "share", "held"), [(100, 0.1, 10), (7, 0.01, 1), (7, 0.99, 6)])
def test_a_share_divides_the_samples(n: int, share: float, held: int) -> None:
    found = split(numbered(n), share, seed_key(1))
    assert found.trained is not None
    taken = found.x[:, 0].astype(int)  # type: ignore[call-overload]
    assert len(taken) == held
    assert np.array_equal(taken, found.y)
    assert np.array_equal(np.sort(np.r_[taken, found.trained]), np.arange(n))
    assert np.all(np.diff(taken) > 0)
    assert np.all(np.diff(found.trained) > 0)


def test_the_draw_is_of_the_seed_and_fair() -> None:
    chosen = {seed: split(numbered(200), 0.25, seed_key(seed)).y for seed in range(200)}
    assert np.array_equal(chosen[3], split(numbered(200), 0.25, seed_key(3)).y)
    counts = np.bincount(np.concatenate(list(chosen.values())), minlength=200)
    # Each of 200 samples is held out in a quarter of 200 draws: 50, standard deviation 6.1.
    assert 50 - 5 * 6.1 < counts.min() < counts.max() < 50 + 5 * 6.1
    assert 4.5 < counts.std() < 7.7


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_what_is_no_share(share: float) -> None:
    with pytest.raises(ArgumentError, match=r"validation: found .*; allowed: a share of the train"):
        train(tiny(), tiny_data(), validation=share)


@pytest.mark.parametrize("given", [True, [1, 2], object()])
def test_what_is_no_validation(given: Any) -> None:
    with pytest.raises(ArgumentError, match=r"validation: found .*; allowed: a share of .*, or an"):
        train(tiny(), tiny_data(), validation=given)


def test_one_sample_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="numbered: 1 training samples cannot be divided"):
        split(numbered(1), 0.5, seed_key(0))


def test_whole_batches_of_a_model_with_a_fixed_batch() -> None:
    found = split(numbered(12), 0.5, seed_key(0), batch=5)
    assert len(found.y) == 5
    with pytest.raises(DataError, match="in batches of 8"):
        split(numbered(8), 0.5, seed_key(0), batch=8)


def test_training_on_a_share_is_training_on_those_samples_alone() -> None:
    data = tiny_data(40)
    machine, history = train(tiny(), data, validation=0.25)
    held = split(data, 0.25, machine.key)
    assert held.trained is not None
    rest = Dataset(
        "rest", data.x_train[held.trained], data.y_train[held.trained], data.x_test, data.y_test
    )
    alone, other = train(tiny(), rest)
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, alone.state()[name])
    assert [m.samples for m in history] == [30, 30]
    assert [m.test_loss for m in history] == [m.test_loss for m in other]
    # What is said of the validation samples is what anyone finds who evaluates them.
    found = Trainer(machine).evaluate(held.x, held.y)
    assert (found.loss, found.error) == (history[-1].validation_loss, history[-1].validation_error)
    assert found.samples == 10


def test_data_of_their_own_are_all_validated_and_nothing_else_changes() -> None:
    data, own = tiny_data(), tiny_data(9, seed=5)
    plain, history = train(tiny(), data)
    for given in (own, (own.x_train, own.y_train, own.x_test, own.y_test)):
        told: list[RunInfo] = []
        machine, validated = train(
            tiny(), data, validation=given, callbacks=[type("T", (), {"on_start": told.append})()]
        )
        assert told[0].validation_samples == 9 + 11
        for name, array in machine.state().items():
            np.testing.assert_array_equal(array, plain.state()[name])
        for a, b in zip(history, validated, strict=True):
            assert b.validation_loss is not None
            found = {k: v for k, v in b.reproducible().items() if not k.startswith("validation")}
            assert found == a.reproducible()


def test_batches_are_validated_as_a_whole() -> None:
    data, own = tiny_data(), tiny_data(9, seed=5)
    parts = [(own.x_train[:4], own.y_train[:4]), (own.x_train[4:], own.y_train[4:])]
    held = [train(tiny(), data, validation=given)[1][-1].validation_loss for given in (
        iter(parts), (lambda: iter(parts)), (iter(parts[:1]), iter(parts[1:])),
        (own.x_train, own.y_train),
    )]  # fmt: skip
    assert len(set(held)) == 1


def test_a_share_of_batches_as_they_come_is_refused() -> None:
    data = tiny_data()
    with pytest.raises(DataError, match="a share is drawn from arrays"):
        Trainer(Machine(tiny())).fit(
            (lambda: iter([(data.x_train, data.y_train)]), (data.x_test, data.y_test)),
            epochs=1,
            validation=0.1,
        )


def test_the_training_data_are_no_validation_data(tmp_path: Path) -> None:
    data, file = tiny_data(), str(tmp_path / "d.npz")
    np.savez(file, x=data.x_train, y=data.y_train)
    with pytest.raises(DataError, match="validation: is the training data"):
        Trainer(Machine(tiny())).fit(file, epochs=1, validation=file)
    with pytest.raises(DataError, match="validation: is the training data"):
        train(tiny(), data, validation=data)


def test_validation_samples_that_do_not_fit_are_refused_before_training() -> None:
    machine = Machine(tiny())
    with pytest.raises(DataError, match=r"validation \(data\): x_train"):
        Trainer(machine).fit(
            tiny_data(), epochs=1, validation=(np.zeros((5, 3, 9), "f"), np.zeros(5, int))
        )
    assert machine.counters.sample == 0


def test_several_inputs_are_divided_alike() -> None:
    one = numbered(20)
    x = {"a": one.x_train, "b": -np.asarray(one.x_train)}
    two = Dataset("two", x, one.y_train, {k: v[:1] for k, v in x.items()}, one.y_test)
    found = split(two, 0.3, seed_key(4))
    assert isinstance(found.x, dict)
    np.testing.assert_array_equal(found.x["a"][:, 0], found.y)
    np.testing.assert_array_equal(found.x["b"][:, 0], -found.y)
    joined = whole(two)
    assert isinstance(joined.x_train, dict)
    assert joined.x_train["b"][:, 0].tolist() == [*range(0, -20, -1), 0]


def test_a_model_with_a_fixed_batch_validates_in_whole_batches() -> None:
    program = rpucc.compile(centred(4), "rpu-managed", verify=False, input_range=(-1, 1))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (32, 6)).astype("f"), rng.integers(0, 3, 32)
    history = Trainer(Machine(program)).fit(
        (x[:24], y[:24], x[24:], y[24:]), epochs=1, batch_size=4, validation=0.1
    )
    assert history[0].samples == 20


def test_records_without_validation_are_as_they_were(tmp_path: Path) -> None:
    machine, history = train(tiny(), tiny_data())
    assert "validation_loss" not in history[0].reproducible()
    assert "validation_loss" not in machine.history[0]
    record = train(tiny(), tiny_data(), validation=0.2)[0].history[0]
    assert EpochMetrics.from_record(record).reproducible() == record
    assert EpochMetrics.from_record(machine.history[0]).validation_loss is None
    save_checkpoint(machine, tmp_path / "c.safetensors")
    assert b"validation" not in (tmp_path / "c.safetensors").read_bytes()
