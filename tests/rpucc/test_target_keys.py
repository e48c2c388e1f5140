"""What follows from a key's one line: merging, `--set`, twins of the backward cycle, attributes."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from pydantic import Field, ValidationError

from rpucc.errors import TargetError
from rpucc.node_attributes import carried
from rpucc.op_spec import OpSpec
from rpucc.target.keys import (
    ActsOn,
    ModelSection,
    OnNode,
    PerCycle,
    Section,
    tables_of,
    with_backward,
)
from rpucc.target.messages import describe
from rpucc.target.overrides import apply_overrides
from rpucc.target.sections import DeviceTable, LayerTables
from rpucc.target.target import Target
from rpucc.target.values import Flag, Sigma, choice, integer


class Pair(ModelSection):
    """A table with a model, whose own tables are devices."""

    model: Annotated[str, choice("one", "two")] = "one"
    fast: DeviceTable = DeviceTable()
    slow: DeviceTable = DeviceTable()


class Rule(Section):
    match: Annotated[str, choice("conv", "a.b")]
    pair: Pair = Pair()


class Small(Section):
    pair: Pair = Pair()
    layers: tuple[Rule, ...] = Field(default=(), alias="layer")


TABLES = tables_of(Small)
DATA: dict[str, Any] = {
    "pair": {
        "model": "two",
        "gain": 0.5,
        "fast": {"model": "constant-step", "dw_min": 0.1},
        "slow": {"model": "soft-bounds"},
    },
    "layer": [],
}


def changed(*overrides: str) -> dict[str, Any]:
    data: dict[str, Any] = Small.model_validate(DATA).model_dump(by_alias=True)
    data["layer"] = [rule.copy() for rule in data["layer"]]
    apply_overrides(data, overrides, TABLES)
    return data


# ---------------------------------------------------------------- tables in tables


def test_tables_in_tables_have_dotted_names() -> None:
    assert TABLES.keys["pair"] == TABLES.keys["layer.pair"] == ("model", "fast", "slow")
    assert TABLES.single == ("pair", "pair.fast", "pair.slow")
    assert TABLES.open == {f"{rule}pair{end}" for rule in ("", "layer.") for end in ENDS}


ENDS = ("", ".fast", ".slow")


def test_parameters_are_flat_beside_tables() -> None:
    pair = Small.model_validate(DATA).pair
    assert pair.parameters == {"gain": 0.5}
    assert pair.fast == DeviceTable(model="constant-step", parameters={"dw_min": 0.1})
    assert pair.model_dump() == DATA["pair"]


def test_set_reaches_tables_in_tables_also_of_rules() -> None:
    data = changed("pair.fast.dw_min=0.2", "pair.gain=1", "layer.a.b.pair.slow.w_max=0.3")
    assert data["pair"]["fast"] == {"model": "constant-step", "dw_min": 0.2}
    assert data["pair"]["gain"] == 1
    assert data["layer"] == [{"match": "a.b", "pair": {"slow": {"w_max": 0.3}}}]


def test_another_model_drops_what_belonged_to_the_other_one() -> None:
    data = changed("pair.fast.w_max=0.3", "pair.gain=2", "pair.model=one")
    assert data["pair"] == {"model": "one", "fast": {"w_max": 0.3}, "gain": 2}
    data = changed("pair.fast.w_max=0.3", "pair.fast.model=linear-step")
    assert data["pair"]["fast"] == {"model": "linear-step", "w_max": 0.3}
    assert data["pair"]["slow"] == {"model": "soft-bounds"}
    data = changed("layer.conv.pair.fast.w_max=0.3", "layer.conv.pair.fast.model=constant-step")
    assert data["layer"][0]["pair"]["fast"] == {"w_max": 0.3, "model": "constant-step"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pair.fats.dw_min=1", "unknown key pair.fats.dw_min; did you mean 'pair.fast.dw_min'?"),
        ("pair.fast=1", "is a table; set one of its keys, as in pair.fast.model"),
        ("layer.conv.pair=1", "unknown key; allowed: layer.<pattern>"),
        ("pair.fast.slow.w=1", "unknown key pair.fast.slow.w"),
    ],
)
def test_what_is_no_key(override: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        changed(override)
    assert message in str(caught.value)


def test_errors_name_the_table_in_a_table() -> None:
    data = {**DATA, "pair": {**DATA["pair"], "fast": {"dw_min": "too much"}}}
    with pytest.raises(ValidationError) as caught:
        Small.model_validate(data)
    assert describe(caught.value, "file", TABLES, {}) == [
        'file: pair.fast.dw_min: found "too much", allowed: a finite number, '
        "true or false, a name, or a list of finite numbers"
    ]


def test_merging_goes_into_tables_and_stops_at_another_model() -> None:
    base = Small.model_validate(DATA).pair
    merged = base.overridden(Pair.model_validate({"gain": 2, "slow": {"w_max": 0.3}}))
    assert merged.model == "two"
    assert merged.parameters == {"gain": 2.0}
    assert merged.fast == base.fast
    assert merged.slow == DeviceTable(model="soft-bounds", parameters={"w_max": 0.3})
    inner = base.overridden(Pair.model_validate({"fast": {"model": "ideal"}}))
    assert inner.fast == DeviceTable(model="ideal")
    other = Pair.model_validate({"model": "one", "fast": {"w_max": 0.3}})
    assert base.overridden(other) == other


def test_every_table_of_a_rule_is_merged_key_by_key() -> None:
    target = Target.load("rpu-managed")
    for table in LayerTables.model_fields:
        section = getattr(target, table)
        key = "dw_min" if table == "device" else next(iter(type(section).model_fields))
        value = 0.002 if table == "device" else getattr(section, key)
        ruled = Target.load(target, [f"layer.fc*.{table}.{key}={json.dumps(value)}"])
        data = ruled.layers[0].model_dump()
        assert data == {"match": "fc*", table: {key: value}}
        merged = getattr(ruled.for_layer("fc1"), table)
        assert merged.model_dump() == {**section.model_dump(), key: value}
        assert getattr(ruled.for_layer("conv1"), table) == section


# ---------------------------------------------------------------- two cycles


@with_backward
class Wires(Section):
    """What two cycles may have apart."""

    loss: Annotated[Sigma, OnNode("Read"), PerCycle()] = 0.25
    taps: Annotated[int, integer(1, 9), OnNode("Read", "tap_count"), PerCycle()] = 3
    exact: Annotated[Flag, OnNode("Read", where=lambda wires: wires.loss)] = False
    way: Annotated[Literal["in", "out"], choice("in", "out"), ActsOn("Read")] = "in"


def test_a_key_of_both_cycles_is_one_line() -> None:
    assert list(Wires.model_fields)[4:] == ["loss_backward", "taps_backward"]
    wires = Wires.model_validate({"loss": 0.5, "taps_backward": 7, "way": "out"})
    assert wires.model_dump()["loss_backward"] == "same"
    assert (wires.backward.loss, wires.backward.taps, wires.backward.way) == (0.5, 7, "out")
    assert wires.backward.model_dump()["taps_backward"] == "same"
    with pytest.raises(ValidationError, match='an integer from 1 to 9, or "same"'):
        Wires.model_validate({"taps_backward": 10})
    assert type(Wires.model_validate({"loss_backward": 1}).backward.loss) is float


# ---------------------------------------------------------------- attributes

SPEC = OpSpec(
    name="Try",
    doc="",
    inputs=("x",),
    outputs=("y",),
    own=tuple(each.attribute for each in carried(Wires, "Read")),
    body="{ y = Identity (x) }",
    shapes=lambda attributes, inputs: [list(inputs[0])],
)


def test_attributes_follow_from_the_keys() -> None:
    found = {name: (each.kind, each.default) for name, each in SPEC.attributes.items()}
    assert found == {"loss": ("FLOAT", 0.25), "tap_count": ("INT", 3), "exact": ("INT", 0)}
    assert SPEC.attributes["tap_count"].allowed.text == "an integer from 1 to 9"
    function = onnx.parser.parse_function(SPEC.function_text(21))
    assert {each.name for each in function.attribute_proto} == set(found)


def test_what_a_node_gets() -> None:
    def stamp(**keys: Any) -> dict[str, Any]:
        section = Wires.model_validate(keys)
        return {each.attribute.name: each.of_section(section) for each in carried(Wires, "Read")}

    assert stamp(loss=1, exact=True) == {"loss": 1.0, "tap_count": 3, "exact": 1}
    assert stamp(loss=0, exact=True) == {"loss": 0.0, "tap_count": 3, "exact": 0}
    node = ir.node("Read", [], {"tap_count": 5, "exact": 1})
    assert {each.key: each.of_node(node) for each in carried(Wires, "Read")} == {
        "loss": 0.25,
        "taps": 5,
        "exact": True,
    }


def test_ends_of_a_range_pass_through_float32() -> None:
    (bound,) = (
        each.attribute
        for each in carried(type(Target.load("ideal").periphery), "Read")
        if each.key == "bound"
    )
    assert bound.accepts(float(np.float32(1e-6)))  # a little below 1e-6
    assert bound.accepts(0.0)
    assert not bound.accepts(9.99e-7)
    assert not bound.accepts(float("nan"))
    assert not bound.accepts(float("inf"))


def test_a_key_that_no_attribute_can_hold_is_a_slip() -> None:
    class Bad(Section):
        mixed: Annotated[float | str, integer(0, 1), OnNode("Read")] = 0.0

    class Unranged(Section):
        free: Annotated[float, OnNode("Read")] = 0.0

    with pytest.raises(TypeError, match=r"Bad\.mixed"):
        carried(Bad, "Read")
    with pytest.raises(TypeError, match=r"Unranged\.free: nodes carry it, and it has no range"):
        carried(Unranged, "Read")
