"""Sizes that no value can have: refused before onnx and onnxruntime get the model.

Not for how they are found: `rpucc/impossible_sizes.py`.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.impossible_sizes import first_impossible
from rpucc.passes.frontend.batch import declared_batch
from rpucc.passes.frontend.layers import LAYER_RULES, Layer
from rpucc.passes.frontend.messages import label_of, node_text
from rpucc.passes.frontend.onnx_tools import Inferred
from rpucc.passes.frontend.rules import enforce


def refuse_impossible_sizes(model: ir.Model) -> None:
    """Refuse the first node whose result would have a size beyond all bounds.

    Raises ModelError where a rule about its kind of layer says what is wrong, else
    UnsupportedError.
    """
    found = first_impossible(model, declared_batch(model) or 1)
    if found is None:
        return
    where = f"{label_of(model)}: {node_text(found.node)}"
    shapes = {
        name: Inferred(ir.DataType.UNDEFINED, None if dims is None else tuple(dims))
        for name, dims in found.shapes.items()
    }
    enforce(LAYER_RULES, Layer(found.node, shapes), where)
    raise UnsupportedError(f"{where}: {found.problem}")
