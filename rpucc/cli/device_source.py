"""What a user means by NAME in `rpucc devices show`: a model, one of their own, or a target's.

Not for showing devices: that is devices.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import TargetError, UsageError, one_line

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.target.target import LayerPolicy, Target


@dataclass(frozen=True)
class Shown:
    """A device to show, and where in a target it stands."""

    device: Device
    where: str = ""
    """The layers that have it, as the target names them; "" for a model on its own."""


def find_devices(name: str, settings: Sequence[str], layer: str | None) -> list[Shown]:
    """Return the device of a model's name, or those of a target's, with the values of `--set`.

    layer: of a target, the name of the only layer of interest. Imports a user's own module, and
    says so. Raises TargetError.
    """
    from rpucc.runtime.devices import DEVICES
    from rpucc.target.load import is_preset
    from rpucc.trust import is_own

    is_target = name not in DEVICES and (
        is_preset(name) or name.endswith(".toml") or Path(name).is_file()
    )
    if is_target:
        return of_target(name, settings, layer)
    if layer is not None:
        raise UsageError(f"--layer: {one_line(name)} is a device model, not a target with layers")
    if name not in DEVICES and not is_own(name):
        near = difflib.get_close_matches(name, DEVICES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TargetError(
            f"no device model {one_line(name)!r}; {hint}models: {', '.join(DEVICES)}; or a target"
        )
    return [Shown(_of_model(name, settings))]


def _of_model(name: str, settings: Sequence[str]) -> Device:
    from rpucc.runs.admission import announce
    from rpucc.runtime.devices import make_device
    from rpucc.target.overrides import setting_of
    from rpucc.target.values import PARAMETER, is_parameter
    from rpucc.trust import Trust, is_own

    parameters = {}
    for setting in settings:
        key, value = setting_of(setting)
        if not is_parameter(value):
            raise TargetError(
                f"--set {one_line(repr(setting))}: allowed: key=value, as in --set up_down=0.3, "
                f"where the value is {PARAMETER}"
            )
        parameters[key.removeprefix("device.")] = value
    trust = Trust.given(is_own(name), [Path.cwd()])
    if is_own(name):
        announce([name], trust)
    return make_device(name, parameters, trust.folders)


# ---------------------------------------------------------------- targets


def of_target(name: str, settings: Sequence[str] = (), layer: str | None = None) -> list[Shown]:
    """Return the devices of a target, with the values of `--set`; as `find_devices`."""
    from rpucc.runs.admission import announce
    from rpucc.runtime.devices import device_of
    from rpucc.target.target import Target
    from rpucc.trust import Trust, is_own

    target = Target.load(name, [_as_override(setting) for setting in settings])
    wanted = dict(_policies(target)) if layer is None else {layer: target.for_layer(layer)}
    folders = [target.folder] if target.folder is not None else []
    trust = Trust.given(True, [*folders, Path.cwd()])
    found = [
        (where, policy, plane) for where, policy in wanted.items() for plane in _planes(policy)
    ]
    models = (policy.cell.of_plane(plane, policy.device).model for _, policy, plane in found)
    announce(dict.fromkeys(model for model in models if is_own(model)), trust)
    return [
        Shown(device_of(policy, trust, plane), f"{where}, {plane} plane" if plane else where)
        for where, policy, plane in found
    ]


def _planes(policy: LayerPolicy) -> list[str]:
    """Return the planes of a layer's cells where they have devices of their own; else [""]."""
    devices = policy.plane_devices
    alike = all(device == policy.device for device in devices.values())
    return [""] if alike else list(devices)


def _as_override(setting: str) -> str:
    """Return a device's parameter as a target takes it: up_down=0.3 is device.up_down=0.3."""
    return setting if "." in setting.partition("=")[0] else f"device.{setting}"


def _policies(target: Target) -> Iterator[tuple[str, LayerPolicy]]:
    """Yield the target's device, and that of each layer rule that changes it, on its own."""
    every = "layers without a rule of their own" if target.layers else "all layers"
    yield every, target.model_copy(update={"layers": ()}).for_layer("")
    for rule in target.layers:
        if rule.model_fields_set & {"device", "variations", "cell"}:
            alone = rule.model_copy(update={"match": "*"})
            yield (
                f"layers {rule.match}",
                target.model_copy(update={"layers": (alone,)}).for_layer(""),
            )
