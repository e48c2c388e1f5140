"""The update ops with a mask: each of those without, and some weights that stay what they are.

An op of its own, because a function of ONNX cannot tell whether an optional input is there. Not for
which weights those are: `rpucc.passes.mask_weights` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rpucc.cells import CELLS, COUNT
from rpucc.layers import MASKED
from rpucc.op_shapes import Attributes, Shape, ShapeRule, agree
from rpucc.op_spec import OpSpec
from rpucc.opset.cell_updates import CELL_UPDATES
from rpucc.opset.update import UPDATE

MASK = "mask"
"""The input: bool [R, C], true where the weight is changed."""


SHARED = {
    COUNT,
    *(name for cell in CELLS.values() for name in (*cell.flags, *cell.column_flags, *cell.means)),
}
"""What cells keep that no single weight has."""


def _shapes(plain: OpSpec) -> ShapeRule:
    def shapes(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
        """As without the mask, which is [R, C]."""
        *others, mask = inputs
        if len(mask) != 2:
            raise ValueError(f"mask must be [R, C], found rank {len(mask)}")
        for left, right in zip(mask, others[0], strict=True):
            agree("the mask is not of W's shape", left, right)
        return plain.shapes(attributes, others)

    return shapes


def _body(plain: OpSpec) -> str:
    """The body without the mask, and its planes put back where the mask is false.

    What becomes of one crosspoint depends on no other one, so that it makes no difference whether
    a weight is held all along or put back in the end.
    """
    body, held = plain.body.rstrip().removesuffix("}"), ""
    body = re.sub(rf"\b{MASK}\b", "moving", body)  # what a Scan within calls so
    for result in plain.outputs:
        before = result.removesuffix("2")
        if before in SHARED:
            continue
        body = re.sub(rf"\b{result}\b", f"{before}_free", body)
        held += f"  {result} = Where ({MASK}, {before}_free, {before})\n"
    return f"{body}{held}}}\n"


def masked(plain: OpSpec) -> OpSpec:
    """Return the op that an update op is with a mask."""
    return replace(
        plain,
        name=f"{MASKED}{plain.name}",
        doc=f"As {plain.name}, but that weights whose mask is false stay what they are, with all "
        "that their cells hold: no pulse reaches them.",
        inputs=(*plain.inputs, MASK),
        flags=(MASK,),
        body=_body(plain),
        shapes=_shapes(plain),
    )


MASKED_UPDATES = tuple(masked(plain) for plain in (UPDATE, *CELL_UPDATES))
"""One for each update op."""
