"""The target: which arrays, converters, devices and policies a model is compiled for.

Holds a target as a whole and how its layer rules merge. Its tables are in `target_sections.py`,
the types of single values in `target_values.py`; reading files, presets, `--set` and the wording of
errors in `target_load.py`. Not for what the values do: the passes read the policies, and the
runtime checks a device's parameters (only the device model knows which it has).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rpucc import arguments, target_load
from rpucc.errors import TargetError, one_line
from rpucc.layer_rules import matches
from rpucc.target_load import list_presets, preset_names
from rpucc.target_sections import (
    AUTOMATIC_KINDS,
    ArrayKind,
    BatchNorm,
    Calibration,
    CostTable,
    Device,
    Management,
    Mapping,
    Periphery,
    PlacementPolicy,
    Section,
    Update,
    VariationPolicy,
    check_adc,
    check_mapping,
    conflict,
)
from rpucc.target_values import (
    ArrayIds,
    Flag,
    Glob,
    Line,
    Name,
)
from rpucc.trust import is_own

__all__ = [
    "ArrayKind",
    "BatchNorm",
    "Calibration",
    "CostTable",
    "Device",
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


class LayerRule(Section):
    """Overrides for the layers whose names match (`[[layer]]`); only the keys that are set."""

    match: Glob
    """A layer's name, or a glob on names, case-sensitive: * ? [abc]."""
    analog: Flag = True
    """False keeps the layers digital."""
    mapping: Mapping | None = None
    arrays: ArrayIds = ()
    """The arrays of the layer's kind that its tiles go to: one id a tile, row-major, or one id an
    array where groups lie side by side. Empty leaves the choice to `place`."""
    periphery: Periphery | None = None
    management: Management | None = None
    update: Update | None = None
    device: Device | None = None
    variations: VariationPolicy | None = None
    batch_norm: BatchNorm | None = None
    calibration: Calibration | None = None

    @model_serializer(mode="plain")
    def _set_keys(self) -> dict[str, Any]:
        values = {
            k: getattr(self, k) for k in type(self).model_fields if k in self.model_fields_set
        }
        return {
            k: v.model_dump(exclude_unset=True) if isinstance(v, Section) else v
            for k, v in values.items()
            if v is not None
        }


@dataclass(frozen=True, slots=True)
class LayerPolicy:
    """What holds for one layer: the target's sections with every matching rule merged in."""

    analog: bool
    mapping: Mapping
    periphery: Periphery
    management: Management
    update: Update
    device: Device
    batch_norm: BatchNorm
    variations: VariationPolicy
    calibration: Calibration
    arrays: tuple[int, ...] = ()


class Decisions(Section):
    """A plan file: what a user decided about single layers, over and above a target."""

    placement: PlacementPolicy | None = None
    layers: tuple[LayerRule, ...] = Field(default=(), alias="layer")


class Target(Section):
    """A compilation target: arrays, periphery, devices, management, update and layer rules.

    Made by `Target.load`, `Target.from_toml` or `Target.from_json`; immutable, and never invalid.

    >>> target = Target.load("rpu-managed", overrides=["update.bl=1"])
    >>> target.for_layer("conv1").update.bl
    1
    """

    name: Name
    description: Line = ""
    arrays: tuple[ArrayKind, ...] = Field(alias="array")
    mapping: Mapping = Mapping()
    periphery: Periphery = Periphery()
    device: Device
    variations: VariationPolicy = VariationPolicy()
    management: Management = Management()
    update: Update = Update()
    placement: PlacementPolicy = PlacementPolicy()
    cost: CostTable = CostTable()
    batch_norm: BatchNorm = BatchNorm()
    calibration: Calibration = Calibration()
    layers: tuple[LayerRule, ...] = Field(default=(), alias="layer")
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.arrays:
            raise conflict("array", [], target_load.NEEDED["array"])
        names = [kind.name for kind in self.arrays]
        for i, name in enumerate(names):
            if name in AUTOMATIC_KINDS:
                taken = "a name other than " + ", ".join(AUTOMATIC_KINDS)
                raise conflict(f"array.{i}.name", name, taken)
            if name in names[:i]:
                raise conflict(f"array.{i}.name", name, "a name that no other [[array]] has")
        if "model" not in self.device.model_fields_set:
            raise conflict("device.model", None, target_load.NEEDED["model"])
        check_mapping(self.mapping, names, "mapping")
        check_adc(self.periphery, "periphery")
        # A pattern taken as a name stands for the layers that it matches: it finds a rule that
        # contradicts the rest before any model is seen.
        for i, rule in enumerate(self.layers):
            if rule.mapping is not None:
                check_mapping(rule.mapping, names, f"layer.{i}.mapping")
            if rule.periphery is not None:
                check_adc(self._merge(rule.match).periphery, f"layer.{i}.periphery")
        return self

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
        sections = [self.device, *(rule.device for rule in self.layers if rule.device is not None)]
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
            Times are in seconds, energies in joules; docs/policies.md has every key.

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
        touched = target_load.apply_overrides(data, overrides, _KEYS)
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
            raise TargetError(*target_load.describe(error, source, _PLAN_KEYS, {})) from None
        merged = self.model_copy(
            update={
                "placement": _merged(self.placement, plan.placement),
                "layers": self.layers + plan.layers,
            }
        )
        found = self._validated(json.loads(merged.to_json()), f"{source} on target {self.name}")
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
        cls, data: object, source: str, touched: target_load.Touched | None = None
    ) -> Target:
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            found = target_load.describe(error, source, _KEYS, touched or {})
            raise TargetError(*found) from None

    def to_json(self) -> str:
        """Write the target as one line of JSON with the keys of a target file, defaults too."""
        return json.dumps(self.model_dump(by_alias=True), ensure_ascii=True, allow_nan=False)

    def for_layer(self, name: str) -> LayerPolicy:
        """Merge the sections and the rules that match `name`, later rules over earlier ones.

        A rule that names another device model starts from that model's own defaults. Raises
        TargetError where the rules that meet on this layer contradict each other.
        """
        policy = self._merge(name)
        try:
            check_adc(policy.periphery, "periphery")
        except PydanticCustomError as error:
            raise TargetError(
                f"target {self.name}: layer {name!r} after all its rules: "
                f"{(error.context or {})['key']}: {target_load.conflict_text(error.context)}"
            ) from None
        return policy

    def _merge(self, name: str) -> LayerPolicy:
        """Merge without the check of the whole, for `for_layer` and validation."""
        analog, mapping = True, self.mapping
        periphery, device = self.periphery, self.device
        management, update = self.management, self.update
        arrays: tuple[int, ...] = ()
        batch_norm, variations = self.batch_norm, self.variations
        calibration = self.calibration
        for rule in self.layers:
            if not matches(rule.match, name):
                continue
            if "analog" in rule.model_fields_set:
                analog = rule.analog
            mapping = _merged(mapping, rule.mapping)
            if "arrays" in rule.model_fields_set:
                arrays = rule.arrays
            periphery = _merged(periphery, rule.periphery)
            management = _merged(management, rule.management)
            update = _merged(update, rule.update)
            device = _merged_device(device, rule.device)
            batch_norm = _merged(batch_norm, rule.batch_norm)
            variations = _merged(variations, rule.variations)
            calibration = _merged(calibration, rule.calibration)
        return LayerPolicy(
            analog=analog,
            mapping=mapping,
            periphery=periphery,
            management=management,
            update=update,
            device=device,
            batch_norm=batch_norm,
            variations=variations,
            calibration=calibration,
            arrays=arrays,
        )


TargetSource = str | os.PathLike[str] | dict[str, Any] | Target
"""What a Python caller may give as a target; see `Target.load`."""

S = TypeVar("S", bound=Section)


def _merged(base: S, over: S | None) -> S:
    if over is None:
        return base
    return base.model_copy(update={key: getattr(over, key) for key in over.model_fields_set})


def _merged_device(base: Device, over: Device | None) -> Device:
    if over is None:
        return base
    if "model" in over.model_fields_set and over.model != base.model:
        return over
    return base.model_copy(update={"parameters": {**base.parameters, **over.parameters}})


_KEYS: dict[str, tuple[str, ...]] = {
    "": tuple(field.alias or key for key, field in Target.model_fields.items()),
    "array": tuple(ArrayKind.model_fields),
    "mapping": tuple(Mapping.model_fields),
    "periphery": tuple(Periphery.model_fields),
    "device": ("model",),
    "variations": tuple(VariationPolicy.model_fields),
    "management": tuple(Management.model_fields),
    "update": tuple(Update.model_fields),
    "placement": tuple(PlacementPolicy.model_fields),
    "cost": tuple(CostTable.model_fields),
    "batch_norm": tuple(BatchNorm.model_fields),
    "calibration": tuple(Calibration.model_fields),
    "layer": tuple(LayerRule.model_fields),
}
_PLAN_KEYS = {
    **_KEYS,
    "": tuple(field.alias or key for key, field in Decisions.model_fields.items()),
}
