"""Dropouts of a file: which become ops that draw, with which ratio, and which go."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.errors import ModelError, TargetError
from rpucc.opset.drop import scale_of
from rpucc.step_contract import StepContract

from .importer_models import net

DENSE = {"w": (6, 5), "v": (5, 4)}


def dropped(text: str = "b = Dropout (t, r)", **more: object) -> onnx.ModelProto:
    """Two layers with a dropout, named drop, from `t` to `b`, between them."""
    weights: dict[str, object] = {"r": np.float32(0.25), **DENSE, **more}
    used = {name: value for name, value in weights.items() if name in DENSE or f" {name}" in text}
    return net(
        "(float[N,6] x) => (float[N,4] y) "
        f"{{ [a] h = Gemm (x, w) t = Tanh (h) [drop] {text} [b] y = Gemm (b, v) }}",
        **used,
    )


def compiled(model: onnx.ModelProto, *overrides: str, **how: object) -> rpucc.Program:
    return rpucc.compile(model, "ideal", overrides=list(overrides), **{"verify": True, **how})


def drops(program: rpucc.Program) -> dict[str, tuple[float, int]]:
    """Name -> ratio, number."""
    return {
        str(node.name): (
            node.attributes["ratio"].as_float(),
            node.attributes.get_int("number", 0),
        )
        for node in program.model.graph
        if node.op_type == "Drop"
    }


FORMS = {
    "by default": ("b = Dropout (t)", 0.5),
    "a ratio": ("b = Dropout (t, r)", 0.25),
    "training": ("b, m = Dropout (t, r, on)", 0.25),
    "not training": ("b = Dropout (t, r, off)", 0.25),
    "a mode that is computed": ("s = Size (t) z = Cast <to = 9> (s) b = Dropout (t, r, z)", 0.25),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_draws_in_a_program_that_trains(form: str) -> None:
    text, ratio = FORMS[form]
    text = text.replace("[drop]", "")
    program = compiled(dropped(text, on=np.array(True), off=np.array(False)))
    assert program.verified
    assert list(drops(program).values()) == [(ratio, 0)]
    step = program.step
    assert (step.mode, step.draws, step.inputs) == ("training", "draws", ("x",))
    node = next(node for node in program.model.graph if node.op_type == "Drop")
    assert [value.name for value in node.inputs] == ["t", "training", "draws"]
    assert node.outputs[0].name == "b"


def graph_of(program: rpucc.Program) -> list[tuple[object, ...]]:
    """Nodes with all that they say, and constants, but for node metadata."""
    nodes = [
        (node.op_type, node.name, [v and v.name for v in node.inputs], str(node.attributes))
        for node in program.model.graph
    ]
    constants = [
        (name, value.const_value.numpy().tobytes())
        for name, value in program.model.graph.initializers.items()
        if value.const_value is not None
    ]
    return [*nodes, *constants, tuple(value.name for value in program.model.graph.inputs)]


PLAIN = net(
    "(float[N,6] x) => (float[N,4] y) { [a] h = Gemm (x, w) t = Tanh (h) [b] y = Gemm (t, v) }",
    **DENSE,
)


@pytest.mark.parametrize(
    ("text", "how", "overrides"),
    [
        ("b = Dropout (t, r)", {"training": False}, ()),
        ("b = Dropout (t, r)", {}, ("dropout.policy=off",)),
        ("b = Dropout (t, r)", {}, ("layer.drop.dropout.policy=off",)),
        ("b = Dropout (t, none)", {}, ()),
    ],
    ids=["inference", "off", "off by a rule", "a ratio of 0"],
)
def test_else_it_goes_and_leaves_nothing(
    text: str, how: dict[str, object], overrides: tuple[str, ...]
) -> None:
    program = compiled(dropped(text, none=np.float32(0)), *overrides, **how)
    plain = compiled(PLAIN, training=how.get("training", True))
    assert program.verified
    assert [str(each) for each in graph_of(program)] == [str(each) for each in graph_of(plain)]
    assert program.step.draws is None


def test_notes_are_one_line_for_all() -> None:
    text = "m = Dropout (t, r) [d2] n = Dropout (m) [d3] b = Dropout (n)"
    notes = compiled(dropped(text), "layer.d3.dropout.policy=off", verify=False).plan.notes
    assert notes == (
        "dropouts: 'drop', 'd2' draw their masks in training, ratios 0.25 (1), 0.5 (1); "
        "dropout.policy off leaves them out",
        "dropouts: 'd3' does nothing in training: dropout.policy is off",
    )
    assert compiled(dropped(), verify=False).plan.notes == (
        "dropouts: 'drop' draws its mask in training, ratio 0.25; dropout.policy off leaves it out",
    )
    model = dropped("b = Dropout (t, r, on)", on=np.array(True))
    notes = compiled(model, training=False, verify=False).plan.notes
    assert notes == ("dropouts: 'drop' was exported in training mode: left out, this is inference",)


WRONG = {
    "one": (np.float32(1), "is 1, not a number from 0 to 0.999999"),
    "negative": (np.float32(-0.1), "is -0.1, not a number from 0 to 0.999999"),
    "no number": (np.float32(np.nan), "is nan, not a number from 0 to 0.999999"),
    "infinite": (np.float32(np.inf), "is inf, not a number from 0 to 0.999999"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_ratio_that_is_none_is_refused_where_it_would_draw(case: str) -> None:
    ratio, found = WRONG[case]
    model = dropped("b = Dropout (t, r)", r=ratio)
    with pytest.raises(ModelError) as caught:
        compiled(model, verify=False)
    assert f"node 'drop' (Dropout): its ratio {found}; export it otherwise, or" in str(caught.value)
    assert "\n" not in str(caught.value)
    compiled(model, "dropout.policy=off", verify=False)
    compiled(model, training=False, verify=False)


def test_a_ratio_that_is_computed_is_refused() -> None:
    model = dropped("s = ReduceMax <keepdims = 0> (t) [drop2] b = Dropout (t, s)")
    with pytest.raises(ModelError, match=r"'drop2' .*ratio is computed, not a constant; export"):
        compiled(model, verify=False)


def test_another_type_is_refused() -> None:
    text = "c = Cast <to = 11> (t) [drop2] e = Dropout (c, r) b = Cast <to = 1> (e)"
    with pytest.raises(ModelError, match=r"'drop2' .*its input is double, not float; export"):
        compiled(dropped(text), verify=False)
    compiled(dropped(text), "dropout.policy=off", verify=False)


def test_check_says_so_of_each() -> None:
    model = dropped("m = Dropout (t, r) [d2] b = Dropout (m, r)", r=np.float32(1))
    check = rpucc.check(model, "ideal")
    assert len(check.problems) == 2
    fates = {node.node: (node.fate, node.why) for node in check.nodes}
    assert fates["drop"] == ("refused", "see the problems")
    check = rpucc.check(dropped(), "ideal", training=False)
    fates = {node.node: (node.fate, node.why) for node in check.nodes}
    assert fates["drop"] == ("removed", "it does nothing in inference")
    check = rpucc.check(dropped(), "ideal", overrides=["dropout.policy=off"])
    fates = {node.node: (node.fate, node.why) for node in check.nodes}
    assert fates["drop"] == ("removed", "dropout.policy is off")


def test_a_rule_for_a_dropout_that_is_not_there_is_refused() -> None:
    with pytest.raises(TargetError, match=r"'drpo' matches no layer .*did you mean 'drop'\?"):
        compiled(dropped(), "layer.drpo.dropout.policy=off")


def test_each_has_a_number_of_its_own_whatever_others_do() -> None:
    """Two of one value, one behind the other, and one in a function that is used twice."""
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,6] x) => (float[N,4] y) {
            [a] h = Gemm (x, w) [one] p = Dropout (h) [two] q = Dropout (h) s = Add (p, q)
            [f] t = my.part (s) [g] u = my.part (t) [b] y = Gemm (u, v)
        }
        <domain: "my", opset_import: ["" : 21]>
        part (p) => (q) { [in] r = Dropout (p) q = Tanh (r) }"""
    model = onnx.parser.parse_model(text)
    for name, shape in DENSE.items():
        array = np.random.default_rng(0).random(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    found = drops(compiled(model))
    assert len(found) == 4
    assert [number for _, number in found.values()] == [0, 1, 2, 3]
    without = drops(compiled(model, "layer.one.dropout.policy=off"))
    assert without == {name: each for name, each in found.items() if name != "one"}


def test_beside_a_batch_norm_with_statistics_of_the_batch() -> None:
    """Both have the one mode, and every pass is verified."""
    model = net(
        "(float[N,2,5,5] x) => (float[N,4] y) { [c] a = Conv (x, w) "
        "b = BatchNormalization (a, s, t, m, v) d = Dropout (b) r = Relu (d) f = Flatten (r) "
        "y = Gemm (f, u) }",
        w=(3, 2, 3, 3), u=(27, 4), s=np.ones(3, "f4"), t=np.zeros(3, "f4"), m=np.zeros(3, "f4"),
        v=np.ones(3, "f4"),
    )  # fmt: skip
    program = compiled(model)
    assert program.verified
    ops = {node.op_type for node in program.model.graph}
    assert {"Drop", "BatchNorm", "BatchNormGradient"} <= ops
    assert program.step.mode == "training"


def test_what_a_dropout_scales_up_is_managed() -> None:
    """A tanh needs no noise management; a tanh that is doubled does."""
    inside = rpucc.compile(dropped("b = Dropout (t, none)", none=np.float32(0)), "rpu-managed")
    beyond = rpucc.compile(dropped("b = Dropout (t)"), "rpu-managed")

    def managed(program: rpucc.Program) -> int:
        return sum(
            node.op_type == "NoiseManage" and node.metadata_props.get("rpucc.cycle") != "backward"
            for node in program.model.graph
        )

    assert managed(beyond) == managed(inside) + 1


def test_a_mask_that_is_an_output_of_the_step_is_no_parameter() -> None:
    program = compiled(dropped())
    contract = StepContract.of(program.model)
    assert all("mask" not in name for name in contract.state)
    assert {v.name for v in program.model.graph.inputs} == {
        "x",
        "training",
        "draws",
        "labels",
        "lr",
    }


def test_digital_work_is_counted() -> None:
    """A comparison and a product an element, and a product on the way back."""
    found = [
        {
            (each["op"], each["cycle"]): each["operations"]
            for each in compiled(model, verify=False).cost.to_dict()["digital"]
        }
        for model in (dropped(), PLAIN)
    ]
    drop = ("Drop", "forward")
    assert found[0][drop] == {"adds": 5.0, "multiplies": 5.0, "functions": 0.0}
    product = ("Mul", "backward")
    assert found[0][product]["multiplies"] == found[1][product]["multiplies"] + 5
    rest = [{k: v for k, v in each.items() if k not in (drop, product)} for each in found]
    assert rest[0] == rest[1]


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.999])
def test_the_scale_is_that_of_onnx(ratio: float) -> None:
    """Given ONNX's own mask, its training form is x times mask times this scale."""
    from onnx.reference import ReferenceEvaluator

    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[40,50] x, float r, bool t) '
        "=> (float[40,50] y, bool[40,50] m) { y, m = Dropout <seed = 3> (x, r, t) }"
    )
    x = np.random.default_rng(0).normal(size=(40, 50)).astype("f4")
    feeds = {"x": x, "r": np.float32(ratio), "t": np.array(True)}
    y, mask = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(y, x * np.where(mask, scale_of(ratio), 0), rtol=2e-6)


def test_export_brings_it_home_unchanged() -> None:
    machine = rpucc.Machine(compiled(dropped("b = Dropout (t, r)"), verify=False))
    node = next(n for n in ir.to_proto(machine.export().model).graph.node if n.name == "drop")
    assert list(node.input) == ["t", "r"]
