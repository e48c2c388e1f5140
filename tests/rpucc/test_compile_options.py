"""CompileOptions: one object behind `compile` and `check`, and the keyword arguments of both."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.compiler.options import FLAGS, CompileOptions
from rpucc.losses import LABELS, LOSSES, NONE, OWN_CLASSES, OWN_TARGETS

FIELDS = {each.name: each for each in fields(CompileOptions)}
FUNCTIONS = [rpucc.compile, rpucc.check]


# --- one source --------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_fields_are_the_keyword_arguments(function: Any) -> None:
    signature = inspect.signature(function)
    assert list(signature.parameters) == ["model", "target", "options", *FIELDS]
    for name, each in FIELDS.items():
        parameter = signature.parameters[name]
        assert (parameter.kind, parameter.default) == (parameter.KEYWORD_ONLY, each.default)
        assert parameter.annotation == each.type
    text = inspect.getdoc(function)
    assert [name for name in FIELDS if f"\n{name}: " not in text] == []
    assert "{" not in text


def test_every_field_is_described_where_it_is_defined() -> None:
    text = inspect.getdoc(CompileOptions)
    assert [name for name in FIELDS if f"\n{name}: " not in text] == []
    assert set(FIELDS) - set(FLAGS) == {"input_gradients", "passes", "callbacks"}  # Python alone


def test_the_losses_are_those_that_there_are() -> None:
    assert {"auto", NONE, *LABELS} == {*LOSSES, OWN_CLASSES, OWN_TARGETS}


# --- options as an object, as keywords, as both ------------------------------------------------


def test_an_object_and_keywords_say_the_same() -> None:
    how = CompileOptions(overrides=["update.bl=3"], loss="mse", verify=False, input_range=(-1, 1))
    one = rpucc.compile("mlp", "ideal", how)
    two = rpucc.compile(
        "mlp", "ideal", overrides=["update.bl=3"], loss="mse", verify=False, input_range=(-1, 1)
    )
    assert (one.loss, one.input_range, one.target.update.bl) == ("mse", (-1.0, 1.0), 3)
    assert one.model.metadata_props == two.model.metadata_props
    assert rpucc.check("mlp", "ideal", how).training


def test_a_keyword_comes_in_the_place_of_its_field() -> None:
    how = CompileOptions(loss="mse", training=True, verify=False)
    program = rpucc.compile("mlp", "ideal", options=how, training=False)
    assert (program.training, how.training) == (False, True)
    assert rpucc.check("mlp", "ideal", how, training=False).training is False


def test_it_is_frozen_and_holds_what_it_was_given_in_plain_form() -> None:
    how = CompileOptions(
        overrides=["a=1"], plan="p.toml", input_shape=[np.int64(1), 28], input_range=[0, 255]
    )
    assert (how.overrides, how.plan, how.input_shape) == (("a=1",), Path("p.toml"), (1, 28))
    assert how.input_range == (0.0, 255.0)
    assert replace(how, verify=True).verify
    assert hash(how) == hash(replace(how))
    with pytest.raises(FrozenInstanceError):
        how.loss = "mse"  # type: ignore[misc]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"los": "mse"}, "los: no such argument; did you mean loss?"),
        ({"problems": None}, "problems: no such argument; allowed: options, overrides, plan, "),
        ({"watch": None}, "watch: no such argument; "),
        ({"options": ["update.bl=1"]}, "options: found ['update.bl=1']; allowed: a rpucc.Compile"),
        ({"plan": 5}, "plan: found 5; allowed: a path"),
        ({"training": 1}, "training: found 1; allowed: True or False"),
        ({"training": "no"}, "training: found the str 'no'"),
        ({"loss": "hinge", "training": False}, "loss: found the str 'hinge'; allowed: one of auto"),
        ({"loss": None}, "loss: found None"),
        ({"verify": "yes"}, "verify: found the str 'yes'; allowed: True, False or None"),
        ({"input_range": (1, 0)}, "input_range: needs two finite numbers, the lower first"),
        ({"input_range": (1, 2, 3)}, "input_range: needs two finite numbers"),
        ({"input_shape": (0, 3)}, "input_shape[0]: found 0"),
        ({"overrides": "a=1"}, "overrides: found the str 'a=1'"),
        ({"passes": 5}, "passes: found 5; allowed: a list, as in [rpucc.after('tile', MyPass())]"),
        ({"passes": "tile"}, "passes: found the str 'tile'"),
        ({"passes": [1]}, "passes[0]: found 1; allowed: rpucc.after"),
        ({"callbacks": print}, "callbacks: found a builtin_function_or_method; allowed: a list of"),
        ({"callbacks": [5]}, "callbacks[0]: found 5; allowed: a function"),
    ],
)
def test_a_wrong_option_is_one_line(function: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(rpucc.ArgumentError) as refused:
        function("no such model", **given)  # refused before the model is looked at
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_function_returns_as_a_shape_is_checked_too() -> None:
    from rpucc.models import build

    model = build("lenet")
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "S"
    with pytest.raises(rpucc.ArgumentError, match=r"^input_shape\[1\]: found 28.0"):
        rpucc.compile(model, input_shape=lambda stated: (1, 28.0, 28))
    program = rpucc.compile(model, input_shape=lambda stated: (1, 28, 28), verify=False)
    assert program.plan.weights == 80_202


# --- plan and verify ---------------------------------------------------------------------------


def test_a_plan_file_is_followed_and_overrides_come_after_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[layer]]\nmatch = "conv1"\nanalog = false\n')
    how = CompileOptions(plan=plan, verify=False)
    assert "conv1" not in {grid.layer for grid in rpucc.compile("lenet", options=how).plan.grids}
    fates = {node.node: node.fate for node in rpucc.check("lenet", options=how).nodes}
    assert (fates["conv1"], fates["conv2"]) == ("digital", "array")
    again = rpucc.compile("lenet", options=how, overrides=["layer.conv1.analog=true"])
    assert "conv1" in {grid.layer for grid in again.plan.grids}
    with pytest.raises(rpucc.TargetError, match=r"^plan file no\.toml: no such file"):
        rpucc.check("lenet", plan="no.toml")


def test_check_verifies_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from rpucc.passes.verify import Verify

    seeds: list[int] = []
    original = Verify.__call__

    def noted(self: Verify, event: Any) -> None:
        seeds.append(self.seed)
        original(self, event)
        if (event.name, self.seed) == ("unroll", 0):
            raise rpucc.VerificationError("rounding")

    monkeypatch.setattr(Verify, "__call__", noted)
    plain = rpucc.check("mlp", "ideal")
    assert seeds == []
    verified = rpucc.check("mlp", "ideal", verify=True)
    assert set(seeds) == {0, 1}  # and again on other data, of which the nodes know nothing
    assert verified == plain
