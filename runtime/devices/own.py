"""Device models of a user's own, "module:Class": where their module lies, and importing it.

A module that lies beside the target file that names it is found there first, then on Python's path.
Importing it from there leaves `sys.path` as it was, and does not clash with a module of the same
name from another folder. Whether a module may be imported at all is `rpucc.trust`'s to say.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from inspect import isclass
from pathlib import Path
from types import ModuleType

from rpucc.errors import TargetError, one_line
from rpucc.runtime.devices.base import Device
from rpucc.trust import module_of

_BESIDE: dict[Path, ModuleType] = {}
"""Modules imported from folders that are not on the path, by their files."""


def own_model(model: str, folders: Sequence[Path] = ()) -> type[Device]:
    """Import the class that `model` ("module:Class") names, from `folders` or Python's path.

    Raises TargetError where there is no such module or class, or importing it fails.
    """
    name, class_name = module_of(model), model.rpartition(":")[2]
    file = _beside(name, folders)
    try:
        module = importlib.import_module(name) if file is None else _imported(name, file)
    except ImportError as error:
        looked = "".join(f" beside {folder}," for folder in folders)
        raise TargetError(
            f"device.model = '{model}': cannot import '{name}' ({one_line(error)}); put its file"
            f"{looked or ' beside the target file,'} or its folder on PYTHONPATH"
        ) from error
    except (Exception, SystemExit) as error:
        raise TargetError(
            f"device.model = '{model}': importing '{name}' raises "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
    found = getattr(module, class_name, None)
    if not (isclass(found) and issubclass(found, Device)):
        raise TargetError(
            f"device.model = '{model}': '{name}' has no class '{class_name}' derived from "
            "rpucc.runtime.devices.Device"
        )
    return found


def module_place(model: str, folders: Sequence[Path] = ()) -> str:
    """Return what `own_model` would import, without importing it: a file; "" where there is none.

    Of a module in a package on Python's path it is the package's own file.
    """
    name = module_of(model)
    file = _beside(name, folders)
    if file is not None:
        return str(file)
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(name.partition(".")[0])
        if spec is not None:
            return spec.origin or "a folder of modules"
    return ""


def _beside(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the module's file in the first of the folders that has it."""
    for folder in folders:
        place = folder.resolve().joinpath(*name.split("."))
        for file in (place.with_name(place.name + ".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _imported(name: str, file: Path) -> ModuleType:
    """Import a module from its file, as if its top folder were first on the path."""
    if file in _BESIDE:
        return _BESIDE[file]
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or "/").resolve() == file:
        module = known
    else:
        parts = name.count(".") + (file.name == "__init__.py")
        with _first_on_path(file.parents[parts], name.partition(".")[0]):
            module = importlib.import_module(name)
    _BESIDE[file] = module
    return module


@contextlib.contextmanager
def _first_on_path(folder: Path, top: str) -> Iterator[None]:
    """Let imports look into `folder` first; `sys.modules` has another module `top` or none after.

    Only whoever asks for the file gets what is imported meanwhile.
    """

    def under_top() -> list[str]:
        return [name for name in sys.modules if name == top or name.startswith(f"{top}.")]

    others = {name: sys.modules.pop(name) for name in under_top()}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        for name in under_top():
            del sys.modules[name]
        sys.modules.update(others)
