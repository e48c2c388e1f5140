"""What becomes of each Keras layer in ONNX: one row each. Not for walking a model."""

from __future__ import annotations

from collections.abc import Mapping

from rpucc.frameworks import keras_activations as activations
from rpucc.frameworks import keras_shapes as shapes
from rpucc.frameworks import keras_weighted as weighted
from rpucc.frameworks.keras_call import Lowering


def _each_rank(name: str, lowering: Lowering, *ranks: int) -> dict[str, Lowering]:
    return {name.format(rank): lowering for rank in ranks or (1, 2, 3)}


LAYERS: Mapping[str, Lowering] = {
    "Dense": weighted.dense,
    **_each_rank("Conv{}D", weighted.convolution),
    **_each_rank("DepthwiseConv{}D", weighted.depthwise, 1, 2),
    **_each_rank("SeparableConv{}D", weighted.separable, 1, 2),
    **_each_rank("Conv{}DTranspose", weighted.transposed),
    "BatchNormalization": weighted.batch_norm,
    "LayerNormalization": weighted.layer_norm,
    "Activation": activations.activation,
    "Softmax": activations.softmax,
    "ReLU": activations.relu,
    "LeakyReLU": activations.leaky_relu,
    "ELU": activations.elu,
    **_each_rank("MaxPooling{}D", shapes.pool("MaxPool")),
    **_each_rank("AveragePooling{}D", shapes.pool("AveragePool")),
    **_each_rank("GlobalMaxPooling{}D", shapes.global_pool("GlobalMaxPool")),
    **_each_rank("GlobalAveragePooling{}D", shapes.global_pool("GlobalAveragePool")),
    "Flatten": shapes.flatten,
    "Reshape": shapes.reshape,
    "Permute": shapes.permute,
    **_each_rank("ZeroPadding{}D", shapes.zero_padding),
    **_each_rank("UpSampling{}D", shapes.upsampling),
    "Add": shapes.merge("Add"),
    "Subtract": shapes.merge("Sub"),
    "Multiply": shapes.merge("Mul"),
    "Maximum": shapes.merge("Max"),
    "Minimum": shapes.merge("Min"),
    "Concatenate": shapes.concatenate,
    "Rescaling": shapes.rescaling,
    "Normalization": shapes.normalization,
    "InputLayer": shapes.nothing,
    "Identity": shapes.nothing,
    "Dropout": shapes.dropout,
    **_each_rank("SpatialDropout{}D", shapes.left_out),
    "AlphaDropout": shapes.left_out,
    "GaussianDropout": shapes.left_out,
    "GaussianNoise": shapes.left_out,
    "ActivityRegularization": shapes.nothing,
}
"""Class of a Keras layer -> what becomes of it."""
