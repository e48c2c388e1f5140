"""The table of cells."""

from __future__ import annotations

from rpucc.cells.base import Cell
from rpucc.cells.mixed_precision import MixedPrecision
from rpucc.cells.plain import Plain
from rpucc.cells.reference import Reference
from rpucc.cells.residual import Residual
from rpucc.cells.tiki_taka import TikiTaka

_MODELS = (
    Plain,
    Reference,
    TikiTaka,
    Residual,
    MixedPrecision,
)
CELLS: dict[str, type[Cell]] = {cell.model: cell for cell in _MODELS}
"""Every model by its name."""
