"""What was decided for each layer of a program, as a plan file: ready to edit and to compile again.

The TOML that `rpucc compile --plan` reads (`Target.with_plan`). Not for numbers that follow from
the decisions: those are the plan's.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.patterns import pattern_of
from rpucc.placement import ranges
from rpucc.report import units
from rpucc.target.values import MAX_PINS

if TYPE_CHECKING:
    from rpucc.placement import GridSpec
    from rpucc.plan.plan import LayerPlan, Plan
    from rpucc.program import Program

MAX_CUTS = 1000
"""Cuts that are written out for one side of a matrix."""

_HEAD = """\
# How {name} lies on the arrays of target {target}. Edit it, then compile with the same target and
#     --plan THIS-FILE
# A rule holds for the layers that `match` names; delete it, or a key of it, to leave that to rpucc.
# arrays: one id a tile, in the order copy, group, row block, column segment; or one id an array
# where the groups of a layer lie side by side. Ids count from 0 within a kind of array; "3-7" is
# 3, 4, 5, 6, 7. mapping.array: the kind; cuts: where the tiles of one group begin and end, the
# columns with the bias line where the bias is on the arrays; replicas: copies that share the reads.
"""


def as_toml(program: Program) -> str:
    """Return the decisions of a program: sharing, and of each layer whether and where it lies."""
    plan = program.plan
    grids = {grid.layer: grid for grid in plan.grids}
    parts = [
        _HEAD.format(name=units.plain(program.name), target=program.target.name),
        f"[placement]\nshare = {str(plan.share).lower()}\n",
    ]
    for layer in (each for each in plan.layers if not each.feedback):
        rule = _on_arrays(grids[layer.name], plan) if layer.analog else _digital(layer)
        parts.append("\n".join(rule) + "\n")
    return "\n".join(parts)


def _on_arrays(grid: GridSpec, plan: Plan) -> Iterator[str]:
    yield from _rule(grid.layer)
    R, C = grid.shape
    shape = f"{R} × {C}" if grid.groups == 1 else f"{grid.groups} × {R} × {C}"
    yield f"# {shape}: {units.counted(grid.tiles, 'tile')} on arrays {grid.kind}"
    yield from _mapping(grid)
    ids = _ids(grid, plan)
    if ids is None:
        yield f"# arrays: left to rpucc, more than {MAX_PINS} tiles"
        return
    yield _list("arrays", (text if text.isdigit() else f'"{text}"' for text in ranges(ids)))


def _mapping(grid: GridSpec) -> Iterator[str]:
    yield f"mapping.array = {json.dumps(grid.kind)}"
    for key, cuts in (("row_cuts", grid.row_cuts), ("col_cuts", grid.col_cuts)):
        if len(cuts) > MAX_CUTS:
            yield f"# mapping.{key}: left to rpucc, more than {MAX_CUTS}"
        else:
            yield _list(f"mapping.{key}", map(str, cuts))
    yield f"mapping.replicas = {grid.replicas}"
    yield f"mapping.devices_per_weight = {grid.devices}"


def _list(key: str, items: Iterable[str]) -> str:
    text = f"{key} = [{', '.join(items)}]"
    return textwrap.fill(text, 100, subsequent_indent="    ", break_on_hyphens=False)


def _digital(layer: LayerPlan) -> Iterator[str]:
    yield from _rule(layer.name)
    yield "analog = false"


def _rule(layer: str) -> Iterator[str]:
    """The head of a rule that matches one layer: its name, with what a glob would read escaped.

    A character that is not printable becomes "?", which matches it.
    """
    pattern = units.plain(pattern_of(layer))
    yield "[[layer]]"
    # What is printable is the same string in JSON and in TOML.
    yield f"match = {json.dumps(pattern, ensure_ascii=False)}"


def _ids(grid: GridSpec, plan: Plan) -> Sequence[int] | None:
    """Return the ids that a rule needs; None where they are too many for a file."""
    apart = plan.placement.arrays_of(grid.layer)
    if not plan.share and not grid.pins and len(apart) <= MAX_PINS:
        return apart
    if grid.tiles > MAX_PINS:
        return None
    return [block.array for block in plan.placement.blocks(grid.layer)]
