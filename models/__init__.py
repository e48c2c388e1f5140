"""The model zoo: small functions that build ONNX files (`zoo.py` has the table), and networks
that are built from a line (`built.py`).

Importing this package loads nothing heavy; its names load onnx on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

_LAZY = {
    "MODELS": "zoo",
    "ZooModel": "zoo",
    "build": "zoo",
    "build_cnn": "built",
    "build_layers": "built",
    "save": "zoo",
    "write": "zoo",
}
"""Public name -> the module that it is in."""

__all__ = ["MODELS", "ZooModel", "build", "build_cnn", "build_layers", "save", "write"]

if TYPE_CHECKING:
    from rpucc.models.built import build_cnn, build_layers
    from rpucc.models.zoo import MODELS, ZooModel, build, save, write


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562): the built-in data needs no onnx."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"rpucc.models.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'rpucc.models' has no attribute {name!r}")
