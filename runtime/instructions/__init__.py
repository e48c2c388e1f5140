"""Instructions: `read.py`, `update.py` the cycles, `windows.py` im2col,
`shares.py` copies that learn on their own, `chains.py` what is fused.

More of what is fused: `fused.py` activations, pools and their gradients, `head.py` the loss;
`patterns.py` is how they look at the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.runtime.instructions.chains import find_chains
from rpucc.runtime.instructions.shares import build_assign, build_collect
from rpucc.runtime.instructions.update import build_update
from rpucc.runtime.instructions.windows import build_append_one, build_im2col

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction

BUILDERS: dict[str, Callable[[Executor, ir.Node], Instruction | None]] = {
    "Im2Col": build_im2col,
    "AppendOne": build_append_one,
    "Assign": build_assign,
    "Collect": build_collect,
    "Update": build_update,
}
"""rpu op -> what makes its instruction; Read and its neighbours only occur in chains."""

__all__ = ["BUILDERS", "find_chains"]
