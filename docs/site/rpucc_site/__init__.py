"""The Sphinx extension of rpucc's documentation site.

A page may have lines `<!-- written from the code: NAME -->`; here the site gets what `WRITERS`
writes by that name, a plain view of the repository shows nothing. The index becomes the
navigation (`navigation`), notebooks become pages (`notebooks`). Not for the pages' own text, and
not for tables that a plain view has too: those are in the files (`rpucc.report.keys`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from rpucc_site import api, commands, navigation, notebooks, tables

WRITERS: dict[str, Callable[[], str]] = {
    "commands": commands.markdown,
    "api": api.markdown,
    "targets": tables.targets,
    "devices": tables.devices,
    "cells": tables.cells,
    "keys": tables.keys,
    "passes": tables.passes,
    "stages": tables.stages,
    "models": tables.models,
}
"""Name -> what writes it, as Markdown."""

MARK = re.compile(r"^<!-- written from the code: (\w+) -->$", re.MULTILINE)


def with_written(text: str) -> str:
    """Return a page's text with what is written from the code."""
    return MARK.sub(lambda found: WRITERS[found[1]](), text)


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Complete a page's text before it is parsed."""
    file = Path(app.env.doc2path(page))
    text = navigation.with_own_text(with_written(source[0]), file)
    text += navigation.toctrees(page, text)
    source[0] = navigation.within_the_site(text, file, Path(app.srcdir))


def name_the_index(app: Sphinx, error: Exception | None) -> None:
    """Let the site's address show its first page."""
    if error is None and app.builder.format == "html":
        shutil.copyfile(app.outdir / f"{app.config.root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(notebooks.NotebookParser)
    app.connect("source-read", read)
    app.connect("build-finished", name_the_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
