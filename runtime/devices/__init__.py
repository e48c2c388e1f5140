"""Device models: one file a model, one table of their names; `compile_update` makes kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import TargetError
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.devices.exp_step import ExpStep
from rpucc.runtime.devices.ideal import Ideal
from rpucc.runtime.devices.linear_forms import LinearStep, SoftBounds
from rpucc.runtime.devices.own import own_model
from rpucc.runtime.devices.piecewise_step import PiecewiseStep
from rpucc.runtime.devices.pow_step import PowStep
from rpucc.runtime.devices.table_step import TableStep
from rpucc.target.values import ParameterValue, is_number
from rpucc.trust import NO_TRUST, Trust, is_own, module_of

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy, Target

_MODELS = (
    Ideal,
    ConstantStep,
    LinearStep,
    SoftBounds,
    ExpStep,
    PowStep,
    PiecewiseStep,
    TableStep,
)
DEVICES: dict[str, type[Device]] = {model.name: model for model in _MODELS}

UNKNOWN_STEP = 1e-3
"""What a pulse is taken to do of which nothing is known: the default of all models."""

__all__ = [
    "DEVICES",
    "Device",
    "device_of",
    "device_problems",
    "granularity",
    "make_device",
    "weight_bounds",
]


def make_device(
    model: str, parameters: Mapping[str, ParameterValue], folders: Sequence[Path] = ()
) -> Device:
    """The device model `model` (a name of DEVICES or "module:Class") with these parameters.

    A module is imported, from `folders` before Python's path: only call this for a name that the
    caller gave. Raises TargetError for an unknown model, key or range.
    """
    if is_own(model):
        return own_model(model, folders)(**parameters)
    if model not in DEVICES:
        known = ", ".join(DEVICES)
        raise TargetError(
            f"device.model = '{model}': no such model ({known}); your own: \"my_module:MyDevice\""
        )
    return DEVICES[model](**parameters)


def device_of(policy: LayerPolicy, trust: Trust = NO_TRUST, plane: str = "") -> Device:
    """The device of a layer, or of one plane of its cells, without the variations that are removed.

    Raises TargetError as `make_device`, for a kind of which the model says nothing, and for a
    model of a user's own that `trust` does not allow to be imported.
    """
    section = policy.cell.of_plane(plane, policy.device)
    model = section.model
    try:
        if not trust.allows(model):
            raise TargetError(
                f"device.model = '{model}': running it imports the module '{module_of(model)}', "
                "which only the program's file names; if you know it: "
                "Program.load(PATH, trust=True)"
            )
        device = make_device(model, section.parameters, trust.folders)
        return device.without(policy.variations.remove)
    except TargetError as error:
        if section == policy.device:
            raise
        own = f"cell.{plane}."
        raise TargetError(
            *(own + str(each).removeprefix("device.") for each in error.args)
        ) from None


def weight_bounds(policy: LayerPolicy) -> tuple[float, float]:
    """The mean lowest and highest weight of a layer's devices; infinite where nothing is clipped.

    Of cells of several planes those of the first, which initial weights are programmed to.

    A model of a user's own is not imported for it: what counts are the parameters w_min and w_max
    that the target itself gives it, and it is taken as unbounded without them.
    """
    if not policy.update.pulsed:  # devices play no part then, see fabrication.py
        return -math.inf, math.inf
    cell = policy.cell.settings
    if cell.sides is not None:
        positive, negative = (_bounds_of(policy, plane) for plane in cell.sides)
        return -negative[1], positive[1]
    return _bounds_of(policy, cell.planes[0])


def _bounds_of(policy: LayerPolicy, plane: str) -> tuple[float, float]:
    section = policy.plane_devices[plane]
    if section.model not in DEVICES:
        given = section.parameters
        return _number(given, "w_min", -math.inf), _number(given, "w_max", math.inf)
    return device_of(policy, plane=plane).mean_range(zero_shifted=policy.calibration.zero_shift)


def granularity(policy: LayerPolicy, plane: str) -> float:
    """What a pulse does on average to the devices of a plane of a layer's cells.

    A model of a user's own is not imported for it: what counts is the parameter dw_min that the
    target itself gives it, and 0.001 without one.
    """
    section = policy.plane_devices[plane]
    if section.model not in DEVICES:
        return _number(section.parameters, "dw_min", UNKNOWN_STEP)
    return device_of(policy, plane=plane).granularity


def _number(given: Mapping[str, ParameterValue], key: str, default: float) -> float:
    value = given.get(key, default)
    return value if is_number(value) else default  # type: ignore[return-value]


def device_problems(target: Target) -> list[str]:
    """Return what is wrong with the devices of a target and its layer rules, a line each.

    Devices that are code in a module of the user's are left out: nothing is imported here.
    """
    policies = [("", target.for_layer(""))]
    policies += [(f"layer.{i}.", target.for_layer(r.match)) for i, r in enumerate(target.layers)]
    found: dict[str, str] = {}
    for where, policy in policies:
        for plane, section in policy.plane_devices.items():
            if is_own(section.model):
                continue
            try:
                device_of(policy, plane=plane)
            except TargetError as error:
                for problem in error.args:
                    found.setdefault(problem, where)  # a rule has what the target has
    return [where + problem for problem, where in found.items()]
