"""The loss of an answer that is the same for every sample: what guessing comes to.

By the program's own nodes from its output to its loss, so that any loss has it. Not for what a
network answers: that is `Trainer.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.ort_session import open_session

if TYPE_CHECKING:
    from rpucc.program import Program

Array = NDArray[Any]

TOGETHER = 1 << 22
"""Elements of targets that are looked at at once: pixels are many."""


def answer_loss(program: Program, answer: Array, targets: Array) -> float:
    """Return the mean loss of giving `answer`, [K, *space], for each of `targets`, [n, K, *space].

    The loss of the program's output has to be one of targets, a mean over samples.
    """
    import onnxruntime as ort

    step = program.step
    metric = step.metric("loss")
    assert metric is not None
    assert metric.value is not None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    loss = _loss_model(program, metric.output, metric.value)
    session = open_session(loss.SerializeToString(), options)
    total, batch = 0.0, program.fixed_batch or max(1, TOGETHER // max(answer.size, 1))
    counted = 0
    for first in range(0, len(targets), batch):
        chosen = np.asarray(targets[first : first + batch], np.float32)
        if program.fixed_batch not in (None, len(chosen)):
            continue  # a rest that the loss does not take
        same = np.broadcast_to(answer.astype(np.float32), chosen.shape)
        (value,) = session.run(None, {metric.output: same, str(step.labels): chosen})
        total += float(value) * len(chosen)
        counted += len(chosen)
    return total / counted if counted else float("nan")


def _loss_model(program: Program, output: str, value: str) -> onnx.ModelProto:
    """The nodes between an output and the loss, as a model of the output and the targets."""
    graph = program.model.graph
    needed, nodes, constants = {value}, [], []
    for node in reversed(list(graph)):
        if not needed.intersection(str(each.name) for each in node.outputs):
            continue
        nodes.append(node)
        needed.update(str(each.name) for each in node.inputs if each is not None)
        needed.discard(output)
    for name, constant in graph.initializers.items():
        if name in needed and constant.const_value is not None:
            constants.append(onnx.numpy_helper.from_array(constant.const_value.numpy(), name))
    inputs = [
        onnx.helper.make_tensor_value_info(str(name), onnx.TensorProto.FLOAT, None)
        for name in (output, program.step.labels)
    ]
    protos = [ir.to_proto(node) for node in reversed(nodes)]
    model_graph = onnx.helper.make_graph(
        protos, "loss", inputs, [onnx.ValueInfoProto(name=value)], constants
    )
    opset = onnx.helper.make_opsetid("", graph.opset_imports[""])
    return onnx.helper.make_model(model_graph, opset_imports=[opset], ir_version=10)
