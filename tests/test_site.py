"""The documentation site: it is made without a warning, has everything, and no link is broken.

Needs Sphinx (`pip install '.[docs]'`); links to other sites are not followed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from .repository import ROOT

DOCS = ROOT / "docs"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytest.importorskip("sphinx", reason="the site needs Sphinx ('.[docs]')")
pytest.importorskip("myst_parser", reason="the site needs MyST ('.[docs]')")
pytest.importorskip("furo", reason="the site needs Furo ('.[docs]')")


def build(source: Path, place: Path) -> subprocess.CompletedProcess[str]:
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-c", DOCS / "site", source, place]
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = build(DOCS, place)
    assert done.returncode == 0, done.stderr
    return place


class Page(HTMLParser):
    """The links, places and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.add(value or "")
            elif name == "id":
                self.places.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def broken(pages: dict[Path, Page]) -> Iterator[str]:
    """Links between the pages that lead nowhere, or to a file that is not there."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.name}: {link}: no such file"
            elif parts.fragment and unquote(parts.fragment) not in pages[target].places:
                yield f"{path.name}: {link}: no such place"


def test_no_link_is_broken(pages):
    assert list(broken(pages)) == []


def test_it_loads_nothing_of_other_sites(pages):
    """It can be read without a network."""
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert 'src="http' not in text, path
        assert '<link rel="stylesheet" type="text/css" href="http' not in text, path
    assert len(pages) > 40


def test_its_first_page_is_the_index_of_docs(site, pages):
    first = pages[site / "index.html"]
    for file in [*DOCS.glob("*.md"), *DOCS.glob("reference/*.md"), *DOCS.glob("notebooks/*.ipynb")]:
        page = file.relative_to(DOCS).with_suffix(".html").as_posix()
        assert page == "README.html" or page in first.links, page


def all_commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from all_commands(inner, f"{name} {each}")


def test_the_reference_has_every_command_and_option(site, pages):
    from rpucc.cli.main import cli

    page = pages[site / "reference" / "commands.html"]
    found = dict(all_commands(cli, "rpucc"))
    assert len(found) > 20
    for name, command in found.items():
        assert name.replace(" ", "-") in page.places
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                place = f"cmdoption-{name}-{option.opts[-1].lstrip('-')}".replace(" ", "-")
                assert place in page.places, place


def test_the_reference_has_every_public_name(site, pages):
    import rpucc

    page = pages[site / "reference" / "api.html"]
    assert [name for name in rpucc.__all__ if f"rpucc.{name}" not in page.places] == []
    for member in ("Trainer.fit", "Machine.weights", "Array.pulse", "Program.load", "Plan.weights"):
        assert f"rpucc.{member}" in page.places, member


def test_the_reference_has_every_key_device_cell_pass_stage_target_and_model(site, pages):
    from rpucc.cells import CELLS
    from rpucc.models import MODELS
    from rpucc.passes.pipeline import PASSES
    from rpucc.report.keys import keys
    from rpucc.runtime.devices import DEVICES
    from rpucc.stages import STAGES
    from rpucc.target.load import list_presets

    names = {
        "keys": [key.name for key in keys()],
        "devices": [*DEVICES, *(key for device in DEVICES.values() for key in device.defaults)],
        "cells": list(CELLS),
        "passes": [row.name for row in PASSES],
        "read-stages": [name for stage in STAGES for name in stage.model_fields],
        "targets": [name for name, _ in list_presets()],
        "models": list(MODELS),
    }
    for page, wanted in names.items():
        text = pages[site / "reference" / f"{page}.html"].text
        assert [name for name in wanted if name not in text] == [], page


def test_notebooks_show_their_outputs(site):
    text = (site / "notebooks" / "device.html").read_text(encoding="utf-8")
    assert text.count('<div class="notebook-output">') == 2
    assert "verdict: nothing was learned" in text


@pytest.mark.skipif(not BROWSER, reason="no Chromium to look at pages with")
def test_no_page_is_wider_than_a_phone(site, pages):
    """Tables and code scroll by themselves."""
    names = [path.relative_to(site).as_posix() for path in pages]
    probe = site / "probe.html"
    probe.write_text(
        f"""<body><iframe style="width: 390px; height: 800px; border: 0"></iframe><script>
        const names = {names!r}, found = [], frame = document.querySelector("iframe")
        frame.onload = () => {{
          const name = names[found.length]
          found.push(name + " " + frame.contentDocument.documentElement.scrollWidth)
          if (found.length < names.length) frame.src = names[found.length]
          else document.body.innerText = found.join(", ")
        }}
        frame.src = names[0]
        </script></body>""",
        encoding="utf-8",
    )
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    time = ("--virtual-time-budget=60000", "--timeout=60000")
    done = subprocess.run(
        [str(BROWSER), *options, *time, "--dump-dom", probe.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    probe.unlink()
    widths = {name: int(width) for name, width in re.findall(r"([\w/-]+\.html) (\d+)", done.stdout)}
    assert sorted(widths) == sorted(names), done.stdout + done.stderr
    assert {name: width for name, width in widths.items() if width > 390} == {}


def test_a_broken_site_is_seen(tmp_path):
    source, place = tmp_path / "docs", tmp_path / "site"
    source.mkdir()
    (source / "README.md").write_text("# A\n\n[b](b.md)\n", encoding="utf-8")
    done = build(source, place)
    assert done.returncode == 1
    assert "xref_missing" in done.stderr
    page = place / "page.html"
    page.write_text('<a href="gone.html">x</a> <a href="#gone">y</a>', encoding="utf-8")
    assert len(list(broken({page: Page(page)}))) == 2


def test_every_writer_has_its_page(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "site")
    from rpucc_site import MARK, WRITERS

    pages = [page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))]
    assert sorted(name for text in pages for name in MARK.findall(text)) == sorted(WRITERS)


def test_docstrings_become_markdown(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "site")
    from rpucc_site.docstrings import markdown

    text = (
        "Do it.\n\nfirst: what it\n    is, and\n        kept   as it is\nsecond, third: more.\n\n"
        "Raises it.\n\n>>> 1\n1\n"
    )
    assert markdown(text) == (
        "Do it.\n\n* `first`: what it\n  is, and\n\n  ```none\n  kept   as it is\n  ```\n\n"
        "* `second`, `third`: more.\n\nRaises it.\n\n```pycon\n>>> 1\n1\n```\n\n"
    )
