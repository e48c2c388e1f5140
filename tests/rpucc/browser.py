"""A headless Chromium for tests of the page: what it logs, what it makes, how wide it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
PROBE = """<script>addEventListener("load", () => setTimeout(() => parent.postMessage({
  wide: document.documentElement.scrollWidth, client: document.documentElement.clientWidth}, "*"),
  50))</script>"""


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
                self.program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--hide-scrollbars",
                "--disable-background-networking", f"--user-data-dir={self.profile}",
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
        text = CSP.sub("", page.read_text(encoding="utf-8")).replace("</body>", f"{PROBE}</body>")
        probed = page.with_name("probed.html")
        probed.write_text(text, encoding="utf-8")
        frame = page.with_name("frame.html")
        frame.write_text(
            "<!DOCTYPE html><title>frame</title><body><script>addEventListener('message', (e) => "
            "{ document.body.dataset.width = `${e.data.wide} ${e.data.client}`; })</script>"
            f'<iframe src="probed.html" style="width:{width}px;height:800px;border:0"></iframe>'
        )
        found = re.search(r'data-width="(\d+) (\d+)"', self.visit(frame).dom)
        assert found is not None
        return int(found[1]), int(found[2])


def find_browser(profile: Path) -> Browser:
    """Return a Chromium; skip the test where none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return Browser(program, profile)
