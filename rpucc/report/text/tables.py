"""How rpucc's tables look: one style for all.

Not for what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.report import units


def new_table(*headers: str, numeric: Sequence[int] = (), folds: Sequence[int] = (0,)) -> Table:
    """Return an empty table; columns `numeric` align right, only columns `folds` may wrap."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
        header_style="bold",
        collapse_padding=True,
    )
    for i, header in enumerate(headers):
        wraps = i in folds
        table.add_column(
            header,
            justify="right" if i in numeric else "left",
            no_wrap=not wraps,
            overflow="fold",
            vertical="top",
        )
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Return labelled lines: the label in bold, the text wraps beside it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, text)
    return table


def heading(text: str, more: str = "") -> Text:
    """Return a line in bold, followed by `more` in normal type."""
    line = Text(units.plain(text), style="bold")
    line.append(units.plain(more), style="not bold")
    return line


def plain_text(*parts: RenderableType, width: int = 100) -> str:
    """Return what is shown as text without colours, so wide; lines end without blanks."""
    console = Console(
        force_jupyter=False,
        force_terminal=False,
        width=width,
        no_color=True,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def fits(table: Table, width: int) -> bool:
    """Tell whether a table needs no more than `width` columns."""
    console = Console(force_jupyter=False, width=10_000, markup=False, emoji=False, highlight=False)
    return console.measure(table).maximum <= width
