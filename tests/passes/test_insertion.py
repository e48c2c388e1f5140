"""Passes of a user's own: where they run, what sees them, and what is said of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.passes.callbacks import Dump, PassEvent
from rpucc.passes.pipeline import PASSES

Result = ir.passes.PassResult

MODEL = """
<ir_version: 10, opset_import: ["" : 21]> net (float[N,6] x) => (float[N,2] y)
{ [hidden] a = MatMul (x, w)
  [first] b = Relu (a)
  [second] c = Relu (b)
  [classes] y = MatMul (c, v) }
"""


def network() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    model = onnx.parser.parse_model(MODEL)
    for name, shape in (("w", (6, 4)), ("v", (4, 2))):
        values = random.uniform(-0.5, 0.5, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


class DropSecondRelu(rpucc.Pass):
    """A Relu behind a Relu changes nothing."""

    name = "drop-second-relu"

    def call(self, model: ir.Model) -> Result:
        modified = False
        for node in list(model.graph):
            made_by = node.inputs[0].producer() if node.inputs and node.inputs[0] else None
            if node.op_type == "Relu" and made_by is not None and made_by.op_type == "Relu":
                node.outputs[0].replace_all_uses_with(node.inputs[0])
                model.graph.remove(node, safe=True)
                modified = True
        return Result(model, modified)


def own(call: Callable[[ir.Model], Any], called: Any = "mine") -> rpucc.Pass:
    """A pass that does `call`."""

    class Own(rpucc.Pass):
        name = called

        def call(self, model: ir.Model) -> Result:
            return call(model)

    return Own()


def nothing(model: ir.Model) -> Result:
    return Result(model, False)


def compiled(*passes: Any, **options: Any) -> rpucc.Program:
    return rpucc.compile(network(), "ideal", passes=passes, **options)


# --- where they run ----------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_they_run_beside_the_pass_that_they_name(training: bool) -> None:
    seen: list[str] = []
    compiled(
        rpucc.after("tile", own(nothing, "b")),
        rpucc.before("tile", own(nothing, "a")),
        rpucc.after("tile", own(nothing, "c")),
        rpucc.after("import", own(nothing, "first")),
        training=training,
        callbacks=[lambda event: seen.append(event.name)],
        verify=False,
    )
    ours = [row.name for row in PASSES if training or not row.training_only]
    assert [name for name in seen if name not in ("a", "b", "c", "first")] == ["import", *ours]
    place = seen.index("tile")
    assert seen[place - 1 : place + 3] == ["a", "tile", "b", "c"]
    assert seen[:2] == ["import", "first"]


@pytest.mark.parametrize("verify", [True, False])
def test_a_pass_of_ones_own_changes_the_program(verify: bool) -> None:
    program = compiled(rpucc.after("import", DropSecondRelu()), verify=verify)
    assert [node.name for node in program.model.graph if node.op_type == "Relu"] == ["first"]
    assert program.verified == verify
    assert len([n for n in compiled(verify=False).model.graph if n.op_type == "Relu"]) == 2


def test_dumps_show_it(tmp_path: Path) -> None:
    dump = Dump(tmp_path)
    compiled(rpucc.after("tile", own(nothing, "my-pass")), callbacks=[dump], verify=False)
    names = [path.name for path in dump.files]
    assert "10_my-pass.onnx" in names
    assert names.index("09_tile.onnx") + 1 == names.index("10_my-pass.onnx")
    assert (tmp_path / "10_my-pass.onnx").is_file()


def test_check_says_what_it_takes_out() -> None:
    place = rpucc.after("import", DropSecondRelu())
    (fate,) = (n for n in rpucc.check(network(), passes=[place]).nodes if n.node == "second")
    assert (fate.fate, fate.why) == ("removed", "taken out by pass 'drop-second-relu'")


# --- what verifies them ------------------------------------------------------------------------


def flip(model: ir.Model) -> Result:
    value = model.graph.initializers["classes.W"]
    array = -value.const_value.numpy()
    value.const_value = ir.tensor(array, name=value.name)
    return Result(model, False)  # and says that it did nothing


def test_a_pass_that_changes_what_is_computed_is_found_and_named() -> None:
    with pytest.raises(rpucc.VerificationError, match=r"^pass 'mine': constant 'classes.W' keeps"):
        compiled(rpucc.after("unroll", own(flip)), verify=True)
    assert compiled(rpucc.after("unroll", own(flip)), verify=False)  # nobody looks


# --- what is no pass, or no place --------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (lambda: rpucc.after("tyle", own(nothing)), "after('tyle', mine): no such pass; did you"),
        (lambda: rpucc.before("xyz", own(nothing)), "no such pass; the passes are draw_dropouts"),
        (lambda: rpucc.before("import", own(nothing)), "nothing runs before the import; change"),
        (lambda: rpucc.after("unroll", own(nothing, "tile")), "has a pass of that name; give your"),
        (lambda: rpucc.after("unroll", own(nothing, "import")), "has a pass of that name"),
        (lambda: rpucc.after("tile", DropSecondRelu), "found the class DropSecondRelu; allowed: a"),
        (lambda: rpucc.after("tile", nothing), "a pass of your own: found a function; allowed"),
        (lambda: rpucc.after(3, own(nothing)), "the name of a pass: found 3; allowed"),
        (lambda: rpucc.after("tile", own(nothing, "")), "pass Own: name: found the str ''; allo"),
        (lambda: rpucc.after("tile", own(nothing, "../x")), "pass Own: name: found the str '../x'"),
        (lambda: rpucc.after("tile", own(nothing, 5)), "pass Own: name: found 5"),
        (lambda: DropSecondRelu(), "passes[0]: found a "),
    ],
)
def test_what_cannot_run_is_refused_before_anything_does(place: Any, said: str) -> None:
    with pytest.raises(rpucc.ArgumentError) as refused:
        rpucc.CompileOptions(passes=[place()])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_place_that_only_training_has() -> None:
    place = rpucc.after("differentiate", own(nothing))
    assert compiled(place, verify=False).training
    with pytest.raises(rpucc.ArgumentError, match=r"after\('differentiate', mine\): .* training$"):
        compiled(place, training=False)


# --- bad ones ----------------------------------------------------------------------------------


def raises(error: Exception) -> Callable[[ir.Model], Any]:
    def call(model: ir.Model) -> Any:
        raise error

    return call


def loses_names(model: ir.Model) -> Result:
    next(iter(model.graph)).name = None
    return Result(model, True)


def drops_an_output(model: ir.Model) -> Result:
    model.graph.outputs.pop()
    return Result(model, True)


def cuts_wrongly(model: ir.Model) -> Result:
    for node in model.graph:
        if node.op_type == "Read":
            node.attributes["row_cuts"] = ir.AttrInt64s("row_cuts", (0, 1))
    return Result(model, True)


def writes_rubbish(model: ir.Model) -> Result:
    model.metadata_props["rpucc.step"] = "{"
    return Result(model, True)


def loses_a_constant(model: ir.Model) -> Result:
    model.graph.initializers["classes.W"].const_value = None
    return Result(model, True)


def unmarks(model: ir.Model) -> Result:
    for node in model.graph:
        node.metadata_props.clear()
    return Result(model, True)


def other_pulses(model: ir.Model) -> Result:
    for node in model.graph:
        if node.op_type == "Update":
            node.attributes["bl"] = ir.AttrInt64("bl", 77)
    return Result(model, True)


def an_op_that_there_is_not(model: ir.Model) -> Result:
    next(iter(model.graph)).domain = "rpu"
    return Result(model, True)


BROKEN = "pass 'mine': leaves a broken program: "


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("call", "place", "said"),
    [
        (raises(KeyError("k")), "tile", "pass 'mine': raises KeyError: 'k'"),
        (raises(ValueError("two\nlines")), "tile", "pass 'mine': raises ValueError: two lines"),
        (raises(AssertionError()), "tile", "pass 'mine': raises AssertionError"),
        (raises(rpucc.DataError("no data")), "tile", "pass 'mine': no data"),
        (raises(rpucc.ModelError("bad")), "tile", "model 'net': pass 'mine': bad"),
        (lambda model: None, "tile", "pass 'mine': returns None; it is to change the model that"),
        (lambda model: 5, "import", "pass 'mine': returns 5; it is to change"),
        (lambda m: Result(m.clone(), True), "tile", "pass 'mine': returns another model; it is"),
        (loses_names, "tile", BROKEN + "a node of op Read has no name"),
        (drops_an_output, "import", BROKEN + "output 'y' is gone"),
        (cuts_wrongly, "tile", BROKEN + "node 'hidden.read': row_cuts [0, 1] do not rise"),
        (writes_rubbish, "differentiate", BROKEN + "metadata rpucc.step: is no valid JSON"),
        (loses_a_constant, "unroll", BROKEN + "AssertionError"),
        (an_op_that_there_is_not, "import", BROKEN + "the rpu domain has no op 'MatMul'"),
        (unmarks, "tile", "pass 'mine': leaves "),
        (unmarks, "select_analog", "layers are Conv, "),
        (other_pulses, "schedule", "pass 'mine': leaves no sound program: node 'hidden.W.update'"),
    ],
)
def test_a_bad_pass_is_one_line_that_names_it(
    call: Any, place: str, said: str, verify: bool
) -> None:
    with pytest.raises(rpucc.RpuccError) as refused:
        compiled(rpucc.after(place, own(call)), verify=verify)
    text = str(refused.value)
    assert said in text
    assert "pass 'mine'" in text
    assert "\n" not in text


def test_what_it_requires_and_ensures_is_named_too() -> None:
    class Needs(DropSecondRelu):
        name = "needs"

        def requires(self, model: ir.Model) -> None:
            raise TypeError("no")

    class Promises(DropSecondRelu):
        name = "promises"

        def ensures(self, model: ir.Model) -> None:
            raise TypeError("not kept")

    for each, said in ((Needs(), "'needs': raises TypeError: no"), (Promises(), "'promises': ra")):
        with pytest.raises(rpucc.PassError, match=f"^pass {said}"):
            compiled(rpucc.before("tile", each))


def test_check_raises_it_as_well() -> None:
    with pytest.raises(rpucc.PassError, match=r"^pass 'mine': raises KeyError"):
        rpucc.check(network(), passes=[rpucc.after("tile", own(raises(KeyError("k"))))])


def test_events_are_those_of_any_pass() -> None:
    events: list[PassEvent] = []
    place = rpucc.after("import", DropSecondRelu())
    compiled(place, callbacks=[events.append], verify=False)
    assert (events[1].name, events[1].index, events[1].modified) == ("drop-second-relu", 1, True)
