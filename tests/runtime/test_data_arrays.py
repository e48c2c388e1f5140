"""Arrays in memory as data sets: tuples, dictionaries, lists; the same as from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.data import Dataset, load_dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data

PARTS = ("x_train", "y_train", "x_test", "y_test")


def same(a: Dataset, b: Dataset) -> bool:
    return all(np.array_equal(getattr(a, key), getattr(b, key)) for key in PARTS)


def test_four_arrays_in_any_form_are_the_same_data() -> None:
    data = tiny_data()
    four = tuple(getattr(data, key) for key in PARTS)
    named = dict(zip(PARTS, four, strict=True))
    for given in (four, (four[:2], four[2:]), named, {**named, "more": 1}, data):
        assert same(load_dataset(given), data)
    assert load_dataset(data) is data
    lists = tuple(
        part.tolist() for part in (data.x_train / 255, *four[1:2], data.x_test / 255, four[3])
    )
    np.testing.assert_array_equal(load_dataset(lists).x_test, data.x_test / 255)


def test_two_arrays_leave_their_last_tenth_for_the_test_as_in_a_file(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((57, 1, 8, 8)), np.arange(57) % 3
    np.savez(tmp_path / "whole.npz", x=x, y=y)
    expected = load_dataset(tmp_path / "whole.npz")
    assert len(expected.x_test) == 5
    with np.load(tmp_path / "whole.npz") as archive:
        for given in ((x, y), {"x": x, "y": y}, archive, (x.tolist(), list(y))):
            assert same(load_dataset(given), expected)


def test_training_takes_what_load_dataset_takes(tmp_path: Path) -> None:
    data = tiny_data()
    four = tuple(getattr(data, key) for key in PARTS)
    np.savez(tmp_path / "data.npz", **dict(zip(PARTS, four, strict=True)))
    found = []
    for given in (data, four, dict(zip(PARTS, four, strict=True)), tmp_path / "data.npz"):
        machine = Machine(tiny("ideal"))
        Trainer(machine).fit(given, epochs=1, batch_size=5)
        found.append(machine.history)
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (
            {"x_train": [[0.0]], "y_train": [0]},
            "the dictionary holds the arrays 'x_train', 'y_train'",
        ),
        ({}, r"holds the arrays \(none\); expected x_train, y_train, x_test, y_test, or x and y"),
        ({1: 2}, "holds the arrays '1'"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "data: x cannot be made a NumPy array"),
        (([[1.0], [2.0]], ["a", "b"]), "y_train has type .* labels must be integers"),
        ((np.zeros((4, 2), int), [0, 1, 0, 1]), "x_train has type int64; pixels must be uint8"),
        ((None, None), "x has shape"),
        ((np.zeros((4, 2)), [0, 1]), "they need equal lengths"),
        (
            (np.zeros((8, 2)), np.zeros((4, 2)), np.zeros(8, int), np.zeros(4, int)),
            "8 samples but y_",
        ),
    ],
)
def test_arrays_that_are_no_data_set(given: object, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        load_dataset(given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "x", [None, 5, [[0.0], [0.0, 1.0]], np.zeros(64), np.zeros((2, 64), int), [], {"x": 1}]
)
def test_samples_to_predict_that_are_none(x: object) -> None:
    trainer = Trainer(Machine(tiny("ideal")))
    with pytest.raises(DataError, match=r"^x(\['x'\])? ") as caught:
        trainer.predict(x)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        trainer.evaluate(x, [0, 1])  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^labels "):
        trainer.error(trainer.predict(tiny_data().x_test), None)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^data: found a numpy.ndarray"):
        trainer.evaluate(tiny_data().x_test)


def test_lists_and_other_types_are_predicted_and_evaluated() -> None:
    trainer, data = Trainer(Machine(tiny("ideal"))), tiny_data()
    x = data.x_test / 255
    np.testing.assert_array_equal(trainer.predict(x.tolist()), trainer.predict(x))
    found = trainer.evaluate(x.tolist(), data.y_test.tolist())
    assert found.error == trainer.evaluate(data.x_test, data.y_test).error


def test_a_tensor_that_numpy_cannot_take_is_one_line() -> None:
    class Tensor:
        def __array__(self, *_: object, **__: object) -> object:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse detach()")

    with pytest.raises(
        rpucc.DataError, match="data: x cannot be made a NumPy array: Can't call"
    ) as e:
        load_dataset((Tensor(), [0, 1]))
    assert "\n" not in str(e.value)
