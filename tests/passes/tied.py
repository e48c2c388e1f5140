"""Small networks that use a weight in several places, in the ways that files tie weights."""

from __future__ import annotations

import onnx

from .habits import Habit, small
from .importer_models import net


def siamese() -> onnx.ModelProto:
    """One convolution and its bias for both halves of the input."""
    text = """(float[N,2,6,6] x) => (float[N,2] y) {
        a, b = Split <axis = 1, num_outputs = 2> (x)
        [conv_a] ca = Conv (a, w, c) ra = Tanh (ca) pa = GlobalAveragePool (ra) fa = Flatten (pa)
        [conv_b] cb = Conv (b, w, c) rb = Tanh (cb) pb = GlobalAveragePool (rb) fb = Flatten (pb)
        d = Sub (fa, fb) e = Mul (d, d) [fc] y = Gemm (e, v)
    }"""
    return net(text, w=small(4, 1, 3, 3) * 3, c=small(4), v=small(4, 2) * 9)


def other_windows() -> onnx.ModelProto:
    """One kernel with two strides, and a depthwise one (groups) twice."""
    text = """(float[N,3,7,7] x) => (float[N,3] y) {
        [one] a = Conv <pads = [1, 1, 1, 1]> (x, w, c)
        [two] b = Conv <strides = [2, 2]> (a, w, c)
        t = Tanh (b)
        [dw1] d = Conv <group = 3, pads = [1, 1, 1, 1]> (t, g)
        [dw2] e = Conv <group = 3> (d, g)
        m = ReduceMean <keepdims = 0> (e, k) [fc] y = Gemm (m, v)
    }"""
    g = small(3, 1, 3, 3, seed=2) * 2
    return net(text, w=small(3, 3, 3, 3), c=small(3), g=g, v=small(3, 3), k=[2, 3])


def linear_twice() -> onnx.ModelProto:
    """PyTorch's dynamo exporter: one module's weight is transposed anew for each of its calls."""
    text = """(float[N,2,5] x) => (float[N,3] y) {
        [t1] w1 = Transpose <perm = [1, 0]> (w) [m1] a = MatMul (x, w1) a1 = Add (a, c)
        h = Tanh (a1)
        [t2] w2 = Transpose <perm = [1, 0]> (w) [m2] b = MatMul (h, w2) b1 = Add (b, c)
        s = ReduceMean <keepdims = 0> (b1, k) [fc] y = Gemm (s, v)
    }"""
    return net(text, w=small(5, 5), c=small(5), v=small(5, 3), k=[1])


def autoencoder() -> onnx.ModelProto:
    """The decoder has the encoder's weight transposed, and a bias of its own."""
    text = """(float[N,6] x) => (float[N,6] y) {
        [enc] a = Gemm <transB = 1> (x, w, c) h = Tanh (a)
        [t] wt = Transpose <perm = [1, 0]> (w)
        [dec] y = Gemm <transB = 1> (h, wt, d)
    }"""
    return net(text, w=small(4, 6), c=small(4), d=small(6))


def convolutional_autoencoder() -> onnx.ModelProto:
    """A transposed convolution with the convolution's kernel is its adjoint."""
    text = """(float[N,2,6,6] x) => (float[N,2,6,6] y) {
        [enc] a = Conv (x, w, c) h = Tanh (a) [dec] y = ConvTranspose (h, w, d)
    }"""
    return net(text, w=small(3, 2, 3, 3), c=small(3), d=small(2))


def pointwise_and_dense() -> onnx.ModelProto:
    """A 1 x 1 convolution whose kernel, reshaped, is the matrix of a dense layer."""
    text = """(float[N,4,3,3] x) => (float[N,4] y) {
        [conv] a = Conv (x, w, c) h = Tanh (a) m = ReduceMean <keepdims = 0> (h, k)
        [r] flat = Reshape (w, s) [fc] y = Gemm <transB = 1> (m, flat, c)
    }"""
    return net(text, w=small(4, 4, 1, 1), c=small(4), s=[4, 4], k=[2, 3])


def one_has_a_bias() -> onnx.ModelProto:
    """A dense layer and the same one without its bias: then it stays digital."""
    text = """(float[N,4] x) => (float[N,4] y) {
        [one] a = Gemm (x, w, c) h = Tanh (a) [two] y = Gemm (h, w)
    }"""
    return net(text, w=small(4, 4), c=small(4))


TIED = {
    "siamese": Habit(siamese, 2),
    "other windows": Habit(other_windows, 3),
    "linear twice": Habit(linear_twice, 2),
    "autoencoder": Habit(autoencoder, 1, "mse"),
    "convolutional autoencoder": Habit(convolutional_autoencoder, 1, "mse"),
    "pointwise and dense": Habit(pointwise_and_dense, 1),
    "one has a bias": Habit(one_has_a_bias, 1),
}
"""Name to network, and how many matrices it has."""
