"""Small networks written the way exporters write them; each has the weights of a real one's kind.

Not real exports: the shapes of graphs that torch's two exporters, tf2onnx, Paddle and CNTK leave
behind, and the blocks of the well-known CNNs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from .importer_models import net


@dataclass(frozen=True)
class Habit:
    """A network, how many of its layers must be trained, and by which loss."""

    build: Callable[[], onnx.ModelProto]
    layers: int
    loss: str = "cross-entropy"


def small(*shape: int, seed: int = 0) -> np.ndarray:
    """Weights whose products stay of order 1: [R, C, ...] by fan-in."""
    scale = np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 4.0
    rng = np.random.default_rng([seed, *shape])
    return (rng.standard_normal(shape) / scale).astype(np.float32)


def norm(channels: int) -> dict[str, np.ndarray]:
    """The scale, bias, mean and variance of a batch norm."""
    rng = np.random.default_rng(channels)
    draws = rng.uniform(0.5, 1.5, (4, channels)).astype(np.float32)
    return {"s": draws[0], "t": draws[1] - 1, "m": draws[2] - 1, "v": draws[3]}


def keras() -> onnx.ModelProto:
    """tf2onnx: pixels last, Pad before the Conv, a Shape chain for flatten, MatMul + Add."""
    text = """(float[N,9,9,3] x) => (float[N,5] y) {
        nchw = Transpose <perm = [0, 3, 1, 2]> (x)
        p = Constant <value_ints = [0, 0, 0, 0, 0, 0, 1, 1]> ()
        padded = Pad (nchw, p)
        c = Conv <strides = [2, 2]> (padded, w1)
        b = BatchNormalization (c, s, t, m, v)
        r = Relu (b)
        pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (pooled)
        shape = Shape (nhwc)
        narrow = Cast <to = 6> (shape)
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        first = Slice (narrow, zero, one, zero)
        batch = Squeeze (first, zero)
        again = Unsqueeze (batch, zero)
        rest = Constant <value = int32[1] {-1}> ()
        target = Concat <axis = 0> (again, rest)
        wide = Cast <to = 7> (target)
        flat = Reshape (nhwc, wide)
        z = MatMul (flat, w2)
        a = Add (z, b2)
        y = Softmax (a)
    }"""
    return net(text, w1=small(4, 3, 3, 3), w2=small(5, 16).T.copy(), b2=small(5), **norm(4))


def cntk() -> onnx.ModelProto:
    """Opset 8: SAME_UPPER, biases [C,1,1] as Add, a dense weight behind a Reshape."""
    text = """(float[1,1,8,8] x) => (float[1,6] y) {
        c1 = Conv <auto_pad = "SAME_UPPER", kernel_shape = [5, 5]> (x, w1)
        p1 = Add (c1, b1)
        r1 = Relu (p1)
        m1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2], auto_pad = "NOTSET"> (r1)
        c2 = Conv <auto_pad = "SAME_UPPER", kernel_shape = [3, 3]> (m1, w2)
        p2 = Add (c2, b2)
        r2 = Relu (p2)
        m2 = MaxPool <kernel_shape = [3, 3], strides = [3, 3], auto_pad = "VALID"> (r2)
        s1 = Constant <value = int64[2] {1, 5}> ()
        flat = Reshape (m2, s1)
        s2 = Constant <value = int64[2] {5, 6}> ()
        dense = Reshape (w3, s2)
        z = MatMul (flat, dense)
        y = Add (z, b3)
    }"""
    return net(
        text,
        opset=8,
        w1=small(3, 1, 5, 5), b1=small(3, 1, 1),
        w2=small(5, 3, 3, 3), b2=small(5, 1, 1),
        w3=small(5, 1, 1, 6), b3=small(1, 6),
    )  # fmt: skip


def paddle() -> onnx.ModelProto:
    """Every weight a Constant node, biases [1,C,1,1], a hard swish in pieces, a global pool."""
    model = net(
        """(float[N,3,7,7] x) => (float[N,4] y) {
            c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1)
            p = Add (c, b1)
            b = BatchNormalization (p, s, t, m, v)
            h = HardSigmoid <alpha = 0.166667, beta = 0.5> (b)
            g = Mul (b, h)
            a = GlobalAveragePool (g)
            f = Flatten (a)
            z = MatMul (f, w2)
            q = Add (z, b2)
            y = Softmax (q)
        }""",
        w1=small(6, 3, 3, 3), b1=small(1, 6, 1, 1), w2=small(6, 4), b2=small(4), **norm(6),
    )  # fmt: skip
    constants = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in model.graph.initializer
    ]
    nodes = list(model.graph.node)
    del model.graph.initializer[:]
    del model.graph.node[:]
    model.graph.node.extend(constants + nodes)
    return model


def torch_dynamo() -> onnx.ModelProto:
    """Global pooling as ReduceMean and Reshape, for a batch of 1; a residual block."""
    text = """(float[1,3,6,6] x) => (float[1,4] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        r1 = Relu (c1)
        c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2, b2)
        sum = Add (c2, r1)
        r2 = Relu (sum)
        axes = Constant <value_ints = [-1, -2]> ()
        mean = ReduceMean <keepdims = 1> (r2, axes)
        shape = Constant <value_ints = [1, 5]> ()
        flat = Reshape <allowzero = 1> (mean, shape)
        y = Gemm <transB = 1> (flat, w3, b3)
    }"""
    return net(
        text,
        w1=small(5, 3, 3, 3), b1=small(5), w2=small(5, 5, 3, 3), b2=small(5),
        w3=small(4, 5), b3=small(4),
    )  # fmt: skip


def torch_dynamo_plain() -> onnx.ModelProto:
    """Not optimised: zeros like an activation for a bias, a target by way of a scalar."""
    text = """(float[N,2,6,6] x) => (float[N,3] y) {
        size = Shape <start = 0, end = 1> (x)
        batch = Squeeze (size)
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        n1 = BatchNormalization (c1, s, t, m, v)
        r1 = Relu (n1)
        of = Shape <start = 0, end = 1> (w2)
        one = Constant <value_ints = [1]> ()
        lengths = Expand (of, one)
        zero = Constant <value = float {0.0}> ()
        like = CastLike (zero, r1)
        b2 = Expand (like, lengths)
        c2 = Conv (r1, w2, b2)
        n2 = BatchNormalization (c2, s2, t2, m2, v2)
        r2 = Relu (n2)
        whole = Constant <value_ints = [-1]> ()
        ahead = Reshape <allowzero = 0> (batch, whole)
        rest = Constant <value_ints = [80]> ()
        target = Concat <axis = 0> (ahead, rest)
        flat = Reshape <allowzero = 1> (r2, target)
        same = Identity (flat)
        y = Gemm <transB = 1> (same, w3, b3)
    }"""
    second = {f"{key}2": value for key, value in norm(5).items()}
    return net(
        text, w1=small(4, 2, 3, 3), b1=small(4), w2=small(5, 4, 3, 3), w3=small(3, 80), b3=small(3),
        **norm(4), **second,
    )  # fmt: skip


def torch_legacy() -> onnx.ModelProto:
    """Opset 11: Identity nodes on merged parameters, flatten by Shape, Gather and Concat."""
    text = """(float[N,2,6,6] x) => (float[N,3] y) {
        zero_1 = Identity (zero)
        c1 = Conv <kernel_shape = [3, 3]> (x, w1, zero)
        r1 = LeakyRelu <alpha = 0.1> (c1)
        i1 = Identity (r1)
        c2 = Conv <kernel_shape = [3, 3]> (i1, w2, zero_1)
        r2 = Elu (c2)
        shape = Shape (r2)
        index = Constant <value = int64 {0}> ()
        batch = Gather <axis = 0> (shape, index)
        ahead = Unsqueeze <axes = [0]> (batch)
        rest = Constant <value = int64[1] {-1}> ()
        target = Concat <axis = 0> (ahead, rest)
        flat = Reshape (r2, target)
        d = Dropout <ratio = 0.5> (flat)
        y = Gemm <transB = 1> (d, w3, b3)
    }"""
    zero = np.zeros(4, np.float32)
    return net(
        text, opset=11, zero=zero, w1=small(4, 2, 3, 3), w2=small(4, 4, 3, 3),
        w3=small(3, 16), b3=small(3),
    )  # fmt: skip


def mobilenet_v3() -> onnx.ModelProto:
    """A hard swish as old opsets spell it, a depthwise Conv, squeeze and excite."""
    text = """(float[N,3,6,6] x) => (float[N,4] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        three = Constant <value = float {3.0}> ()
        six = Constant <value = float {6.0}> ()
        low = Constant <value = float {0.0}> ()
        up = Add (c1, three)
        cut = Clip (up, low, six)
        part = Div (cut, six)
        swish = Mul (c1, part)
        deep = Conv <group = 6, pads = [1, 1, 1, 1]> (swish, w6, b6)
        squeezed = GlobalAveragePool (deep)
        c2 = Conv (squeezed, w2, b2)
        r2 = Relu (c2)
        c3 = Conv (r2, w3, b3)
        gate = HardSigmoid <alpha = 0.166667> (c3)
        excited = Mul (gate, deep)
        c4 = Conv (excited, w4)
        h = HardSwish (c4)
        pooled = GlobalAveragePool (h)
        flat = Flatten (pooled)
        y = Gemm <transB = 1> (flat, w5, b5)
    }"""
    return net(
        text,
        w1=small(6, 3, 3, 3), b1=small(6), w2=small(3, 6, 1, 1), b2=small(3),
        w3=small(6, 3, 1, 1), b3=small(6), w4=small(8, 6, 1, 1), w5=small(4, 8), b5=small(4),
        w6=small(6, 1, 3, 3), b6=small(6),
    )  # fmt: skip


def efficientnet() -> onnx.ModelProto:
    """SiLU as a product with a Sigmoid, squeeze by ReduceMean, a residual Add."""
    text = """(float[N,4,5,5] x) => (float[N,3] y) {
        axes = Constant <value_ints = [2, 3]> ()
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        s1 = Sigmoid (c1)
        a1 = Mul (c1, s1)
        q = ReduceMean <keepdims = 1> (a1, axes)
        c2 = Conv (q, w2, b2)
        s2 = Sigmoid (c2)
        a2 = Mul (c2, s2)
        c3 = Conv (a2, w3, b3)
        gate = Sigmoid (c3)
        e = Mul (a1, gate)
        c4 = Conv (e, w4)
        r = Add (c4, x)
        pooled = ReduceMean <keepdims = 0> (r, axes)
        y = Gemm <transB = 1> (pooled, w5, b5)
    }"""
    return net(
        text,
        w1=small(6, 4, 3, 3), b1=small(6), w2=small(2, 6, 1, 1), b2=small(2),
        w3=small(6, 2, 1, 1), b3=small(6), w4=small(4, 6, 1, 1), w5=small(3, 4), b5=small(3),
    )  # fmt: skip


def shufflenet() -> onnx.ModelProto:
    """Two halves, one of them convolved, joined and shuffled: Reshape, Transpose, Reshape."""
    text = """(float[N,3,6,6] x) => (float[N,4] y) {
        c1 = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)
        r1 = Relu (c1)
        left, right = Split <axis = 1, num_outputs = 2> (r1)
        c2 = Conv <pads = [1, 1, 1, 1], group = 3> (right, w2)
        r2 = Relu (c2)
        joined = Concat <axis = 1> (left, r2)
        s1 = Constant <value_ints = [-1, 2, 3, 3, 3]> ()
        parts = Reshape (joined, s1)
        turned = Transpose <perm = [0, 2, 1, 3, 4]> (parts)
        s2 = Constant <value_ints = [-1, 6, 3, 3]> ()
        shuffled = Reshape (turned, s2)
        starts = Constant <value_ints = [3]> ()
        ends = Constant <value_ints = [9223372036854775807]> ()
        axes = Constant <value_ints = [1]> ()
        half = Slice (shuffled, starts, ends, axes)
        c3 = Conv (half, w3)
        r3 = Relu (c3)
        pooled = GlobalMaxPool (r3)
        flat = Flatten (pooled)
        y = Gemm <transB = 1> (flat, w4)
    }"""
    return net(
        text,
        w1=small(6, 3, 3, 3), w2=small(3, 1, 3, 3), w3=small(8, 3, 1, 1), w4=small(4, 8),
    )  # fmt: skip


def densenet() -> onnx.ModelProto:
    """Batch norm and ReLU before each Conv, everything concatenated, a pooling transition."""
    text = """(float[N,4,6,6] x) => (float[N,3,1,1] y) {
        n1 = BatchNormalization (x, s, t, m, v)
        r1 = Relu (n1)
        c1 = Conv <pads = [1, 1, 1, 1]> (r1, w1)
        j1 = Concat <axis = 1> (x, c1)
        r2 = Relu (j1)
        c2 = Conv <pads = [1, 1, 1, 1]> (r2, w2)
        j2 = Concat <axis = 1> (x, c1, c2)
        c3 = Conv (j2, w3)
        a = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (c3)
        g = GlobalAveragePool (a)
        y = Conv (g, w4, b4)
    }"""
    return net(
        text,
        w1=small(2, 4, 3, 3), w2=small(2, 6, 3, 3), w3=small(5, 8, 1, 1), w4=small(3, 5, 1, 1),
        b4=small(3), **norm(4),
    )  # fmt: skip


def squeezenet() -> onnx.ModelProto:
    """A fire module, rounded-up pooling, the classes as a Conv, Softmax over [N, K, 1, 1]."""
    text = """(float[N,3,8,8] x) => (float[N,5,1,1] y) {
        c1 = Conv <strides = [2, 2]> (x, w1, b1)
        r1 = Relu (c1)
        p1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (r1)
        c2 = Conv (p1, w2, b2)
        r2 = Relu (c2)
        e1 = Conv (r2, w3, b3)
        e3 = Conv <pads = [1, 1, 1, 1]> (r2, w4, b4)
        j = Concat <axis = 1> (e1, e3)
        r3 = Relu (j)
        d = Dropout (r3)
        c5 = Conv (d, w5, b5)
        r5 = Relu (c5)
        g = GlobalAveragePool (r5)
        y = Softmax <axis = 1> (g)
    }"""
    return net(
        text,
        w1=small(4, 3, 3, 3), b1=small(4), w2=small(2, 4, 1, 1), b2=small(2),
        w3=small(3, 2, 1, 1), b3=small(3), w4=small(3, 2, 3, 3), b4=small(3),
        w5=small(5, 6, 1, 1), b5=small(5),
    )  # fmt: skip


def super_resolution() -> onnx.ModelProto:
    """Sub-pixel convolution by DepthToSpace beside a bicubic enlargement of the input."""
    text = """(float[N,1,4,5] x) => (float[N,1,8,10] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        r1 = Relu (c1)
        c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2, b2)
        fine = DepthToSpace <blocksize = 2, mode = "CRD"> (c2)
        scales = Constant <value = float[4] {1.0, 1.0, 2.0, 2.0}> ()
        large = Resize <mode = "cubic", cubic_coeff_a = -0.75> (x, , scales)
        y = Add (fine, large)
    }"""
    return net(text, w1=small(6, 1, 3, 3), b1=small(6), w2=small(4, 6, 3, 3), b2=small(4))


def pixel_shuffle() -> onnx.ModelProto:
    """The same by Reshape, Transpose, Reshape, behind a border that reflects."""
    text = """(float[N,1,4,5] x) => (float[N,1,8,10] y) {
        p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> ()
        q1 = Pad <mode = "reflect"> (x, p)
        c1 = Conv (q1, w1, b1)
        r1 = PRelu (c1, slope)
        q2 = Pad <mode = "edge"> (r1, p)
        c2 = Conv (q2, w2, b2)
        s1 = Constant <value_ints = [-1, 1, 2, 2, 4, 5]> ()
        parts = Reshape (c2, s1)
        turned = Transpose <perm = [0, 1, 4, 2, 5, 3]> (parts)
        s2 = Constant <value_ints = [-1, 1, 8, 10]> ()
        y = Reshape (turned, s2)
    }"""
    slope = np.full((6, 1, 1), 0.2, np.float32)
    return net(
        text, w1=small(6, 1, 3, 3), b1=small(6), w2=small(4, 6, 3, 3), b2=small(4), slope=slope
    )


def googlenet() -> onnx.ModelProto:
    """Local response normalisation, as in AlexNet, and the branches of an inception module."""
    text = """(float[N,3,7,7] x) => (float[N,4] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        r1 = Relu (c1)
        l1 = LRN <size = 5, alpha = 0.3, beta = 0.75, bias = 1.0> (r1)
        i1 = Conv (l1, w2)
        i2 = Conv <pads = [2, 2, 2, 2]> (l1, w3)
        p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (l1)
        i3 = Conv (p, w4)
        j = Concat <axis = 1> (i1, i2, i3)
        a = AveragePool <kernel_shape = [3, 3], strides = [3, 3], ceil_mode = 1> (j)
        flat = Flatten (a)
        y = Gemm <transB = 1> (flat, w5, b5)
    }"""
    return net(
        text,
        w1=small(6, 3, 3, 3), b1=small(6), w2=small(2, 6, 1, 1), w3=small(2, 6, 5, 5),
        w4=small(2, 6, 1, 1), w5=small(4, 54), b5=small(4),
    )  # fmt: skip


def u_net() -> onnx.ModelProto:
    """A skip connection around a pool and an enlargement; a class for every pixel."""
    text = """(float[N,2,6,6] x) => (float[N,3,6,6] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        r1 = Relu (c1)
        down = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r1)
        c2 = Conv <pads = [1, 1, 1, 1]> (down, w2, b2)
        g2 = GroupNormalization <num_groups = 2> (c2, s, t)
        r2 = Relu (g2)
        shape = Shape (r1)
        two = Constant <value_ints = [2]> ()
        four = Constant <value_ints = [4]> ()
        zero = Constant <value_ints = [0]> ()
        space = Slice (shape, two, four, zero)
        small_shape = Shape (r2)
        lead = Slice (small_shape, zero, two, zero)
        sizes = Concat <axis = 0> (lead, space)
        up = Resize <mode = "linear", coordinate_transformation_mode = "align_corners">
            (r2, , , sizes)
        j = Concat <axis = 1> (up, r1)
        y = Conv (j, w3, b3)
    }"""
    return net(
        text,
        w1=small(4, 2, 3, 3), b1=small(4), w2=small(6, 4, 3, 3), b2=small(6), s=small(6) + 1,
        t=small(6), w3=small(3, 10, 1, 1), b3=small(3),
    )  # fmt: skip


def decoder() -> onnx.ModelProto:
    """Enlargement by transposed convolutions: keras's output_shape, torch's output_padding."""
    text = """(float[N,2,3,3] x) => (float[N,1,12,12] y) {
        c1 = ConvTranspose <strides = [2, 2], output_shape = [6, 6]> (x, w1, b1)
        r1 = Relu (c1)
        c2 = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]>
            (r1, w2, b2)
        y = Sigmoid (c2)
    }"""
    return net(text, w1=small(2, 4, 3, 3), b1=small(4), w2=small(4, 1, 3, 3), b2=small(1))


def convnext() -> onnx.ModelProto:
    """Layer normalisation of channels last, Gelu by Erf, a scaled residual."""
    text = """(float[N,3,6,6] x) => (float[N,4] y) {
        c1 = Conv <strides = [2, 2]> (x, w1, b1)
        last = Transpose <perm = [0, 2, 3, 1]> (c1)
        n1 = LayerNormalization <axis = -1, epsilon = 0.000001> (last, s, t)
        m1 = MatMul (n1, w2)
        a1 = Add (m1, b2)
        root = Constant <value = float {1.4142135}> ()
        one = Constant <value = float {1.0}> ()
        half = Constant <value = float {0.5}> ()
        d1 = Div (a1, root)
        e1 = Erf (d1)
        f1 = Add (e1, one)
        g1 = Mul (a1, f1)
        h1 = Mul (g1, half)
        m2 = MatMul (h1, w3)
        a2 = Add (b3, m2)
        scaled = Mul (gamma, a2)
        first = Transpose <perm = [0, 3, 1, 2]> (scaled)
        r = Add (c1, first)
        pooled = GlobalAveragePool (r)
        axes = Constant <value_ints = [-1, -2]> ()
        flat = Squeeze (pooled, axes)
        y = Gemm <transB = 1> (flat, w4, b4)
    }"""
    return net(
        text,
        w1=small(6, 3, 2, 2), b1=small(6), s=small(6) + 1, t=small(6), gamma=small(6) + 1,
        w2=small(6, 12), b2=small(12), w3=small(12, 6), b3=small(6), w4=small(4, 6), b4=small(4),
    )  # fmt: skip


def attention() -> onnx.ModelProto:
    """Self-attention over the pixels: products of two activations, which stay digital."""
    text = """(float[N,3,4,4] x) => (float[N,4] y) {
        c = Conv <strides = [2, 2]> (x, w1, b1)
        s = Constant <value_ints = [0, 6, 4]> ()
        pixels = Reshape (c, s)
        tokens = Transpose <perm = [0, 2, 1]> (pixels)
        qkv = MatMul (tokens, w2)
        thirds = Constant <value_ints = [6, 6, 6]> ()
        q, k, v = Split <axis = -1> (qkv, thirds)
        kt = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul (q, kt)
        root = Constant <value = float {2.4494897}> ()
        scaled = Div (scores, root)
        p = Softmax <axis = -1> (scaled)
        mixed = MatMul (p, v)
        out = Add (mixed, tokens)
        n = LayerNormalization (out, g)
        index = Constant <value_int = 0> ()
        token = Gather <axis = 1> (n, index)
        y = Gemm <transB = 1> (token, w3, b3)
    }"""
    return net(
        text,
        w1=small(6, 3, 2, 2), b1=small(6), w2=small(18, 6).T.copy(), g=small(6) + 1,
        w3=small(4, 6), b3=small(4),
    )  # fmt: skip


def one_dimensional() -> onnx.ModelProto:
    """A convolution over time with dilation, instance normalisation, a norm over time."""
    text = """(float[N,2,16] x) => (float[N,3] y) {
        c1 = Conv <dilations = [2], pads = [2, 2], kernel_shape = [3]> (x, w1, b1)
        n1 = InstanceNormalization (c1, s, t)
        r1 = Softplus (n1)
        c2 = Conv <strides = [2], auto_pad = "SAME_LOWER", kernel_shape = [3]> (r1, w2)
        axes = Constant <value_ints = [2]> ()
        size = ReduceL2 <keepdims = 0> (c2, axes)
        peak = ReduceMax <keepdims = 0> (c2, axes)
        both = Mul (size, peak)
        y = Gemm <transB = 1> (both, w3, b3)
    }"""
    return net(
        text,
        w1=small(4, 2, 3), b1=small(4), s=small(4) + 1, t=small(4), w2=small(4, 4, 3),
        w3=small(3, 4), b3=small(3),
    )  # fmt: skip


HABITS = {
    "keras": Habit(keras, 2),
    "cntk": Habit(cntk, 3),
    "paddle": Habit(paddle, 2),
    "torch dynamo": Habit(torch_dynamo, 3),
    "torch dynamo, plain": Habit(torch_dynamo_plain, 3),
    "torch legacy": Habit(torch_legacy, 3),
    "mobilenet v3": Habit(mobilenet_v3, 6),
    "efficientnet": Habit(efficientnet, 5),
    "shufflenet": Habit(shufflenet, 4),
    "densenet": Habit(densenet, 4),
    "squeezenet": Habit(squeezenet, 5),
    "super-resolution": Habit(super_resolution, 2, "mse"),
    "pixel shuffle": Habit(pixel_shuffle, 2, "mse"),
    "googlenet": Habit(googlenet, 5),
    "u-net": Habit(u_net, 3),
    "decoder": Habit(decoder, 2, "mse"),
    "convnext": Habit(convnext, 4),
    "attention": Habit(attention, 3),
    "one-dimensional": Habit(one_dimensional, 3),
}
"""Name to network."""
