"""Kernels that are made from a template and someone's scalar functions, and kept on disk.

Numba's disk cache misses a kernel that gets a function from a closure or an argument. A module
written from a template into a cache folder hits it: the file's name carries the hash of its text,
of the sources of the functions, of the kernels and of Numba's version, so what was edited compiles
once more and what was not never does.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba

from rpucc.files import write_whole
from rpucc.runtime.kernels.jit import OPTIONS, compiled_scalars


def generated(
    name: str, text: str, functions: Mapping[str, Callable[..., Any]], sources: str,
    kernels: Mapping[str, Callable[..., Any]] | None = None,
) -> ModuleType:  # fmt: skip
    """The module of this text, in which `functions` are compiled, under the names they have there.

    functions: plain scalar functions; sources: the text of all that they depend on. kernels:
    compiled ones that the text calls, of importable modules.
    """
    used = "".join(f"{key} {each.__module__}\n" for key, each in (kernels or {}).items())
    hashed = text + sources + used + _kernel_sources() + numba.__version__
    key = hashlib.sha256(hashed.encode()).hexdigest()
    name = f"rpucc_{name}_{key[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    path = _write(_cache_folder(), name, text)
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OSError(f"cannot load generated kernel {path}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    for each, function in functions.items():
        setattr(module, each, _jit(function, name))
    for each, kernel in (kernels or {}).items():
        setattr(module, each, kernel)
    spec.loader.exec_module(module)
    return module


def fill(template: str, replacements: Mapping[str, str]) -> str:
    """The template with each key replaced."""
    for key, value in sorted(replacements.items(), reverse=True):  # longer keys first
        template = template.replace(key, value)
    return template


def _jit(function: Callable[..., Any], module: str) -> Any:
    """Compile a function as one of the generated module.

    What Numba keeps on disk names the module of every function in it, and imports it by that name.
    A user's own may be known under another one by then, or not at all. What it calls of
    `runtime/scalars` becomes part of it.
    """
    own: Any = function
    scalars = compiled_scalars(function)
    copy = FunctionType(own.__code__, {**own.__globals__, **scalars}, own.__name__)
    copy.__module__ = module
    # With those it is too long for LLVM to make it part of its caller's loop by itself.
    options = {**OPTIONS, "inline": "always"} if scalars else OPTIONS
    return numba.njit(**options)(copy)


def _kernel_sources() -> str:
    """The kernels that generated modules use: other versions of rpucc share the folder."""
    parts = ("kernels", "kernels.coincidences", "scalars")
    folders = [files(f"rpucc.runtime.{part}") for part in parts]
    found = [item for folder in folders for item in folder.iterdir() if item.name.endswith(".py")]
    return "".join(each.read_text(encoding="utf-8") for each in sorted(found, key=str))


def _cache_folder() -> Path:
    """Where generated modules live: the user's cache, or a temporary folder if that fails."""
    from platformdirs import user_cache_path

    folder = Path(os.environ.get("RPUCC_CACHE", user_cache_path("rpucc"))) / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    temporary = tempfile.mkdtemp(prefix="rpucc-kernels-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    if not path.exists():
        write_whole(path, lambda stream: stream.write(text.encode()))
    return path
