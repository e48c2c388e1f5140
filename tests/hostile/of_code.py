"""Modules with a device of someone's own, where a user trusts them."""

from __future__ import annotations

import sys
from pathlib import Path

from . import mutate
from .reader import Reader

MODULE = '''"""A device."""
import numpy as np
from rpucc.runtime.devices import Device

class Mine(Device):
    """Steps that shrink."""
    name = "mine"
    summary = "steps that shrink"
    defaults = {"dw_min": 0.01, "limit": 0.8}
    ranges = {"dw_min": (1e-6, 1.0)}

    @staticmethod
    def step(w, direction, noise, limit):
        return w + direction * 0.01 * (1 - w / limit)
'''


def use_module(path: Path) -> None:
    """Import the class of a device from beside a target."""
    from rpucc.runtime.devices import own

    sys.dont_write_bytecode = True
    own._BESIDE.clear()
    sys.path_importer_cache.pop(str(path.parent), None)
    own.own_model("own:Mine", (path.parent,))


READERS = {
    "modules": Reader(
        "own.py", lambda folder: [MODULE.encode()], mutate.damage, use_module, named=False, share=30
    )
}
