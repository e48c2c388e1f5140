"""What may cost accuracy on a target: a table of causes, and the overrides that take them away.

A cause is a row of CAUSES: a new key of a target that disturbs has its place here, and nowhere
else. Which of them a target has follows from its keys (`causes_of`), in its own tables and in those
of its layer rules. Not for training without them: that is ablation.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rpucc.errors import TargetError
from rpucc.target.sections import LayerTables
from rpucc.target.values import MEAN, SAME, ParameterValue
from rpucc.trust import Trust, is_own

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.target.sections import DeviceTable
    from rpucc.target.target import LayerPolicy, Target

Changes = dict[str, Any]
"""Key of a target, as `--set` names it -> its value."""

FAR = 1e6
"""A bound of weights that none reaches; the largest that a target may have."""
MORE_BITS = 10
"""That an ADC gets where the signal bound goes away and its steps stay: 2^10 times the range."""
MOST_BITS = 24


@dataclass(frozen=True)
class Policy:
    """What a target says at one place: of all layers, or of those that a rule matches."""

    values: LayerPolicy
    trust: Trust

    def devices(self) -> Iterator[tuple[str, DeviceTable]]:
        """Yield the tables of devices that are set, as `--set` names them."""
        yield "device", self.values.device
        cell = self.values.cell
        for plane in cell.settings.planes:
            if plane in cell.model_fields_set:
                yield f"cell.{plane}", cell.of_plane(plane, self.values.device)

    def model_of(self, table: DeviceTable) -> type[Device]:
        """Return the class of a table's devices; imports one of a user's own, if it may."""
        from rpucc.runtime.devices import DEVICES
        from rpucc.runtime.devices.own import own_model

        if not is_own(table.model):
            if table.model not in DEVICES:
                raise TargetError(f"device.model = '{table.model}': no such model")
            return DEVICES[table.model]
        if not self.trust.allows(table.model):
            raise TargetError(
                f"device.model = '{table.model}': looking at it imports a module that only a file "
                "names; if you know it: --trust"
            )
        return own_model(table.model, self.trust.folders)

    def value(self, key: str) -> Any:
        """Return what a key is here; of a parameter that is not given, its model's default."""
        *path, name = key.split(".")
        section: Any = self.values
        for step in path:
            section = getattr(section, step)
        if path[0] == "cell" and len(path) > 1:
            section = self.values.cell.of_plane(path[1], self.values.device)
        if name in type(section).model_fields:
            return getattr(section, name)
        if path == ["cell"]:
            return getattr(section.settings, name)
        return section.parameters.get(name, self.model_of(section).defaults[name])


Taking = Callable[[Policy, Collection[str]], Changes]


@dataclass(frozen=True)
class Cause:
    """Something of a target that may cost accuracy."""

    name: str
    label: str
    taken: Taking
    """What takes it away at one place: from the policy there and the names of all causes that are
    taken away; nothing where it is not there."""
    needs: str = ""
    """The cause without which there is nothing of it: that takes it away too, and by itself it
    comes with that."""
    reads: bool = False
    """Whether it acts on the reads of weights as they are, without any update."""
    variation: bool = False
    """Whether it is a device's difference from another, or from itself."""


# ---------------------------------------------------------------- reads


def _reads(**keys: Any) -> Taking:
    """Set keys of the periphery, in both cycles."""

    def taken(policy: Policy, removed: Collection[str]) -> Changes:
        return {
            f"periphery.{name}": each
            for key, value in keys.items()
            for name, each in ((key, value), (f"{key}_backward", SAME))
        }

    return taken


def _signal_bound(policy: Policy, removed: Collection[str]) -> Changes:
    """Lift it out of reach; the steps of an ADC that stays are the same with more bits."""
    found: Changes = {}
    periphery = policy.values.periphery
    apart = any(policy.value(f"periphery.{key}_backward") != SAME for key in ("bound", "adc_bits"))
    for cycle, end in ((periphery, ""), (periphery.backward, "_backward"))[: 1 + apart]:
        if not cycle.bound:
            continue
        if "adc" in removed or not cycle.adc_bits:
            found[f"periphery.bound{end}"] = 0.0
            continue
        more = min(MORE_BITS, MOST_BITS - int(cycle.adc_bits))
        found[f"periphery.bound{end}"] = float(cycle.bound) * 2**more
        found[f"periphery.adc_bits{end}"] = int(cycle.adc_bits) + more
    return found


# ---------------------------------------------------------------- devices


def _parameters(kind: str = "", **values: float) -> Taking:
    """Set parameters of devices, where their model has them and updates go by them.

    kind: the kind of variation that stands for it in a model of a user's own.
    """

    def taken(policy: Policy, removed: Collection[str]) -> Changes:
        if not policy.values.update.pulsed:
            return {}
        found: Changes = {}
        for where, table in policy.devices():
            model = policy.model_of(table)
            if not is_own(table.model):
                found |= {f"{where}.{k}": v for k, v in values.items() if k in model.defaults}
            elif kind and any(_given(model, table, k) for k in model.variations.get(kind, ())):
                found["variations.remove"] = [kind]
        return found

    return taken


def _given(model: type[Device], table: DeviceTable, key: str) -> ParameterValue:
    return table.parameters.get(key, model.defaults[key])


def _response(policy: Policy, removed: Collection[str]) -> Changes:
    """Make steps as large everywhere as they are at weight 0."""
    from rpucc.runtime.devices.linear_step import LinearStep

    if not policy.values.update.pulsed:
        return {}
    found: Changes = {}
    for where, table in policy.devices():
        model = policy.model_of(table)
        if model is LinearStep:
            found |= {f"{where}.gamma_up": 0.0, f"{where}.gamma_down": 0.0}
            found |= {f"{where}.subtract_symmetry_point": False}
        elif not is_own(table.model) and model.name not in _CONSTANT:
            found |= {f"{where}.{key}": value for key, value in _flat(model, table).items()}
    return found | (_unshifted(policy) if found else {})


_CONSTANT = ("ideal", "constant-step")
"""Models whose steps do not depend on the weight."""


def _flat(model: type[Device], table: DeviceTable) -> dict[str, ParameterValue]:
    """The table of constant steps as large as the mean of up and down steps at weight 0 is."""
    from rpucc.runtime.devices.constant_step import ConstantStep
    from rpucc.runtime.devices.shaped_step import ShapedStep

    own: dict[str, Any] = {**model.defaults, **table.parameters}
    found = {key: value for key, value in own.items() if key in ConstantStep.defaults}
    if issubclass(model, ShapedStep):
        lost = abs(float(own["up_down"])) / 2 if own["asymmetry"] == "one-sided" else 0.0
        mean = sum(model(**own).mean_steps(0.0)) / 2 / (1 - lost)
        found |= {"dw_min": mean, "w_min": min(float(own["w_min"]), -1e-6)}
    if own.get("subtract_symmetry_point"):
        found |= {"up_down": 0.0, "up_down_dtod": 0.0}
    return {"model": ConstantStep.name, **found}


def _unshifted(policy: Policy) -> Changes:
    """Leave out what needs devices with a symmetry point, which evens nothing then."""
    found: Changes = {}
    if policy.values.calibration.zero_shift:
        found["calibration.zero_shift"] = False
    if getattr(policy.values.cell.settings, "shift_fast", False):
        found["cell.shift_fast"] = False
    return found


def _granularity(policy: Policy, removed: Collection[str]) -> Changes:
    return {"update.pulsed": MEAN} if policy.values.update.pulsed is True else {}


def _cycle_noise(policy: Policy, removed: Collection[str]) -> Changes:
    """None without pulses."""
    gone = _parameters("ctoc", dw_min_std=0.0, dw_min_std_add=0.0, dw_min_std_slope=0.0)
    found = gone(policy, removed)
    return found if policy.values.update.pulsed is True else {}


def _reference(policy: Policy, removed: Collection[str]) -> Changes:
    """Make weights count from what is meant to be their zero."""
    found = _parameters(reference_mean=0.0, reference_std=0.0)(policy, removed)
    if policy.values.calibration.zero_shift or policy.values.cell.settings.shifted:
        found["calibration.reference_std"] = 0.0
    return found


CAUSES = (
    Cause("read-noise", "read noise", _reads(read_noise=0.0), reads=True),
    Cause("wires", "resistance of the wires", _reads(ir_drop=0.0), reads=True),
    Cause("dac", "input converters (DAC)", _reads(dac_bits=0), reads=True),
    Cause("adc", "output converters (ADC)", _reads(adc_bits=0), reads=True),
    Cause("signal-bound", "signal bound", _signal_bound, reads=True),
    Cause("response", "steps that change with the weight", _response, needs="weight-bounds"),
    Cause("granularity", "granularity of pulses", _granularity),
    Cause(
        "cycle-noise", "noise from pulse to pulse", _cycle_noise, needs="granularity",
        variation=True,
    ),
    Cause(
        "step-spread", "spread of step sizes",
        _parameters(
            "dtod", dw_min_dtod=0.0, gamma_up_dtod=0.0, gamma_down_dtod=0.0, pow_gamma_dtod=0.0,
        ),
        variation=True,
    ),
    Cause(
        "stuck-devices", "stuck devices", _parameters(corrupt_devices_prob=0.0), reads=True,
        variation=True,
    ),
    Cause(
        "asymmetry", "asymmetry of up and down steps", _parameters(up_down=0.0, pow_up_down=0.0),
    ),
    Cause(
        "asymmetry-spread", "spread of the asymmetry",
        _parameters("asymmetry", up_down_dtod=0.0, pow_up_down_dtod=0.0), variation=True,
    ),
    Cause(
        "weight-bounds", "weight bounds", _parameters(w_max=FAR, w_min=-FAR), reads=True,
    ),
    Cause(
        "bound-spread", "spread of the weight bounds",
        _parameters(
            "bounds", w_max_dtod=0.0, w_min_dtod=0.0, slope_up_dtod=0.0, slope_down_dtod=0.0,
        ),
        needs="weight-bounds", reads=True, variation=True,
    ),
    Cause(
        "reference-error", "error of the references", _reference,
    ),
)  # fmt: skip
"""In the order in which they are applied: what changes a model comes before its parameters."""

BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in CAUSES}


# ---------------------------------------------------------------- of a target


def causes_of(target: Target, trust: Trust, *, reads: bool = False) -> tuple[Cause, ...]:
    """Return the causes that a target has, in its own tables or those of a layer rule.

    reads: only those that act on reads of weights as they are. Raises TargetError for a device of
    a user's own that may not be imported.
    """
    return tuple(
        cause
        for cause in CAUSES
        if (cause.reads or not reads) and overrides_without(target, {cause.name}, trust)
    )


def overrides_without(
    target: Target, removed: Collection[str], trust: Trust, layers: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the overrides that take these causes away, "key=value" as for `--set`.

    layers: patterns of the layers that lose them; by default all, whatever rules say of them.
    """
    if layers:
        places = {pattern: frozenset(LayerTables.model_fields) for pattern in layers}
        general: Changes = {}
    else:
        places = _tables_of_rules(target)
        general = _changes(Policy(target.for_layer(""), trust), removed)
    found = [*_lines(Policy(target.for_layer(""), trust), general, "")]
    for pattern, tables in places.items():
        policy = Policy(target.for_layer(pattern), trust)
        # What a rule says nothing of is done by the target's own tables.
        own = {
            key: value
            for key, value in _changes(policy, removed).items()
            if key.partition(".")[0] in tables or general.get(key) != value
        }
        found += _lines(policy, own, f"layer.{pattern}.")
    return tuple(found)


def _tables_of_rules(target: Target) -> dict[str, frozenset[str]]:
    """Return the pattern of each layer rule with the tables that rules of it have."""
    found: dict[str, frozenset[str]] = {}
    for rule in target.layers:
        found[rule.match] = found.get(rule.match, frozenset()) | rule.model_fields_set
    return found


def _lines(policy: Policy, changes: Changes, prefix: str) -> Iterator[str]:
    for key, value in changes.items():
        if _differs(policy, key, value, changes):
            yield f"{prefix}{key}={value if isinstance(value, str) else json.dumps(value)}"


def _changes(policy: Policy, removed: Collection[str]) -> Changes:
    found: Changes = {}
    gone: list[str] = []
    for cause in CAUSES:
        if cause.name in removed:
            changes = cause.taken(policy, removed)
            gone += changes.pop("variations.remove", [])
            found |= changes
    for where, _ in policy.devices():
        if f"{where}.model" in found:
            found = _that_it_has(where, found)
    if gone:
        found["variations.remove"] = [*dict.fromkeys((*policy.values.variations.remove, *gone))]
    return found


def _that_it_has(where: str, changes: Changes) -> Changes:
    """Leave out parameters that the new model of a table of devices does not have."""
    from rpucc.runtime.devices import DEVICES

    known = {"model", *DEVICES[changes[f"{where}.model"]].defaults}
    return {k: v for k, v in changes.items() if _key_in(where, k) in ("", *known)}


def _key_in(where: str, key: str) -> str:
    """Return the last part of a key of a table, "" for one of another."""
    table, _, name = key.rpartition(".")
    return name if table == where else ""


def _differs(policy: Policy, key: str, value: Any, changes: Changes) -> bool:
    """Tell whether a key is to be set; with a new model all its parameters are."""
    table = key.rpartition(".")[0]
    if f"{table}.model" in changes and policy.value(f"{table}.model") != changes[f"{table}.model"]:
        return True
    now = policy.value(key)
    if value == SAME:  # the forward cycle's, which is off
        return bool(now != SAME and now)
    return bool(now != (tuple(value) if isinstance(value, list) else value))
