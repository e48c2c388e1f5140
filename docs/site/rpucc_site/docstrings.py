"""Docstrings as Markdown.

They are Markdown but for three habits of the code: a line `name: text` a parameter, what does not
fit on it indented below; aligned columns in it; and examples with `>>>`.
"""

from __future__ import annotations

import inspect
import re

from rpucc_site.markup import code

PARAMETER = re.compile(r"[a-z_]\w*(?:, [a-z_*]\w*)*: ")


def docstring(what: object) -> str:
    """Return the docstring of a module, class or function as Markdown."""
    return markdown(inspect.getdoc(what) or "")


def markdown(text: str) -> str:
    """Return a docstring as Markdown."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if lines[0].lstrip().startswith(">>>"):
            blocks.append(code(block, "pycon"))
        elif PARAMETER.match(lines[0]):
            blocks.append(_parameters(lines))
        else:
            blocks.append(block + "\n")
    return "\n".join(blocks) + "\n"


def _parameters(lines: list[str]) -> str:
    """A list of parameters; aligned lines below one stay in their columns."""
    out: list[str] = []
    columns: list[str] = []

    def close() -> None:
        if columns:
            block = inspect.cleandoc("\n".join(["", *columns]))
            out.extend(["", *(f"  {line}".rstrip() for line in code(block).splitlines()), ""])
            columns.clear()

    for line in lines:
        inner = line[4:]
        if line[:1] not in ("", " "):
            close()
            found = PARAMETER.match(line)
            name = found[0] if found else ""
            names = ", ".join(f"`{each}`" for each in name.removesuffix(": ").split(", "))
            out.append(f"* {names}: {line[len(name) :]}" if found else f"  {line}")
        elif inner.startswith(" ") or re.search(r"\S  +\S", inner):
            columns.append(inner)
        else:
            close()
            out.append(f"  {inner}")
    close()
    return "\n".join(out) + "\n"
