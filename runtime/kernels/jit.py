"""How kernels are compiled: one decorator, so that caching and float rules are the same everywhere.

`fastmath` is on: the kernels work on finite float32 data (inputs are checked before they get
here), and reassociation is what lets LLVM vectorise sums and maxima. The compiled code is fixed
once cached, so results stay reproducible on one machine; `rpucc.portable` fixes it for all.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import llvmlite.binding
import numba
from numba.core.registry import cpu_target

from rpucc.runtime.kernels import bits
from rpucc.runtime.kernels.libraries import use_own_copies
from rpucc.runtime.kernels.stamps import KernelCache
from rpucc.runtime.scalars import floats


def _use_whole_vectors() -> None:
    """Let LLVM use 512-bit vectors where the processor has them.

    For some processors (Ice Lake) it prefers 256 bits; Philox and the normals take 40 % less time
    with 512. Whoever set NUMBA_CPU_FEATURES, as `rpucc.portable` does, has decided otherwise.
    """
    features = llvmlite.binding.get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and features.get("avx512f"):  # type: ignore[attr-defined]
        wanted = features.flatten() + ",-prefer-256-bit"
        numba.config.CPU_FEATURES = wanted  # type: ignore[attr-defined]


use_own_copies()
_use_whole_vectors()


class _Flags(set[str]):
    """Flags in one order: their text becomes part of the names of compiled functions."""

    def __repr__(self) -> str:
        return repr(sorted(self))

    def copy(self) -> _Flags:
        """As Numba does for what a kernel calls; a set's own would be a plain one."""
        return _Flags(self)


def _fast_math() -> bool | set[str]:
    """What LLVM may do to floats: anything; for a level of instructions, only what it fixes.

    Estimates of 1 / x and 1 / sqrt(x), which are refined then, have other digits on processors of
    Intel and AMD. A level (x86-64-v3) is for all of them, so divisions and roots are whole.
    """
    if str(numba.config.CPU_NAME).startswith("x86-64"):  # type: ignore[attr-defined]
        return _Flags(("nnan", "ninf", "nsz", "reassoc", "contract"))
    return True


OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": _fast_math(),
    "error_model": "numpy",
    "_nrt": False,
}
"""Numba's, of every kernel and of what is compiled into one.

Kernels allocate nothing, so none counts who refers to an array: the caller holds what it gives.
Counting takes an atomic instruction for every array that an inner function is given, and took
three quarters of the time of narrow pulsed updates.
"""
_SCALARS = "rpucc.runtime.scalars."
_INTRINSICS = {floats.bits_of: bits.bits_of, floats.float_of: bits.float_of}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily with Numba: cached on disk, GIL released, fast float math."""
    return _compiled(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a small helper that becomes part of every kernel that calls it.

    A plain function of `runtime/scalars` brings what it calls there with it: inlined(philox).
    """
    return _compiled(function, inline="always")


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    compiled: Any = numba.njit(**OPTIONS, **options)(_with_callees(function))
    compiled._cache = KernelCache(compiled.py_func)
    made: Callable[..., Any] = compiled
    return made


def _with_callees(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; a plain scalar one with compiled ones in place of those that it calls."""
    if not _is_scalar(function):
        return function
    names = {**function.__globals__, **compiled_scalars(function)}
    copy = FunctionType(function.__code__, names, function.__name__)
    copy.__doc__, copy.__module__ = function.__doc__, function.__module__
    return copy


def compiled_scalars(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The functions of `runtime/scalars` that a function calls, compiled, by its names for them."""
    names = function.__globals__
    used = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
    return {name: _callee(names[name]) for name in used if _is_scalar(names.get(name))}


def _is_scalar(what: object) -> bool:
    return isinstance(what, FunctionType) and what.__module__.startswith(_SCALARS)


@cache
def _callee(function: Callable[..., Any]) -> Callable[..., Any]:
    return _INTRINSICS.get(function) or inlined(function)


def compiled_for() -> tuple[str, frozenset[str]]:
    """The processor that kernels are compiled for and its features, by LLVM's names.

    Not always the one at hand: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES choose another.
    """
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, frozenset(each[1:] for each in features.split(",") if each.startswith("+"))


def machine_code(compiled: Callable[..., Any], *arguments: object) -> Callable[..., Any]:
    """The code of a kernel for arguments of these types, compiled where it is not yet.

    Calling it spares Numba's look at every argument, which takes longer than a small kernel. All
    arguments must be of the same types again: nothing checks that.
    """
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    code: Callable[..., Any] = compiled.compile(kinds)  # type: ignore[attr-defined]
    return code
