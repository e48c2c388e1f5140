"""What a target says of one layer, in words: bound management, periphery and devices.

Not for what the plan alone knows: that is plan.py.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rpucc.report import units
from rpucc.report.text.plan import which_cycles
from rpucc.target.keys import BACKWARD, ActsOn, Section, mark
from rpucc.target.sections import LayerTables
from rpucc.target.values import SAME

if TYPE_CHECKING:
    from rpucc.cells import Cell
    from rpucc.plan.plan import LayerPlan
    from rpucc.target.sections import DeviceTable
    from rpucc.target.target import LayerPolicy, Periphery


def as_data(plan: LayerPlan, policy: LayerPolicy) -> dict[str, Any]:
    """Return what acts on a layer on arrays and the plan does not have, as plain data for JSON.

    After all layer rules, without what has no effect: the periphery of a backward cycle or the
    bound management that the layer does not have, the calibration where there is none.

    >>> import rpucc
    >>> program = rpucc.compile("lenet", "rpu-managed", verify=False)
    >>> conv1 = program.plan.layers[0]
    >>> as_data(conv1, program.target.for_layer("conv1"))["management"]["max_halvings"]
    10
    """
    ops = _ops(plan)
    cell = policy.cell.settings
    calibrated = policy.calibration.zero_shift or cell.shifted
    return {
        **{
            table: _acting(getattr(policy, table), ops, backward=plan.reads_backward > 0)
            for table in LayerTables.model_fields
            if table not in _IN_PLAN and _has_acting(getattr(policy, table))
        },
        "device": {"model": policy.device.model, **policy.device.parameters},
        "cell": _cell_data(policy, cell, plan.planes),
        "variations": {"remove": sorted(policy.variations.remove)},
        "calibration": policy.calibration.model_dump() if calibrated else {},
        "replica_updates": policy.mapping.replica_updates if plan.replicas > 1 else "",
    }


def _cell_data(policy: LayerPolicy, cell: Cell, planes: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a cell and the devices of its planes."""
    devices = {plane: policy.plane_devices[plane] for plane in planes}
    return {
        "model": cell.model,
        **cell.model_dump(),
        **{plane: {"model": d.model, **d.parameters} for plane, d in devices.items()},
    }


_IN_PLAN = ("update",)
"""Tables that the plan has."""


def _has_acting(section: Section) -> bool:
    return any(mark(field, ActsOn) for field in type(section).model_fields.values())


def _acting(section: Section, ops: Container[str], *, backward: bool) -> dict[str, Any]:
    """Return the keys that act on these ops, with "same" for a cycle that is not another."""
    fields = type(section).model_fields
    acting = {key: acts.op for key in fields if (acts := mark(fields[key], ActsOn)) is not None}
    values = {key: getattr(section, key) for key, op in acting.items() if op in ops}
    for key in [key for key in values if f"{key}{BACKWARD}" in fields]:
        own = getattr(section.backward, key)
        values[f"{key}{BACKWARD}"] = own if backward and own != values[key] else SAME
    return values


def _ops(plan: LayerPlan) -> set[str]:
    """The ops that keys act on, as far as the layer has them."""
    bounded = plan.bound_forward or plan.bound_backward
    return {"Read", *(["BoundedRead"] if bounded else []), *(["Update"] if plan.updates else [])}


_IN_WORDS = frozenset(
    {
        *(
            "bound_mode",
            "assumed_w_max",
            "pulsed",
            "pulses",
            "bl",
            "update_management",
            "update_bl_management",
        )
    }
)
"""Keys that a line of their own tells of, as do all of the periphery."""


def other_settings(plan: LayerPlan, policy: LayerPolicy) -> str:
    """Return the keys that act on a layer, are not at their default, and have no line of their own.

    >>> import rpucc
    >>> program = rpucc.compile("lenet", "rpu-managed", overrides=["management.max_halvings=3"],
    ...     verify=False)
    >>> other_settings(program.plan.layers[0], program.target.for_layer("conv1"))
    'management.max_halvings 3'
    """
    found = {
        f"{table}.{key}": value
        for table in LayerTables.model_fields
        if table != "periphery"
        for key, value in _acting(getattr(policy, table), _ops(plan), backward=False).items()
        if key not in _IN_WORDS and value != type(getattr(policy, table)).model_fields[key].default
    }
    return section(found)


def section(values: Mapping[str, object]) -> str:
    """Return keys and values of a table of the target.

    >>> section({"dw_min": 0.001, "w_max": 0.6})
    'dw_min 0.001, w_max 0.6'
    """
    return ", ".join(f"{key} {units.parameter(value)}" for key, value in values.items())


def bound_management(plan: LayerPlan, policy: LayerPolicy) -> str:
    """Return the cycles under bound management, and its mode where that is not the usual one."""
    cycles, management = which_cycles(plan.bound_forward, plan.bound_backward), policy.management
    if management.bound_mode == "iterative" or not (plan.bound_forward or plan.bound_backward):
        return cycles
    return f"{cycles}, worst case of |w| up to {management.assumed_w_max:g}"


def periphery_text(periphery: Periphery) -> str:
    """Return the forward cycle's values, and what differs in the backward cycle.

    >>> from rpucc.target.target import Periphery
    >>> text = periphery_text(Periphery(read_noise=0.06, read_noise_backward=0))
    >>> text.partition("; ")[2], "read_noise 0.06" in text.split(", ")
    ('backward: read_noise 0', True)
    """
    backward = periphery.backward
    keys = [key for key in type(periphery).model_fields if not key.endswith(BACKWARD)]
    forward = {key: getattr(periphery, key) for key in keys}
    own = {key: getattr(backward, key) for key in keys if getattr(backward, key) != forward[key]}
    return section(forward) + (f"; backward: {section(own)}" if own else "")


def calibration_text(policy: LayerPolicy) -> str:
    """Return what is done to a layer's devices before weights are programmed; "" for nothing.

    >>> from rpucc.target.target import Target
    >>> target = Target.load("soft-bounds-asymmetric", ["calibration.zero_shift=true"])
    >>> calibration_text(target.for_layer("fc1"))
    'zero-shifted by 10,000 pairs of pulses'
    """
    calibration, cell = policy.calibration, policy.cell.settings
    planes = [*([cell.planes[0]] if calibration.zero_shift else []), *cell.shifted]
    if not planes:
        return ""
    error = calibration.reference_std
    reference = f", reference programmed to ± {error:g}" if error else ""
    which = f"{' and '.join(planes)} " if len(cell.planes) > 1 else ""
    return f"{which}zero-shifted by {calibration.pairs:,} pairs of pulses{reference}"


def cell_text(policy: LayerPolicy) -> str:
    """Return what a layer's weights are made of; "" for one device each.

    >>> from rpucc.target.target import Target
    >>> cell_text(Target.load("ideal", ["cell.model=tiki-taka"]).for_layer("fc1"))[:43]
    'tiki-taka (slow, fast): fast_lr 1, transfer'
    """
    cell = policy.cell.settings
    if len(cell.planes) == 1:
        return ""
    keys = section(cell.model_dump())
    return f"{cell.model} ({', '.join(cell.planes)}){f': {keys}' if keys else ''}"


def device_text(policy: LayerPolicy) -> str:
    """Return a layer's device model, the parameters that the target gives, what is removed.

    >>> from rpucc.target.target import Target
    >>> target = Target.load("ideal", ["device.model=constant-step", "variations.remove=all"])
    >>> device_text(target.for_layer("fc1"))
    'constant-step; variations removed: dtod, ctoc, asymmetry, bounds'
    """
    removed, devices = policy.variations.remove, policy.plane_devices
    shared = policy.device if policy.device in devices.values() else None
    own = [f"{plane}: {_named(d)}" for plane, d in devices.items() if d != policy.device]
    text = "; ".join([*([_named(shared)] if shared is not None else []), *own])
    return f"{text}; variations removed: {', '.join(removed)}" if removed else text


def _named(device: DeviceTable) -> str:
    given = section(device.parameters)
    return f"{device.model}: {given}" if given else device.model
