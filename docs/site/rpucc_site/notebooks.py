"""Notebooks as pages: their text, code and the outputs that are kept in the file.

Nothing is run here: `tests/test_notebooks.py` runs them and holds the kept outputs against what
comes out.
"""

from __future__ import annotations

import json
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser

from rpucc_site.markup import code


class NotebookParser(MystParser):
    """Reads a notebook as the Markdown page that it amounts to."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse the page of a notebook."""
        super().parse(markdown(json.loads(inputstring)), document)


def markdown(notebook: dict[str, Any]) -> str:
    """Return a notebook as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"{text}\n")
        elif text:
            parts.append(code(text, "python"))
            parts += [_output(output) for output in cell["outputs"]]
    return "\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return code("".join(output["text"]))
    data = output["data"]
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            text = "".join(data[kind]).strip()
            return "```{raw} html\n" + f'<div class="notebook-output">{text}</div>\n' + "```\n"
    return code("".join(data["text/plain"]))
