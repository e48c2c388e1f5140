"""Augmentation: what those that have names do, and that a batch's draws are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from scipy import stats

import rpucc
from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.augment import named
from rpucc.runtime.data import Dataset
from rpucc.runtime.trainer import Trainer

from .small import on_progress, tiny, tiny_data, train
from .test_trainer_pixels import pixel_net


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def applied(text: str, x: np.ndarray, seed: int = 1) -> np.ndarray:
    builtin, number = named(text)
    return np.asarray(builtin.make(number)(x.copy(), np.random.default_rng(seed)))


@pytest.mark.parametrize("shape", [(400, 2, 5), (400, 1, 3, 5), (400, 1, 2, 3, 4)])
def test_flip_reverses_the_last_axis_of_half_of_the_samples(shape: tuple[int, ...]) -> None:
    x = batch(*shape)
    y = applied("flip", x)
    flipped = np.array([np.array_equal(b, a[..., ::-1]) for a, b in zip(x, y, strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(x, y, strict=True)])
    assert np.all(flipped ^ kept)
    assert 150 < flipped.sum() < 250


@pytest.mark.parametrize("shape", [(300, 2, 9), (300, 2, 7, 9)])
def test_shift_moves_every_channel_alike_and_repeats_the_edge(shape: tuple[int, ...]) -> None:
    x = batch(*shape)
    y = applied("shift:2", x)
    seen = set()
    space = len(shape) - 2
    for before, after in zip(x, y, strict=True):
        padded = np.pad(before, [(0, 0), *[(2, 2)] * space], mode="edge")
        found = [
            by
            for by in np.ndindex(*[5] * space)
            if np.array_equal(
                after,
                padded[
                    (slice(None), *(slice(b, b + n) for b, n in zip(by, shape[2:], strict=True)))
                ],
            )
        ]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) == 5**space  # by -2 to 2 along each axis


def test_noise_is_normal_with_its_standard_deviation() -> None:
    x = batch(50, 1, 20, 20)
    d = (applied("noise:0.25", x) - x).reshape(-1)
    assert abs(d.std() - 0.25) < 0.01
    assert stats.kstest(d / 0.25, "norm").pvalue > 1e-3


class Seen:
    """An augmentation that keeps the first draw of every batch."""

    def __init__(self) -> None:
        self.draws: list[float] = []
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self.draws.append(float(rng.random()))
        self.shapes.append(x.shape)
        return x


def test_each_batch_has_draws_of_its_own_that_the_seed_gives_again() -> None:
    first, again, other = Seen(), Seen(), Seen()
    plain, _ = train(tiny(), tiny_data())
    machine, _ = train(tiny(), tiny_data(), augment=first)
    train(tiny(), tiny_data(), augment=again, threads=2)
    train(tiny(), tiny_data(), augment=other, seed=1)
    assert first.shapes == [*[(5, 1, 8, 8)] * 4, (3, 1, 8, 8)] * 2
    assert len(set(first.draws)) == 10  # the second epoch's are others, too
    assert first.draws == again.draws
    assert not set(first.draws) & set(other.draws)
    for name, array in machine.state().items():  # what changes nothing draws nothing of the rest
        np.testing.assert_array_equal(array, plain.state()[name])


def test_a_training_that_is_stopped_goes_on_with_the_same_draws(tmp_path: Path) -> None:
    how: dict[str, Any] = {"augment": ["flip", "shift:1", "noise:0.1"]}
    whole, expected = train(tiny(), tiny_data(), **how)
    path = tmp_path / "checkpoint.safetensors"

    def stop(progress: Any) -> None:
        if progress.samples_done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), tiny_data(), checkpoint=path, callbacks=[on_progress(stop)], **how)
    again = rpucc.load_checkpoint(path, tiny())
    assert again.counters.done
    fit = Trainer(again, threads=2).fit
    history = fit(tiny_data(), epochs=2, batch_size=5, lr=0.05, **how)
    assert [m.reproducible() for m in history] == [m.reproducible() for m in expected]
    for name, array in again.state().items():
        np.testing.assert_array_equal(array, whole.state()[name])


def test_a_step_is_trained_on_what_the_function_returns() -> None:
    """A function that gives the test images in their order: as if they were the data."""
    data = tiny_data(6)
    other = tiny_data(6, seed=3)
    order: list[np.ndarray] = []

    def swap(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        stored = np.rint(x * 255).astype(np.uint8)
        order.append(
            np.array([np.flatnonzero((data.x_train == s).all((1, 2, 3)))[0] for s in stored])
        )
        return other.x_train[order[-1]] / 255

    swapped, _ = train(tiny("ideal"), data, augment=swap, epochs=1)
    direct = Dataset("direct", other.x_train, data.y_train, data.x_test, data.y_test)
    expected, _ = train(tiny("ideal"), direct, epochs=1)
    assert sorted(np.concatenate(order)) == list(range(6))
    for name, array in swapped.state().items():
        np.testing.assert_allclose(array, expected.state()[name], atol=1e-6)


def test_what_is_returned_is_clipped_to_the_range_and_checked() -> None:
    data = tiny_data()
    far, _ = train(tiny(), data, augment=lambda x, rng: x + 100)
    one, _ = train(tiny(), data, augment=lambda x, rng: np.ones_like(x))
    for name, array in far.state().items():
        np.testing.assert_array_equal(array, one.state()[name])
    for wrong, line in (
        (lambda x, rng: x[:, :, 1:], r"augment: returns float32 \[5, 1, 7, 8\]; needs numbers"),
        (lambda x, rng: x * np.nan, "augment: returns NaN"),
        (lambda x, rng: None, "augment: returns object"),
    ):
        with pytest.raises(DataError, match=line):
            train(tiny(), data, augment=wrong)
    with pytest.raises(DataError, match=r"augment\[1\]: returns NaN"):
        train(tiny(), data, augment=["flip", lambda x, rng: x * np.nan])


def network(text: str) -> Any:
    header = '<ir_version: 10, opset_import: ["" : 21]> net '
    return onnx.parser.parse_model(header + text)


VECTORS = """(float[N,6] x) => (float[N,2] y) <float[6,2] w = {1.0, 0.0, 0.0, 1.0, 0.5, 0.0,
    0.0, 0.5, 0.2, 0.1, 0.1, 0.2}> { [fc] y = MatMul (x, w) }"""
TWO = """(float[N,6] a, float[N,6] b) => (float[N,2] y) <float[6,2] w = {1.0, 0.0, 0.0, 1.0, 0.5,
    0.0, 0.0, 0.5, 0.2, 0.1, 0.1, 0.2}> { d = Sub (a, b) [fc] y = MatMul (d, w) }"""


def test_what_is_no_augmentation_or_would_not_do_what_it_says_is_refused() -> None:
    for wrong in ("crop", "flip:1", "shift", "shift:0", "shift:1.5", "noise:0", "noise:x", 3, Seen):
        with pytest.raises(ArgumentError, match="augment"):
            train(tiny(), tiny_data(), augment=wrong)
    vectors = rpucc.compile(network(VECTORS), "ideal", verify=False)
    x, y = batch(20, 6), np.arange(20) % 2
    with pytest.raises(ArgumentError, match=r"augment flip: a sample \[6\] has no axes of space"):
        train(vectors, Dataset("v", x, y, x, y), augment="flip")
    images = np.random.default_rng(0).integers(0, 255, (9, 1, 8, 8), np.uint8)
    pixels = Dataset("pixels", images, images[:, 0] // 128, images, images[:, 0] // 128)
    segmenting = rpucc.compile(pixel_net(2), "ideal", verify=False)
    with pytest.raises(ArgumentError, match="augment shift:1: moves pixels, but not the labels"):
        train(segmenting, pixels, augment="shift:1")
    train(segmenting, pixels, augment="noise:0.1", epochs=1)


def test_of_several_inputs_a_function_gets_all_by_name() -> None:
    program = rpucc.compile(network(TWO), "ideal", verify=False)
    x, y = {"a": batch(20, 6), "b": batch(20, 6)[::-1].copy()}, np.arange(20) % 2
    data = Dataset("two", x, y, x, y)
    swapped = Dataset("swapped", {"a": x["b"], "b": x["a"]}, y, x, y)

    def swap(x: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"a": x["b"], "b": x["a"]}

    one, _ = train(program, data, augment=swap)
    two, _ = train(program, swapped)
    np.testing.assert_array_equal(one.state()["fc.W"], two.state()["fc.W"])
    with pytest.raises(ArgumentError, match="augment noise:1: the network has the inputs a, b"):
        train(program, data, augment="noise:1")
    with pytest.raises(DataError, match="augment: returns no array for each of a, b"):
        train(program, data, augment=lambda x, rng: x["a"])
