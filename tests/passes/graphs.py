"""Small programs for the tests of passes: built from text, run value by value on onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
from onnx.shape_inference import infer_shapes

from rpucc.opset import add_functions, register_schemas
from rpucc.target.target import ArrayKind, LayerRule, Mapping, Update

from .gradient_check import session


@dataclass(frozen=True)
class StubPolicy:
    analog: bool
    mapping: Mapping = field(default_factory=Mapping)
    update: Update = field(default_factory=Update)


@dataclass(frozen=True)
class StubTarget:
    """All that the first passes ask of a target: which layers are analog, and how they lie."""

    digital: frozenset[str] = field(default_factory=frozenset)
    devices: int = 1
    bias: str = "auto"
    arrays: tuple[ArrayKind, ...] = (ArrayKind(name="a", rows=65536, cols=65536, t_read=1e-8),)
    layers: tuple[LayerRule, ...] = ()
    name: str = "stub"

    def for_layer(self, name: str) -> StubPolicy:
        mapping = Mapping.model_validate({"devices_per_weight": self.devices, "bias": self.bias})
        return StubPolicy(name not in self.digital, mapping)


def digital(*names: str) -> StubTarget:
    return StubTarget(frozenset(names))


def program(text: str, **weights: np.ndarray) -> ir.Model:
    """Parse `(float[N,3] x) => (float[N,3] y) { [node] y = … }` and fill in the weights."""
    register_schemas()
    header = '<ir_version: 10, opset_import: ["" : 21]>\ng '
    proto = onnx.parser.parse_model(header + text)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    onnx.checker.check_model(proto, full_check=True)
    model = ir.from_proto(infer_shapes(proto, strict_mode=True, data_prop=True))
    for i, node in enumerate(model.graph):
        node.name = node.name or f"{node.op_type.lower()}{i}"
    return model


def checked(model: ir.Model) -> onnx.ModelProto:
    """Return the program as a proto that passes the checker and strict shape inference."""
    add_functions(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return infer_shapes(proto, strict_mode=True, data_prop=True)


def evaluate(model: ir.Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run with optimisations off; return every value that a node makes, by name.

    Feeds that the program has no input for are left out.
    """
    proto = checked(model)
    known = {value.name: value for value in (*proto.graph.value_info, *proto.graph.output)}
    names = [name for node in proto.graph.node for name in node.output if name]
    del proto.graph.output[:]
    proto.graph.output.extend(known[name] for name in names)
    inputs = {value.name for value in proto.graph.input}
    fed = {k: np.asarray(v) for k, v in feeds.items() if k in inputs}
    return dict(zip(names, session(proto).run(names, fed), strict=True))


def assert_same(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Compare all common values to 1e-5 of their largest; return their names."""
    common = before.keys() & after.keys()
    for name in common:
        scale = max(1e-6, float(np.abs(before[name]).max(initial=0)))
        assert before[name].shape == after[name].shape, name
        np.testing.assert_allclose(
            after[name], before[name], rtol=0, atol=1e-5 * scale, err_msg=name
        )
    return common


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
