"""`rpucc devices`: the device models and their parameters."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options
from rpucc.errors import TargetError

if TYPE_CHECKING:
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
@options.as_json
def show(name: str, as_json: bool) -> None:
    """Show a device model's parameters, with defaults, ranges and meanings."""
    from rpucc.runtime.devices import DEVICES

    if name not in DEVICES:
        near = difflib.get_close_matches(name, DEVICES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise TargetError(f"no device model {name!r}; {hint}models: {', '.join(DEVICES)}")
    model = DEVICES[name]
    if as_json:
        from rpucc.cli.output import print_json

        print_json(_as_dict(model))
        return
    from rpucc.cli import console
    from rpucc.report import lists

    console.show(
        lists.device(
            name, model.summary, model.source, model.defaults, model.ranges, model.meanings
        )
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
