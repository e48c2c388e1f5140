"""All rules of the importer, by what they are about: the table that documentation is made from."""

from __future__ import annotations

from collections.abc import Callable

from rpucc.passes.frontend import support
from rpucc.passes.frontend.layers import LAYER_RULES

RULEBOOK: tuple[tuple[str, tuple[Callable[..., str | None], ...]], ...] = (
    ("The file", support.FILE_RULES),
    ("Operators", support.OP_RULES),
    ("The input", (support.some_input, *support.INPUT_RULES, *support.INPUT_SIZE_RULES)),
    ("Several inputs", (support.one_batch,)),
    ("Weights", (*support.WEIGHT_TYPE_RULES, *support.WEIGHT_RULES)),
    ("Layers", LAYER_RULES),
)
"""Subject -> rules, in the order in which the importer enforces them."""
