"""Cells: what a weight is made of. One file a model, one table of their names (`models.py`).

Adding one is a file beside these and its row in CELLS; its keys, their documentation, the rpu op
and its attributes follow from its class.
"""

from __future__ import annotations

from rpucc.cells.base import COUNT, Cell
from rpucc.cells.models import CELLS, UPDATE_OPS

__all__ = ["CELLS", "COUNT", "UPDATE_OPS", "Cell"]
