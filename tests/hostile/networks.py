"""Tiny networks, one for each thing that a program can hold, and targets with tiny arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.target.target import Target

_SQUARES = """<ir_version: 10, opset_import: ["" : 21]>
    squares (float[N,K] y, int64[N] t) => (float loss) {
        p = Softmax <axis = 1> (y)  depth = Shape <start = 1> (y)
        ends = Constant <value_floats = [0.0, 1.0]> ()  h = OneHot <axis = 1> (t, depth, ends)
        e = Sub (p, h)  s = Mul (e, e)  loss = ReduceMean <keepdims = 0> (s)
    }"""

KINDS: dict[str, tuple[str, str, tuple[str, ...], dict[str, Any]]] = {
    "conv": ("conv", "rpu-managed", (), {}),
    "grouped": ("grouped", "rpu-managed", ("management.noise_forward=always",), {}),
    "transposed": ("transposed", "rpu-baseline", (), {}),
    "dense": ("dense", "rpu-managed", ("mapping.bias=digital",), {}),
    "independent": (
        "conv",
        "rpu-managed",
        ("layer.c.mapping.replicas=3", "layer.c.mapping.replica_updates=independent"),
        {},
    ),
    "replicas": ("conv", "rpu-managed", ("layer.c.mapping.replicas=3",), {}),
    "devices": ("conv", "rpu-baseline", ("mapping.devices_per_weight=2",), {}),
    "tiled": ("conv", "rpu-managed", ("array.rows=3", "array.cols=5"), {}),
    "managed": (
        "dense",
        "rpu-managed",
        ("management.bound_mode=worst-case", "management.bound_backward=true", "periphery.bound=2"),
        {},
    ),
    "converters": (
        "conv",
        "rpu-managed",
        ("periphery.dac_bits=5", "periphery.adc_bits=6", "periphery.dac_stochastic=true"),
        {},
    ),
    "digital": ("conv", "rpu-managed", ("layer.fc.analog=false",), {}),
    "norm": ("norm", "rpu-managed", ("batch_norm.policy=train",), {}),
    "batch statistics": ("norm", "rpu-managed", ("batch_norm.policy=batch",), {}),
    "exact": ("conv", "ideal", (), {}),
    "long trains": ("dense", "rpu-managed", ("update.bl=40", "update.lr_scale=0.5"), {}),
    "scaled": ("grouped", "rpu-managed", ("mapping.weight_scaling=0.1",), {}),
    "unscaled": ("conv", "rpu-managed", ("mapping.weight_scaling=off", "mapping.bias=array"), {}),
    "soft bounds": ("dense", "soft-bounds", (), {}),
    "tiki-taka by minibatch": (
        "conv",
        "soft-bounds-asymmetric",
        ("cell.model=tiki-taka", "calibration.pairs=20", "cell.gamma=0.5", "array.small.cols=5"),
        {},
    ),
    "tiki-taka": (
        "conv",
        "soft-bounds",
        (
            "cell.model=tiki-taka",
            "cell.transfer_by_minibatch=false",
            "cell.transfer_every=2",
            "cell.gamma=0.2",
            "calibration.pairs=20",
        ),
        {},
    ),
    "mixed precision": (
        "sparse",
        "rpu-managed",
        (
            "cell.model=mixed-precision",
            "cell.transfer_every=2",
            "cell.transfer_rows=2",
            "layer.fc.update.mask=zeros",
        ),
        {},
    ),
    "tiki-taka-2": (
        "sparse",
        "rpu-managed",
        ("cell.model=tiki-taka-2", "cell.shift_fast=false", "layer.fc.update.mask=zeros"),
        {},
    ),
    "chopped": (
        "sparse",
        "rpu-managed",
        ("cell.model=chopped-tiki-taka", "cell.shift_fast=false", "layer.fc.update.mask=zeros"),
        {},
    ),
    "agad": (
        "sparse",
        "rpu-managed",
        ("cell.model=agad", "cell.shift_fast=false", "layer.fc.update.mask=zeros"),
        {},
    ),
    "residual-2": (
        "sparse",
        "rpu-managed",
        ("cell.model=residual-2", "cell.shift_fast=false", "layer.fc.update.mask=zeros"),
        {},
    ),
    "residual": (
        "sparse",
        "rpu-managed",
        ("cell.model=residual", "cell.shift_fast=false", "layer.fc.update.mask=zeros"),
        {},
    ),
    "e-rider": ("sparse", "rpu-managed", ("cell.model=rider", "layer.fc.update.mask=zeros"), {}),
    "rider": (
        "sparse",
        "rpu-managed",
        ("cell.model=rider", "cell.flip_every=0", "layer.fc.update.mask=zeros"),
        {},
    ),
    "multi-tile": (
        "sparse",
        "rpu-managed",
        (
            "cell.model=multi-tile",
            "cell.tiles=2",
            "cell.shift_fast=false",
            "layer.fc.update.mask=zeros",
        ),
        {},
    ),
    "one-sided": (
        "sparse",
        "rpu-managed",
        ("cell.model=one-sided", "cell.refresh_every=2", "layer.fc.update.mask=zeros"),
        {},
    ),
    "reference": ("dense", "soft-bounds", ("cell.model=reference",), {}),
    "masked": ("sparse", "rpu-managed", ("update.mask=zeros", "array.rows=3", "array.cols=5"), {}),
    "masked tiki-taka": (
        "sparse",
        "soft-bounds",
        ("update.mask=zeros", "cell.model=tiki-taka", "calibration.pairs=20"),
        {},
    ),
    "fixed batch": ("mixed", "rpu-managed", (), {}),
    "binary": ("dense", "rpu-managed", (), {"loss": "binary-cross-entropy"}),
    "mse": ("dense", "rpu-managed", (), {"loss": "mse"}),
    "huber": ("dense", "rpu-managed", (), {"loss": "huber:0.5"}),
    "weighted": ("conv", "rpu-managed", (), {"class_weights": (1, 2, 0.5), "freeze": ("c",)}),
    "own loss": ("conv", "ideal", (), {"loss": onnx.parser.parse_model(_SQUARES)}),
    "outside": ("conv", "rpu-managed", (), {"loss": "none", "input_gradients": True}),
    "two inputs": ("siamese", "rpu-managed", (), {}),
    "feedback": (
        "conv",
        "rpu-managed",
        ("update.feedback=random", "mapping.weight_scaling=off", "array.small.cols=7"),
        {},
    ),
    "inference": ("conv", "rpu-managed", (), {"training": False}),
    "dropout": ("dropout", "rpu-managed", (), {}),
    "batch": ("norm", "rpu-managed", ("batch_norm.policy=batch",), {}),
}
"""Name -> network, target, overrides, how to compile."""


def network(name: str) -> onnx.ModelProto:
    """Return one of the tiny networks: 3 classes, inputs [N, 2, 5, 5] or [N, 6]."""
    nodes, shape, weights = _NETWORKS[name]
    random = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(
            np.asarray(w) if not isinstance(w, tuple) else random.normal(0, 0.3, w).astype("f4"), n
        )
        for n, w in weights.items()
    ]
    batch = 4 if name == "mixed" else "N"
    graph = helper.make_graph(
        [
            helper.make_node(op, i.split(), ["y" if o == "fc" else o], o, **attributes)
            for op, i, o, attributes in nodes
        ],
        name,
        [
            helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, *shape])
            for x in ("x", "x2")
            if any(x in i.split() for _, i, _, _ in nodes)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def program(kind: str) -> rpucc.Program:
    """Compile one of KINDS."""
    name, target, overrides, how = KINDS[kind]
    return rpucc.compile(network(name), Target.load(target, overrides), verify=False, **how)


_TAIL = [("Flatten", "p", "f", {}), ("Gemm", "f wf bf", "fc", {"transB": 1})]
_ONES = {"s": np.ones(4, "f4"), "b": np.zeros(4, "f4"), "m": np.zeros(4, "f4")}
_POOL = ("MaxPool", "r", "p", {"kernel_shape": [2, 2], "strides": [2, 2]})
_IMAGE = (2, 5, 5)


_KEPT = np.indices((3, 16)).sum(axis=0) % 3 == 0
_KEPT[:, :5] = False  # a tile, where arrays are that small

_NETWORKS: dict[str, tuple[list[Any], tuple[int, ...], dict[str, Any]]] = {
    "conv": (
        [
            ("Conv", "x wc bc", "c", {"kernel_shape": [2, 2]}),
            ("Relu", "c", "r", {}),
            _POOL,
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (4, 2, 2, 2), "bc": (4,), "wf": (3, 16), "bf": (3,)},
    ),
    "sparse": (
        [
            ("Conv", "x wc bc", "c", {"kernel_shape": [2, 2]}),
            ("Relu", "c", "r", {}),
            _POOL,
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (4, 2, 2, 2), "bc": (4,), "wf": (0.3 * _KEPT).astype("f4"), "bf": (3,)},
    ),
    "grouped": (
        [
            ("Conv", "x wc bc", "c", {"kernel_shape": [2, 2], "group": 2, "pads": [1, 0, 0, 1]}),
            ("Tanh", "c", "r", {}),
            ("AveragePool", "r", "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (4, 1, 2, 2), "bc": (4,), "wf": (3, 16), "bf": (3,)},
    ),
    "transposed": (
        [
            ("Conv", "x wc", "c", {"kernel_shape": [3, 3], "strides": [2, 2]}),
            ("ConvTranspose", "c wt bt", "t", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Sigmoid", "t", "r", {}),
            _POOL,
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (3, 2, 3, 3), "wt": (3, 2, 2, 2), "bt": (2,), "wf": (3, 8), "bf": (3,)},
    ),
    "norm": (
        [
            ("Conv", "x wc", "c", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
            ("BatchNormalization", "c s b m v", "n", {}),
            ("Relu", "n", "r", {}),
            ("GlobalAveragePool", "r", "p", {}),
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (4, 2, 2, 2), **_ONES, "v": np.ones(4, "f4"), "wf": (3, 4), "bf": (3,)},
    ),
    "dense": (
        [
            ("Gemm", "x w1 b1", "h", {"transB": 1}),
            ("Tanh", "h", "a", {}),
            ("MatMul", "a w2", "k", {}),
            ("Sigmoid", "k", "f", {}),
            ("Gemm", "f wf bf", "fc", {"transB": 1}),
        ],
        (6,),
        {"w1": (5, 6), "b1": (5,), "w2": (5, 4), "wf": (3, 4), "bf": (3,)},
    ),
    "dropout": (
        [
            ("Gemm", "x w1 b1", "h", {"transB": 1}),
            ("Dropout", "h", "d", {}),
            ("Sigmoid", "d", "a", {}),
            ("Dropout", "a share", "f", {}),
            ("Gemm", "f wf bf", "fc", {"transB": 1}),
        ],
        (6,),
        {"w1": (4, 6), "b1": (4,), "share": np.array(0.25, "f4"), "wf": (3, 4), "bf": (3,)},
    ),
    "siamese": (
        [
            ("Conv", "x wc bc", "c", {"kernel_shape": [2, 2]}),
            ("Conv", "x2 wc bc", "c2", {"kernel_shape": [2, 2]}),
            ("Sub", "c c2", "d", {}),
            ("Abs", "d", "r", {}),
            _POOL,
            *_TAIL,
        ],
        _IMAGE,
        {"wc": (4, 2, 2, 2), "bc": (4,), "wf": (3, 16), "bf": (3,)},
    ),
    "mixed": (
        [
            ("ReduceMean", "x axes", "mean", {"keepdims": 1}),
            ("Sub", "x mean", "f", {}),
            ("Gemm", "f wf bf", "fc", {"transB": 1}),
        ],
        (6,),
        {"axes": np.array([0]), "wf": (3, 6), "bf": (3,)},
    ),
}
