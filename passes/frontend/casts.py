"""CastLike says its type by an example: where that is a value of the network, it is a Cast.

PyTorch's exporter writes the zero bias of a layer without one so. Its zeros are constants only
once the type no longer waits for a value that is none.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.frontend.onnx_tools import infer_shapes


def settle_cast_likes(model: ir.Model) -> None:
    """Turn every CastLike into a Cast to the type that shape inference gives its example."""
    nodes = [node for node in model.graph if node.domain == "" and node.op_type == "CastLike"]
    if not nodes:
        return
    inferred = infer_shapes(model, strict=False)
    for node in nodes:
        example = node.inputs[1]
        known = None if example is None else inferred.get(str(example.name))
        dtype = known.dtype if known is not None else example.dtype if example is not None else None
        if dtype is None:
            continue
        node.op_type = "Cast"
        node.attributes["to"] = ir.AttrInt64("to", int(dtype))
        node.resize_inputs(1)
