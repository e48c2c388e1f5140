"""The rules that every program keeps, at every stage: valid ONNX, and rpucc's own conventions.

For the pipeline's structure check and for loading program files. Not for what a program computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir as ir

from rpucc.impossible_sizes import ABORTING, first_impossible
from rpucc.layers import UPDATES, analog_layers
from rpucc.opset import DOMAIN, register_schemas
from rpucc.step_contract import STEP, StepContract
from rpucc.without_weights import proto_without_weights


def structure_problems(model: ir.Model, path: Path | None = None) -> Iterator[str]:
    """Yield what is wrong with the model's structure, one line each; nothing if it is sound.

    path: the file that the model was just read from. onnx.checker then looks at the file, so that
    a large model is not written out for it.
    """
    yield from _name_problems(model)
    yield from _type_problems(model)
    yield from _contract_problems(model)
    yield from _grid_problems(model)
    yield from _function_problems(model)
    if any(node.op_type in ABORTING for node in model.graph):
        found = first_impossible(model, 1)
        if found is not None:
            yield f"node {found.node.name!r} ({found.node.op_type}): {found.problem}"
            return
    register_schemas()
    try:
        onnx.checker.check_model(path or proto_without_weights(model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield f"onnx.checker: {' '.join(str(error).split())[:300]}"


def _name_problems(model: ir.Model) -> Iterator[str]:
    nodes: set[str] = set()
    values = {v.name for v in model.graph.inputs} | set(model.graph.initializers)
    for node in model.graph:
        if not node.name:
            yield f"a node of op {node.op_type} has no name"
        elif node.name in nodes:
            yield f"two nodes are named {node.name!r}"
        nodes.add(node.name or "")
        for output in node.outputs:
            if output.name and output.name in values:
                yield f"two values are named {output.name!r} (node {node.name!r})"
            values.add(output.name)


def _type_problems(model: ir.Model) -> Iterator[str]:
    for node in model.graph:
        for output in node.outputs:
            if output.name and (output.dtype is None or output.shape is None):
                missing = "type" if output.dtype is None else "shape"
                yield f"value {output.name!r} (node {node.name!r}, {node.op_type}) has no {missing}"


def _contract_problems(model: ir.Model) -> Iterator[str]:
    """What the step contract names is there; whether it fits is asked when a program is loaded."""
    step = StepContract.find(model)
    if step is None:
        return
    inputs = {value.name for value in model.graph.inputs}
    outputs = {value.name for value in model.graph.outputs}
    made = {output.name for node in model.graph for output in node.outputs}
    single = (name for name in (step.labels, step.mode, step.draws) if name is not None)
    taken = (*step.inputs, *step.rates, *single)
    scored = (step.output, *(metric.output for metric in step.metrics))
    for names, known, kind in (
        (taken, inputs, "graph input"),
        (scored, made, "result of a node"),
        (step.computed, outputs, "graph output"),
        (tuple(step.state), set(model.graph.initializers), "initializer"),
    ):
        for name in names:
            if name not in known:
                yield f"metadata {STEP}: {name!r} is no {kind}"


def _function_problems(model: ir.Model) -> Iterator[str]:
    """Every rpu op that is used has its ideal body, so that any ONNX runtime can run the model."""
    used = (node for node in model.graph if node.domain == DOMAIN)
    for node in used:
        if node.op_identifier() not in model.functions:
            yield f"node {node.name!r}: the model lacks the function body of rpu.{node.op_type}"


def _grid_problems(model: ir.Model) -> Iterator[str]:
    for layer in analog_layers(model):
        first = layer.first
        for node in layer.reads:
            for key, lines in (("row_cuts", layer.group_rows), ("col_cuts", layer.columns)):
                cuts = tuple(node.attributes.get_ints(key, ()))
                if cuts[:1] != (0,) or cuts[-1:] != (lines,) or list(cuts) != sorted(set(cuts)):
                    yield (
                        f"node {node.name!r}: {key} {list(cuts)} do not rise from 0 to {lines}, "
                        f"the size of {layer.weight.name!r}"
                    )
        for node in (*layer.backward, *layer.updates):
            for key, default in (("groups", 1), ("copies", 1), ("first_tile", 0)):
                if node.attributes.get_int(key, default) != first.attributes.get_int(key, default):
                    yield (
                        f"node {node.name!r}: {key} differs from that of {first.name!r}, the same "
                        "matrix"
                    )
            for key in ("row_cuts", "col_cuts"):
                ours = tuple(node.attributes.get_ints(key, ()))
                theirs = tuple(first.attributes.get_ints(key, ()))
                untiled = node.op_type in UPDATES and not ours
                if ours != theirs and not untiled:
                    yield (
                        f"node {node.name!r}: {key} {list(ours)} differ from {list(theirs)} of "
                        f"{first.name!r}, the same matrix"
                    )
