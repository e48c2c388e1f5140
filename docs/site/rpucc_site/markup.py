"""Pieces of Markdown: tables, text that is to stay as it is, blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """Return text of the command line or of a table so that Markdown shows it as it is.

    What stands between backticks stays code.
    """
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = (re.sub(r"([\\*_<>\[\]|$])", r"\\\1", part) for part in parts[::2])
    return "".join(parts)


def cell(text: str) -> str:
    """Return the text of a cell of a table, Markdown as it is."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: str, language: str = "none") -> str:
    """Return a block of code, whatever fences it has in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
