"""How kernels are compiled: one decorator, so that caching and float rules are the same everywhere.

`fastmath` is on: the kernels work on finite float32 data (inputs are checked before they get
here), and reassociation is what lets LLVM vectorise sums and maxima. The compiled code is fixed
once cached, so results stay reproducible on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily with Numba: cached on disk, GIL released, fast float math."""
    compiled: Callable[..., Any] = numba.njit(**_OPTIONS)(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a small helper that becomes part of every kernel that calls it."""
    compiled: Callable[..., Any] = numba.njit(**_OPTIONS, inline="always")(function)
    return compiled
