"""Pages that a reader follows from top to bottom do what they say, in an empty folder.

The README's session is the tutorial's, in short: its commands are parsed in `test_docs.py`.
"""

from __future__ import annotations

import pytest

from . import followed
from .repository import ROOT

PAGES = (
    "docs/tutorial.md",
    "docs/for-device-physicists.md",
    "docs/for-architects.md",
    "docs/for-researchers.md",
    "docs/from-aihwkit.md",
    "docs/own-loop.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    followed.follow(ROOT / page)


def test_a_wrong_page_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    for wrong in (
        "    rpucc targets show nowhere\n",
        "    make install\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```yaml\na: 1\n```\n",
        "```py\nimport math\nassert math.pi > 4\n```\n",
    ):
        page.write_text(f"    pip install .\n\n{wrong}", encoding="utf-8")
        with pytest.raises(AssertionError):
            followed.follow(page)
    page.write_text("```py\nimport nowhere_installed\nassert False\n```\n", encoding="utf-8")
    followed.follow(page)
    page.write_text("```py\nimport nowhere_installed(\n```\n", encoding="utf-8")
    with pytest.raises(SyntaxError):
        followed.follow(page)
    page.write_text(
        "```toml\n# mine.toml\n"
        'name = "mine"\n'
        "```\n\n    rpucc targets > list.txt\n\n"
        "```python\nfrom pathlib import Path\nprint(len(Path('mine.toml').read_text()) > 5)\n"
        "```\n\n```text\nTr...\n```\n",
        encoding="utf-8",
    )
    followed.follow(page)
    assert "rpu-managed" in (tmp_path / "list.txt").read_text(encoding="utf-8")
