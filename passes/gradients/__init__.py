"""The gradient rules, as one table: op type to the function that emits its backward nodes."""

from __future__ import annotations

from rpucc.passes.gradients import (
    activations,
    array,
    elementwise,
    pooling,
    reduce,
    resize,
    shape,
    softmax,
)
from rpucc.passes.gradients.context import Rule

GRADIENTS: dict[str, Rule] = {
    # arrays
    "Read": array.read,
    "Im2Col": array.im2col,
    "Col2Im": array.col2im_node,
    "AppendOne": array.append_one,
    # elementwise
    "Add": elementwise.add,
    "Sum": elementwise.add,
    "Sub": elementwise.sub,
    "Mul": elementwise.mul,
    "Div": elementwise.div,
    "Neg": elementwise.neg,
    "Abs": elementwise.abs_,
    "Pow": elementwise.power,
    "Identity": elementwise.identity,
    "Relu": elementwise.relu,
    "LeakyRelu": elementwise.leaky_relu,
    "Tanh": elementwise.tanh,
    "Sigmoid": elementwise.sigmoid,
    "Exp": elementwise.exp,
    "Log": elementwise.log,
    "Sqrt": elementwise.sqrt,
    "Clip": elementwise.clip,
    # activations
    "Elu": activations.elu,
    "Selu": activations.selu,
    "Celu": activations.celu,
    "ThresholdedRelu": activations.thresholded_relu,
    "Softplus": activations.softplus,
    "Softsign": activations.softsign,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "Mish": activations.mish,
    "Gelu": activations.gelu,
    "Erf": activations.erf,
    "PRelu": activations.prelu,
    "Max": activations.extremum,
    "Min": activations.extremum,
    # with constants or matrices
    "BatchNormalization": elementwise.batch_normalization,
    "MatMul": elementwise.matmul,
    # pooling
    "MaxPool": pooling.max_pool,
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.global_average_pool,
    # reductions
    "ReduceSum": reduce.reduce_sum,
    "ReduceMean": reduce.reduce_mean,
    # shape
    "Reshape": shape.reshape,
    "Flatten": shape.reshape,
    "Squeeze": shape.reshape,
    "Unsqueeze": shape.reshape,
    "Transpose": shape.transpose,
    "Concat": shape.concat,
    "Split": shape.split,
    "Slice": shape.slice_,
    "Pad": shape.pad,
    "Expand": shape.expand,
    "DepthToSpace": shape.depth_to_space,
    "SpaceToDepth": shape.space_to_depth,
    "Resize": resize.resize,
    # softmax
    "Softmax": softmax.softmax,
    "LogSoftmax": softmax.log_softmax,
}
"""Op type to gradient rule; an op without one cannot lie behind a trained layer."""
