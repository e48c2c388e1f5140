"""The arrays of toys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rpucc.runtime.standalone import StandaloneArray


def array(tables: Mapping[str, Any], rows: int, columns: int, seed: int) -> StandaloneArray:
    """Make an array of a row's tables; TargetError and ArgumentError say what is wrong in them."""
    others = {name: table for name, table in tables.items() if name != "device"}
    return StandaloneArray(tables["device"], rows, columns, seed, **others)
