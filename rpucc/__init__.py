"""rpucc: a compiler and a runtime for training neural networks on RPU arrays.

Importing this package loads nothing heavy; the names below load their modules on first use.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# In a checkout the sub-packages lie beside this folder, not in it (pyproject's package-dir maps
# them when installed): let `import rpucc.passes` find them when Python runs from the checkout.
_checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.isfile(os.path.join(_checkout, "pyproject.toml")):
    __path__.append(_checkout)

_LAZY = {
    "compile": ("rpucc.compiler", "compile_model"),
    "Program": ("rpucc.program", "Program"),
    "Plan": ("rpucc.plan", "Plan"),
    "Target": ("rpucc.target", "Target"),
    "Machine": ("rpucc.runtime.machine", "Machine"),
    "Trainer": ("rpucc.runtime.trainer", "Trainer"),
    "load_dataset": ("rpucc.runtime.data", "load_dataset"),
    "verdict": ("rpucc.runtime.verdict", "verdict"),
    "RpuccError": ("rpucc.errors", "RpuccError"),
}

__all__ = [
    "Machine",
    "Plan",
    "Program",
    "RpuccError",
    "Target",
    "Trainer",
    "compile",
    "load_dataset",
    "verdict",
]

if TYPE_CHECKING:
    from rpucc.compiler import compile_model as compile
    from rpucc.errors import RpuccError
    from rpucc.plan import Plan
    from rpucc.program import Program
    from rpucc.runtime.data import load_dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer
    from rpucc.runtime.verdict import verdict
    from rpucc.target import Target


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562), so that `import rpucc` stays fast."""
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'rpucc' has no attribute {name!r}")
