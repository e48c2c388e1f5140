"""The navigation of the site, from the links of its indexes; files above docs/ as pages.

`docs/README.md` and `docs/results/README.md` are the only lists of pages there are. A page that
only points to a file above docs/ becomes that file's text.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
NAMED = re.compile(r"\[[\w./-]+\.(?:md|ipynb)\](?=\((?![./\w-]*LICENSE))")
"""A link whose text is a file's name: on the site it gets the title of the page."""
STANDS_FOR = re.compile(r"^<!-- the text of (\S+) comes in the place of this page -->$", re.M)
INDEXES = ("README", "results/README")


def toctrees(page: str, text: str) -> str:
    """Return the toctrees of an index: one for each of its sections, or of the whole page."""
    if page not in INDEXES:
        return ""
    first, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    trees = [_tree(LINK.findall(section), section.partition("\n")[0]) for section in sections]
    return "\n".join(["", *(trees or [_tree(LINK.findall(first))])])


def _tree(links: list[str], caption: str = "") -> str:
    pages = dict.fromkeys(Path(link).with_suffix("").as_posix() for link in links)
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *pages, "```", ""])


def with_own_text(text: str, file: Path) -> str:
    """Return the text of a page, or that of the file that it stands for, links as from the page."""
    found = STANDS_FOR.search(text)
    if found is None:
        return text
    other = (file.parent / found[1]).resolve()
    moved = lambda m: f"]({os.path.relpath(other.parent / m[1], file.parent)}"  # noqa: E731
    return LINK.sub(moved, other.read_text(encoding="utf-8"))


def within_the_site(text: str, file: Path, docs: Path) -> str:
    """Return a page's text with its links to files above docs/ as the site has them.

    A page that stands for the file; else the file itself, Markdown too.
    """
    pages = standing_for(docs)

    def link(found: re.Match[str]) -> str:
        target = (file.parent / found[1]).resolve()
        if target in pages:
            return f"]({os.path.relpath(pages[target], file.parent)}"
        if target.suffix == ".md" and not target.is_relative_to(docs):
            return f"](path:{found[1]}"
        return found[0]

    return NAMED.sub("[]", LINK.sub(link, text))


def standing_for(docs: Path) -> dict[Path, Path]:
    """Return the files above docs/ that pages stand for: file -> page."""
    found = {}
    for page in docs.glob("*.md"):
        for name in STANDS_FOR.findall(page.read_text(encoding="utf-8")):
            found[(docs / name).resolve()] = page
    return found
