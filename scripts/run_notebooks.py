"""Run notebooks, and write or check the outputs that they keep.

    python scripts/run_notebooks.py docs/notebooks/*.ipynb            # run, keep what comes out
    python scripts/run_notebooks.py --check docs/notebooks/*.ipynb    # run, compare

Each runs in an empty folder. Numbers and bars may differ between processors and are not compared;
all other text is, and which pictures there are.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TIMEOUT = 300
"""Seconds a cell."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the status is 1 where a notebook shows something else than it keeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    wrong = 0
    for path in options.notebooks:
        kept = nbformat.read(path, as_version=4)
        found = run(path)
        if not options.check:
            nbformat.write(found, path)
            continue
        for cell, now in zip(kept.cells, found.cells, strict=True):
            if texts(cell) != texts(now):
                wrong += 1
                print(f"{path}: cell {cell.id} keeps {texts(cell)}, now {texts(now)}")
    return 1 if wrong else 0


def run(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with what its cells give now; an exception in a cell is raised."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = joined(each for each in cell.outputs if each.get("name") != "stderr")
    return notebook


def joined(outputs: Iterable[Any]) -> list[Any]:
    """Return outputs with pieces of one stream, which come as they are written, as one."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def texts(cell: Any) -> list[str]:
    """Return what a cell shows: its text without numbers and bars, the kinds of all else."""
    shown = []
    for output in cell.get("outputs", []):
        data = {"text/plain": output["text"]} if "text" in output else output["data"]
        pictures = sorted(kind for kind in data if kind != "text/plain")
        text = re.sub(r"0x\w+", "0x", "".join(data.get("text/plain", "")))
        shown.append(json.dumps(pictures) if pictures else re.sub(r"[\d.█]+", "#", text))
    return shown


if __name__ == "__main__":
    sys.exit(main())
