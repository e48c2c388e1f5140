"""What the importer's tests share: models from text, runs on onnxruntime, refusals."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from rpucc.errors import ModelError
from rpucc.passes.importer import load_model


def net(text: str, opset: int = 21, ir_version: int = 10, **weights: object) -> onnx.ModelProto:
    """Parse `(float[N,3] x) => (float[N,3] y) { ... }`; weights become initializers.

    A weight may be an array or a shape, which is filled with seeded normal numbers.
    """
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\ng '
    model = onnx.parser.parse_model(header + text)
    rng = np.random.default_rng(0)
    for name, value in weights.items():
        if isinstance(value, tuple):
            value = rng.standard_normal(value).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def run(model: onnx.ModelProto | ir.Model, x: np.ndarray, outputs: list[str] | None = None):
    """Run a one-input model on onnxruntime, unoptimised; any values can be asked for."""
    proto = onnx.ModelProto()
    proto.CopyFrom(ir.to_proto(model) if isinstance(model, ir.Model) else model)
    there = {v.name for v in proto.graph.output}
    proto.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in outputs or [] if name not in there
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    weights = {t.name for t in proto.graph.initializer}
    (name,) = [v.name for v in proto.graph.input if v.name not in weights]
    return session.run(outputs, {name: x})


def assert_same(
    original: onnx.ModelProto, imported: ir.Model, x: np.ndarray, rtol: float = 1e-5
) -> None:
    """Every value that both have is equal to rtol of its largest entry; at least one is."""
    made = {name for node in original.graph.node for name in node.output if name}
    common = [str(v.name) for node in imported.graph for v in node.outputs if v.name in made]
    assert {v.name for v in imported.graph.outputs} == {v.name for v in original.graph.output}
    assert common
    expected, found = run(original, x, common), run(imported, x, common)
    for name, a, b in zip(common, expected, found, strict=True):
        assert a.shape == b.shape, name
        scale = np.abs(a).max(initial=0.0)
        assert np.isfinite(scale), name
        np.testing.assert_allclose(b, a, rtol=0, atol=rtol * scale, err_msg=name)


def dims(value: ir.Value | None) -> list[int | str | None]:
    """A value's shape as plain numbers and symbols."""
    assert value is not None
    assert value.shape is not None
    return [d if isinstance(d, int) else d.value for d in value.shape]


def refusal(source: object, error: type[ModelError] = ModelError) -> str:
    """Load, expect exactly this error class and one line; returns it without the model's label."""
    with pytest.raises(ModelError) as caught:
        load_model(source)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert "\n" not in message
    assert message.startswith("model 'g': "), message
    return message.removeprefix("model 'g': ")
