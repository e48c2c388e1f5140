"""Data of networks with several inputs: by name, from Python and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import DataError
from rpucc.runtime.data import Dataset, fitted, load_dataset, load_samples
from rpucc.runtime.data.inputs import by_input
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from ..hostile.networks import program

INPUTS = {"x": (2, 5, 5), "x2": (2, 5, 5)}
N = 20


def samples(n: int = N, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.random((n, *shape)).astype(np.float32) for name, shape in INPUTS.items()}


LABELS = np.arange(N) % 3


def npz(path: Path, **parts: np.ndarray) -> Path:
    x = samples()
    whole = {f"{name}_train": each[:15] for name, each in x.items()}
    whole |= {f"{name}_test": each[15:] for name, each in x.items()}
    whole |= {"y_train": LABELS[:15], "y_test": LABELS[15:]} | parts
    np.savez(path, **{key: each for key, each in whole.items() if len(each)})
    return path


@pytest.fixture(scope="module")
def two() -> rpucc.Program:
    return program("two inputs")


def test_a_data_set_holds_an_array_for_each_input() -> None:
    x = samples()
    data = Dataset("pairs", x, LABELS, {"x2": x["x2"][:4], "x": x["x"][:4]}, LABELS[:4])
    assert data.sample_shape == {"x": (2, 5, 5), "x2": (2, 5, 5)}
    assert list(data.x_test) == ["x", "x2"]
    assert repr(data) == (
        "<Dataset 'pairs': 20 + 4 samples ['x'] float32 [2, 5, 5], ['x2'] float32 [2, 5, 5], "
        "3 classes>"
    )
    tail = load_dataset((x, LABELS))
    assert (len(tail.y_test), len(tail.x_test["x2"]), len(tail.x_train["x"])) == (2, 2, 18)
    shaped = fitted(data, INPUTS, (3,), "cross-entropy")
    assert np.shares_memory(shaped.x_train["x"], x["x"])


@pytest.mark.parametrize(
    ("train", "test", "match"),
    [
        ({"a": np.ones((4, 3))}, np.ones((4, 3)), "x_train has a but x_test one array"),
        (np.ones((4, 3)), {"a": np.ones((4, 3))}, "x_train has one array but x_test a; both"),
        ({"a": np.ones((4, 3))}, {"b": np.ones((4, 3))}, "x_train has a but x_test b; both parts"),
        (
            {"a": np.ones((4, 3))},
            {"a": np.ones((4, 2))},
            r"x_train\['a'\] has samples of shape \[3",
        ),
        ({"a": np.ones((5, 3))}, {"a": np.ones((4, 3))}, r"x_train\['a'\] has 5 samples but y_tr"),
        ({"a": np.ones(4)}, {"a": np.ones(4)}, r"x_train\['a'\] has shape \[4\]; samples must be"),
        ({}, {}, "x_train needs the name of an input for each array"),
        ({5: np.ones((4, 3))}, {5: np.ones((4, 3))}, "x_train needs the name of an input"),
    ],
)
def test_parts_that_do_not_agree(train: object, test: object, match: str) -> None:
    y = np.arange(4)
    with pytest.raises(DataError, match=match) as caught:
        Dataset("d", train, y, test, y)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_samples_are_brought_into_the_shapes_and_order_of_the_inputs() -> None:
    x = samples(4)
    flat = {"x2": x["x2"].reshape(4, 50), "x": x["x"].transpose(0, 2, 3, 1)}
    said: list[str] = []
    found = by_input(flat, INPUTS, "data", said.append)
    assert list(found) == ["x", "x2"]
    np.testing.assert_array_equal(found["x"], x["x"])
    np.testing.assert_array_equal(found["x2"], x["x2"])
    assert [line.split(":")[0] for line in said] == ["data['x']", "data['x2']"]


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (
            samples()["x"],
            "is one array, but the model has the inputs x, x2: give an array for each",
        ),
        ({"x": samples()["x"]}, "has samples for x, but the model's inputs are x, x2"),
        ({**samples(), "z": 1}, "has samples for x, x2, z, but the model's inputs are x, x2"),
        ({**samples(), "x2": samples(7)["x2"]}, "as many samples as the others; found x 20, x2 7"),
        ({**samples(), "x2": np.ones((20, 3))}, r"x\['x2'\] has samples of shape \[3\] but"),
        ({**samples(), "x2": None}, r"x\['x2'\] has type object"),
        ({**samples(), "x2": samples()["x2"] + 5}, "beyond the program's input range 0 to 1"),
    ],
)
def test_samples_that_do_not_fit_the_inputs(two: rpucc.Program, x: object, match: str) -> None:
    trainer = Trainer(Machine(two))
    with pytest.raises(DataError, match=match) as caught:
        trainer.predict(x)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        trainer.evaluate(x, LABELS)  # type: ignore[arg-type]
    with pytest.raises(DataError):
        trainer.fit((x, LABELS), epochs=1)
    assert trainer.machine.counters.sample == 0


def test_a_dictionary_for_a_network_with_one_input() -> None:
    trainer = Trainer(Machine(program("conv")))
    x = samples()["x"]
    np.testing.assert_array_equal(trainer.predict({"x": x}), trainer.predict(x))
    with pytest.raises(DataError, match=r"has samples for x2, but the model's inputs are x$"):
        trainer.evaluate({"x2": x}, LABELS)


def test_files_name_the_inputs(two: rpucc.Program, tmp_path: Path) -> None:
    path = npz(tmp_path / "pairs.npz")
    x = samples()
    parts = [{name: each[half] for name, each in x.items()} for half in (slice(15), slice(15, 20))]
    memory = Dataset("pairs", parts[0], LABELS[:15], parts[1], LABELS[15:])
    states = []
    for data in (path, memory, load_dataset(path, inputs=two.inputs)):
        machine = Machine(two, seed=2)
        history = Trainer(machine).fit(data, epochs=1, batch_size=4)
        result = Trainer(machine).evaluate(data)
        assert (result.samples, result.loss) == (5, history[0].test_loss)
        np.testing.assert_array_equal(
            Trainer(machine).predict(data), Trainer(machine).predict(parts[1])
        )
        states.append({name: array.tobytes() for name, array in machine.state().items()})
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("gone", ["x2_train", "x_test", "y_train", "y_test"])
def test_a_file_that_lacks_an_input(two: rpucc.Program, tmp_path: Path, gone: str) -> None:
    path = npz(tmp_path / "pairs.npz", **{gone: np.zeros(0)})
    with pytest.raises(
        DataError,
        match="the model has the inputs x, x2: expected x_train, x2_train, y_train, x_test, x2_te",
    ):
        Trainer(Machine(two)).fit(path, epochs=1)


def test_inputs_of_run_are_their_test_part_or_of_their_very_names(tmp_path: Path) -> None:
    x = samples()
    found = load_samples(npz(tmp_path / "a.npz"), INPUTS, (0.0, 1.0))
    np.testing.assert_array_equal(found["x2"], x["x2"][15:])
    np.savez(tmp_path / "b.npz", **x)
    np.testing.assert_array_equal(load_samples(tmp_path / "b.npz", INPUTS, (0, 1))["x2"], x["x2"])
    np.savez(tmp_path / "c.npz", x=(255 * x["x"]).astype(np.uint8), x2=x["x2"][0])
    one = load_samples(tmp_path / "c.npz", {"x": (2, 5, 5)}, (-1.0, 1.0))
    assert one.min() < -0.5
    with pytest.raises(DataError, match=r"c.npz' |inputs x, z: expected an array for each"):
        load_samples(tmp_path / "c.npz", {"x": (2, 5, 5), "z": (3,)}, (0, 1))
    np.save(tmp_path / "d.npy", x["x"])
    with pytest.raises(DataError, match=r"d.npy: the model has the inputs x, x2; expected an .npz"):
        load_samples(tmp_path / "d.npy", INPUTS, (0, 1))
