"""The trainer goes by the program's step contract, whatever its values are called."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

import rpucc
from rpucc.program import Program
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.warmup import warm_up
from rpucc.step_contract import StepContract

from .small import tiny, tiny_data, train

NAMES = {"x": "picture", "labels": "wanted", "lr": "pace", "loss": "pain", "logits": "answer"}


def renamed(program: rpucc.Program) -> rpucc.Program:
    """The same program with other names for all that a step takes and gives."""
    model = program.model.clone()
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]
    for value in values:
        value.name = NAMES.get(value.name, value.name)
    step = program.step
    replace(
        step,
        inputs=tuple(NAMES[name] for name in step.inputs),
        output=NAMES[step.output],
        labels=NAMES[step.labels],
        rates=tuple(NAMES[name] for name in step.rates),
        metrics=tuple(
            replace(each, output=NAMES[each.output], value=NAMES.get(each.value))
            for each in step.metrics
        ),
    ).write(model)
    return Program(model)


def test_other_names_train_to_the_same_bits() -> None:
    other = renamed(tiny())
    assert {value.name for value in other.model.graph.inputs} == {"picture", "wanted", "pace"}
    (machine, metrics), (again, same) = (train(each, tiny_data()) for each in (tiny(), other))
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, again.state()[name])
    assert [m.reproducible() for m in metrics] == [m.reproducible() for m in same]
    data = tiny_data()
    found, expected = (Trainer(each).evaluate(data) for each in (again, machine))
    assert replace(found, seconds=0) == replace(expected, seconds=0)
    np.testing.assert_array_equal(Trainer(again).predict(data), Trainer(machine).predict(data))
    warm_up(Trainer(again))


def with_step(program: rpucc.Program, step: StepContract) -> rpucc.Program:
    model = program.model.clone()
    step.write(model)
    return Program(model)


def test_a_step_that_computes_no_loss_is_trained_by_its_error() -> None:
    """As a learning rule is that descends no loss: there is none to report, nor to stop at."""
    program = tiny()
    error = tuple(each for each in program.step.metrics if each.name == "error")
    silent = with_step(program, replace(program.step, metrics=error))
    assert silent.loss == "none"
    assert silent.training
    (machine, metrics), (again, same) = (train(each, tiny_data()) for each in (program, silent))
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, again.state()[name])
    assert [m.train_error for m in metrics] == [m.train_error for m in same]
    assert all(math.isnan(m.train_loss) and math.isnan(m.test_loss) for m in same)


def test_a_step_without_an_error_has_none() -> None:
    program = tiny()
    loss = tuple(each for each in program.step.metrics if each.name == "loss")
    _, metrics = train(with_step(program, replace(program.step, metrics=loss)), tiny_data())
    _, expected = train(program, tiny_data())
    assert [m.train_error for m in metrics] == [m.test_error for m in metrics] == [None, None]
    assert [m.test_loss for m in metrics] == [m.test_loss for m in expected]


def test_what_a_step_does_not_change_stays() -> None:
    """The state says which initializers a machine keeps, and a step moves: one layer is frozen."""
    program = tiny("ideal", '\n[[layer]]\nmatch = "fc"\nanalog = false\n')
    kept = {name: new for name, new in program.updates.items() if not name.startswith("fc")}
    assert 0 < len(kept) < len(program.updates)
    part = with_step(program, replace(program.step, state=kept))
    machine = Machine(part)
    before = {name: array.copy() for name, array in machine.values.items()}
    Trainer(machine).fit(tiny_data(), epochs=1, batch_size=5, lr=0.05)
    moved = {
        name for name, array in machine.values.items() if not np.array_equal(array, before[name])
    }
    assert moved <= set(kept)
    assert set(machine.state()) == {*machine.arrays, *(set(kept) - set(machine.arrays))}
