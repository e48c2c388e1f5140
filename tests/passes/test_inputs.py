"""Inputs that nothing reads are left out with a note; those that are read count."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.check import check_model
from rpucc.errors import UnsupportedError
from rpucc.passes.importer import import_notes, load_model

from .importer_models import net, refusal

LAYER = "y = Gemm (x, w)"
CASES: dict[str, tuple[str, str, list[str]]] = {
    "nothing names them": ("float[N,8] x, float[K] a, int64[2] b", LAYER, ["a", "b"]),
    "first in the list": ("float[1] a, float[N,8] x", LAYER, ["a"]),
    "a dead node": ("float[N,8] x, float[N,8] a", "dead = Relu (a) " + LAYER, ["a"]),
    "a dead chain that reads both": (
        "float[N,8] x, float[N,8] a",
        "d = Add (a, x) e = Relu (d) " + LAYER,
        ["a"],
    ),
    "the mode of a dropout": (
        "float[N,8] x, bool mode",
        "d = Dropout (x, r, mode) y = Gemm (d, w)",
        ["mode"],
    ),
}


def model_of(inputs: str, nodes: str, output: str = "float[N,3] y") -> onnx.ModelProto:
    return net(f"({inputs}) => ({output}) {{ {nodes} }}", w=(8, 3), r=np.float32(0.5))


@pytest.mark.parametrize("case", list(CASES))
def test_an_input_that_nothing_reads_is_left_out_with_a_note(case: str) -> None:
    inputs, nodes, left_out = CASES[case]
    imported = load_model(model_of(inputs, nodes))
    assert [value.name for value in imported.graph.inputs] == ["x"]
    assert [node.op_type for node in imported.graph] == ["Gemm"]
    notes = [note for note in import_notes(imported) if note.startswith("input")]
    assert notes == [f"input {name!r} is left out: no output depends on it" for name in left_out]


@pytest.mark.parametrize("case", list(CASES))
def test_such_a_model_compiles_and_is_verified(case: str) -> None:
    inputs, nodes, left_out = CASES[case]
    program = rpucc.compile(model_of(inputs, nodes), "ideal", verify=True)
    assert program.verified
    assert program.inputs == ("x",)
    assert any(f"input {left_out[0]!r} is left out" in note for note in program.plan.notes)


def test_a_size_can_be_given_for_the_input_that_is_read() -> None:
    model = model_of("float[N,K] x, float[M] a", LAYER)
    program = rpucc.compile(model, "ideal", input_shape=(8,), training=False)
    assert program.plan.weights == 24


def test_check_says_what_becomes_of_a_dead_node() -> None:
    check = check_model(model_of("float[N,8] x, float[N,8] a", "dead = Relu (a) " + LAYER), "ideal")
    assert check.compiles
    fates = {node.output: (node.fate, node.why) for node in check.nodes}
    assert fates["dead"] == ("removed", "no output depends on it")
    assert any("input 'a'" in note for note in check.notes)


def test_two_inputs_that_are_read_are_refused_still() -> None:
    model = model_of("float[N,8] x, float[N,3] a, float[1] b", "g = Gemm (x, w) y = Add (g, a)")
    assert "it has 2 (x, a)" in refusal(model, UnsupportedError)


def test_outputs_that_depend_on_no_input_lose_none() -> None:
    model = model_of("float[N,8] x, float[1] a", "y = Relu (w)", "float[8,3] y")
    assert "it has 2 (x, a)" in refusal(model, UnsupportedError)
