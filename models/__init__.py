"""The model zoo: small functions that build ONNX files (`zoo.py` has the table).

Importing this package loads nothing heavy; its names load onnx on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["MODELS", "ZooModel", "build", "write"]

if TYPE_CHECKING:
    from rpucc.models.zoo import MODELS, ZooModel, build, write


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562): the built-in data needs no onnx."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("rpucc.models.zoo"), name)
    raise AttributeError(f"module 'rpucc.models' has no attribute {name!r}")
