"""Draw the pictures of the README: pages that rpucc writes, in a headless browser.

    python scripts/pictures.py        # docs/plan.png, docs/report.png

Needs Chromium; the pages are those of `rpucc inspect --html` and `rpucc report`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Write the pictures; the status is 1 where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no browser: one of {', '.join(BROWSERS)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "plan.html")
        program = Path(folder, "lenet.rpu.onnx")
        rpucc("compile", "lenet", "-t", "rpu-managed", "-o", program)
        rpucc("inspect", program, "--html", page)
        shoot(browser, page, DOCS / "plan.png", height=1215)
        run = Path(folder, "managed")
        rpucc("train", "lenet", "-t", "rpu-managed", "--epochs", 5, "-o", run)
        page = Path(folder, "report.html")
        rpucc("report", run, "-o", page)
        shoot(browser, page, DOCS / "report.png", height=790)
    return 0


def rpucc(*words: object) -> None:
    """Run a command."""
    command = [sys.executable, "-m", "rpucc", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def shoot(browser: str, page: Path, picture: Path, height: int) -> None:
    """Write the top of a page, 1,100 pixels wide, as PNG."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    size = f"--window-size=1100,{height}"
    subprocess.run(
        [browser, *options, size, f"--screenshot={picture}", page.as_uri()],
        check=True,
        capture_output=True,
    )
    print(picture)


if __name__ == "__main__":
    sys.exit(main())
