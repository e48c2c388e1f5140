"""The importer on models that others made: one-op cases and a network of the onnx wheel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rpucc.passes.importer import load_model

from .importer_models import assert_same, dims, run

CORPUS = Path(onnx.__file__).parent / "backend" / "test" / "data"

ONE_OP = """
    Conv1d Conv1d_dilated Conv1d_groups Conv1d_pad1 Conv1d_pad1size1 Conv1d_pad2
    Conv1d_pad2size1 Conv1d_stride Conv2d Conv2d_depthwise Conv2d_depthwise_padded
    Conv2d_depthwise_strided Conv2d_depthwise_with_multiplier Conv2d_dilated Conv2d_groups
    Conv2d_groups_thnn Conv2d_no_bias Conv2d_padding Conv2d_strided Conv3d Conv3d_dilated
    Conv3d_dilated_strided Conv3d_groups Conv3d_no_bias Conv3d_stride Conv3d_stride_padding
    ConvTranspose2d ConvTranspose2d_no_bias Linear Linear_no_bias MaxPool1d MaxPool1d_stride
    MaxPool2d MaxPool3d MaxPool3d_stride MaxPool3d_stride_padding AvgPool1d AvgPool1d_stride
    AvgPool2d AvgPool2d_stride AvgPool3d AvgPool3d_stride BatchNorm1d_3d_input_eval
    BatchNorm2d_eval BatchNorm3d_eval ReLU Sigmoid Tanh Softmax LogSoftmax LeakyReLU
    PReLU_2d ELU ZeroPad2d ConstantPad2d PixelShuffle
"""


def stored(path: Path) -> np.ndarray:
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


@pytest.mark.parametrize("name", ONE_OP.split())
def test_one_op_models_give_the_stored_output(name):
    folder = CORPUS / "pytorch-converted" / f"test_{name}"
    if not folder.is_dir():
        pytest.skip("the installed onnx has no such test case")
    imported = load_model(folder / "model.onnx")
    x = stored(folder / "test_data_set_0" / "input_0.pb")
    expected = stored(folder / "test_data_set_0" / "output_0.pb")
    (found,) = run(imported, x)
    # onnxruntime cannot run opset 6: the reference is what PyTorch computed at export.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert dims(imported.graph.inputs[0]) == ["N", *x.shape[1:]]
    assert run(imported, x[:1])[0].shape == (1, *expected.shape[1:])


def test_squeezenet_with_random_weights_keeps_every_value():
    path = CORPUS / "light" / "light_squeezenet.onnx"
    if not path.is_file():
        pytest.skip("the installed onnx has no light models")
    model = onnx.load(path)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    rng = np.random.default_rng(0)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type != "ConstantOfShape":
            model.graph.node.append(node)
            continue
        shape = shapes[node.input[0]]  # equal weights would hide a wrong lowering
        weight = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        model.graph.initializer.append(
            numpy_helper.from_array(weight.astype(np.float32), node.output[0])
        )
    imported = load_model(model)
    assert_same(model, imported, rng.random((1, 3, 224, 224), np.float32))
    assert dims(imported.graph.inputs[0]) == ["N", 3, 224, 224]
    assert len(imported.graph) <= 68  # its Dropout is a node, for a training
