"""What a network answers: counts against counting by hand, errors against `evaluate`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.runtime import answers as module
from rpucc.runtime.answers import BitAnswers, ClassAnswers, NumberAnswers, answers, scores
from rpucc.runtime.data import Dataset, fitted

from . import test_binary as binary
from . import test_trainer_pixels as pixels
from .small import tiny, tiny_data, train


def asked(program: rpucc.Program, data: Dataset, outputs: tuple[int, ...], **how: Any) -> Any:
    """(answers, evaluation, outputs, labels) of a trained network."""
    machine, _ = train(program, data, **how)
    trainer = rpucc.Trainer(machine)
    shape = next(iter(trainer.feed.shapes.values()))
    data = fitted(data, {program.inputs[0]: shape}, outputs, program.loss)
    found = answers(trainer, data)
    return found, trainer.evaluate(data), trainer.predict(data.x_test), data.y_test


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_classes_are_counted_as_evaluate_reads_them(target: str) -> None:
    found, result, outputs, y = asked(tiny(target), tiny_data(40), (3,), lr=0.02, epochs=1)
    assert isinstance(found, ClassAnswers)
    expected = np.zeros((3, 3), int)
    for label, answer in zip(y, outputs.argmax(axis=1), strict=True):
        expected[label, answer] += 1
    np.testing.assert_array_equal(found.matrix, expected)
    assert found.wrong / found.labels == result.error
    assert not found.pixels


def test_the_most_wrong_come_first_and_are_wrong() -> None:
    found, _, outputs, y = asked(tiny(), tiny_data(40), (3,), lr=1e-30, epochs=1)
    sure = scores(outputs)
    each = np.arange(len(y))
    margin = sure.max(axis=1) - sure[each, y]
    order = [i for i in np.argsort(-margin, kind="stable").tolist() if margin[i] > 0]
    assert [wrong.index for wrong in found.worst] == order[: module.MOST_WRONG]
    assert len(order) == found.wrong > 2
    first = found.worst[0]
    assert (first.label, first.answer) == (y[order[0]], outputs[order[0]].argmax())
    assert first.score == pytest.approx(sure[order[0]].max())


def test_only_so_many_are_kept_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the batches are: a later one may hold the worst."""
    whole, *_ = asked(tiny(), tiny_data(40), (3,), lr=1e-30, epochs=1)
    monkeypatch.setattr(module, "MOST_WRONG", 2)
    monkeypatch.setattr("rpucc.runtime.trainer.evaluation_batch", lambda program: 3)
    few, *_ = asked(tiny(), tiny_data(40), (3,), lr=1e-30, epochs=1)
    assert few.worst == whole.worst[:2]
    np.testing.assert_array_equal(few.matrix, whole.matrix)


def test_classes_of_pixels_have_an_overlap() -> None:
    data = pixels.pixel_data(30)
    program = pixels.program("cross-entropy")
    found, result, outputs, y = asked(program, data, (2, 8, 8), lr=0.1, epochs=1)
    answer = outputs.argmax(axis=1)
    assert found.pixels
    assert found.wrong / found.labels == result.error
    for k in (0, 1):
        both = np.sum((answer == k) & (y == k))
        either = np.sum((answer == k) | (y == k))
        assert found.overlap[k] == pytest.approx(both / either)
        assert found.missed[k] == pytest.approx(1 - both / np.sum(y == k))
    wrong = found.worst[0]
    parts = (answer != y).mean(axis=(1, 2))
    assert wrong.measure == parts.max()
    np.testing.assert_array_equal(wrong.answer, answer[wrong.index])


@pytest.mark.parametrize("tail", ["y = Sigmoid (z)", "y = Identity (z)"])
def test_a_single_0_or_1_is_two_classes(tail: str) -> None:
    data = binary.data(binary.ONE)
    found, result, outputs, y = asked(binary.program(1, tail), data, (1,), lr=0.3, epochs=1)
    said = outputs[:, 0] > (0.5 if "Sigmoid" in tail else 0)
    assert found.matrix.shape == (2, 2)
    assert found.matrix[1, 0] == np.sum(~said & (y[:, 0] > 0.5))
    assert found.wrong / found.labels == result.error
    assert all(0.5 <= wrong.score <= 1 for wrong in found.worst)


def test_several_0_or_1_are_counted_by_output() -> None:
    data = binary.data(binary.SETS)
    program = binary.program(3, "y = Sigmoid (z)")
    found, result, outputs, y = asked(program, data, (3,), lr=0.3, epochs=1)
    assert isinstance(found, BitAnswers)
    said = outputs > 0.5
    assert found.counts[2, 1, 0] == np.sum(~said[:, 2] & (y[:, 2] > 0.5))
    assert found.wrong / found.labels == result.error
    assert found.worst[0].measure == (said != (y > 0.5)).mean(axis=1).max()


def test_numbers_stand_beside_their_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpucc.runtime.trainer.evaluation_batch", lambda program: 2)
    data = pixels.images(pixels.pixel_data(30))
    found, _, outputs, y = asked(pixels.program("mse"), data, (1, 8, 8), lr=0.1, epochs=1)
    assert isinstance(found, NumberAnswers)
    assert found.values == y.size
    assert found.rmse == pytest.approx(math.sqrt(np.mean((outputs - y) ** 2.0)), rel=1e-5)
    assert found.explained == pytest.approx(1 - np.mean((outputs - y) ** 2.0) / y.var(), rel=1e-5)
    np.testing.assert_allclose(found.pairs[:, 0], y.reshape(-1), rtol=1e-6)  # 320 are few: all
    np.testing.assert_allclose(found.pairs[:, 1], outputs.reshape(-1), rtol=1e-5)
    far = np.sqrt(np.mean((outputs - y) ** 2.0, axis=(1, 2, 3)))
    assert [wrong.index for wrong in found.worst] == np.argsort(-far).tolist()
