"""The same bits on every x86-64-v3 processor: what is held for that, and whether it holds.

Kernels, BLAS and NumPy choose instructions by the processor, and other instructions sum and round
in another order. Portable, all three are held to one instruction set that every processor with AVX2
and FMA has (Intel since Haswell, AMD since Zen). BLAS and NumPy read their environment when they
are loaded, so `hold` comes before they are imported. What is not held is listed in
docs/same-bits.md. Imports nothing heavy, for the command line's help.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from rpucc.errors import RpuccError

VARIABLE = "RPUCC_PORTABLE"
"""The environment variable that asks for it, with 1; processes that are started inherit it."""
ON = "1"
OFF = ("", "0")

CPU_NAME = "x86-64-v3"
CPU_FEATURES = (
    "+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,+fma,+fxsr,+lzcnt,+mmx,+movbe,"
    "+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave"
)
"""LLVM's names; without them Numba would add those of the processor at hand."""
BLAS_CORE = "Haswell"
"""OpenBLAS's kernels for AVX2 and FMA, whose blocks do not depend on the sizes of caches."""
MACHINES = ("x86_64", "AMD64")

COMPILING = {
    "NUMBA_CPU_NAME": CPU_NAME,
    "NUMBA_CPU_FEATURES": CPU_FEATURES,
    "NUMBA_OPT": "3",
    "NUMBA_LOOP_VECTORIZE": "1",
    "NUMBA_SLP_VECTORIZE": "0",
    "NUMBA_BOUNDSCHECK": "0",
    "NUMBA_DISABLE_INTEL_SVML": "1",
}
"""What decides which code Numba makes of a kernel."""


def asked() -> bool:
    """Whether this process is to be portable."""
    return os.environ.get(VARIABLE, "") not in OFF


def refused() -> bool:
    """Whether the environment says that it is not to be."""
    return os.environ.get(VARIABLE) == "0"


def ask() -> None:
    """Make this process portable, and what it starts; raises RpuccError on an unfit machine."""
    os.environ[VARIABLE] = ON
    _refuse_unfit()
    hold()


def fit() -> bool:
    """Whether this machine can be portable."""
    return not _unfit()


def hold() -> None:
    """Set the environment of what is imported from here on; nothing where the processor is unfit.

    Raises nothing: `check` says whether all of it is in effect.
    """
    if _unfit():
        return
    os.environ.update(environment())
    os.environ.pop("NPY_DISABLE_CPU_FEATURES", None)  # NumPy refuses to have both
    if "numba" in sys.modules:
        sys.modules["numba"].config.reload_config()


def environment() -> dict[str, str]:
    """What `hold` sets."""
    return {
        **COMPILING,
        "OPENBLAS_CORETYPE": BLAS_CORE,
        "OPENBLAS_NUM_THREADS": "1",  # NumPy's; how many there are decides how a product is cut
        "NPY_ENABLE_CPU_FEATURES": " ".join(numpy_features()),
    }


def numpy_features() -> tuple[str, ...]:
    """NumPy's names of the instruction set among those that it dispatches to."""
    from importlib.metadata import version

    major, minor = (int(part) for part in version("numpy").split(".")[:2])
    if (major, minor) >= (2, 4):
        return ("X86_V3",)
    return ("SSSE3", "SSE41", "POPCNT", "SSE42", "AVX", "F16C", "FMA3", "AVX2")


def check() -> None:
    """Raise RpuccError where this process is asked to be portable and cannot be, or is not.

    Before anything is computed; looks at what NumPy, Numba and BLAS do, not at the environment.
    """
    if asked():
        _check()


@cache
def _check() -> None:
    value = os.environ[VARIABLE]
    if value != ON:
        raise RpuccError(f"{VARIABLE}={value}: 1 asks for the same bits on every machine, 0 not")
    _refuse_unfit()
    if others := numpy_beyond():
        raise RpuccError(
            f"portable: NumPy was imported before rpucc, and computes with {', '.join(others)}; "
            f"{_remedy()}"
        )
    if (made := _numba_target()) not in (None, (CPU_NAME, CPU_FEATURES)):
        raise RpuccError(
            f"portable: Numba compiles for {made[0] if made else ''} already, as something was "
            f"compiled before rpucc was imported; {_remedy()}"
        )
    _check_blas()


def _check_blas() -> None:
    import scipy.linalg.cython_blas  # noqa: F401 (what kernels call)
    from threadpoolctl import ThreadpoolController

    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        core = getattr(library, "architecture", None)
        if library.internal_api != "openblas":
            raise RpuccError(
                f"portable: {library.filepath} is {library.internal_api}, whose instructions "
                "cannot be chosen; the wheels of NumPy and SciPy for Linux and Windows on PyPI "
                "have OpenBLAS"
            )
        if core != BLAS_CORE:
            raise RpuccError(
                f"portable: {library.filepath} computes for {core}, not for {BLAS_CORE}, as it "
                f"was loaded before rpucc was imported; {_remedy()}"
            )


def numpy_beyond() -> list[str]:
    """The instructions beyond x86-64-v3 that NumPy has chosen; none where it is not loaded."""
    inside = set(numpy_features())
    return [name for name in numpy_chosen() if name not in inside]


def numpy_chosen() -> list[str]:
    """What NumPy dispatches to, of what it can, by its names; none where it is not loaded."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        if (module := sys.modules.get(name)) is not None:
            return [each for each in module.__cpu_dispatch__ if module.__cpu_features__[each]]
    return []


def _refuse_unfit() -> None:
    if why := _unfit():
        raise RpuccError(f"portable: {why}; without it the bits are those of this kind of machine")


@cache
def _unfit() -> str:
    """Why this machine cannot be portable; "" where it can."""
    import platform

    if platform.machine() not in MACHINES:
        return f"this machine is {platform.machine()}, not x86-64"
    import llvmlite.binding as llvm

    there = llvm.get_host_cpu_features()
    lacking = [name for name in CPU_FEATURES.replace("+", "").split(",") if not there.get(name)]
    if lacking:
        return f"this processor lacks {', '.join(lacking)} of {CPU_NAME}"
    return ""


def _numba_target() -> tuple[str, str] | None:
    """The processor and features that Numba compiles for; None where it is not loaded."""
    if "numba.core.registry" not in sys.modules:
        return None
    from numba.core.registry import cpu_target

    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, features


def _remedy() -> str:
    needed = environment()
    words = [f"{key}={needed[key]!r}" for key in ("NPY_ENABLE_CPU_FEATURES", "OPENBLAS_CORETYPE")]
    return f"import rpucc first, or set {' and '.join(words)} before Python starts"
