"""Compiling takes time in proportion to the number of layers, and no recursion a layer."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable

import onnx
import pytest

import rpucc
from tests.passes.deep import DEEP

LAYERS, TIMES = 16, 4


def _calls(work: Callable[[], object]) -> dict[str, int]:
    """How often each function is called: what time grows with, without a clock."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return {
        f"{file}:{line} {name}": count
        for (file, line, name), (_, count, *_) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    }


def _grows(work: Callable[[onnx.ModelProto], Callable[[], object]], make: str) -> list[str]:
    """The functions that are called more than in proportion to the layers."""
    work(DEEP[make](2))()  # what is made once for all
    few, many = (_calls(work(DEEP[make](layers))) for layers in (LAYERS, LAYERS * TIMES))
    return [
        f"{name}: {few.get(name, 0)} -> {count}"
        for name, count in many.items()
        if count > 20 * LAYERS and count > 1.5 * TIMES * max(few.get(name, 0), 1)
    ]


@pytest.mark.parametrize(
    ("make", "training"), [*((make, True) for make in DEEP), ("dense", False)]
)  # a training compiles all that an inference does
def test_compiling_is_linear_in_the_layers(make: str, training: bool) -> None:
    def work(model: onnx.ModelProto) -> Callable[[], object]:
        return lambda: rpucc.compile(model, "rpu-managed", training=training, verify=False)

    assert _grows(work, make) == []


def test_cells_with_a_state_are_linear_in_the_layers() -> None:
    def work(model: onnx.ModelProto) -> Callable[[], object]:
        cell = ["cell.model=tiki-taka"]
        return lambda: rpucc.compile(model, "rpu-managed", overrides=cell, verify=False)

    assert _grows(work, "dense") == []


@pytest.mark.parametrize("what", ["check", "plan", "load"])
def test_what_looks_at_a_model_is_linear_too(what: str, tmp_path: pytest.TempPathFactory) -> None:
    def work(model: onnx.ModelProto) -> Callable[[], object]:
        if what == "check":
            return lambda: rpucc.check(model, "rpu-managed")
        program = rpucc.compile(model, "rpu-managed", verify=False)
        if what == "plan":
            return lambda: (str(rpucc.Plan.from_model(program.model)), program.plan.to_dict())
        path = tmp_path / f"{len(program.model.graph)}.onnx"  # type: ignore[operator]
        program.save(path)
        return lambda: rpucc.Program.load(path)

    assert _grows(work, "dense") == []


def test_no_recursion_a_layer() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        program = rpucc.compile(DEEP["diamonds"](200), "rpu-managed", verify=False)
    finally:
        sys.setrecursionlimit(before)
    assert len(program.model.graph) > 400


def test_deep_networks_are_verified_only_where_that_is_asked_for() -> None:
    assert not rpucc.compile(DEEP["dense"](300), "ideal", training=False).verified
    assert rpucc.compile(DEEP["dense"](5), "ideal", training=False).verified
