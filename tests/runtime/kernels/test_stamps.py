"""A kernel on disk is used again until something that went into it has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from numba.core.caching import IndexDataCacheFile

import rpucc.runtime.kernels.read
import rpucc.runtime.kernels.windows  # noqa: F401
from rpucc.runtime.kernels import stamps

PRINT_ORDER = """
import numpy as np
from numba.core import event
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.kernels.shares import draw_order

order = np.zeros(8, np.int32)
with event.install_recorder("numba:compile") as compiled:
    draw_order(order, 1, 2, 0, *seed_key(3))
print(order.tolist(), "compiled" if compiled.buffer else "loaded")
"""


def run_copy(folder: Path, *, checked: bool = False) -> tuple[str, str]:
    """(a random order, whether its kernel was compiled or loaded), by the copy of rpucc there."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_BOUNDSCHECK": str(int(checked))}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ORDER],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    order, _, how = done.stdout.strip().rpartition(" ")
    return order, how


def test_an_upgrade_never_runs_a_stale_kernel(tmp_path: Path) -> None:
    """The kernel of one file, with a scalar function of another that a new version changes."""
    runtime = tmp_path / "rpucc" / "runtime"
    for part in ("kernels", "scalars"):
        (source,) = find_spec(f"rpucc.runtime.{part}").submodule_search_locations
        shutil.copytree(source, runtime / part, ignore=shutil.ignore_patterns("__pycache__"))
    for package in (runtime, runtime.parent):
        (package / "__init__.py").write_text("")
    order, how = run_copy(tmp_path)
    assert how == "compiled"
    assert run_copy(tmp_path) == (order, "loaded")
    assert run_copy(tmp_path, checked=True) == (order, "compiled")  # none is taken for the other
    assert run_copy(tmp_path, checked=True) == (order, "loaded")
    assert run_copy(tmp_path) == (order, "loaded")
    philox = runtime / "scalars" / "philox.py"
    old = philox.read_text(encoding="utf-8")
    philox.write_text(old.replace("0xD2511F53", "0xD2511F55"), encoding="utf-8")
    other, how = run_copy(tmp_path)
    assert how == "compiled"
    assert other != order
    philox.write_text(old, encoding="utf-8")
    assert run_copy(tmp_path)[0] == order
    # What no kernel of ours uses changes nothing.
    (runtime / "scalars" / "activations.py").write_text("x = 1\n")
    assert run_copy(tmp_path) == (order, "loaded")


class Renamed:
    """The class of an argument, as an older version had it."""


def test_an_index_that_names_what_is_gone_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba reads it before it compares stamps."""
    index = stamps._Index(cache_path=str(tmp_path), filename_base="kernel", source_stamp="s")
    index._save_index({Renamed: "kernel.1.nbc"})
    assert index._load_index() == {Renamed: "kernel.1.nbc"}
    monkeypatch.delattr(sys.modules[__name__], "Renamed")
    with pytest.raises(AttributeError):
        IndexDataCacheFile._load_index(index)
    assert index._load_index() == {}


@pytest.mark.parametrize(
    ("edited", "kernels"),
    [("scalars.normals", "read"), ("scalars.floats", "read"), ("kernels.jit", "windows"),
     ("kernels.blas", "read")],
)  # fmt: skip
def test_a_stamp_covers_what_is_imported_through_others(
    edited: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"rpucc.runtime.kernels.{kernels}"
    before, source = stamps.stamp(module), stamps._source
    other = stamps.stamp("rpucc.runtime.kernels.lanes")

    def one_edited(name: str) -> str:
        return source(name) + ("\n# edited" if name == f"rpucc.runtime.{edited}" else "")

    monkeypatch.setattr(stamps, "_source", one_edited)
    assert stamps.stamp(module) != before
    assert stamps.stamp("rpucc.runtime.kernels.lanes") == other
