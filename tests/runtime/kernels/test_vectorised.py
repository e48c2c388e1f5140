"""The random-number kernels run in vector registers: reads and updates are as fast as they are."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from typing import Any

import numba
import pytest

from rpucc.runtime.kernels.normals import fill_normals
from rpucc.runtime.kernels.philox import fill_words


def assembly(kernel: Any, element: numba.types.Type) -> str:
    """The assembly of a fresh copy: what comes from the disk cache cannot be inspected."""
    fresh: Callable[..., Any] = numba.njit(
        nogil=True, fastmath=True, error_model="numpy", cache=False
    )(kernel.py_func)
    i64, u32 = numba.int64, numba.uint32
    fresh.compile((element[::1], i64, i64, i64, i64, i64, u32, u32))  # type: ignore[attr-defined]
    (text,) = fresh.inspect_asm().values()  # type: ignore[attr-defined]
    return str(text)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="looks for x86 instructions"
)
@pytest.mark.parametrize(
    ("kernel", "element", "wanted"),
    [
        (fill_words, numba.uint32, {"multiply": r"v?pmuludq"}),
        (
            fill_normals,
            numba.float32,
            {"multiply": r"v?pmuludq", "root": r"v?(r?sqrtps)", "product": r"v?mulps"},
        ),
    ],
    ids=["fill_words", "fill_normals"],
)
def test_packed_instructions(kernel: Any, element: Any, wanted: dict[str, str]) -> None:
    text = assembly(kernel, element)
    for what, pattern in wanted.items():
        assert re.search(rf"^\s+{pattern}\s", text, re.MULTILINE), f"no packed {what}"
    # Ten rounds of two 32 x 32 -> 64 bit products in scalar registers would be 20 of these.
    assert len(re.findall(r"^\s+(?:imulq|mulxq?|mulq|mull|imull)\s", text, re.MULTILINE)) < 20
