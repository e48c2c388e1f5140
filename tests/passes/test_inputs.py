"""Inputs that nothing reads are left out with a note; those that are read count."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import rpucc
from rpucc.compiler.check import check_model
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
    assert [node.op_type for node in imported.graph] in (["Gemm"], ["Dropout", "Gemm"])
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


TWO = "g = Gemm (x, w) y = Add (g, a)"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", ["N", "3"])
def test_all_inputs_that_are_read_are_the_data(batch: str, training: bool) -> None:
    model = model_of(f"float[{batch},8] x, float[{batch},3] a, float[1] b", TWO)
    program = rpucc.compile(model, "rpu-managed", training=training, verify=True)
    assert program.verified
    assert program.inputs == ("x", "a")
    assert program.fixed_batch is None
    assert [str(v.shape) for v in program.model.graph.inputs[:2]] == ["[N,8]", "[N,3]"]
    x, a = np.ones((5, 8), np.float32), np.ones((5, 3), np.float32)
    ideal = rpucc.Trainer(rpucc.Machine(rpucc.compile(model, "ideal", training=training)))
    weight = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_allclose(ideal.predict({"a": a, "x": x}), x @ weight + a, rtol=1e-5)


def test_inputs_whose_samples_mix_keep_their_batch() -> None:
    nodes = "m = ReduceMean <keepdims = 1> (a, axes) g = Gemm (x, w) y = Add (g, m)"
    model = net(f"(float[4,8] x, float[4,3] a) => (float[4,3] y) {{ {nodes} }}", w=(8, 3), axes=[0])
    program = rpucc.compile(model, "ideal", verify=True)
    assert (program.inputs, program.fixed_batch) == (("x", "a"), 4)


def test_management_is_left_out_where_every_input_is_in_range() -> None:
    """The input range holds for all inputs, so that a sum of two is known to lie in twice that."""
    text = "s = Add (x, a) y = Gemm (s, w)"
    managed = {}
    for upper in (0.5, 0.6):
        model = net(f"(float[N,8] x, float[N,8] a) => (float[N,3] y) {{ {text} }}", w=(8, 3))
        program = rpucc.compile(model, "rpu-managed", training=False, input_range=(0, upper))
        managed[upper] = any(node.op_type == "NoiseManage" for node in program.model.graph)
    assert managed == {0.5: False, 0.6: True}


def test_outputs_that_depend_on_no_input_lose_none() -> None:
    model = model_of("float[N,8] x, float[1] a", "y = Relu (w)", "float[8,3] y")
    assert "the inputs are 'x' [N, 8], 'a' [1]" in refusal(model, UnsupportedError)
