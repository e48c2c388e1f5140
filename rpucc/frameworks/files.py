"""Files of other frameworks: which one a file is, and its network as an ONNX model.

A .pt2 or .keras file is opened by a process of its own: the framework is not loaded beside the
kernels, and what a damaged file does to it harms nobody. Not for how it is converted there:
`convert.py`.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rpucc.errors import ModelError, UnsupportedError, one_line
from rpucc.frameworks.torch_archive import MARK

ZIP = b"PK\x03\x04"
"""How an archive begins, which .pt2, .keras and most pickles of PyTorch are."""

PICKLE = (
    "is a pickle of PyTorch, and opening one can run any code: load it in Python and use "
    "rpucc.from_torch(module, example), or write a .pt2 file: torch.export.save("
    "torch.export.export(module.eval(), (example,)), 'model.pt2')"
)

_RUN = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
_RUN += "from rpucc.frameworks.convert import main; main()"
"""The other process looks for modules where this one does."""

_ERRORS = {kind.__name__: kind for kind in (ModelError, UnsupportedError)}


def kind_of(path: Path) -> str:
    """Return what network an archive holds, "pt2" or "keras"; raises ModelError for others."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            whole = bool(names) and min(each.header_offset for each in archive.infolist()) == 0
    except Exception as error:  # what zipfile raises about damage has no common base
        raise ModelError(f"{path}: a damaged archive: {one_line(error)}") from error
    if not whole:  # what was found is an archive in the archive
        raise ModelError(f"{path}: a damaged archive: its end is cut off")
    if {"config.json", "metadata.json"} <= set(names):
        return "keras"
    inside = {name.partition("/")[2] for name in names}
    if MARK in inside:
        return "pt2"
    if "serialized_exported_program.json" in {*names, *inside}:
        raise ModelError(
            f"{path}: a .pt2 file of torch before 2.8: save it again with a newer torch"
        )
    if "data.pkl" in inside:
        raise ModelError(f"{path}: {PICKLE}")
    raise ModelError(
        f"{path}: is a zip archive, but no .pt2 (torch.export.save) or .keras file: export the "
        "network to ONNX"
    )


@contextlib.contextmanager
def converted(path: Path) -> Iterator[Path]:
    """Give the path of an ONNX file with the network of a .pt2 or .keras file, for a while.

    Raises ModelError, one line that names the file: the framework is not installed, the file is
    damaged or holds what could run code; UnsupportedError for a network that is not ONNX.
    """
    kind = kind_of(path)
    with tempfile.TemporaryDirectory(prefix="rpucc-") as folder:
        result = Path(folder) / "model.onnx"
        command = [sys.executable, "-P", "-c", _RUN, json.dumps(sys.path)]
        words = [kind, str(path), str(result)]
        done = subprocess.run(
            [*command, *words], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0 or not result.is_file():
            raise _error(path, done)
        yield result


def _error(path: Path, done: subprocess.CompletedProcess[bytes]) -> ModelError:
    """The other process's own line; where it died, how."""
    text = done.stdout.decode(errors="replace").strip()
    try:
        kind, message = json.loads(text.splitlines()[-1])
        return _ERRORS[kind](message)
    except (ValueError, LookupError, TypeError):
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        how = one_line(said[-1]) if said else f"it ended with status {done.returncode}"
        return ModelError(f"{path}: could not be converted: {how}")
