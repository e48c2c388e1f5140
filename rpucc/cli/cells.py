"""`rpucc cells`: what a weight may be made of, and the keys of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.cells import Cell


@click.command()
@click.argument("name", required=False)
@options.as_json
def cells(name: str | None, as_json: bool) -> None:
    """List what a weight may be made of, or show one cell.

    NAME is a cell of the list. A target chooses one, [cell] model = "tiki-taka", with its keys; a
    layer rule may choose another.
    """
    import difflib

    from rpucc.cells import CELLS
    from rpucc.errors import UsageError, one_line

    if name is not None and name not in CELLS:
        near = difflib.get_close_matches(name, CELLS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"no cell {one_line(name)!r}; {hint}cells: {', '.join(CELLS)}")
    chosen = list(CELLS.values()) if name is None else [CELLS[name]]
    if as_json:
        from rpucc.outputs import print_json

        found = [_as_dict(cell) for cell in chosen]
        print_json(found if name is None else found[0])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    if name is None:
        show(lists.cells((cell.model, cell.summary, cell.source) for cell in chosen))
        return
    from rpucc.report.keys import keys

    rows = [(f"cell.{k.name}", k.values, k.text) for k in keys() if k.place == f"cell {name}"]
    show(lists.cell(name, chosen[0].summary, chosen[0].source, chosen[0].all_planes(), rows))


def _as_dict(cell: type[Cell]) -> dict[str, Any]:
    from dataclasses import asdict

    from rpucc.report.keys import keys

    return {
        "name": cell.model,
        "summary": cell.summary,
        "source": cell.source,
        "planes": list(cell.all_planes()),
        "keys": [asdict(key) for key in keys() if key.place == f"cell {cell.model}"],
    }
