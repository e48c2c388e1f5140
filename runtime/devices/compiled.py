"""Compiles the kernels that pulse devices together with a device's `step`, and keeps them on disk.

Numba's disk cache misses a kernel that gets `step` from a closure or an argument. A module
written from a template into a cache folder hits it: the file's name carries the hash of the
template, of the source file that defines the step, of the kernels, of this file and of Numba's
version, so an edited device compiles once more and an unchanged one never.
"""

from __future__ import annotations

import atexit
import hashlib
import inspect
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite.binding
import numba

from rpucc.errors import TargetError
from rpucc.files import write_whole
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.step_check import check_step
from rpucc.runtime.kernels.counted.update import update as counted_update


def compile_update(device: Device) -> Callable[..., int]:
    """The compiled `update` kernel (see the template for its arguments) of a device model."""
    return counted_update if device.counted else _compiled("update", device, device.cycle_noise)


def compile_pulses(device: Device) -> Callable[..., None]:
    """The compiled `pulses` kernel (see the template for its arguments) of a device model."""
    return _compiled("pulses", device, device.cycle_noise)


def compile_quiet_pulses(device: Device) -> Callable[..., None]:
    """The same, with a step that gets 0 in place of its noise."""
    return _compiled("pulses", device, cycle_noise=False)


def _compiled(kernel: str, device: Device, cycle_noise: bool) -> Callable[..., Any]:
    key = kernel, type(device), cycle_noise
    _check(device)
    if key not in _LOADED:
        _LOADED[key] = _load(*key)
    return _LOADED[key]


_LOADED: dict[tuple[str, type[Device], bool], Callable[..., Any]] = {}
_CHECKED: set[tuple[type[Device], tuple[tuple[str, float], ...]]] = set()


def _check(device: Device) -> None:
    """Try out the step of a device that is none of rpucc's own, once for its parameters."""
    model = type(device)
    if model.__module__.startswith("rpucc."):
        return
    key = model, tuple(sorted(device.parameters.items()))
    if key not in _CHECKED:
        check_step(device)
        _CHECKED.add(key)


def _load(kernel: str, model: type[Device], cycle_noise: bool) -> Callable[..., Any]:
    fill = _fill_update if kernel == "update" else _fill_pulses
    text = _filled(f"{kernel}_template.py.txt", fill(model, cycle_noise))
    sources = text + _source(model) + _kernel_sources() + _own_source() + numba.__version__
    key = hashlib.sha256(sources.encode()).hexdigest()
    name = f"rpucc_{kernel}_{model.name.replace('-', '_').replace(':', '_')}_{key[:16]}"
    folder = _cache_folder()
    path = _write(folder, name, text)
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OSError(f"cannot load generated kernel {path}")
    module: Any = module_from_spec(spec)
    sys.modules[name] = module
    module.step = _jit(model, name)
    spec.loader.exec_module(module)
    compiled: Callable[..., Any] = getattr(module, kernel)
    return compiled


def _jit(model: type[Device], module: str) -> Any:
    """Compile the step as a function of the generated module.

    What Numba keeps on disk names the module of every function in it, and imports it by that name.
    A device's own may be known under another one by then, or not at all.
    """
    step = FunctionType(model.step.__code__, model.step.__globals__, model.step.__name__)
    step.__module__ = module
    return numba.njit(nogil=True, fastmath=True, error_model="numpy")(step)


def _kernel_sources() -> str:
    """The kernels that the generated module uses: Numba's cache does not look beyond one file."""
    folder = files("rpucc.runtime.kernels")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".py"))
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def _own_source() -> str:
    """This file: how a step is compiled is part of what comes out."""
    return Path(__file__).read_text(encoding="utf-8")


def _source(model: type[Device]) -> str:
    """The source of the module that defines `step`, with all that the step may use in it."""
    try:
        return Path(inspect.getfile(model.step)).read_text(encoding="utf-8")
    except (OSError, TypeError) as error:
        raise TargetError(
            f"device '{model.name}': the source of its step function cannot be read ({error}); "
            "define the class in a file"
        ) from error


def _filled(template: str, replacements: dict[str, str]) -> str:
    text = files("rpucc.runtime.devices").joinpath(template).read_text(encoding="utf-8")
    for key, value in sorted(replacements.items(), reverse=True):  # longer keys first
        text = text.replace(key, value)
    return text


def _fill_pulses(model: type[Device], cycle_noise: bool) -> dict[str, str]:
    count, shared = len(model.per_device), len(model.constants)
    loads = [f"p{i} = params[{i}, r, c0:c1]" for i in range(count)]
    loads += [f"s{i} = constants[{i}]" for i in range(shared)]
    noise = "noise[at + c]" if cycle_noise else "f32(0)"
    values = [f"p{i}[c]" for i in range(count)] + [f"s{i}" for i in range(shared)]
    fill = "fill_normals(noise, element, c1 - c0, u32(first + i), word, u32(0), k0, k1)"
    return {
        "$LOADS": "\n                ".join(loads) or "pass",
        "$FILL": fill if cycle_noise else "pass",
        "$ARGUMENTS": ", ".join([noise, *values]),
    }


def _fill_update(model: type[Device], cycle_noise: bool) -> dict[str, str]:
    count = len(model.per_device)
    loads = [f"p{i} = params[{i}, r, c0:c1]" for i in range(count)]
    values = [f"p{i}[c]" for i in range(count)]
    if model.packed:
        loads += [f"low{i}, scale{i} = ranges[{i}, 0], ranges[{i}, 1]" for i in range(count)]
        values = [f"f32({value}) * scale{i} + low{i}" for i, value in enumerate(values)]
    unpack = [
        line
        for i, value in enumerate(values)
        for line in (f"u{i} = unpacked[{i + 1}]", f"for c in range(c1 - c0): u{i}[c] = {value}")
    ]
    unpacked_loads = [f"u{i} = unpacked[{i + 1}]" for i in range(count)]
    shared = [f"k{i} = constants[{i}]" for i in range(len(model.constants))]
    constants = [f"k{i}" for i in range(len(model.constants))]
    fill = (
        "fill_normals(noise, first, total, r - row_cuts[b], u32(u32(PULSE_NOISE << 24) | tile), "
        "sample, k0, k1)"
    )
    noise = "row[c]" if cycle_noise else "f32(0)"
    listed = "noise[at + q]" if cycle_noise else "f32(0)"
    return {
        "$LOADS": "\n    ".join(loads + shared) or "pass",
        "$LISTED": ", ".join([listed, *values, *constants]),
        "$DENSE": ", ".join([noise, *values, *constants]),
        "$UNPACKED_LOADS": "\n    ".join(unpacked_loads + shared) or "pass",
        "$UNPACKED": ", ".join([noise, *(f"u{i}[c]" for i in range(count)), *constants]),
        "$UNPACK": "\n    ".join(loads + unpack) or "pass",
        "$SPREAD": (_EXPAND if _has_expand() else _SCATTER) if cycle_noise else "pass",
        "$FILL": fill if cycle_noise else "pass",
    }


# Pulses' noise to their columns: whole vectors where the processor can, else one by one (stores
# that narrow delay the vector loads that follow).
_EXPAND = """for a in range(0, signs.shape[0], 16):
        at += expand16(noise, at, signs, a, row)"""
_SCATTER = """for q in range(n):
        row[columns[q]] = noise[at + q]"""


def _has_expand() -> bool:
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("avx512f"))


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
