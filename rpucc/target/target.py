"""The target: which arrays, converters, devices and policies a model is compiled for.

Holds a target as a whole and what its layer rules make of a layer. Its tables are in
`target/sections.py`, what tables have in common in `target/keys.py`, the types of single values in
`target/values.py`; files and presets in `target/load.py`, `--set` in `target/overrides.py`, the
wording of errors in `target/messages.py`. Not for what the values do: the passes read the policies,
and the runtime checks a device's parameters (only the device model knows which it has).
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationError, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from rpucc import arguments
from rpucc.errors import TargetError, one_line
from rpucc.feedback import ruled_as
from rpucc.patterns import Matcher, matches, pattern_of
from rpucc.stages import Periphery
from rpucc.target import load as target_load
from rpucc.target import messages as target_messages
from rpucc.target import overrides as target_overrides
from rpucc.target.keys import Section, conflict, tables_of
from rpucc.target.load import list_presets, preset_names
from rpucc.target.sections import (
    AUTOMATIC_KINDS,
    ArrayKind,
    BatchNorm,
    Calibration,
    CostTable,
    DeviceTable,
    LayerTables,
    Management,
    Mapping,
    PlacementPolicy,
    Update,
    VariationPolicy,
)
from rpucc.target.values import ArrayIds, Flag, Glob, Line, Name
from rpucc.trust import is_own

__all__ = [
    "ArrayKind",
    "BatchNorm",
    "Calibration",
    "CostTable",
    "DeviceTable",
    "LayerPolicy",
    "LayerRule",
    "Management",
    "Mapping",
    "Periphery",
    "PlacementPolicy",
    "Target",
    "Update",
    "VariationPolicy",
    "list_presets",
    "preset_names",
]


class _Match(Section):
    match: Glob
    """A layer's name, or a glob on names, case-sensitive: * ? [abc]."""


class _Place(Section):
    analog: Flag = True
    """False keeps the layer digital."""
    arrays: ArrayIds = ()
    """The arrays of the layer's kind that its tiles go to: one id a tile, row-major, or one id an
    array where groups lie side by side. Empty leaves the choice to `place`."""


class LayerPolicy(LayerTables, _Place):
    """What holds for one layer: the target's tables with every matching rule merged in."""

    @property
    def plane_devices(self) -> dict[str, DeviceTable]:
        """The devices of each plane of its cells."""
        planes = self.cell.settings.planes
        return {plane: self.cell.of_plane(plane, self.device) for plane in planes}


class LayerRule(LayerPolicy, _Match):
    """Overrides for the layers whose names match (`[[layer]]`); only the keys that are set."""

    @model_serializer(mode="plain")
    def _set_keys(self) -> dict[str, Any]:
        values = {
            key: getattr(self, key) for key in self.key_names() if key in self.model_fields_set
        }
        return {
            k: v.model_dump(exclude_unset=True) if isinstance(v, Section) else v
            for k, v in values.items()
        }


class Decisions(Section):
    """A plan file: what a user decided about single layers, over and above a target."""

    placement: PlacementPolicy = PlacementPolicy()
    layers: tuple[LayerRule, ...] = Field(default=(), alias="layer")


class _Machine(Section):
    name: Name
    description: Line = ""
    arrays: tuple[ArrayKind, ...] = Field(alias="array")


class Target(LayerTables, _Machine):
    """A compilation target: arrays, periphery, devices, management, update and layer rules.

    Made by `Target.load`, `Target.from_toml` or `Target.from_json`; immutable, and never invalid.

    >>> target = Target.load("rpu-managed", overrides=["update.bl=1"])
    >>> target.for_layer("conv1").update.bl
    1
    """

    device: DeviceTable
    placement: PlacementPolicy = PlacementPolicy()
    cost: CostTable = CostTable()
    layers: tuple[LayerRule, ...] = Field(default=(), alias="layer")
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.arrays:
            raise conflict("array", [], target_messages.NEEDED["array"])
        names = [kind.name for kind in self.arrays]
        for i, name in enumerate(names):
            if name in AUTOMATIC_KINDS:
                taken = "a name other than " + ", ".join(AUTOMATIC_KINDS)
                raise conflict(f"array.{i}.name", name, taken)
            if name in names[:i]:
                raise conflict(f"array.{i}.name", name, "a name that no other [[array]] has")
        if "model" not in self.device.model_fields_set:
            near = difflib.get_close_matches("model", self.device.parameters, 1)
            slip = f"; {near[0]} is a parameter: did you mean 'model'?" if near else ""
            raise conflict("device.model", None, target_messages.NEEDED["model"] + slip)
        self.check("", self._kinds)
        # A pattern taken as a name stands for the layers that it matches: it finds a rule that
        # contradicts the rest before any model is seen.
        matcher = Matcher(self.layers)
        seen: set[tuple[str, str]] = set()
        for i, rule in enumerate(self.layers):
            for table in _CHECKED:
                place = rule.match, table
                if table in rule.model_fields_set and place not in seen:
                    seen.add(place)  # other rules of the pattern are merged alike
                    merged = self._merged(table, matcher.of(rule.match))
                    merged.check(f"layer.{i}.{table}", self._kinds)
        return self

    @property
    def _kinds(self) -> tuple[str, ...]:
        """The names of its kinds of array."""
        return tuple(kind.name for kind in self.arrays)

    def __eq__(self, other: object) -> bool:
        """Compare what the targets say; where they were read from plays no part."""
        return isinstance(other, Target) and all(
            getattr(self, key) == getattr(other, key) for key in Target.model_fields
        )

    @property
    def folder(self) -> Path | None:
        """The folder of the file that it was read from, where its own devices lie; None without."""
        return self._folder

    @property
    def own_devices(self) -> tuple[str, ...]:
        """The devices of a user's own, "module:Class", that it names; each once."""
        sections: list[DeviceTable] = []
        for tables in (self, *self.layers):
            sections += [tables.device, *tables.cell.devices]
        named = [each.model for each in sections if "model" in each.model_fields_set]
        return tuple(dict.fromkeys(model for model in named if is_own(model)))

    @classmethod
    def load(cls, spec: TargetSource, overrides: Sequence[str] = ()) -> Target:
        """Load a preset, a TOML file or a dictionary, and apply `key=value` overrides.

        spec: the name of a preset or the path of a TOML file (a string is looked up among the
            presets first, a Path is always a file), a dictionary with the tables of such a file,
            or a Target, which is taken as it is.
        overrides: "key=value" strings, as `--set` takes them: ["update.bl=1",
            "layer.conv*.update.bl=10", "array.large.rows=2048"]. One that changes `device.model`
            drops the parameters that belonged to the other model; parameters apply after it.
            Times are in seconds, energies in joules; `rpucc targets keys` lists every key.

        Raises TargetError, one line that names file and key, what was found and what is allowed;
        ArgumentError for an argument of another type.

        >>> Target.load("rpu-managed", ["periphery.read_noise=0"]).periphery.read_noise
        0.0
        >>> array = {"name": "small", "rows": 64, "cols": 64, "t_read": 10e-9}
        >>> Target.load({"name": "mine", "array": [array], "device": {"model": "ideal"}}).name
        'mine'
        """
        if isinstance(spec, Target):
            target, source = spec, f"target {spec.name}"
        elif isinstance(spec, dict):
            target = cls._validated(target_load.plain(spec), "target dictionary")
            source = f"target {target.name}"
        elif isinstance(spec, str | os.PathLike):
            text, source = target_load.read_text(spec)
            target = cls.from_toml(text, source)
            if not target_load.is_preset(spec):
                target._folder = Path(spec).resolve().parent
        else:
            raise arguments.wrong("target", spec, target_load.TARGETS)
        if not overrides:
            return target
        data = json.loads(target.to_json())
        touched = target_overrides.apply_overrides(data, overrides, _TABLES)
        changed = cls._validated(data, source, touched)
        changed._folder = target._folder
        return changed

    def with_plan(self, path: str | Path) -> Target:
        """Return this target with the decisions of a plan file (`rpucc inspect --write-plan`).

        Its `[[layer]]` rules come after the target's own, so that they win. Raises TargetError.
        """
        text, source = target_load.read_plan_text(arguments.path("with_plan(path)", path))
        data = target_load.parse_toml(text, source, "a plan file needs [[layer]] rules")
        try:
            plan = Decisions.model_validate(data)
        except ValidationError as error:
            raise TargetError(*target_messages.describe(error, source, _PLAN_TABLES, {})) from None
        merged = self.model_copy(
            update={
                "placement": self.placement.overridden(plan.placement),
                "layers": self.layers + plan.layers,
            }
        )
        found = self._validated(json.loads(merged.to_json()), f"{source} on target {self.name}")
        found._folder = self._folder
        return found

    def with_digital(self, layers: Iterable[str]) -> Target:
        """Return this target with rules that keep these layers digital, after its own."""
        rules = [LayerRule(match=pattern_of(name), analog=False) for name in layers]
        merged = self.model_copy(update={"layers": (*self.layers, *rules)})
        found = self._validated(json.loads(merged.to_json()), f"target {self.name}")
        found._folder = self._folder
        return found

    @classmethod
    def from_toml(cls, text: str, source: str = "target") -> Target:
        """Parse a target from TOML text; `source` names it in errors. Raises TargetError."""
        text = arguments.instance("Target.from_toml(text)", text, str, "the text of a TOML file")
        return cls._validated(target_load.parse_toml(text, source), source)

    @classmethod
    def from_json(cls, text: str, source: str = "the program's target") -> Target:
        """Read what `to_json` wrote. Raises TargetError."""
        arguments.instance("Target.from_json(text)", text, str, "what Target.to_json returns")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TargetError(f"{source}: no valid JSON: {one_line(error)}") from None
        return cls._validated(data, source)

    @classmethod
    def _validated(
        cls, data: object, source: str, touched: target_messages.Touched | None = None
    ) -> Target:
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            found = target_messages.describe(error, source, _TABLES, touched or {})
            raise TargetError(*found) from None

    def to_json(self) -> str:
        """Write the target as one line of JSON with the keys of a target file, defaults too."""
        return json.dumps(self.model_dump(by_alias=True), ensure_ascii=True, allow_nan=False)

    def for_layer(self, name: str) -> LayerPolicy:
        """Merge the sections and the rules that match `name`, later rules over earlier ones.

        A rule that names another device model starts from that model's own defaults. A layer's
        feedback matrix has its layer's policy. Raises TargetError where the rules that meet on this
        layer contradict each other.
        """
        name = ruled_as(name)
        rules = [rule for rule in self.layers if matches(rule.match, name)]
        keys = {key: self._merged(key, rules) for key in _POLICY_KEYS}
        policy = LayerPolicy.model_construct(**keys)
        try:
            policy.check("", self._kinds)
        except PydanticCustomError as error:
            raise TargetError(
                f"target {self.name}: layer {name!r} after all its rules: "
                f"{(error.context or {})['key']}: {target_messages.conflict_text(error.context)}"
            ) from None
        return policy

    def _merged(self, key: str, rules: Iterable[LayerRule]) -> Any:
        """Merge one key of a policy, without the check of the whole."""
        found = _OF_LAYERS[key] if key in _OF_LAYERS else getattr(self, key)
        for rule in rules:
            if key in rule.model_fields_set:
                value = getattr(rule, key)
                found = found.overridden(value) if isinstance(value, Section) else value
        return found


TargetSource = str | os.PathLike[str] | dict[str, Any] | Target
"""What a Python caller may give as a target; see `Target.load`."""

_CHECKED = tuple(
    table for table, section in LayerTables() if type(section).check is not Section.check
)
"""Tables that can contradict themselves."""
_POLICY_KEYS = tuple(LayerPolicy.model_fields)
_OF_LAYERS = {key: field.default for key, field in _Place.model_fields.items()}
"""What only single layers have -> what holds without a rule."""
_TABLES = tables_of(Target)
_PLAN_TABLES = tables_of(Decisions)
