"""check_grads: the gradient rules against central differences of the same graph on onnxruntime.

In double precision where onnxruntime has a double kernel, so that a wrong factor cannot hide.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt
from onnx.shape_inference import infer_shapes

from rpucc.opset import VERSION, add_functions, register_schemas
from rpucc.passes.gradients.backward import sweep
from rpucc.passes.gradients.context import GradientEmitter

ENTRIES = 24  # perturbed entries an input


def session(model: onnx.ModelProto) -> rt.InferenceSession:
    options = rt.SessionOptions()
    options.graph_optimization_level = rt.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return rt.InferenceSession(model.SerializeToString(), options)


def parse(text: str, opset: int = 21) -> onnx.ModelProto:
    """Parse `(float[N,3] x) => (float[N,3] y) { … }` into a checked model with shapes.

    `float[] x` is a scalar, for text that is put together.
    """
    register_schemas()
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "rpu" : {VERSION}]>\n'
    model = ir.from_proto(onnx.parser.parse_model(header + "g " + text.replace("[]", "")))
    for i, node in enumerate(model.graph):
        node.name = node.name or f"{node.op_type.lower()}{i}"
    add_functions(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return infer_shapes(proto, strict_mode=True, data_prop=True)


def gradient_model(proto: onnx.ModelProto, wrt: list[str]) -> onnx.ModelProto:
    """Add inputs `<y>.seed` for each output y and outputs with the gradients of the inputs."""
    model = ir.from_proto(proto)
    e = GradientEmitter(model)
    inputs = {value.name: value for value in model.graph.inputs}
    outputs = list(model.graph.outputs)
    seeds = {y: ir.val(f"{y.name}.seed", y.dtype, y.shape) for y in outputs}
    model.graph.inputs.extend(seeds.values())
    gradients = sweep(e, seeds, [inputs[name] for name in wrt])
    assert len(gradients) == len(wrt)
    model.graph.outputs.clear()
    for name in wrt:
        g = gradients[inputs[name]]
        out = e.op("Identity", g, out=f"gradient.{name}")
        model.graph.outputs.append(out)
    add_functions(model)
    result = ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    infer_shapes(result, strict_mode=True, data_prop=True)
    return result


def check_grads(
    text: str,
    feeds: dict[str, np.ndarray],
    *,
    wrt: list[str] | None = None,
    double: bool = True,
    step: float | None = None,
    tolerance: float | None = None,
) -> None:
    """Compare d(Σ seed·y)/dx with central differences at a few entries of each input `wrt`.

    `text` is the graph in float; with `double` it runs in double precision.
    """
    step = step or (1e-5 if double else 1e-2)
    tolerance = tolerance or (1e-7 if double else 2e-3)
    dtype = np.float64 if double else np.float32
    proto = parse(text.replace("float", "double") if double else text)
    feeds = {
        k: np.asarray(v, dtype) if np.asarray(v).dtype.kind == "f" else v for k, v in feeds.items()
    }
    wrt = wrt or [name for name, value in feeds.items() if value.dtype.kind == "f"]
    forward = session(proto)
    names = [value.name for value in proto.graph.output]
    outputs = forward.run(names, feeds)
    rng = np.random.default_rng(1)
    seeds = {
        f"{n}.seed": np.asarray(rng.normal(size=y.shape), dtype)
        for n, y in zip(names, outputs, strict=True)
    }
    found = session(gradient_model(proto, wrt)).run(None, {**feeds, **seeds})

    def total(name: str, index: tuple[int, ...], shift: float) -> float:
        moved = feeds[name].copy()
        moved[index] += shift  # also a scalar: its index is ()
        results = forward.run(names, {**feeds, name: moved})
        pairs = zip(results, seeds.values(), strict=True)
        return sum(float((y.astype(np.float64) * s).sum()) for y, s in pairs)

    for name, gradient in zip(wrt, found, strict=True):
        assert gradient.shape == feeds[name].shape
        scale = max(1.0, float(np.abs(gradient).max()))
        for flat in rng.permutation(gradient.size)[:ENTRIES]:
            index = np.unravel_index(flat, gradient.shape)
            expected = (total(name, index, step) - total(name, index, -step)) / (2 * step)
            assert abs(gradient[index] - expected) <= tolerance * scale, (
                f"d/d{name}{list(map(int, index))}: rule {gradient[index]}, difference {expected}"
            )
