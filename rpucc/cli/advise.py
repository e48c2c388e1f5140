"""`rpucc advise`: what a device is like, and what training algorithms make of such devices."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.runtime.device_traits import DeviceTraits


@click.command()
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
@click.option(
    "--devices",
    "count",
    type=click.IntRange(2, limits.DEVICES),
    default=1000,
    show_default=True,
    help="How many devices are measured.",
)
@click.option(
    "--pairs",
    type=click.IntRange(1, limits.PULSES),
    default=2000,
    show_default=True,
    help="Pairs of an up and a down pulse that a zero shift takes.",
)
@options.seed
@options.portable
@options.as_json
def advise(
    name: str,
    settings: tuple[str, ...],
    layer: str | None,
    count: int,
    pairs: int,
    seed: int,
    as_json: bool,
) -> None:
    """Say which training algorithms bear a device.

    NAME is a device model of `rpucc devices`, one of yours, as in my_module:MyDevice, or a target
    (a TOML file or a preset). A sample of devices is measured: states, asymmetry, noise, symmetry
    points, and these after a zero shift. Then come the errors of each algorithm on the most similar
    devices that were trained; docs/algorithms.md says what each needs and costs.
    """
    from rpucc.advice import measured
    from rpucc.cli.device_source import find_devices
    from rpucc.runtime.device_traits import device_traits

    found = [
        (each, device_traits(each.device, count, pairs, seed))
        for each in find_devices(name, settings, layer)
    ]
    if as_json:
        from rpucc.outputs import print_json

        print_json([_as_data(each.where, each.device.name, traits) for each, traits in found])
        return
    from rpucc.report.text.advice import advice_text
    from rpucc.terminal import show

    for i, (each, traits) in enumerate(found):
        above = [""] * (i > 0) + [f"{each.where}:"] * bool(each.where)
        show(*above, advice_text(each.device.name, traits, measured(), seed))


def _as_data(where: str, model: str, traits: DeviceTraits) -> dict[str, Any]:
    from rpucc.advice import measured

    figures, conditions = measured(), {}
    for key, offset in (("as it is", traits.offset), ("zero-shifted", traits.shifted_offset)):
        if offset is not None and not traits.above_zero:
            conditions[key] = figures.nearest(traits.states, offset).model_dump()
    return {
        "layers": where,
        "device": model,
        **asdict(traits),
        "states": traits.states,
        "offset": traits.offset,
        "shifted_offset": traits.shifted_offset,
        "experiment": figures.experiment,
        "nearest": conditions,
    }
