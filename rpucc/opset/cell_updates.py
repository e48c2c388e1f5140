"""The update ops of cells with a state of their own, made of the table of cells.

Not for Update itself, nor for what the ops compute: that is in each cell's file (`rpucc/cells/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpucc.cells import COUNT, UPDATE_OPS, Cell
from rpucc.cells.base import CELL
from rpucc.cells.transferred import ColumnTransfer
from rpucc.cost.operations import Node, Operations, Rule
from rpucc.cost.transfers import transfers_of
from rpucc.cost.writes import writes_of
from rpucc.node_attributes import Attribute, carried, cuts, whole
from rpucc.op_shapes import Attributes, Shape, ShapeRule, agree
from rpucc.op_spec import ABSENT_TILES, CUTS, GROUPS, OpSpec
from rpucc.opset.update import UPDATE
from rpucc.target.values import Allowed, is_number

GRID = (cuts("row_cuts", CUTS), cuts("col_cuts", CUTS), *GROUPS, ABSENT_TILES)


def shapes_of(cell: Cell) -> ShapeRule:
    """Return the shape rule of a cell's op."""
    ranks = {name: len(cell.state_shape(name, (0, 0))) for name in cell.state}

    def shapes(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
        """W, x, d, lr as in Update, then the state, which keeps its shapes.

        Planes and memory of the weights [R, C], flags of columns [C], means [2], others [].
        """
        found = UPDATE.shapes(attributes, inputs[:4])
        W = inputs[0]
        for (name, rank), state in zip(ranks.items(), inputs[4:], strict=True):
            if len(state) != rank:
                raise ValueError(f"{name} must have rank {rank}, found {len(state)}")
            expected: Shape = [2] if name in cell.means else W[2 - rank :]
            for left, right in zip(state, expected, strict=True):
                agree(f"{name} does not fit W", left, right)
        return [*found, *(list(state) for state in inputs[4:])]

    return shapes


def _step(name: str) -> Attribute:
    allowed = Allowed("a number above 0, at most 1e6", lambda v: is_number(v, 0, 1e6) and v > 0)
    return Attribute(name, "FLOAT", allowed, 1e-3, "what a pulse of an ideal device does")


def by_column(cell: ColumnTransfer) -> Rule:
    """Return the rule that counts what Update's does, and what each value that is read takes."""

    def work(node: Node) -> Operations:
        found = transfers_of(node.node)
        assert found is not None
        assert UPDATE.work is not None
        updates = node.input(1) / node.dim(1, -1)
        values = found.of(updates) * (found.everywhere * node.dim(0, 0) - found.absent_values)
        each = Operations(adds=cell.additions, multiplies=cell.multiplications)
        return UPDATE.work(node) + each * values

    return work


def accumulated(node: Node) -> Operations:
    """Outer products of lr d and x, added up, and what is compared with a step to be sent."""
    found = writes_of(node.node)
    assert found is not None
    vectors = node.input(1) / node.dim(1, -1) / node.node.attributes.get_int("groups", 1)
    weights = node.dim(0, 0) * node.dim(0, 1) - found.absent_values
    products = Operations(adds=weights, multiplies=weights) * vectors
    return products + Operations(adds=found.values, multiplies=node.input(2))


assert UPDATE.work is not None
WORK: Mapping[str, Rule] = {
    "accumulated": accumulated,
    "one-sided": UPDATE.work,
}
"""Kind of a cell -> what counts the digital operations of its op."""
READS: Mapping[str, tuple[str, ...]] = {
    "transferred": ("Read",),
    "buffered": ("Read",),
    "one-sided": ("Read",),
}
"""Kind of a cell -> the op whose keys its own carries, too: what stands behind an array."""


def spec_of(cell: Cell) -> OpSpec:
    """Return the update op of a cell, which has the keys that the op depends on."""
    state = cell.state
    return OpSpec(
        name=cell.op,
        doc=f"The update cycle of a {cell.model} cell: {cell.summary}. Here with exact updates and "
        "reads.",
        inputs=(*UPDATE.inputs, *state),
        outputs=(*UPDATE.outputs, *(f"{name}2" for name in state)),
        own=(
            *GRID,
            *(each.attribute for each in carried(type(cell), CELL)),
            *map(_step, cell.steps),
            *([whole(cell.slots, 1, 255, 10, "slots of a train of x and d")] if cell.slots else ()),
        ),
        carries=("Update", *READS.get(cell.kind, ())),
        body=cell.body,
        shapes=shapes_of(cell),
        integers=(COUNT,),
        work=by_column(cell) if isinstance(cell, ColumnTransfer) else WORK[cell.kind],
        matrix="update",
    )


CELL_UPDATES = tuple(spec_of(cell) for cell in UPDATE_OPS.values() if cell.body)
"""One for each op of a cell that has one."""
