"""Running a model on onnxruntime with every value in sight, on random inputs.

The tool behind verification (`verify.py`). Not for inference: that is the runtime's work.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from rpucc.errors import UnverifiableError
from rpucc.layers import LAYER_OPS
from rpucc.ort_session import open_session
from rpucc.step_contract import StepContract

Array = npt.NDArray[Any]

BATCH = 2
"""Samples a check runs where the model leaves the batch open."""

LEARNING_RATE = 0.01
"""What a check feeds to the learning-rate input."""


_COMPUTED = "@computed"
"""Marks what a probed value would have been."""

_MAX_BYTES = 1 << 31
"""protobuf's limit on one message, and so on what onnxruntime takes without files."""


class TooLargeError(UnverifiableError):
    """A model is larger than what onnxruntime takes without files."""


def random_feeds(
    model: ir.Model,
    *,
    seed: int = 0,
    batch: int = BATCH,
    known: Mapping[str, Array] | None = None,
    template: ir.Model | None = None,
) -> dict[str, Array]:
    """Draw an array for each input of `model`; the draw depends on the seed and the name only.

    Data lie in `rpucc.input_range`, labels below the number of classes, learning rates are 0.01,
    the mode is that of an evaluation, draws are 32-bit words; which inputs are which, the step
    contract says. Shapes come from the model, then from `template` (a later stage of the same
    model); what both leave open is `batch` in the first place and an error elsewhere.
    """
    known = known or {}
    notes = dict(template.metadata_props if template is not None else {}) | model.metadata_props
    also = {v.name: v for v in template.graph.inputs} if template is not None else {}
    step = StepContract.find(template if template is not None else model)
    feeds: dict[str, Array] = {}
    for value in model.graph.inputs:
        name = value.name or ""
        if name in model.graph.initializers:
            continue  # IR 3 lists weights among the inputs
        if name in known:
            feeds[name] = known[name]
            continue
        shape = _static_shape(value, also.get(name), batch)
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        feeds[name] = _draw(model, value, shape, generator, notes, step)
    return feeds


def _draw(
    model: ir.Model,
    value: ir.Value,
    shape: tuple[int, ...],
    generator: np.random.Generator,
    notes: Mapping[str, str],
    step: StepContract | None,
) -> Array:
    dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
    if step is not None and value.name in step.rates:
        return np.full(shape, LEARNING_RATE, dtype)
    if step is not None and value.name == step.mode:
        return np.zeros(shape, dtype)
    if step is not None and value.name == step.draws:
        return generator.integers(0, 2**32, shape).astype(dtype)
    if dtype.kind in "iu":
        classes = 2
        if step is not None and value.name == step.labels:
            classes = _class_count(model, step.scored)
        return generator.integers(0, classes, shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    words = notes.get("rpucc.input_range", "0 1").split()
    lo, hi = float(words[0]), float(words[1])
    return generator.uniform(lo, hi, shape).astype(dtype)


def _class_count(model: ir.Model, name: str) -> int:
    """Number of classes: the logits' second dimension."""
    for node in model.graph:
        for output in node.outputs:
            if output.name == name and output.shape is not None and len(output.shape) > 1:
                classes = output.shape[1]
                if isinstance(classes, int):
                    return classes
    raise UnverifiableError(
        f"output {name!r}", "its number of classes is not static, so no labels can be drawn"
    )


def _static_shape(value: ir.Value, also: ir.Value | None, batch: int) -> tuple[int, ...]:
    dims: list[int] = []
    other = list(also.shape) if also is not None and also.shape is not None else []
    if value.shape is None and not other:
        raise UnverifiableError(f"input {value.name!r}", "it has no shape, so no data can be drawn")
    for axis, dim in enumerate(value.shape if value.shape is not None else other):
        static = dim if isinstance(dim, int) else other[axis] if axis < len(other) else None
        if not isinstance(static, int) and axis > 0:
            raise UnverifiableError(
                f"input {value.name!r}",
                f"dimension {axis} ({dim}) is not static, so no data can be drawn; only the batch "
                "may be open",
            )
        dims.append(static if isinstance(static, int) else batch)
    return tuple(dims)


def layer_inputs(model: ir.Model) -> list[str]:
    """Names of the computed values that feed a convolution or a product: where to probe."""
    found: dict[str, None] = {}
    for node in model.graph:
        x = node.inputs[0] if node.inputs else None
        if node.op_type in LAYER_OPS and x is not None and x.producer() is not None and x.name:
            found[x.name] = None
    return list(found)


def random_probes(names: list[str], values: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Draw dense data in [0.1, 1) for each of `names`, of the shapes that a plain run gave."""
    probes: dict[str, Array] = {}
    for name in names:
        value = values.get(name)
        if value is not None and value.dtype.kind == "f":
            generator = np.random.default_rng([seed, zlib.crc32(name.encode()), 1])
            probes[name] = generator.uniform(0.1, 1.0, value.shape).astype(value.dtype)
    return probes


def run_model(
    model: ir.Model,
    feeds: Mapping[str, Array],
    where: str = "the model",
    probes: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Run `model` on onnxruntime, optimisations off, and return all values of its graph by name.

    `probes` cuts the graph: where a value is read, its probe is read instead; the result still
    holds, under the value's name, what the nodes before it computed.

    Raises UnverifiableError where onnxruntime refuses the model, and TooLargeError above 2 GB.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep what the largest moment took
    try:
        session = open_session(_with_all_outputs(model, where, probes or {}), options)
        names = [output.name for output in session.get_outputs()]
        wanted = {each.name for each in session.get_inputs()}
        used = {
            name: array for name, array in {**feeds, **(probes or {})}.items() if name in wanted
        }
        results = session.run(names, used)
    except TooLargeError:
        raise
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        reason = f"onnxruntime cannot run the model: {_text_of(error)}"
        raise UnverifiableError(where, reason) from error
    return {
        name.removesuffix(_COMPUTED): result
        for name, result in zip(names, results, strict=True)
        if isinstance(result, np.ndarray)
    }


def _text_of(error: Exception) -> str:
    """onnxruntime's own text in one line, without its codes and what it says it was doing."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Non-zero status code returned while running .*? Status Message: ", "", text)
    return text[:300].rstrip(" .")


def _with_all_outputs(model: ir.Model, where: str, probes: Mapping[str, Array]) -> bytes:
    """Serialise the model with every value of its graph among the outputs."""
    if weights_bytes(model) >= _MAX_BYTES:
        raise TooLargeError(where, "the model is over 2 GB, too large to be run in one piece")
    proto = ir.to_proto(_without_external_data(model))
    _cut(proto.graph, probes)
    listed = {output.name for output in proto.graph.output}
    for node in proto.graph.node:
        for name in node.output:
            if name and name not in listed:
                proto.graph.output.append(onnx.ValueInfoProto(name=name))
    return bytes(proto.SerializeToString())


def _cut(graph: onnx.GraphProto, probes: Mapping[str, Array]) -> None:
    """Make each probed value a graph input; its node's own result gets another name."""
    if not probes:
        return
    kept = [info for info in graph.value_info if info.name not in probes]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    for output in graph.output:
        if output.name in probes:
            output.name += _COMPUTED
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name in probes:
                node.output[i] = name + _COMPUTED
                element = onnx.helper.np_dtype_to_tensor_dtype(probes[name].dtype)
                shape = probes[name].shape
                graph.input.append(onnx.helper.make_tensor_value_info(name, element, shape))


def _without_external_data(model: ir.Model) -> ir.Model:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    if not any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors):
        return model
    copy = model.clone()
    ir.external_data.load_to_model(copy)
    return copy


def weights_bytes(model: ir.Model) -> int:
    """Size of all initializers of the graph, in bytes."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
