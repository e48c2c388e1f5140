"""Placement: which tile lies where on which physical array.

A pure function of the grids (how each layer's matrix is cut) and of the target; nothing of it is
stored in a program. Not for the cuts themselves (`rpucc.passes.tile`).
"""

from rpucc.placement.grids import Block, GridSpec
from rpucc.placement.place import place
from rpucc.placement.placement import Placement, ranges

__all__ = ["Block", "GridSpec", "Placement", "place", "ranges"]
