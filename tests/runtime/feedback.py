"""A network whose errors pass a convolution and two dense layers, and its step in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from rpucc.runtime.feedback import draw

Array = NDArray[Any]
LR = 0.5
SHAPES = {"a": (3, 1, 3, 3), "b": (4, 3, 3, 3), "c": (6, 16), "d": (3, 6)}


def network() -> onnx.ModelProto:
    """Conv a, Tanh, Conv b, Tanh, Gemm c, Tanh, Gemm d on [N, 1, 6, 6]; three classes."""
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21]>
        g (float[N,1,6,6] x) => (float[N,3] y) {
            [a] a = Conv (x, a_weight, a_bias) at = Tanh (a)
            [b] b = Conv (at, b_weight, b_bias) bt = Tanh (b) f = Flatten (bt)
            [c] c = Gemm <transB = 1> (f, c_weight, c_bias) ct = Tanh (c)
            [d] y = Gemm <transB = 1> (ct, d_weight, d_bias)
        }""")
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        for key, size in (("weight", shape), ("bias", shape[:1])):
            values = rng.uniform(-0.4, 0.4, size).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(values, f"{name}_{key}"))
    return model


def samples(n: int = 5) -> tuple[Array, Array]:
    """Images and labels."""
    rng = np.random.default_rng(1)
    return rng.random((n, 1, 6, 6)).astype(np.float32), np.arange(n) % 3


def feedback_matrices(seed: int = 0) -> dict[str, Array]:
    """What errors go back through, of each layer with errors below it, in its weights' shape."""
    found = {}
    for name in "bcd":
        shape = SHAPES[name]
        fan_out = shape[0] * int(np.prod(shape[2:]))
        drawn = draw(seed, name, int(np.prod(shape))).reshape(shape)
        found[name] = drawn.astype(np.float64) / np.sqrt(fan_out)
    return found


def stepped(B: dict[str, Array], x: Array, labels: Array) -> dict[str, Array]:
    """The weights after one step of `network` on these samples, by the model's names."""
    p = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in network().graph.initializer}
    at = np.tanh(_conv(x, p["a_weight"]) + p["a_bias"][:, None, None])
    bt = np.tanh(_conv(at, p["b_weight"]) + p["b_bias"][:, None, None])
    f = bt.reshape(len(x), -1)
    ct = np.tanh(f @ p["c_weight"].T + p["c_bias"])
    y = ct @ p["d_weight"].T + p["d_bias"]
    probabilities = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    d_d = (probabilities - np.eye(3)[labels]) / len(x)
    d_c = d_d @ B["d"] * (1 - ct**2)
    d_b = (d_c @ B["c"]).reshape(bt.shape) * (1 - bt**2)
    d_a = _back(d_b, B["b"]) * (1 - at**2)
    moved = {
        "d_weight": d_d.T @ ct,
        "d_bias": d_d.sum(axis=0),
        "c_weight": d_c.T @ f,
        "c_bias": d_c.sum(axis=0),
        "b_weight": _outer(at, d_b),
        "b_bias": d_b.sum(axis=(0, 2, 3)),
        "a_weight": _outer(x, d_a),
        "a_bias": d_a.sum(axis=(0, 2, 3)),
    }
    return {name: p[name] - LR * moved[name] for name in p}


def _taps(x: Array) -> Array:
    """[N, C, H, W] to [N, C, 3, 3, H - 2, W - 2]: what each tap of a kernel sees."""
    H, W = x.shape[2] - 2, x.shape[3] - 2
    rows = [np.stack([x[:, :, i : i + H, j : j + W] for j in range(3)], 2) for i in range(3)]
    return np.stack(rows, 2)


def _conv(x: Array, W: Array) -> Array:
    return np.einsum("ncijpq,ocij->nopq", _taps(x), W)


def _outer(x: Array, d: Array) -> Array:
    return np.einsum("ncijpq,nopq->ocij", _taps(x), d)


def _back(d: Array, W: Array) -> Array:
    n, _, P, Q = d.shape
    found = np.zeros((n, W.shape[1], P + 2, Q + 2))
    for i in range(3):
        for j in range(3):
            found[:, :, i : i + P, j : j + Q] += np.einsum("nopq,oc->ncpq", d, W[:, :, i, j])
    return found
