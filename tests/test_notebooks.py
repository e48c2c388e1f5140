"""The notebooks of docs/ run from an empty folder, and show what they keep."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .repository import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
COMMAND = ROOT / "scripts" / "run_notebooks.py"


def check(*notebooks: object) -> subprocess.CompletedProcess[str]:
    """Run them in a process of its own: Jupyter's warnings are not ours."""
    words = [sys.executable, COMMAND, "--check", *notebooks]
    return subprocess.run([str(word) for word in words], capture_output=True, text=True)


@pytest.fixture(autouse=True)
def jupyter():
    pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel ('.[test]')")
    pytest.importorskip("ipykernel", reason="notebooks need nbclient and ipykernel ('.[test]')")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(notebook):
    done = check(notebook)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_notebook_is_seen(tmp_path):
    import nbformat

    new = nbformat.v4
    cells = [new.new_code_cell("print('2 of 3', flush=True); print('so')", id="a")]
    path = tmp_path / "wrong.ipynb"
    for kept, code in (("9 of 7\nso\n", 0), ("9 for 7\nso\n", 1)):
        cells[0].outputs = [new.new_output("stream", name="stdout", text=kept)]
        nbformat.write(new.new_notebook(cells=cells), path)
        done = check(path)
        assert done.returncode == code, done.stderr
    assert "cell a keeps" in done.stdout
