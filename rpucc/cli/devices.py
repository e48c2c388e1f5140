"""`rpucc devices`: the device models and their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options
from rpucc.cli.devices_fit import fit
from rpucc.cli.devices_gallery import gallery
from rpucc.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rpucc.cli.device_source import Shown
    from rpucc.runtime.devices import Device
    from rpucc.runtime.response import Response


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def devices(ctx: click.Context, as_json: bool) -> None:
    """List device models, show one, fit one.

    A target chooses one: [device] model = "constant-step", with its parameters below. Your own
    works too: model = "my_module:MyDevice".
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@devices.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the device models."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from rpucc.runtime.devices import DEVICES

    if as_json:
        from rpucc.outputs import print_json

        print_json([_as_dict(model) for model in DEVICES.values()])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    show(lists.devices((name, d.summary, d.source) for name, d in DEVICES.items()))


devices.add_command(fit)
devices.add_command(gallery)


@devices.command()
@click.argument("name")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the device, as in --set up_down=0.3; may be repeated.",
)
@click.option(
    "--layer", default=None, metavar="NAME", help="Of a target: this layer's device only."
)
@click.option("--plot", default=None, metavar="FILE.svg", help="Draw the response curve.")
@click.option(
    "--pulses",
    type=click.IntRange(1, limits.PULSES),
    default=None,
    help="Pulses in each direction.  [default: twice what leads to the bound]",
)
@click.option(
    "--devices",
    "count",
    type=click.IntRange(1, limits.DEVICES),
    default=30,
    show_default=True,
    help="How many devices are pulsed.",
)
@options.seed
@options.as_json
def show(
    name: str,
    settings: tuple[str, ...],
    layer: str | None,
    plot: str | None,
    pulses: int | None,
    count: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show a device model: its parameters, and how a sample of devices answers to pulses.

    NAME is a model of the list, one of yours, as in my_module:MyDevice, or a target (a TOML file
    or a preset): then its device, and that of every layer rule with another. The sample is pulsed
    up, then as often down. At its symmetry point a device's up and down pulses cancel.
    """
    from rpucc.cli.device_source import find_devices

    if plot is not None:
        from rpucc.outputs import check_file

        check_file(Path(plot), name)
    found = find_devices(name, settings, layer)
    if plot is not None and len(found) > 1:
        raise UsageError(f"--plot: {name} has {len(found)} devices; name one with --layer")
    if as_json:
        from rpucc.outputs import print_json

        print_json(_as_data(name, found))
    if as_json and plot is None:
        return
    from rpucc.runtime.response import response

    for i, shown in enumerate(found):
        device = shown.device
        curve = response(device, count, pulses, seed)
        if not as_json:
            from rpucc import terminal as console
            from rpucc.report.text.devices import response_text
            from rpucc.runtime.devices.derived import derived

            given = bool(settings) or bool(shown.where)
            above = [""] * (i > 0) + [f"{shown.where}:"] * bool(shown.where)
            text = response_text(device.name, curve, derived(device))
            console.show(*above, _parameters(device, given=given), "", text)
        if plot is not None:
            _plot(Path(plot), device.name, curve)


def _plot(path: Path, name: str, curve: Response) -> None:
    from rpucc.outputs import write_text
    from rpucc.report.drawings.devices import LEGEND, response_drawing
    from rpucc.terminal import say

    legend = LEGEND if curve.symmetry is not None else LEGEND[:2]
    write_text(path, response_drawing(name, curve).file(legend))
    say(f"wrote {path}")


def _parameters(device: Device, *, given: bool) -> RenderableType:
    from rpucc.report.text import catalogues as lists
    from rpucc.runtime.devices.rest import KEYS

    model = type(device)
    return lists.device(
        device.name,
        model.summary,
        model.source,
        device.parameters,
        {key: (low, high) for key, (_, low, high, _) in KEYS.items()} | dict(model.ranges),
        {key: meaning for key, (*_, meaning) in KEYS.items()} | dict(model.meanings),
        "value" if given else "default",
        [key for key in KEYS if key not in device.parameters],
    )


def _as_data(name: str, found: list[Shown]) -> dict[str, Any]:
    """Return a model, or the devices of a target with their values."""
    from rpucc.runtime.devices.derived import derived

    if not found[0].where:
        device = found[0].device
        return {**_as_dict(type(device)), "derived": derived(device).as_data()}
    devices = [
        {
            "layers": each.where,
            **_as_dict(type(each.device)),
            "values": each.device.parameters,
            "derived": derived(each.device).as_data(),
        }
        for each in found
    ]
    return {"target": name, "devices": devices}


def _as_dict(model: type[Device]) -> dict[str, Any]:
    return {
        "name": model.name,
        "summary": model.summary,
        "source": model.source,
        "parameters": {
            key: {
                "default": value,
                "range": list(model.ranges.get(key, (None, None))),
                "meaning": model.meanings.get(key, ""),
            }
            for key, value in model.defaults.items()
        },
    }
