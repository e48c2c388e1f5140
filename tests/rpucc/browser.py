"""A headless Chromium for tests of the page: what it logs, what it makes, how wide it is."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
HEADLESS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    "--disable-background-networking",
)
PROBE = """<script>addEventListener("load", () => setTimeout(() => parent.postMessage({
  wide: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
  cut: [...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth)
    .map((e) => e.getAttribute("aria-label") ?? "")}, "*"), 50))</script>"""


@dataclass(frozen=True)
class Visit:
    """A page after its script ran."""

    dom: str
    console: list[str]
    """What the page logged, errors of the policy and of the network included."""


@dataclass(frozen=True)
class Browser:
    program: str
    profile: Path

    def visit(self, page: Path) -> Visit:
        done = subprocess.run(
            [
                self.program, *HEADLESS, "--hide-scrollbars", f"--user-data-dir={self.profile}",
                "--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return Visit(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    def visit_with(self, page: Path, script: str) -> Visit:
        """Visit a copy of the page without its policy, with one more script at its end."""
        text = CSP.sub("", page.read_text(encoding="utf-8"))
        copy = page.with_name("scripted.html")
        copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        return self.visit(copy)

    def width_in(self, page: Path, width: int) -> tuple[int, int]:
        """Return what the page takes and what it has, in a frame of `width` pixels."""
        found = self._probe(page, width)
        return found["wide"], found["client"]

    def cut_in(self, page: Path, width: int) -> list[str]:
        """Return the labels of the frames that hold more than they show at that width."""
        cut: list[str] = self._probe(page, width)["cut"]
        return cut

    def _probe(self, page: Path, width: int) -> dict[str, Any]:
        text = CSP.sub("", page.read_text(encoding="utf-8")).replace("</body>", f"{PROBE}</body>")
        probed = page.with_name("probed.html")
        probed.write_text(text, encoding="utf-8")
        frame = page.with_name("frame.html")
        frame.write_text(
            "<!DOCTYPE html><title>frame</title><body><script>addEventListener('message', (e) => "
            "{ document.body.dataset.found = JSON.stringify(e.data); })</script>"
            f'<iframe src="probed.html" style="width:{width}px;height:800px;border:0"></iframe>'
        )
        found = re.search(r'data-found="([^"]*)"', self.visit(frame).dom)
        assert found is not None
        data: dict[str, Any] = json.loads(html.unescape(found[1]))
        return data

    def first_printed_page(self, page: Path) -> str:
        """Return the text of the first page on paper; skip where poppler is not installed."""
        if shutil.which("pdftotext") is None:
            pytest.skip("no pdftotext: poppler is not installed")
        pdf = page.with_suffix(".pdf")
        options = [f"--user-data-dir={self.profile}", f"--print-to-pdf={pdf}"]
        subprocess.run(
            [self.program, *HEADLESS, *options, "--no-pdf-header-footer", page.as_uri()],
            capture_output=True, check=True, timeout=120,
        )  # fmt: skip
        text = ["pdftotext", "-f", "1", "-l", "1", str(pdf), "-"]
        return subprocess.run(text, capture_output=True, text=True, check=True).stdout


def find_browser(profile: Path) -> Browser:
    """Return a Chromium; skip the test where none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return Browser(program, profile)
