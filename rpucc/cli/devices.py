"""`rpucc devices`: the device models and their parameters."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options
from rpucc.errors import TargetError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rpucc.runtime.devices import Device


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def devices(ctx: click.Context, as_json: bool) -> None:
    """List the device models, or show one.

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
        from rpucc.cli.output import print_json

        print_json([_as_dict(model) for model in DEVICES.values()])
        return
    from rpucc.cli.console import show
    from rpucc.report import lists

    show(lists.devices((name, d.summary, d.source) for name, d in DEVICES.items()))


@devices.command()
@click.argument("name")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the device, as in --set up_down=0.3; may be repeated.",
)
@click.option("--plot", default=None, metavar="FILE.svg", help="Draw the response curve.")
@click.option(
    "--pulses",
    type=click.IntRange(1, 1_000_000),
    default=None,
    help="Pulses in each direction.  [default: twice what leads to the bound]",
)
@click.option(
    "--devices",
    "count",
    type=click.IntRange(1, 1000),
    default=30,
    show_default=True,
    help="How many devices are pulsed.",
)
@options.seed
@options.as_json
def show(
    name: str,
    settings: tuple[str, ...],
    plot: str | None,
    pulses: int | None,
    count: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show a device model: its parameters, and how a sample of devices answers to pulses.

    NAME is a model of the list or one of yours, as in my_module:MyDevice. The sample is pulsed up,
    then as often down. At its symmetry point a device's up and down pulses cancel.
    """
    device = _make(name, settings)
    if plot is not None:
        from rpucc.cli.output import check_file

        check_file(Path(plot))
    if as_json:
        from rpucc.cli.output import print_json

        print_json(_as_dict(type(device)))
    if as_json and plot is None:
        return
    from rpucc.runtime.response import response

    found = response(device, count, pulses, seed)
    if not as_json:
        from rpucc.cli import console
        from rpucc.report.devices import response_text

        console.show(
            _parameters(device, given=bool(settings)), "", response_text(device.name, found)
        )
    if plot is not None:
        from rpucc.cli.console import say
        from rpucc.cli.output import write_text
        from rpucc.report.devices_svg import LEGEND, response_drawing

        legend = LEGEND if found.symmetry is not None else LEGEND[:2]
        write_text(Path(plot), response_drawing(device.name, found).file(legend))
        say(f"wrote {plot}")


def _make(name: str, settings: tuple[str, ...]) -> Device:
    """Make a device with the parameters of `--set`. Raises TargetError."""
    from rpucc.runtime.devices import DEVICES, make_device

    if name not in DEVICES and ":" not in name:
        near = difflib.get_close_matches(name, DEVICES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TargetError(f"no device model {name!r}; {hint}models: {', '.join(DEVICES)}")
    parameters = {}
    for setting in settings:
        key, _, value = setting.removeprefix("device.").partition("=")
        try:
            parameters[key.strip()] = float(value)
        except ValueError:
            raise TargetError(
                f"--set {setting!r}: allowed: key=number, as in --set up_down=0.3"
            ) from None
    return make_device(name, parameters)


def _parameters(device: Device, *, given: bool) -> RenderableType:
    from rpucc.report import lists

    model = type(device)
    return lists.device(
        device.name,
        model.summary,
        model.source,
        device.parameters,
        model.ranges,
        model.meanings,
        "value" if given else "default",
    )


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
