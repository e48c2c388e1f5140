"""How rpucc's tables look: one style for all.

Not for what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rpucc.report import units

_LEAST = 8
"""Columns of the terminal that a column of text has, before the others wrap as well."""


class _Wrapping(Table):
    """A table all of whose columns wrap where the terminal is too narrow for it.

    rich would cut what does not fit: the last digits of a number, silently.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least(console) > options.max_width:
            for column in self.columns:
                column.no_wrap = False
        yield from super().__rich_console__(console, options)

    def _least(self, console: Console) -> int:
        """How wide the table is with each column that wraps as narrow as it may be."""
        wide = console.options.update(max_width=1_000_000)
        least = Measurement.get(console, wide, self).maximum
        for column in self.columns:
            if not column.no_wrap:
                found = [Measurement.get(console, wide, each) for each in column.cells]
                found.append(Measurement.get(console, wide, column.header))
                longest = max(each.maximum for each in found)
                least -= longest - min(longest, _LEAST)
        return least


def new_table(*headers: str, numeric: Sequence[int] = (), folds: Sequence[int] = (0,)) -> Table:
    """Return an empty table; columns `numeric` align right, only columns `folds` may wrap."""
    table = _Wrapping(
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
