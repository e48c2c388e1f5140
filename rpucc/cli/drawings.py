"""The files of `rpucc inspect`: the page, the drawings, the table of layers.

Not for what is in them: that is rpucc.report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpucc.program import Program

STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class Files:
    """What the user asks for; None is left out."""

    plan: str | None = None
    html: str | None = None
    svg: str | None = None
    """A folder."""
    csv: str | None = None
    """A file, or "-" for standard output."""

    @property
    def wanted(self) -> bool:
        """True where any file is asked for."""
        return any((self.plan, self.html, self.svg, self.csv))

    def flags(self) -> list[str]:
        """Return the options that were given."""
        given = (("--write-plan", self.plan), ("--html", self.html), ("--svg", self.svg))
        return [flag for flag, value in (*given, ("--csv", self.csv)) if value]

    def check(self, source: str) -> None:
        """Raise OutputError unless all can be written, none over `source` nor over another."""
        from rpucc.errors import UsageError
        from rpucc.outputs import check_file, check_folder

        files = [Path(p) for p in (self.plan, self.html, self.csv) if p and p != STANDARD_OUTPUT]
        for path in files:
            check_file(path, source)
            if files.count(path) > 1:
                raise UsageError(f"{path}: is to hold several files; give each a name of its own")
        if self.svg is not None:
            check_folder(Path(self.svg))


def write_files(program: Program, files: Files) -> None:
    """Write what is asked for, each file whole or not at all, and say so on standard error."""
    import click

    from rpucc.outputs import make_folder, write_text
    from rpucc.report.csv import as_csv
    from rpucc.report.plan_file import as_toml
    from rpucc.terminal import say

    written: dict[Path, str] = {}
    if files.plan is not None:
        written[Path(files.plan)] = as_toml(program)
    if files.csv == STANDARD_OUTPUT:
        click.echo(as_csv(program.plan), nl=False)
    elif files.csv is not None:
        written[Path(files.csv)] = as_csv(program.plan)
    if files.html is not None:
        from rpucc.report.drawings.drawing_model import Scene
        from rpucc.report.html import page

        written[Path(files.html)] = page(Scene(program))
    if files.svg is not None:
        make_folder(Path(files.svg))
        written |= {Path(files.svg) / name: text for name, text in drawings(program)}
    for path, text in written.items():
        write_text(path, text)
        say(f"wrote {path}")


def drawings(program: Program) -> Iterator[tuple[str, str]]:
    """Yield name and content of each SVG file of a program."""
    from rpucc.report.drawings.arrays import array_pictures, kind_drawing
    from rpucc.report.drawings.drawing_model import Scene
    from rpucc.report.drawings.latency import cycle_styles, latency_drawing
    from rpucc.report.drawings.network import network_drawing
    from rpucc.report.drawings.pipeline import pipeline_drawing, training_drawing
    from rpucc.report.drawings.svg import DIGITAL

    scene = Scene(program)
    pictures = array_pictures(scene)
    kinds, cycles = scene.kind_styles, cycle_styles(scene.plan)
    yield "network.svg", network_drawing(scene).file([*kinds, DIGITAL])
    for kind in scene.placement.arrays:
        yield f"arrays-{kind}.svg", kind_drawing(scene, kind, pictures).file()
    yield "latency.svg", latency_drawing(scene.plan).file(cycles)
    yield "pipeline.svg", pipeline_drawing(scene.plan).file(kinds)
    if scene.plan.training:
        yield "training.svg", training_drawing(scene.plan).file(cycles)
