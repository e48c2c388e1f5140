"""`rpucc devices gallery`: all kinds of devices on one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.report.html.gallery import Entry


@click.command()
@click.option(
    "-o", "--output", default="gallery.html", show_default=True, metavar="FILE.html",
    help="The page.",
)  # fmt: skip
@options.seed
@options.portable
def gallery(output: str, seed: int) -> None:
    """Write a page with every device model and preset side by side.

    Of each its response curves (single devices, mean, standard deviation), its symmetry points
    between the bounds of its devices, states, steps and spreads.
    """
    from rpucc.outputs import check_file, write_text
    from rpucc.report.html.gallery import page
    from rpucc.terminal import say, status

    check_file(Path(output))
    with status("pulsing devices…"):
        entries = list(_entries(seed))
    write_text(Path(output), page(entries))
    say(f"wrote {output}")


def _entries(seed: int) -> Iterator[Entry]:
    from rpucc.cli.device_source import of_target
    from rpucc.report.html.gallery import Entry
    from rpucc.runtime.devices import DEVICES, make_device
    from rpucc.runtime.portrait import portrait
    from rpucc.target.load import list_presets

    for name, model in DEVICES.items():
        yield Entry(name, model.summary, portrait(make_device(name, {}), seed), preset=False)
    for name, about in list_presets():
        found = of_target(name)
        for each in found:
            where = f", {each.where}" if len(found) > 1 else ""
            yield Entry(name + where, about, portrait(each.device, seed), preset=True)
