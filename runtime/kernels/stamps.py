"""When a compiled kernel on disk is out of date: when any source that went into it has changed.

Numba looks at the one file that defines a kernel, and would go on with what it compiled from
another version of a function or a constant that the kernel takes from elsewhere. Kernels are kept
with a stamp of that file and of all files of rpucc that it imports, directly or through others: an
upgrade of rpucc, or an edit, compiles what it touches anew and nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from numba.core import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

_PACKAGE = "rpucc."


class _Index(IndexDataCacheFile):
    """Numba's index of what is kept of a function; one that cannot be read is as good as none.

    Numba unpickles it before it looks at the stamp, and it names the classes of arguments: those of
    another version (named tuples that have other names or places now) are not there to be loaded.
    """

    def _load_index(self) -> dict[Any, Any]:
        try:
            found: dict[Any, Any] = super()._load_index()
        except (AttributeError, ImportError, TypeError, EOFError, pickle.UnpicklingError):
            return {}
        return found


CHECKED = "-checked"
"""What the files of kernels that check every index are called besides (`NUMBA_BOUNDSCHECK=1`)."""


class KernelCache(FunctionCache):
    """Numba's cache of a function, in the place where Numba keeps it, with our stamp.

    Kernels that check every index lie beside the others: Numba would take one for the other.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        checked = CHECKED if config.BOUNDSCHECK else ""  # type: ignore[attr-defined]
        self._cache_file = _Index(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base + checked,
            source_stamp=(self._impl.locator.get_source_stamp(), stamp(function.__module__)),
        )


def stamp(module: str) -> str:
    """A digest of the sources of a module and of what it imports from rpucc; by their names."""
    digest = hashlib.sha256()
    for name in sorted(_with_imports(module)):
        digest.update(f"{name}\n{_source(name)}".encode())
    return digest.hexdigest()


def _with_imports(module: str) -> set[str]:
    """The module and all that it imports from rpucc; those must be loaded."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(_imports(name))
    return found


@cache
def _imports(module: str) -> tuple[str, ...]:
    names = []
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.startswith(_PACKAGE) and name in sys.modules)


@cache
def _source(module: str) -> str:
    """A module's source text; empty where there is none to be had."""
    loader: Any = sys.modules[module].__loader__
    return getattr(loader, "get_source", lambda _: None)(module) or ""
