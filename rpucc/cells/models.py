"""The table of cells, and that of their update ops."""

from __future__ import annotations

from rpucc.cells.agad import Agad
from rpucc.cells.base import Cell
from rpucc.cells.chopped_tiki_taka import ChoppedTikiTaka
from rpucc.cells.mixed_precision import MixedPrecision
from rpucc.cells.multi_tile import MultiTile
from rpucc.cells.one_sided import OneSided
from rpucc.cells.plain import Plain
from rpucc.cells.reference import Reference
from rpucc.cells.residual import Residual
from rpucc.cells.residual_2 import Residual2
from rpucc.cells.rider import Rider
from rpucc.cells.tiki_taka import TikiTaka
from rpucc.cells.tiki_taka_2 import TikiTaka2

_MODELS = (
    Plain,
    Reference,
    TikiTaka,
    Residual,
    MixedPrecision,
    MultiTile,
    TikiTaka2,
    ChoppedTikiTaka,
    Agad,
    Residual2,
    OneSided,
    Rider,
)
CELLS: dict[str, type[Cell]] = {cell.model: cell for cell in _MODELS}
"""Every model by its name."""

UPDATE_OPS: dict[str, Cell] = {}
"""Update op -> the cell that it is of, with the keys that follow from the op alone; of several the
first."""
for _variant in (variant for cell in _MODELS for variant in cell.variants()):
    UPDATE_OPS.setdefault(_variant.op, _variant)
