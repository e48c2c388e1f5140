"""An equal form of a file that onnxruntime does not run, for the comparison with it.

onnxruntime knows opset 7 and newer, no dilated windows with auto_pad SAME, and no two nodes of one
name; all are valid ONNX. Not for compiling: the importer makes more of a model than this.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common

from rpucc.opset import DOMAIN, IR_VERSION
from rpucc.passes.frontend.batch import declared_batch
from rpucc.passes.frontend.onnx_tools import infer_shapes
from rpucc.passes.frontend.opset import convert_opset
from rpucc.passes.frontend.windows import make_windows_explicit
from rpucc.passes.graph_writer import Names


def equal_form(model: ir.Model) -> ir.Model:
    """Return a copy at the program's opset with explicit windows and a name of its own a node.

    Values keep their names. What the file says about shapes behind the input is left out: it may
    be wrong. Requires a model that the importer takes; raises UnsupportedError where it would.
    """
    copy = model.clone()
    copy.meta.update(model.meta)  # what messages call it
    common.InlinePass(lambda function: function.domain != DOMAIN)(copy)
    common.RemoveInitializersFromInputsPass()(copy)
    common.RemoveUnusedOpsetsPass()(copy)
    copy.ir_version = IR_VERSION
    convert_opset(copy)
    taken = Names()
    for node in copy.graph:
        node.name = taken.unique(node.name or node.op_type)
    make_windows_explicit(copy, infer_shapes(copy, declared_batch(copy) or 1, strict=False))
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    return copy
